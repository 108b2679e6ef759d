"""Seasons: recurring weekends and hours are silent, missing ones and jumps are reported.

    python -m benchmarks.monitoring.seasons [--seeds 3] [--first-seed 100]

Streams of adjacent windows through the season's own files, findings, conditions and messages.
Four columns have a season, six have none; the reference mixes all hours of the week.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from benchmarks.monitoring.scenarios import reference_of
from benchmarks.monitoring.trends import SimulatedOrigins
from contracts.names import Layout, window_id
from contracts.reference import Reference
from contracts.times import utc_text
from contracts.verdict import Verdict, Window
from monitoring.alerting.episodes import Alerts, alerts_after
from monitoring.drift.histograms import WindowHistograms
from monitoring.drift.rule import TrendsBefore, findings_of
from monitoring.drift.season_files import read_seasons, store_season
from monitoring.drift.thresholds import DriftThresholds, calibrated_limits
from monitoring.drift.trend import trends_before
from monitoring.settings import MonitoringSettings
from monitoring.traffic.batch import TrafficBatch
from monitoring.traffic.window import TimeWindow
from monitoring.verdicts.conditions import WindowFindings, decide, judge_conditions

SETTINGS = MonitoringSettings()
MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
KINDS = np.array(["a", "b", "c"])
REFERENCE_ROWS = 20_000
SATURDAY = 5

Season = Callable[[datetime], float]
"""How far a column is from its mean at a time, in standard deviations."""


def weekend(size: float) -> Season:
    """A shift on Saturdays and Sundays."""
    return lambda time: size * (time.weekday() >= SATURDAY)


def hours(size: float) -> Season:
    """A wave of one day."""
    return lambda time: size * float(np.sin(2 * np.pi * (time.hour + time.minute / 60) / 24))


def both(size: float) -> Season:
    """A wave of one day, and a weekend."""
    return lambda time: hours(size)(time) + weekend(size)(time)


@dataclass(frozen=True)
class Stream:
    """Windows of `length` with `rows` each; `change` is added to the season of every column."""

    season: Season
    length: timedelta
    rows: int
    change: Season = field(default=lambda _: 0.0)
    wobble: float = 0.0

    def table(
        self, shift: NDArray[np.float64], rng: np.random.Generator
    ) -> dict[str, NDArray[np.generic]]:
        """Ten columns, of which four follow the `shift` of each row."""
        n = len(shift)
        odds = np.clip(0.3 + 0.1 * shift, 0.02, 0.9)
        return {
            "normal": rng.normal(shift),
            "amount": rng.lognormal(0.5 * shift, 0.5),
            "count": rng.poisson(np.maximum(4 + 2 * shift, 0.5)).astype(np.float64),
            "kind": np.where(rng.random(n) < odds, "a", rng.choice(KINDS[1:], n)),
            **{f"steady{i}": rng.normal(size=n) for i in range(4)},
            "skewed": rng.exponential(size=n),
            "client": rng.choice(KINDS, n, p=[0.5, 0.3, 0.2]),
        }

    def reference(self, rng: np.random.Generator) -> Reference:
        """The training rows: from all hours of eight weeks before."""
        seconds = rng.integers(1, 8 * 7 * 86_400, REFERENCE_ROWS).tolist()
        times = [MONDAY - timedelta(seconds=s) for s in seconds]
        return reference_of(self.table(np.array([self.season(t) for t in times]), rng))


class Monitor:
    """Judges the windows of a stream one after the other, as the monitor does."""

    def __init__(self, stream: Stream, folder: Path, seed: int) -> None:
        self.stream = stream
        self.layout = Layout(folder)
        self.rng = np.random.default_rng(seed)
        self.sketch = stream.reference(self.rng)
        self.verdicts: list[Verdict] = []
        self.alerts = Alerts()

    def judge(self, start: datetime) -> Verdict:
        """The verdict on the window that begins at a time."""
        stream, end = self.stream, start + self.stream.length
        seconds = np.sort(self.rng.random(stream.rows)) * stream.length.total_seconds()
        wobble = stream.wobble * self.rng.normal()
        middle = start + stream.length / 2
        level = stream.season(middle) + stream.change(middle) + wobble
        histograms = WindowHistograms(self.sketch)
        columns = stream.table(np.full(stream.rows, level), self.rng)
        histograms.add(
            TrafficBatch(
                times=(seconds * 1e6).astype(np.int64) + int(start.timestamp() * 1e6),
                ids=pl.Series(np.arange(stream.rows)),
                columns={name: pl.Series(values) for name, values in columns.items()},
            )
        )
        window = TimeWindow("tiny", 1, start, end)
        verdict = self._verdict(window, histograms)
        store_season(self.layout, window, histograms, self.sketch, verdict, UTC)
        self.verdicts.append(verdict)
        self.alerts = alerts_after(self.alerts, verdict, ["x"])
        return verdict

    def _verdict(self, window: TimeWindow, histograms: WindowHistograms) -> Verdict:
        seasons = read_seasons(self.layout, window, 1, UTC)
        seasonal = seasons.seasonal(histograms.columns) if seasons else frozenset()
        earlier = self.verdicts
        start, end = utc_text(window.start), utc_text(window.end)
        findings = findings_of(
            histograms,
            DriftThresholds(SETTINGS, calibrated_limits(earlier, window, frozenset(), seasonal)),
            SimulatedOrigins(window, earlier),
            TrendsBefore(start, trends_before(earlier, window)),
            seasons,
        )
        judged = Window(start=start, end=end, rows=histograms.rows, files=1, torn_lines=0)
        found = WindowFindings(judged, is_judged=True, findings=findings)
        conditions = judge_conditions(found, earlier, SETTINGS)
        return Verdict(
            verdict_id=window_id("tiny", 1, window.start, window.end),
            model="tiny",
            version=1,
            run_id="",
            made_at=end,
            window=judged,
            decision=decide(found, conditions),
            sentence="; ".join(c.sentence for c in conditions if c.sentence),
            conditions=conditions,
            findings=tuple(findings),
            manifest_digest="",
        )

    def run(self, first: datetime, windows: int) -> list[int]:
        """Judge windows; gives the numbers of those that sent an alarm."""
        sent = []
        for i in range(windows):
            before = self.messages
            self.judge(first + i * self.stream.length)
            if self.messages > before:
                sent.append(i)
        return sent

    @property
    def messages(self) -> int:
        """How many alarms were sent, "resolved" left out."""
        return sum(not m.resolved for m in self.alerts.pending)


@dataclass(frozen=True)
class Case:
    """A stream, the windows after its two weeks of learning, and what messages it may send."""

    name: str
    stream: Stream
    windows: int
    expected: Callable[[list[int]], bool]
    bar: str


def _after(weeks: float, size: float) -> Season:
    return lambda time: size * (time >= MONDAY + weeks * 7 * DAY)


def _missing_weekend(size: float) -> Season:
    """No weekend in the fourth week."""
    first = MONDAY + 3 * 7 * DAY
    return lambda time: -weekend(size)(time) * (first <= time < first + 7 * DAY)


def _quiet(messages: list[int]) -> bool:
    return len(messages) <= 1


def _reported_from(window: int, within: int) -> Callable[[list[int]], bool]:
    return lambda messages: any(window <= m < window + within for m in messages)


def cases() -> list[Case]:
    """The bars; messages are numbered from the end of the second week."""
    found = []
    for size in (0.5, 1.5):
        quiet = "<= 1 message in 60 windows"
        found += [
            Case(f"weekend {size}, days", Stream(weekend(size), DAY, 1_000), 60, _quiet, quiet),
            Case(f"hours {size}", Stream(hours(size), HOUR, 200), 60, _quiet, quiet),
            Case(f"hours and weekend {size}", Stream(both(size), HOUR, 500), 168, _quiet, quiet),
            Case(
                f"weekend {size} missing, days",
                Stream(weekend(size), DAY, 1_000, _missing_weekend(size)),
                14,
                _reported_from(12, 2),
                "reported by Sunday",
            ),
            Case(
                f"weekend {size} missing, hours",
                Stream(both(size), HOUR, 500, _missing_weekend(size)),
                336,
                _reported_from(168 + 120, 48),
                "reported by Sunday",
            ),
            Case(
                f"jump of 0.4, weekend {size}",
                Stream(weekend(size), DAY, 5_000, _after(3, 0.4)),
                14,
                _reported_from(7, 2),
                "reported within two windows",
            ),
            Case(
                f"jump of 0.4, hours {size}",
                Stream(hours(size), HOUR, 5_000, _after(2.5, 0.4)),
                90,
                _reported_from(84, 2),
                "reported within two windows",
            ),
        ]
    wobbling = Stream(weekend(1.0), DAY, 2_000, wobble=0.1)
    found.append(Case("weekend 1.0, days differ by 0.1", wobbling, 60, _quiet, "<= 1 message"))
    return found


def outcome(case: Case, seed: int) -> tuple[list[int], list[int]]:
    """The windows that sent messages: in the two weeks of learning, and after them."""
    per_week = round(7 * DAY / case.stream.length)
    with tempfile.TemporaryDirectory() as folder:
        monitor = Monitor(case.stream, Path(folder), seed)
        learning = monitor.run(MONDAY, 2 * per_week)
        return learning, monitor.run(MONDAY + 14 * DAY, case.windows)


def main() -> int:
    """Print each case; 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=100, help="below it: development")
    parser.add_argument("--only", default="", help="part of a case's name")
    arguments = parser.parse_args()
    missed = 0
    for case in cases():
        if arguments.only not in case.name:
            continue
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
            learning, later = outcome(case, seed)
            met = case.expected(later)
            missed += not met
            sys.stdout.write(
                f"{case.name:<32} seed {seed}: messages while learning {learning}, later {later}"
                f"  {case.bar}: {'met' if met else 'MISSED'}\n"
            )
            sys.stdout.flush()
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
