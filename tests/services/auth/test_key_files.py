"""A key ends when somebody ends it, whoever owns the file and whatever happens in between."""

import os
import stat
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from contracts.errors import InvalidDocument
from contracts.files import write_whole
from services.auth import guard as guards
from services.auth import keys
from services.auth.guard import MAX_UNREADABLE_S, Guard
from services.auth.keys import KeyRing, create_key, read_ring, revoke_key, rotate_key
from services.faults import Fault
from services.settings import ServiceSettings


class Clock:
    """Stands in for the module `time` in the guard."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return time.time()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(guards, "time", clock)
    return clock


def is_admitted(guard: Guard, text: str) -> bool:
    try:
        guard.admit({b"x-api-key": text.encode()}, "predict")
    except Fault:
        return False
    return True


def test_a_file_that_becomes_readable_again_is_read_again(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "keys.json"
    key, text = create_key(path, "shop", ("predict",))
    guard = Guard(ServiceSettings(var=tmp_path, keys="required"))
    assert is_admitted(guard, text)

    def unreadable(path: Path) -> KeyRing:
        raise InvalidDocument(f"{path}: not readable", remedy="chmod")

    revoke_key(path, key.id)
    clock.now += 1.5
    with monkeypatch.context() as patch:
        patch.setattr(guards, "read_ring", unreadable)
        assert is_admitted(guard, text)
    # Neither the inode nor the time of the file has changed since the read that failed.
    clock.now += 1.5
    assert not is_admitted(guard, text)


def test_a_file_that_stays_unreadable_opens_nothing_after_a_while(
    tmp_path: Path, clock: Clock
) -> None:
    path = tmp_path / "keys.json"
    _, text = create_key(path, "shop", ("predict",))
    whole = path.read_bytes()
    guard = Guard(ServiceSettings(var=tmp_path, keys="required"))
    assert is_admitted(guard, text)
    path.write_text("{")
    clock.now += 1.5
    assert is_admitted(guard, text)
    clock.now += MAX_UNREADABLE_S + 1
    assert not is_admitted(guard, text)
    path.write_bytes(whole)
    clock.now += 1.5
    assert is_admitted(guard, text)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_change_by_root_keeps_owner_and_mode(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    key, _ = create_key(path, "shop", ("predict",))
    os.chown(path, 12345, 12346)
    path.chmod(0o640)
    revoke_key(path, key.id)

    now = path.stat()
    assert (now.st_uid, now.st_gid, stat.S_IMODE(now.st_mode)) == (12345, 12346, 0o640)


def test_a_rotation_is_one_change_and_keeps_the_expiry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "keys.json"
    old, _ = create_key(path, "shop", ("predict",), "5/minute", timedelta(days=30))
    writes: list[Path] = []

    def counted(path: Path, data: bytes, mode: int) -> None:
        writes.append(path)
        write_whole(path, data, mode=mode)

    monkeypatch.setattr(keys, "write_whole", counted)
    new, text = rotate_key(path, old.id, timedelta(hours=1))

    assert len(writes) == 1
    assert (new.name, new.scopes, new.rate) == (old.name, old.scopes, old.rate)
    assert new.expires_at == old.expires_at
    later = datetime.now(UTC) + timedelta(days=31)
    assert read_ring(path).find(text, later) is None


def test_a_rotation_does_not_undo_a_revocation_of_another_key(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    kept, _ = create_key(path, "shop", ("predict",))
    gone, _ = create_key(path, "thief", ("predict",))
    revoke_key(path, gone.id)
    rotate_key(path, kept.id, timedelta(hours=1))

    assert [k.name for k in read_ring(path).keys if k.is_valid(datetime.now(UTC))] == ["shop"] * 2
