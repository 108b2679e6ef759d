"""A log file that is removed loses nothing that comes after, and an open one is not removed."""

import json
import os
import shutil
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from contracts.names import Layout
from monitoring.traffic.compaction import compact_traffic
from services.inference import jsonl_log
from services.inference.jsonl_log import JsonlLog, has_space
from tests.services.conftest import serving
from tests.services.http_client import ask

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from services.inference.jsonl_log import JsonlLog

log = JsonlLog(Path(sys.argv[1]), 1 << 30)
for line in sys.stdin:
    log.append([line.strip().encode()], datetime(2026, 1, 31, 12, tzinfo=UTC))
    print(flush=True)
"""


def record(number: int) -> bytes:
    """A line of the traffic log."""
    fields = {
        "prediction_id": f"p{number}",
        "time": "2026-01-31T12:00:00.000000Z",
        "model": "tiny",
        "version": 1,
        "variant": "production",
        "features": {"age": 40.0},
        "prediction": "yes",
        "score": 0.5,
        "scores": {"yes": 0.5},
        "flags": [],
        "latency_ms": 1.0,
        "request_id": "",
    }
    return json.dumps(fields).encode()


@pytest.mark.parametrize("by_day", [True, False])
def test_a_removed_file_is_noticed_before_the_next_write(tmp_path: Path, *, by_day: bool) -> None:
    log = JsonlLog(tmp_path / "tiny", 1 << 20, by_day=by_day)
    log.append([b"{1}"], NOW)
    shutil.rmtree(tmp_path / "tiny")
    log.append([b"{2}"], NOW)
    log.append([b"{3}"], NOW)
    log.close()

    (path,) = (tmp_path / "tiny").rglob("*.jsonl")
    assert path.read_bytes() == b"{2}\n{3}\n"


@pytest.mark.parametrize("by_day", [True, False])
def test_a_renamed_or_replaced_file_is_noticed_before_the_next_write(
    tmp_path: Path, *, by_day: bool
) -> None:
    """As log rotation does it, and as an editor does."""
    log = JsonlLog(tmp_path / "tiny", 1 << 20, by_day=by_day)
    log.append([b"{1}"], NOW)
    (first,) = (tmp_path / "tiny").rglob("*.jsonl")
    first.rename(first.with_suffix(".old"))
    log.append([b"{2}"], NOW)
    (second,) = (tmp_path / "tiny").rglob("*.jsonl")
    shutil.copy(second, tmp_path / "copy")
    (tmp_path / "copy").rename(second)
    log.append([b"{3}"], NOW)
    second.parent.rename(tmp_path / "moved")
    log.append([b"{4}"], NOW)
    log.close()

    kept = sorted(path.read_bytes() for path in tmp_path.rglob("*.jsonl"))
    assert first.with_suffix(".old") != second
    assert kept == [b"{2}\n", b"{3}\n", b"{4}\n"]


def test_a_day_in_which_a_writer_begins_while_it_is_removed_keeps_the_new_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker whose clock is behind opens a file between the look and the removal."""
    layout = Layout(tmp_path)
    day = layout.traffic("tiny") / "2026-01-30"
    day.mkdir(parents=True)
    (day / "000000-1-a.jsonl").write_bytes(record(0) + b"\n")
    rename = Path.rename

    def opened_first(self: Path, target: Path) -> Path:
        if self == day:
            (day / "000001-2-b.jsonl").write_bytes(record(1) + b"\n")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", opened_first)
    done = compact_traffic(layout, "tiny", now=datetime.now(UTC), keep_days=1)
    assert done.removed_days == 0
    assert [path.name for path in day.iterdir()] == ["000001-2-b.jsonl"]
    monkeypatch.undo()
    done = compact_traffic(layout, "tiny", now=datetime.now(UTC), keep_days=1)
    assert done.removed_days == 1
    assert not day.exists()


@pytest.mark.parametrize("keep_days", [0, 1])
def test_compaction_leaves_a_file_that_a_live_process_writes(
    tmp_path: Path, keep_days: int
) -> None:
    layout = Layout(tmp_path)
    folder = layout.traffic("tiny")
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert writer.stdin is not None
    assert writer.stdout is not None
    try:
        for number in range(2):
            writer.stdin.write(record(number) + b"\n")
            writer.stdin.flush()
            assert writer.stdout.readline()
            # A clock that is wrong by a week: the day is past, and the file has been idle long.
            ahead = datetime.now(UTC) + timedelta(days=7)
            done = compact_traffic(layout, "tiny", now=ahead, keep_days=keep_days)
            (path,) = folder.glob("*/*.jsonl")
            assert path.read_bytes().splitlines() == [record(n) for n in range(number + 1)]
            assert (done.removed_log_files, done.removed_days) == (0, 0)
    finally:
        writer.stdin.close()
        writer.wait(30)
        writer.stdout.close()
    compact_traffic(layout, "tiny", now=datetime.now(UTC) + timedelta(days=7), keep_days=keep_days)
    assert not list(folder.glob("*/*.jsonl"))


@pytest.mark.slow
def test_predictions_after_the_traffic_was_removed_are_in_the_log(
    models: Path, tmp_path: Path
) -> None:
    with serving(tmp_path, models) as service:
        assert ask(service, "/models/tiny/predict")[0] == 200
        shutil.rmtree(service.layout.traffic("tiny"))
        answers = [ask(service, "/models/tiny/predict") for _ in range(5)]
    assert [status for status, _, _ in answers] == [200] * 5
    files = service.layout.traffic("tiny").glob("*/*.jsonl")
    logged = [json.loads(line) for path in files for line in path.read_bytes().splitlines()]
    assert {r["prediction_id"] for r in logged} == {a["prediction_id"] for _, a, _ in answers}


def full_disk(monkeypatch: pytest.MonkeyPatch, n_bytes: int) -> None:
    """Let every write take `n_bytes` of what it is given, and the next one fail."""
    taken = 0

    def write(descriptor: int, data: bytes) -> int:
        nonlocal taken
        if taken == n_bytes:
            raise OSError(28, "No space left on device")
        taken = n_bytes
        return os_write(descriptor, data[:n_bytes])

    os_write = os.write
    monkeypatch.setattr(os, "write", write)


@pytest.mark.parametrize("n_bytes", [0, 2, 4, 9])
def test_a_write_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_bytes: int
) -> None:
    log = JsonlLog(tmp_path, 1 << 20)
    log.append([b"{1}"], NOW)
    with monkeypatch.context() as patch:
        full_disk(patch, n_bytes)
        with pytest.raises(OSError, match="No space"):
            log.append([b"{2}", b"{3}", b"{4}"], NOW)
    log.append([b"{5}"], NOW)
    log.close()

    (path,) = tmp_path.rglob("*.jsonl")
    assert path.read_bytes() == b"{1}\n{5}\n"


def test_a_log_that_cannot_be_opened_is_not_writable(tmp_path: Path) -> None:
    log = JsonlLog(tmp_path / "tiny", 1 << 20)
    (tmp_path / "tiny").touch()
    with pytest.raises(OSError, match="exists"):
        log.append([b"{1}"], NOW)

    assert not log.is_writable()


def test_a_log_is_writable_again_once_there_is_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = JsonlLog(tmp_path, 1 << 20)
    assert log.is_writable()
    with monkeypatch.context() as patch:
        full_disk(patch, 0)
        with pytest.raises(OSError, match="No space"):
            log.append([b"{1}"], NOW)
    assert not log.is_writable()

    monkeypatch.setattr(jsonl_log, "PROBE_INTERVAL_S", 0)
    monkeypatch.setattr(jsonl_log, "has_space", lambda _: False)
    assert not log.is_writable()
    monkeypatch.setattr(jsonl_log, "has_space", has_space)
    assert log.is_writable()
    assert not [p for p in tmp_path.rglob("*") if "probe" in p.name]
    (tmp_path / "file").touch()
    assert not has_space(tmp_path / "file" / "below")


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_others_cannot_read_the_log_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        log = JsonlLog(tmp_path / "var" / "tiny", 1 << 20)
        log.append([b"{1}"], NOW)
        log.close()
    finally:
        os.umask(before)

    for path in (tmp_path / "var").rglob("*"):
        wanted = 0o750 if path.is_dir() else 0o640
        assert stat.S_IMODE(path.stat().st_mode) == wanted & ~umask
