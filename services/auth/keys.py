"""API keys: who may ask what, and how often. Kept in a file, without the keys themselves.

A key is `slw_<id>_<secret>`. The secret has 256 random bits, so its SHA-256 cannot be turned
back by trying (what slow hashes are for are passwords that people choose); it is shown once,
when it is made.
"""

import fcntl
import hashlib
import hmac
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, get_args

import msgspec

from contracts.documents import Document
from contracts.errors import InvalidDocument, InvalidSetting, NotFoundHere, Unwritable
from contracts.files import lock_file, write_whole

Scope = Literal["predict", "labels", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
MARK = "slw"
NOBODY = hashlib.sha256(b"").hexdigest()


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a key. Times are UTC, RFC 3339; `rate` is like `100/second`, or empty."""

    id: str
    name: str
    sha256: str
    scopes: tuple[Scope, ...]
    rate: str = ""
    created_at: str
    expires_at: str = ""
    revoked_at: str = ""

    def is_valid(self, now: datetime) -> bool:
        """Whether it opens anything at that time."""
        if self.revoked_at:
            return False
        return not self.expires_at or now < datetime.fromisoformat(self.expires_at)


class KeyRing(Document, frozen=True, kw_only=True):
    """All keys of a service; `var/keys.json`."""

    keys: tuple[Key, ...] = ()

    def find(self, presented: str, now: datetime) -> Key | None:
        """The valid key that was presented. It takes as long for a wrong one as for a right one."""
        mark, _, rest = presented.partition("_")
        key_id, _, secret = rest.partition("_")
        known = next((key for key in self.keys if key.id == key_id), None)
        digest = hashlib.sha256(secret.encode()).hexdigest()
        same = hmac.compare_digest(digest, known.sha256 if known else NOBODY)
        return known if known and same and mark == MARK and known.is_valid(now) else None

    def has_valid(self, now: datetime) -> bool:
        """Whether any key opens anything."""
        return any(key.is_valid(now) for key in self.keys)


def read_ring(path: Path) -> KeyRing:
    """The keys in a file; none, if there is no file.

    Raises:
        InvalidDocument: it is no key file, or cannot be read.

    """
    try:
        return KeyRing.read(path.read_bytes(), str(path))
    except FileNotFoundError:
        return KeyRing()
    except OSError as err:
        raise InvalidDocument(
            f"{path}: expected a file of keys to read, got {err.strerror}",
            remedy="let the service's user read it, or set SLIPWAY_SERVICE_KEYS_FILE to another",
        ) from err


def create_key(
    path: Path,
    name: str,
    scopes: tuple[str, ...],
    rate: str = "",
    expires_in: timedelta | None = None,
) -> tuple[Key, str]:
    """A new key in the file; gives what is known of it, and the key itself, which is not kept.

    Raises:
        InvalidSetting: a scope or a rate that there is not.
        Unwritable: the file.

    """
    now = datetime.now(UTC)
    key_id, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
    key = Key(
        id=key_id,
        name=name,
        sha256=hashlib.sha256(secret.encode()).hexdigest(),
        scopes=_scopes(scopes),
        rate=_rate(rate),
        created_at=_text(now),
        expires_at=_text(now + expires_in) if expires_in else "",
    )
    _change(path, lambda ring: KeyRing(keys=(*ring.keys, key)))
    return key, f"{MARK}_{key_id}_{secret}"


def rotate_key(path: Path, key_id: str, grace: timedelta) -> tuple[Key, str]:
    """A new key with the rights of an old one, which is valid for `grace` still.

    Raises:
        NotFoundHere: no such key, or it is valid no more.
        Unwritable: the file.

    """
    now = datetime.now(UTC)
    old = _known(path, key_id)
    if not old.is_valid(now):
        raise NotFoundHere(f"key {key_id}: expected a valid one, got one that is not", remedy=SEE)
    until = _text(now + grace)
    ends = min(until, old.expires_at) if old.expires_at else until
    _replace(path, msgspec.structs.replace(old, expires_at=ends))
    return create_key(path, old.name, old.scopes, old.rate)


def revoke_key(path: Path, key_id: str) -> Key:
    """Let a key open nothing from now on.

    Raises:
        NotFoundHere: no such key.
        Unwritable: the file.

    """
    old = _known(path, key_id)
    if old.revoked_at:
        return old
    revoked = msgspec.structs.replace(old, revoked_at=_text(datetime.now(UTC)))
    _replace(path, revoked)
    return revoked


SEE = "slipway keys list"


def _known(path: Path, key_id: str) -> Key:
    ring = read_ring(path)
    for key in ring.keys:
        if key.id == key_id:
            return key
    known = ", ".join(key.id for key in ring.keys) or "none"
    raise NotFoundHere(f"key: expected one of {known}, got {key_id!r}", remedy=SEE)


def _scopes(words: tuple[str, ...]) -> tuple[Scope, ...]:
    wrong = [word for word in words if word not in SCOPES]
    if wrong or not words:
        got = ", ".join(wrong) or "none"
        raise InvalidSetting(
            f"scope: expected some of {', '.join(SCOPES)}, got {got}", remedy="--scope predict"
        )
    return tuple(scope for scope in SCOPES if scope in words)


def _rate(text: str) -> str:
    from limits import parse

    if text:
        try:
            parse(text)
        except ValueError as err:
            raise InvalidSetting(
                f"rate: expected a number of requests in a time, got {text!r}",
                remedy="--rate 100/second, or 5000/hour",
            ) from err
    return text


def _replace(path: Path, changed: Key) -> None:
    _change(
        path,
        lambda ring: KeyRing(keys=tuple(changed if k.id == changed.id else k for k in ring.keys)),
    )


def _change(path: Path, edit: Callable[[KeyRing], KeyRing]) -> None:
    """Change the file, one process after the other; whoever reads it sees the old or the new."""
    try:
        with lock_file(path.with_name(f".{path.name}.lock")) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            write_whole(path, edit(read_ring(path)).write_pretty(), mode=0o600)
    except Unwritable as err:
        remedy = "give it to this user, or set SLIPWAY_SERVICE_KEYS_FILE to another file"
        raise Unwritable(err.what, remedy=remedy) from err


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
