"""Scores the new traffic of one model again, for its shadow and for its canary."""

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
from services.inference.json_templates import encode
from services.inference.jsonl_log import JsonlLog
from services.inference.loader import load_model
from services.inference.model_source import ModelSource
from services.settings import ServiceSettings
from services.shadow.canary_evidence import EvidenceCounter
from services.shadow.cpu_budget import CpuBudget
from services.shadow.log_entry import LogEntry, parse_entry
from services.shadow.model import ShadowModel
from services.shadow.prometheus import shadow_metrics
from services.shadow.tail import Tail

MAX_POLL_BYTES = 4 * 1024 * 1024
"""Read per poll at most: some ten thousand entries."""
MIN_POLL_BYTES = 64 * 1024
ENTRY_BYTES = 1024
"""Read per row that a shadow can score; most entries are shorter."""
MIN_COMPARED = 64
"""Answers of the challenger compared per poll whatever the budget: a canary must end."""
ANSWERING = frozenset({PRODUCTION, CHALLENGER})

logger = logging.getLogger("slipway.shadow")


class ShadowScorer:
    """Scores one model's traffic again for its shadow, its canary, or both."""

    def __init__(self, name: str, layout: Layout, settings: ServiceSettings) -> None:
        self._name = name
        self._layout = layout
        self._days = settings.shadow_days
        self._tail = Tail(layout.traffic(name))
        self._log = JsonlLog(layout.shadow(name), settings.log_file_bytes)
        self._models: dict[tuple[str, str], ShadowModel | None] = {}
        self._budget = CpuBudget(settings.shadow_core)
        self._counter: EvidenceCounter | None = None
        self._split: TrafficSplit | None = None
        self._counts: Counter[tuple[str, int, str]] = Counter()
        self._day = ""

    def poll(
        self, shadow: Pointer | None, production: Pointer | None, split: TrafficSplit | None
    ) -> None:
        """Score and count the traffic that was logged since the last poll.

        Raises:
            OSError, Unwritable: a result cannot be written.

        """
        started = time.thread_time()
        self._follow(split)
        entries, skipped = self._read()
        records: list[ShadowRecord] = []
        if shadow is not None:
            answered = [entry for entry in entries if entry.variant in ANSWERING]
            sample = self._budget.sample(answered)
            records += self._score(shadow, sample)
            dropped = skipped + len(answered) - len(sample)
            self._counts[SHADOW, shadow.version, "dropped"] += dropped
        if self._counter is not None and production is not None:
            records += self._observe(self._counter, production, entries, skipped)
        self._write(records)
        self._budget.pay(time.thread_time() - started)

    def close(self) -> None:
        """Seal the log."""
        self._log.close()

    def _read(self) -> tuple[list[LogEntry], int]:
        """New entries ordered by time, and how many were skipped.

        A canary counts every entry; a shadow takes as many as its budget allows.
        """
        if self._counter is None:
            wanted_bytes = MIN_POLL_BYTES + self._budget.rows() * ENTRY_BYTES
            lines, skipped = self._tail.read(min(MAX_POLL_BYTES, wanted_bytes))
            sample = self._budget.sample(lines)
        else:
            lines, skipped = self._tail.read(MAX_POLL_BYTES)
            sample = lines
        entries = [entry for line in sample if (entry := parse_entry(line)) is not None]
        entries.sort(key=lambda entry: entry.time)
        return entries, skipped + len(lines) - len(entries)

    def _follow(self, split: TrafficSplit | None) -> None:
        """Start counting for a canary, resume the counts of an earlier process, or stop."""
        canary = "" if split is None else split.canary
        before = self._split
        self._split = split
        if not canary:
            self._counter = None
        elif self._counter is None or before is None or before.canary != canary:
            self._counter = EvidenceCounter(self._stored_evidence(canary))
        elif split is not None and before.since != split.since:
            self._counter.new_step()

    def _stored_evidence(self, canary: str) -> CanaryEvidence:
        path = self._layout.evidence(self._name)
        try:
            stored = CanaryEvidence.read(path.read_bytes(), str(path))
        except (FileNotFoundError, InvalidDocument):
            return CanaryEvidence(canary=canary)
        return stored if stored.canary == canary else CanaryEvidence(canary=canary)

    def _observe(
        self,
        counter: EvidenceCounter,
        production: Pointer,
        entries: Sequence[LogEntry],
        skipped: int,
    ) -> list[ShadowRecord]:
        """Count the challenger's answers, and compare a sample with production's."""
        before = counter.evidence
        counter.drop(skipped)
        answered = counter.count(entry for entry in entries if entry.time >= before.canary)
        sample = self._budget.sample(answered, at_least=MIN_COMPARED)
        records = self._score(production, sample)
        counter.compare(list(zip(sample, records, strict=False)))
        if counter.evidence != before:
            path = self._layout.evidence(self._name)
            write_whole(path, counter.evidence.write_pretty(), to_disk=False)
        return records

    def _score(self, pointer: Pointer, entries: Sequence[LogEntry]) -> list[ShadowRecord]:
        """One record per entry by the version of a pointer; none if it cannot be loaded."""
        model = self._model(pointer)
        if model is None or not entries:
            return []
        started = time.thread_time()
        records = model.records(entries)
        self._budget.learn(time.thread_time() - started, len(entries))
        for record in records:
            outcome = "failed" if record.error else "agreed" if record.agrees else "differed"
            self._counts[pointer.alias, pointer.version, outcome] += 1
        return records

    def _model(self, pointer: Pointer) -> ShadowModel | None:
        """The version of a pointer, loaded once; None if it cannot be loaded."""
        key = (pointer.alias, pointer.digest)
        if key not in self._models:
            # At most one version per role stays in memory.
            for stale in [other for other in self._models if other[0] == pointer.alias]:
                replaced = self._models.pop(stale)
                if replaced is not None:
                    replaced.served.session.close()
            try:
                directory = ModelSource(self._layout).directory(pointer)
                loaded = ShadowModel(load_model(directory, pointer), directory)
            except CorruptModel as err:
                logger.error("%s version %d not loaded: %s", self._name, pointer.version, err)  # noqa: TRY400 - the text names the file
                loaded = None
            self._models[key] = loaded
        return self._models[key]

    def _write(self, records: Sequence[ShadowRecord]) -> None:
        if not records:
            return
        now = datetime.now(UTC)
        self._log.append([encode(record) for record in records], now)
        path = self._layout.metrics / f"{SHADOW}-{self._name}.prom"
        write_whole(path, shadow_metrics(self._name, self._counts), to_disk=False)
        if f"{now:%Y-%m-%d}" != self._day:
            self._day = f"{now:%Y-%m-%d}"
            delete_older_than(self._layout.shadow(self._name), now - timedelta(days=self._days))


def delete_older_than(folder: Path, oldest: datetime) -> None:
    """Delete the days of a log before `oldest`."""
    for day in folder.glob("????-??-??"):
        if day.name < f"{oldest:%Y-%m-%d}":
            shutil.rmtree(day)
