"""Files are there whole or not at all, and have one writer; held against other processes."""

import multiprocessing
import os
import signal
import stat
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from contracts.errors import Unwritable
from contracts.files import TEMPORARY_PREFIX, try_lock, write_whole

SPAWN = multiprocessing.get_context("spawn")
SIZE = 1_000_000


def write_for_ever(path: Path) -> None:
    while True:
        for letter in (b"a", b"b"):
            write_whole(path, letter * SIZE)


def hold_for_ever(path: Path, held: Event) -> None:
    with try_lock(path):
        held.set()
        time.sleep(600)


def kill(process: multiprocessing.process.BaseProcess) -> None:
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()


def test_a_reader_sees_a_whole_file_even_of_a_writer_that_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "made" / "file"
    process = SPAWN.Process(target=write_for_ever, args=(path,))
    process.start()
    seen: set[bytes] = set()
    try:
        while len(seen) < 2:
            if path.exists():
                seen.add(path.read_bytes())
    finally:
        kill(process)
    assert seen == {b"a" * SIZE, b"b" * SIZE}
    assert path.read_bytes() in seen
    # What is left of a writer that died says whose it is.
    left = {p.name for p in path.parent.iterdir()} - {path.name}
    assert all(name.startswith(f"{TEMPORARY_PREFIX}{process.pid}-") for name in left)


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "file").mkdir(parents=True)
    with pytest.raises(Unwritable, match=r"folder/file: expected a writable path, got .*dir"):
        write_whole(folder / "file", b"x")
    assert [p.name for p in folder.iterdir()] == ["file"]
    write_whole(tmp_path / "plain", b"old")
    with pytest.raises(Unwritable, match=r"plain/below: .* got (File exists|Not a directory)"):
        write_whole(tmp_path / "plain" / "below", b"x")
    assert (tmp_path / "plain").read_bytes() == b"old"


def test_a_secret_is_never_readable_by_others(tmp_path: Path) -> None:
    write_whole(tmp_path / "keys", b"x", mode=0o600)
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o600


def test_a_lock_is_free_when_its_holder_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "one.lock"
    held = SPAWN.Event()
    process = SPAWN.Process(target=hold_for_ever, args=(path, held))
    process.start()
    assert held.wait(60)
    with try_lock(path) as descriptor:
        assert descriptor is None
    kill(process)
    with try_lock(path) as descriptor:
        assert descriptor is not None
        with try_lock(path) as second:
            assert second is None
