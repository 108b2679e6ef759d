"""Labels in Parquet give the same numbers, and go with their traffic."""

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.names import Layout
from monitoring.labels import store
from monitoring.labels.compaction import compact_labels
from monitoring.labels.ingest import add_labels
from monitoring.labels.store import read_labels
from monitoring.traffic.compaction import compact_traffic
from monitoring.traffic.compaction_manifest import open_log_files, read_compaction_manifest
from tests.monitoring.labels.scenario import DAY, LATER, judged, manifest, write_labelled_day


def test_the_numbers_are_the_same_after_compaction_of_both(tmp_path: Path) -> None:
    layout, _ = write_labelled_day(tmp_path, 1_000)
    before = judged(layout)
    compact_traffic(layout, "loan", now=LATER)
    for path in layout.labels("loan").glob("*.jsonl"):
        os.utime(path, (DAY.timestamp(), DAY.timestamp()))
    done = compact_labels(layout, "loan", now=LATER)

    assert done.rows == 1_000
    assert not list(layout.labels("loan").glob("*.jsonl"))
    assert judged(layout) == before


def test_labels_that_a_service_goes_on_writing_are_not_lost(tmp_path: Path) -> None:
    """A service holds its file open: compaction must not take it away from under it."""
    layout, _ = write_labelled_day(tmp_path, 500)
    folder = layout.labels("loan")
    line = b'{"prediction_id":"id-%d","truth":"no","time":"2026-03-01T00:00:00.000000Z"}\n'
    held = folder / "120000-1-ab.jsonl"
    with held.open("ab", buffering=0) as service:
        service.write(line % 1)
        for path in folder.glob("*.jsonl"):
            os.utime(path, (DAY.timestamp(), DAY.timestamp()))
        assert compact_labels(layout, "loan", now=LATER).removed_log_files == 1
        service.write(line % 2)

    assert read_labels(layout, "loan", ("no", "yes")).replaced == 2


def test_labels_go_with_the_traffic_that_they_are_of(tmp_path: Path) -> None:
    """Labels of 1 February, and one that came a month later."""
    layout, _ = write_labelled_day(tmp_path, 50)
    late = tmp_path / "late.jsonl"
    late.write_text('{"prediction_id": "id-3", "truth": "yes", "time": "2026-03-01T00:00:00Z"}\n')
    add_labels(layout, manifest(), late, now=LATER)
    for path in layout.labels("loan").glob("*.jsonl"):
        os.utime(path, (DAY.timestamp(), DAY.timestamp()))
    kept = compact_labels(layout, "loan", now=LATER, keep_days=39)
    gone = compact_labels(layout, "loan", now=LATER, keep_days=38)
    again = compact_labels(layout, "loan", now=LATER, keep_days=38)
    left = read_labels(layout, "loan", ("no", "yes"))
    files = sorted(p.name for p in layout.labels("loan").glob("*.parquet"))

    assert (kept.removed_rows, gone.removed_rows, again.removed_rows) == (0, 50, 0)
    assert left.targets.tolist() == [1.0]
    assert sorted(read_compaction_manifest(layout.labels("loan")).files) == files
    assert len(files) == 1


def test_labels_that_are_compacted_while_they_are_read_are_neither_lost_nor_doubled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout, classes = Layout(tmp_path), ("no", "yes")
    source = tmp_path / "truth.jsonl"
    rows = [{"prediction_id": f"id-{i}", "truth": "yes"} for i in range(50)]
    source.write_bytes(msgspec.json.Encoder().encode_lines(rows))
    path = add_labels(layout, manifest(), source, now=LATER).path
    os.utime(path, (0, 0))

    def compacted_first(*given: Any) -> Any:
        assert compact_labels(layout, "loan", now=LATER).rows == 50
        return open_log_files(*given)

    monkeypatch.setattr(store, "open_log_files", compacted_first)
    read = read_labels(layout, "loan", classes)

    assert (len(read), read.replaced) == (50, 0)
