"""API keys: what each may request, and how often. The file holds digests, not the keys.

A key is `slw_<id>_<secret>`. The secret has 256 random bits, so its SHA-256 cannot be
brute-forced; slow hashes are for passwords that people choose. It is shown once, on creation.
"""

import fcntl
import hashlib
import hmac
import os
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, get_args

import msgspec

from contracts.documents import Document
from contracts.errors import InvalidDocument, InvalidSetting, NotFoundHere, Unwritable
from contracts.files import lock_file, unwritable, write_whole
from contracts.times import parse_utc, utc_text

Scope = Literal["predict", "labels", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
KEY_PREFIX = "slw"
DUMMY_SHA256 = hashlib.sha256(b"").hexdigest()
"""Compared with where the id is unknown, so that both cases take the same time."""
KEY_FILE_MODE = 0o600
LIST_COMMAND = "slipway keys list"


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A key in the file. Times are UTC, RFC 3339; `rate` is like `100/second`, or empty.

    `owner`: the id of the first key of a series of rotations; empty for that key itself.
    """

    id: str
    name: str
    sha256: str
    scopes: tuple[Scope, ...]
    rate: str = ""
    created_at: str
    expires_at: str = ""
    revoked_at: str = ""
    owner: str = ""

    def is_valid(self, now: datetime) -> bool:
        """Whether the key is neither revoked nor expired at that time."""
        if self.revoked_at:
            return False
        return not self.expires_at or now < parse_utc(self.expires_at)


class KeyRing(Document, frozen=True, kw_only=True):
    """All keys of a service; `var/keys.json`."""

    keys: tuple[Key, ...] = ()

    def find(self, presented: str, now: datetime) -> Key | None:
        """The valid key whose text was presented; a wrong one takes as long as a right one."""
        prefix, _, rest = presented.partition("_")
        key_id, _, secret = rest.partition("_")
        known = next((key for key in self.keys if key.id == key_id), None)
        digest = hashlib.sha256(secret.encode()).hexdigest()
        same = hmac.compare_digest(digest, known.sha256 if known else DUMMY_SHA256)
        return known if known and same and prefix == KEY_PREFIX and known.is_valid(now) else None

    def has_valid(self, now: datetime) -> bool:
        """Whether any key is valid."""
        return any(key.is_valid(now) for key in self.keys)


def read_ring(path: Path) -> KeyRing:
    """The keys in a file; an empty ring if there is no file.

    Raises:
        InvalidDocument: the file is not a key file, or cannot be read.

    """
    try:
        return KeyRing.read(path.read_bytes(), str(path))
    except FileNotFoundError:
        return KeyRing()
    except OSError as err:
        raise InvalidDocument(
            f"{path}: expected a readable key file, got {err.strerror}",
            remedy="give the service's user read access, or set SLIPWAY_SERVICE_KEYS_FILE",
        ) from err


def create_key(
    path: Path,
    name: str,
    scopes: tuple[str, ...],
    rate: str = "",
    expires_in: timedelta | None = None,
) -> tuple[Key, str]:
    """Add a key to the file; returns its entry and its text, which is stored nowhere.

    Raises:
        InvalidSetting: an unknown scope, or a rate that cannot be parsed.
        Unwritable: the file cannot be written.

    """
    expires_at = ""
    if expires_in:
        expires_at = utc_text(datetime.now(UTC) + expires_in, "seconds")
    key, text = _generate_key(name, _valid_scopes(scopes), _valid_rate(rate), expires_at)
    _update(path, lambda ring: KeyRing(keys=(*ring.keys, key)))
    return key, text


def rotate_key(path: Path, key_id: str, grace: timedelta) -> tuple[Key, str]:
    """Add a key with the scopes, rate and expiry of an old one, which stays valid for `grace`.

    Raises:
        NotFoundHere: there is no such key, or it is no longer valid.
        Unwritable: the file cannot be written.

    """
    made: list[tuple[Key, str]] = []

    def rotate(ring: KeyRing) -> KeyRing:
        now = datetime.now(UTC)
        old = _find(ring, key_id)
        if not old.is_valid(now):
            raise NotFoundHere(
                f"key {key_id}: expected a valid key, got a revoked or expired one",
                remedy=LIST_COMMAND,
            )
        until = utc_text(now + grace, "seconds")
        ends = min(until, old.expires_at) if old.expires_at else until
        made.append(
            _generate_key(old.name, old.scopes, old.rate, old.expires_at, old.owner or old.id)
        )
        ending = msgspec.structs.replace(old, expires_at=ends)
        return KeyRing(keys=(*_with_key(ring, ending).keys, made[0][0]))

    _update(path, rotate)
    return made[0]


def revoke_key(path: Path, key_id: str) -> Key:
    """Revoke a key, at once and for good; revoking it again changes nothing.

    Raises:
        NotFoundHere: there is no such key.
        Unwritable: the file cannot be written.

    """

    def revoke(ring: KeyRing) -> KeyRing:
        old = _find(ring, key_id)
        if old.revoked_at:
            return ring
        now = utc_text(datetime.now(UTC), "seconds")
        return _with_key(ring, msgspec.structs.replace(old, revoked_at=now))

    return _find(_update(path, revoke), key_id)


def _generate_key(
    name: str, scopes: tuple[Scope, ...], rate: str, expires_at: str, owner: str = ""
) -> tuple[Key, str]:
    """A new key, and its text."""
    key_id, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
    key = Key(
        id=key_id,
        name=name,
        sha256=hashlib.sha256(secret.encode()).hexdigest(),
        scopes=scopes,
        rate=rate,
        created_at=utc_text(datetime.now(UTC), "seconds"),
        expires_at=expires_at,
        owner=owner,
    )
    return key, f"{KEY_PREFIX}_{key_id}_{secret}"


def _find(ring: KeyRing, key_id: str) -> Key:
    for key in ring.keys:
        if key.id == key_id:
            return key
    known = ", ".join(key.id for key in ring.keys) or "none"
    raise NotFoundHere(f"key: expected one of {known}, got {key_id!r}", remedy=LIST_COMMAND)


def _with_key(ring: KeyRing, changed: Key) -> KeyRing:
    """The ring with a key of the same id replaced."""
    return KeyRing(keys=tuple(changed if key.id == changed.id else key for key in ring.keys))


def _valid_scopes(names: tuple[str, ...]) -> tuple[Scope, ...]:
    wrong = [name for name in names if name not in SCOPES]
    if wrong or not names:
        got = ", ".join(wrong) or "none"
        raise InvalidSetting(
            f"scope: expected some of {', '.join(SCOPES)}, got {got}", remedy="--scope predict"
        )
    return tuple(scope for scope in SCOPES if scope in names)


def _valid_rate(text: str) -> str:
    from limits import parse

    if text:
        try:
            parse(text)
        except ValueError as err:
            raise InvalidSetting(
                f"rate: expected a number of requests per time, got {text!r}",
                remedy="--rate 100/second, or 5000/hour",
            ) from err
    return text


def _update(path: Path, edit: Callable[[KeyRing], KeyRing]) -> KeyRing:
    """Edit the file under its lock, keeping its owner; returns what it holds now.

    A reader sees the old file or the new one, never a part.
    """
    try:
        with lock_file(path.with_name(f".{path.name}.lock")) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            before = read_ring(path)
            after = edit(before)
            if after != before:
                _write(path, after)
            return after
    except Unwritable as err:
        remedy = "make it writable for this user, or set SLIPWAY_SERVICE_KEYS_FILE"
        raise Unwritable(err.what, remedy=remedy) from err


def _write(path: Path, ring: KeyRing) -> None:
    """Replace the file; the service's user can read the new one if it could read the old one."""
    owner = path.stat() if path.exists() else None
    mode = stat.S_IMODE(owner.st_mode) if owner else KEY_FILE_MODE
    new = path.with_name(f".{path.name}.new")
    write_whole(new, ring.write_pretty(), mode=KEY_FILE_MODE)
    try:
        if owner is not None:
            with suppress(PermissionError):
                os.chown(new, owner.st_uid, owner.st_gid)
        new.chmod(mode)
        new.replace(path)
    except OSError as err:
        raise unwritable(path, err) from err
