"""Find a prediction in the traffic log."""

from pathlib import Path

import msgspec
import polars as pl

from contracts.errors import NotRegistered
from contracts.names import Layout
from contracts.traffic import TrafficRecord
from monitoring.traffic.compaction_manifest import (
    open_log_files,
    read_compaction_manifest,
    reading_lock,
)
from monitoring.traffic.parquet import record_of


def find(layout: Layout, prediction_id: str) -> TrafficRecord:
    """The record of a prediction, whichever model it is of; newest days first.

    Raises:
        NotRegistered: it is in no file of the traffic log.

    """
    days = (p for p in layout.all_traffic.glob("*/*") if p.is_dir())
    for day in sorted(days, key=lambda p: p.name, reverse=True):
        with reading_lock(day.parent):
            record = _in_lines(day, prediction_id) or _in_parquet(day, prediction_id)
        if record is not None:
            return record
    raise NotRegistered(
        f"prediction: expected an id in {layout.all_traffic}, got {prediction_id!r}",
        remedy="ids are in the answers of the service, as prediction_id",
    )


def _in_lines(day: Path, prediction_id: str) -> TrafficRecord | None:
    needle = prediction_id.encode()
    for path, start in reversed(open_log_files(day, read_compaction_manifest(day))):
        with path.open("rb") as lines:
            lines.seek(start)
            for line in lines:
                record = _record(line) if needle in line else None
                if record is not None and record.prediction_id == prediction_id:
                    return record
    return None


def _in_parquet(day: Path, prediction_id: str) -> TrafficRecord | None:
    for name in read_compaction_manifest(day).files:
        try:
            scan = pl.scan_parquet(day / name, glob=False)
            found = scan.filter(pl.col("prediction_id") == prediction_id).collect()
        except (OSError, pl.exceptions.PolarsError):
            # A torn file hides no prediction that lies in another; the monitor reports it.
            continue
        if len(found):
            return record_of(found.row(0, named=True))
    return None


def _record(line: bytes) -> TrafficRecord | None:
    try:
        return msgspec.json.decode(line, type=TrafficRecord)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
