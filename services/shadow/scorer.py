"""One model looked on at: its new traffic is scored again, compared, counted and written down."""

import logging
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from contracts.canary import CanaryEvidence
from contracts.errors import CorruptModel, InvalidDocument
from contracts.files import write_whole
from contracts.manifest import Pointer
from contracts.names import CHALLENGER, PRODUCTION, SHADOW, Layout
from contracts.shadow import ShadowRecord
from contracts.split import TrafficSplit
from services.inference.loader import load
from services.inference.render import encode
from services.inference.traffic_log import TrafficLog
from services.settings import ServiceSettings
from services.shadow.model import Comparison
from services.shadow.cpu_budget import Pace
from services.shadow.evidence import Tally
from services.shadow.log_entry import Line, line_of
from services.shadow.tail import Tail

MOST_BYTES = 4 * 1024 * 1024
"""So much of the log is looked at a time: some ten thousand answers."""
LEAST_BYTES = 64 * 1024
LINE_BYTES = 1024
"""For a row that a shadow will score, so much is read; most lines are shorter."""
JUDGED = 64
"""So many of the challenger's answers are compared a look in any case: a canary must end."""
ANSWERED = frozenset({PRODUCTION, CHALLENGER})

logger = logging.getLogger("slipway.shadow")


class Onlooker:
    """What looks on at one model: a shadow, a canary, or both."""

    def __init__(self, name: str, layout: Layout, settings: ServiceSettings) -> None:
        self._name = name
        self._layout = layout
        self._days = settings.shadow_days
        self._tail = Tail(layout.traffic(name))
        self._log = TrafficLog(layout.shadow(name), settings.segment_bytes)
        self._comparisons: dict[tuple[str, str], Comparison | None] = {}
        self._pace = Pace(settings.shadow_core)
        self._tally: Tally | None = None
        self._split: TrafficSplit | None = None
        self._counts: Counter[tuple[str, int, str]] = Counter()
        self._day = ""

    def look(
        self, shadow: Pointer | None, production: Pointer | None, split: TrafficSplit | None
    ) -> None:
        """Look once at what was answered since.

        Raises:
            OSError, Unwritable: what was found cannot be written.

        """
        begun = time.thread_time()
        self._follow(split)
        lines, lost = self._read()
        found: list[ShadowRecord] = []
        if shadow is not None:
            answers = [line for line in lines if line.variant in ANSWERED]
            chosen = self._pace.chosen(answers)
            found += self._compared(shadow, chosen)
            self._counts[SHADOW, shadow.version, "dropped"] += lost + len(answers) - len(chosen)
        if self._tally is not None and production is not None:
            found += self._watched(self._tally, production, lines, lost)
        self._write(found)
        self._pace.pay(time.thread_time() - begun)

    def close(self) -> None:
        """Seal the log."""
        self._log.close()

    def _read(self) -> tuple[list[Line], int]:
        """New lines in the order of time, and how many were not looked at.

        A canary counts every line; a shadow looks at as many as there is time for.
        """
        if self._tally is None:
            rows = self._pace.rows()
            texts, skipped = self._tail.read(min(MOST_BYTES, LEAST_BYTES + rows * LINE_BYTES))
            taken = self._pace.chosen(texts)
        else:
            texts, skipped = self._tail.read(MOST_BYTES)
            taken = texts
        lines = [line for text in taken if (line := line_of(text)) is not None]
        return sorted(lines, key=lambda line: line.time), skipped + len(texts) - len(lines)

    def _follow(self, split: TrafficSplit | None) -> None:
        """Begin to count for a canary, go on where another process was, or end."""
        canary = "" if split is None else split.canary
        before = self._split
        self._split = split
        if not canary:
            self._tally = None
        elif self._tally is None or before is None or before.canary != canary:
            self._tally = Tally(self._kept(canary))
        elif split is not None and before.since != split.since:
            self._tally.new_step()

    def _kept(self, canary: str) -> CanaryEvidence:
        path = self._layout.evidence(self._name)
        try:
            kept = CanaryEvidence.read(path.read_bytes(), str(path))
        except (FileNotFoundError, InvalidDocument):
            return CanaryEvidence(canary=canary)
        return kept if kept.canary == canary else CanaryEvidence(canary=canary)

    def _watched(
        self, tally: Tally, production: Pointer, lines: Sequence[Line], lost: int
    ) -> list[ShadowRecord]:
        """Count what a canary's challenger did, and let production say what it would have."""
        before = tally.evidence
        tally.drop(lost)
        answered = tally.see(line for line in lines if line.time >= before.canary)
        answers = self._pace.chosen(answered, least=JUDGED)
        records = self._compared(production, answers)
        tally.compare(list(zip(answers, records, strict=False)))
        if tally.evidence != before:
            path = self._layout.evidence(self._name)
            write_whole(path, tally.evidence.write_pretty(), to_disk=False)
        return records

    def _compared(self, pointer: Pointer, lines: Sequence[Line]) -> list[ShadowRecord]:
        comparison = self._comparison(pointer)
        if comparison is None or not lines:
            return []
        begun = time.thread_time()
        records = comparison.records(lines)
        self._pace.learn(time.thread_time() - begun, len(lines))
        for record in records:
            outcome = "failed" if record.error else "agreed" if record.agrees else "differed"
            self._counts[pointer.alias, pointer.version, outcome] += 1
        return records

    def _comparison(self, pointer: Pointer) -> Comparison | None:
        """The version that looks on, loaded once; None for one that cannot be."""
        key = (pointer.alias, pointer.digest)
        if key not in self._comparisons:
            # Only what is needed now is kept: one version of each role.
            for stale in [other for other in self._comparisons if other[0] == pointer.alias]:
                del self._comparisons[stale]
            try:
                loaded = Comparison(load(self._layout, pointer), self._layout)
            except CorruptModel as err:
                logger.error("%s version %d cannot look on: %s", self._name, pointer.version, err)  # noqa: TRY400 - the place is in the text
                loaded = None
            self._comparisons[key] = loaded
        return self._comparisons[key]

    def _write(self, records: Sequence[ShadowRecord]) -> None:
        if not records:
            return
        now = datetime.now(UTC)
        self._log.append([encode(record) for record in records], now)
        path = self._layout.var / "metrics" / f"{SHADOW}-{self._name}.prom"
        write_whole(path, self._gauges().encode(), to_disk=False)
        if f"{now:%Y-%m-%d}" != self._day:
            self._day = f"{now:%Y-%m-%d}"
            forget(self._layout.shadow(self._name), now - timedelta(days=self._days))

    def _gauges(self) -> str:
        """How often a version that looks on agreed, for node_exporter's textfile collector."""
        head = "slipway_shadow_answers_total"
        lines = [
            f"# HELP {head} Answers scored again: agreed, differed, failed, or dropped",
            f"# TYPE {head} counter",
        ]
        for (role, version, outcome), times in sorted(self._counts.items()):
            labels = f'model="{self._name}",outcome="{outcome}",role="{role}",version="{version}"'
            lines.append(f"{head}{{{labels}}} {times}")
        return "\n".join(lines) + "\n"


def forget(folder: Path, oldest: datetime) -> None:
    """Remove the days of a log that are older."""
    for day in folder.glob("????-??-??"):
        if day.name < f"{oldest:%Y-%m-%d}":
            shutil.rmtree(day)
