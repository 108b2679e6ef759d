"""The predictions of a model in the last day, by hour: how many, how fast, by whom."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from contracts.names import CHALLENGER, Layout
from monitoring.traffic.reader import read_traffic
from monitoring.traffic.window import ReadStats, TimeWindow

HOURS = 24
_HOUR = timedelta(hours=1)


class TimedPrediction(msgspec.Struct, frozen=True, gc=False):
    """What is read of a traffic record."""

    prediction_id: str
    time: str
    version: int
    variant: str = "production"
    latency_ms: float = 0.0
    assigned: str = ""


@dataclass(frozen=True)
class TrafficHour:
    """Predictions that began in one hour; latencies in milliseconds, None without predictions."""

    start: datetime
    rows: int
    p50_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True)
class TrafficDay:
    """The predictions of 24 hours; latencies in milliseconds, None without predictions.

    `challenger_rows` were answered by the challenger; `failed_over` were assigned to it and
    answered by production, because it failed. `torn_lines` and `torn_files` could not be read.
    """

    hours: tuple[TrafficHour, ...]
    rows: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    last_at: datetime | None
    challenger_rows: int
    failed_over: int
    torn_lines: int
    torn_files: int


@dataclass(frozen=True)
class _Latencies:
    """Rows of the log: times (microseconds since 1970) and latencies (ms), shape `(n_rows,)`."""

    times_us: NDArray[np.int64]
    latency_ms: NDArray[np.float32]
    challenger_rows: int
    failed_over: int


class _LatencyColumns:
    """The projection of the traffic log that gives `_Latencies`."""

    record_type: type[Any] = TimedPrediction
    fallback_type: type[Any] | None = None

    def columns(self, stored: Sequence[str]) -> Sequence[str]:
        wanted = {"prediction_id", "time", "version", "variant", "latency_ms", "assigned"}
        return [name for name in stored if name in wanted]

    def from_records(self, records: Sequence[Any], times: pl.Series) -> _Latencies:
        return _Latencies(
            times_us=times.to_physical().to_numpy(),
            latency_ms=np.array([r.latency_ms for r in records], dtype=np.float32),
            challenger_rows=sum(r.variant == CHALLENGER for r in records),
            failed_over=sum(r.assigned == CHALLENGER and r.variant != CHALLENGER for r in records),
        )

    def from_table(self, table: pl.DataFrame) -> _Latencies:
        is_challenger = table["variant"].cast(pl.String) == CHALLENGER
        failed_over = 0
        if "assigned" in table.columns:
            assigned = table["assigned"].cast(pl.String).fill_null("") == CHALLENGER
            failed_over = int((assigned & ~is_challenger).sum())
        return _Latencies(
            times_us=table["time"].to_physical().to_numpy(),
            latency_ms=table["latency_ms"].cast(pl.Float32).to_numpy(),
            challenger_rows=int(is_challenger.sum()),
            failed_over=failed_over,
        )


def traffic_day(layout: Layout, name: str, now: datetime) -> TrafficDay:
    """The predictions of the 24 hours before `now`, of every version.

    Raises:
        InvalidDocument: a `compacted.json` was cut or edited.

    """
    start = now - HOURS * _HOUR
    stats = ReadStats()
    window = TimeWindow(name, None, start, now)
    batches = list(read_traffic(layout, window, _LatencyColumns(), stats))
    times = np.concatenate([np.empty(0, np.int64), *(b.times_us for b in batches)])
    latency = np.concatenate([np.empty(0, np.float32), *(b.latency_ms for b in batches)])
    hour_of = (times - _microseconds(start)) // _microseconds_of(_HOUR)
    p50, p95, p99 = _percentiles(latency)
    return TrafficDay(
        hours=tuple(_hour(start + i * _HOUR, latency[hour_of == i]) for i in range(HOURS)),
        rows=len(times),
        p50_ms=p50,
        p95_ms=p95,
        p99_ms=p99,
        last_at=_time(int(times.max()), now) if len(times) else None,
        challenger_rows=sum(b.challenger_rows for b in batches),
        failed_over=sum(b.failed_over for b in batches),
        torn_lines=stats.torn_lines,
        torn_files=len(stats.torn_files),
    )


def _hour(start: datetime, latency_ms: NDArray[np.float32]) -> TrafficHour:
    p50, _, p99 = _percentiles(latency_ms)
    return TrafficHour(start, len(latency_ms), p50, p99)


def _percentiles(
    latency_ms: NDArray[np.float32],
) -> tuple[float | None, float | None, float | None]:
    """The median, the 95th and the 99th percentile."""
    if not len(latency_ms):
        return None, None, None
    p50, p95, p99 = np.percentile(latency_ms, (50, 95, 99))
    return float(p50), float(p95), float(p99)


def _microseconds(time: datetime) -> int:
    return int(time.timestamp() * 1_000_000)


def _microseconds_of(span: timedelta) -> int:
    return int(span.total_seconds() * 1_000_000)


def _time(microseconds: int, like: datetime) -> datetime:
    return datetime.fromtimestamp(microseconds / 1_000_000, like.tzinfo)
