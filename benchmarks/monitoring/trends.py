"""Slow drift over many windows, as the judge with its own history reports it.

    python -m benchmarks.monitoring.trends [--seeds 3] [--columns 1]

Windows are days of 1,000 rows against a reference of 20,000. After 30 quiet days the column
rises by a part of its standard deviation each day, and once it jumps. The delay of the first
message is compared with that of a CUSUM chart of the daily means (allowance 1, limit 8, exact
baseline).
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from contracts.reference import Reference
from contracts.times import utc_text
from contracts.verdict import Verdict, Window
from monitoring.alerting.episodes import Alerts, alerts_after
from monitoring.drift.histograms import WindowHistograms
from monitoring.drift.origin import DriftOrigin, drifted_since, drifted_windows
from monitoring.drift.rule import TrendsBefore, findings_of
from monitoring.drift.thresholds import DriftThresholds, calibrated_limits
from monitoring.drift.trend import ALLOWANCE, LIMIT, trends_before
from monitoring.settings import MonitoringSettings
from monitoring.traffic.batch import TrafficBatch
from monitoring.traffic.window import TimeWindow
from monitoring.verdicts.conditions import WindowFindings, decide, judge_conditions

SETTINGS = MonitoringSettings()
FIRST_DAY = datetime(2026, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)
QUIET_DAYS = 30
ROWS, REFERENCE_ROWS = 1_000, 20_000


@dataclass(frozen=True)
class Stream:
    """A column that rises by `slope` deviations a day, and by `jump` on `jump_day`."""

    slope: float
    days: int
    jump: float = 0.0
    jump_day: int = 10**6

    def level(self, day: int) -> float:
        """The column's mean on a day, in standard deviations."""
        return self.slope * max(day - QUIET_DAYS, 0) + self.jump * (day >= self.jump_day)


@dataclass(frozen=True)
class SimulatedOrigins:
    """Since when a column has drifted; a simulated window has no segments."""

    window: TimeWindow
    earlier: list[Verdict]

    def of(self, column: str) -> DriftOrigin:
        """The origin of the drift of a column; see `OriginsOfDrift`."""
        start = utc_text(self.window.start)
        return DriftOrigin(
            drifted_since(column, start, self.earlier),
            drifted_windows(column, self.window, self.earlier),
        )


def verdicts(
    stream: Stream, rng: np.random.Generator, columns: int = 1, rows: int = ROWS
) -> Iterator[Verdict]:
    """The verdict on each day of a stream; only the first of the columns moves."""
    from training.reference import number_reference

    reference = Reference(
        n_rows=REFERENCE_ROWS,
        n_predictions=0,
        features={
            f"x{i}": number_reference(rng.normal(size=REFERENCE_ROWS)) for i in range(columns)
        },
        predictions={},
    )
    earlier: list[Verdict] = []
    for day in range(stream.days):
        data = rng.normal(size=(rows, columns))
        data[:, 0] += stream.level(day)
        histograms = WindowHistograms(reference)
        histograms.add(
            TrafficBatch(
                times=np.arange(rows),
                ids=pl.Series(range(rows)),
                columns={f"x{i}": pl.Series(data[:, i]) for i in range(columns)},
            )
        )
        earlier.append(_verdict(day, histograms, earlier))
        yield earlier[-1]


def _verdict(day: int, histograms: WindowHistograms, earlier: list[Verdict]) -> Verdict:
    span = TimeWindow("tiny", 1, FIRST_DAY + day * DAY, FIRST_DAY + (day + 1) * DAY)
    start, end = utc_text(span.start), utc_text(span.end)
    findings = findings_of(
        histograms,
        DriftThresholds(SETTINGS, calibrated_limits(earlier, span)),
        SimulatedOrigins(span, earlier),
        TrendsBefore(start, trends_before(earlier, span)),
    )
    window = Window(start=start, end=end, rows=histograms.rows, files=1, torn_lines=0)
    found = WindowFindings(window, is_judged=True, findings=findings)
    conditions = judge_conditions(found, earlier, SETTINGS)
    return Verdict(
        verdict_id=f"tiny-1-{day}",
        model="tiny",
        version=1,
        run_id="",
        made_at=end,
        window=window,
        decision=decide(found, conditions),
        sentence="",
        conditions=conditions,
        findings=tuple(findings),
        manifest_digest="",
    )


def message_days(judged: list[Verdict]) -> list[int]:
    """The days on which an alarm is sent, "resolved" left out."""
    alerts, days = Alerts(), []
    for day, verdict in enumerate(judged):
        before = len([m for m in alerts.pending if not m.resolved])
        alerts = alerts_after(alerts, verdict, ["x"])
        if len([m for m in alerts.pending if not m.resolved]) > before:
            days.append(day)
    return days


def cusum_day(stream: Stream, rng: np.random.Generator) -> int:
    """The day on which a CUSUM chart of the daily means alarms; the baseline is known exactly."""
    total = 0.0
    for day in range(stream.days):
        mean = rng.normal(stream.level(day), 1 / np.sqrt(ROWS))
        total = max(total + mean * np.sqrt(ROWS) - ALLOWANCE, 0.0)
        if total >= LIMIT:
            return day
    return stream.days


STREAMS = (
    Stream(1 / 100, 130),
    Stream(1 / 200, 160),
    Stream(1 / 400, 230),
    Stream(1 / 200, 160, jump=0.4, jump_day=140),
)


def main() -> int:
    """Print each stream's first message, the share of later windows that drifted, and messages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--columns", type=int, default=1)
    arguments = parser.parse_args()
    say = sys.stdout.write
    say("slope    seed  first message  CUSUM  drifted later  days of messages\n")
    for stream in STREAMS:
        for seed in range(arguments.seeds):
            judged = list(verdicts(stream, np.random.default_rng(seed), arguments.columns))
            days = message_days(judged)
            first = days[0] if days else stream.days
            later = [v.condition("drift").is_alarming for v in judged[first:]]
            cusum = cusum_day(stream, np.random.default_rng(seed))
            say(
                f"1/{1 / stream.slope:<6.0f} {seed:>4} {first:>13} {cusum:>7} "
                f"{sum(later) / max(len(later), 1):>13.0%}  {days}\n"
            )
    quiet = [
        v for seed in range(10) for v in verdicts(Stream(0, 100), np.random.default_rng(seed), 10)
    ]
    alarms = sum(v.condition("drift").is_alarming for v in quiet)
    say(f"without drift: {alarms} of {len(quiet)} windows of 10 columns drifted\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
