"""The guard: admits or refuses a request by its headers, before its body is read."""

import asyncio
import ipaddress
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import msgspec

from contracts.errors import InvalidDocument, InvalidSetting
from contracts.times import parse_utc
from services.auth.keys import Key, KeyRing, Scope, read_ring
from services.faults import Fault, InvalidKey
from services.settings import KeyMode, ServiceSettings

logger = logging.getLogger("bentoml.slipway")

RELOAD_INTERVAL_S = 1.0
"""Time between two checks of the key file: a revoked key is refused after at most this time."""
MAX_UNREADABLE_S = 60.0
"""After a key file has been unreadable for this long, no key is admitted: one that was revoked
in the meantime must not stay valid."""
FileIdentity = tuple[int, int, int]
RequestHeaders = Mapping[bytes, bytes]
Close = Callable[[], Awaitable[None]]


class CountHit(Protocol):
    """Counts a request of a key."""

    def __call__(self, key_id: str, rate: str, /) -> "float | asyncio.Future[float]":
        """0 if the request is within the rate, else the seconds until one is."""


class _FoundKey(msgspec.Struct, frozen=True):
    """A key of the ring, and when it expires, in seconds since 1970."""

    key: Key
    expires_at: float


class PendingAdmission(msgspec.Struct, frozen=True):
    """A request that is admitted or refused once Redis has counted it."""

    key: Key
    wait_s: "asyncio.Future[float]"

    def check(self) -> None:
        """Refuse the request if it is beyond the rate of its key.

        Raises:
            Fault: `rate_limited`.

        """
        _require_no_wait(self.key, self.wait_s.result())


class Guard:
    """Checks the key of a request, its scope and its rate; admits everyone where keys are off.

    A key that was found in the ring is not searched again until the ring changes; only the text
    of a valid key is remembered.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self.is_off = settings.keys == "off"
        self._path = keys_path(settings)
        self._hit, self._close = _limiter_of(settings, is_off=self.is_off)
        self._ring = KeyRing()
        self._found: dict[str, _FoundKey] = {}
        self._loaded: FileIdentity | None = None
        self._next_check = 0.0
        self._unreadable_since: float | None = None

    def admit(self, headers: RequestHeaders, scope: Scope) -> PendingAdmission | None:
        """Admit a request, counting it against the rate of its key.

        Returns what to wait for, where rates are counted in Redis.

        Raises:
            Fault: `unauthorized`, `forbidden` or `rate_limited`.

        """
        if self.is_off:
            return None
        key = self._authorize(headers, scope)
        if not key.rate:
            return None
        wait_s = self._hit(key.id, key.rate)
        if isinstance(wait_s, float):
            _require_no_wait(key, wait_s)
            return None
        return PendingAdmission(key, wait_s)

    async def aadmit(self, headers: RequestHeaders, scope: Scope) -> None:
        """Admit a request, waiting for Redis where rates are counted there; as `admit`.

        Raises:
            Fault: `unauthorized`, `forbidden` or `rate_limited`.

        """
        pending = self.admit(headers, scope)
        if pending is not None:
            await pending.wait_s
            pending.check()

    def owner(self, headers: RequestHeaders) -> str:
        """Whose jobs an admitted request may see: its key's, empty where keys are off.

        A key that was made by rotation has the jobs of the key that it replaces.

        Raises:
            Fault: `unauthorized`, for a key that was revoked since.

        """
        if self.is_off:
            return ""
        key = self._authorize(headers, "predict")
        return key.owner or key.id

    async def close(self) -> None:
        """Close the connection to Redis, if there is one."""
        await self._close()

    def _authorize(self, headers: RequestHeaders, scope: Scope) -> Key:
        presented = _presented_key(headers)
        if presented is None:
            raise Fault("unauthorized")
        self._refresh_ring()
        found = self._found.get(presented)
        if found is None or time.time() >= found.expires_at:
            found = self._find(presented)
        if scope not in found.key.scopes:
            raise Fault(
                "forbidden",
                f"authorization: expected a key with the scope {scope!r}, "
                f"got {found.key.name!r} with {', '.join(found.key.scopes)}",
            )
        return found.key

    def _find(self, presented: str) -> _FoundKey:
        """The valid key in the ring whose text was presented.

        Raises:
            InvalidKey: there is none.

        """
        key = self._ring.find(presented, datetime.now(UTC))
        if key is None:
            raise InvalidKey
        expires_at = parse_utc(key.expires_at).timestamp() if key.expires_at else math.inf
        found = self._found[presented] = _FoundKey(key, expires_at)
        return found

    def _refresh_ring(self) -> None:
        """Read the key ring again if the file has changed.

        While the file is unreadable the keys stay as they were, for at most `MAX_UNREADABLE_S`.
        """
        now = time.monotonic()
        if now >= self._next_check:
            self._next_check = now + RELOAD_INTERVAL_S
            try:
                self._reload()
            except (InvalidDocument, OSError) as err:
                self._keep_ring(err, now)

    def _reload(self) -> None:
        """Read the file if it has changed since it was last read successfully."""
        found = _file_identity(self._path)
        if found != self._loaded or self._unreadable_since is not None:
            self._use(read_ring(self._path))
            self._loaded = found
            self._unreadable_since = None

    def _keep_ring(self, err: Exception, now: float) -> None:
        """Keep the keys that were read last; drop them if that was too long ago."""
        if self._unreadable_since is None:
            self._unreadable_since = now
            logger.error("API keys stay as they were for %g s: %s", MAX_UNREADABLE_S, err)
        elif now - self._unreadable_since >= MAX_UNREADABLE_S and self._ring.keys:
            self._use(KeyRing())
            logger.error("no API key is admitted until the file can be read: %s", err)

    def _use(self, ring: KeyRing) -> None:
        """Admit the keys of this ring, and no others."""
        self._ring = ring
        self._found.clear()


def _limiter_of(settings: ServiceSettings, *, is_off: bool) -> tuple[CountHit, Close]:
    """What counts requests, and what closes it. `limits` is loaded only where keys are used."""
    if is_off:
        return _count_nothing, _close_nothing
    from services.auth.limiter import Limiter, SharedLimiter

    if settings.redis_url.reveal():
        shared = SharedLimiter(settings)
        return shared.hit, shared.close
    return Limiter().hit, _close_nothing


def _count_nothing(key_id: str, rate: str, /) -> float:
    del key_id, rate
    return 0.0


async def _close_nothing() -> None:
    pass


def keys_path(settings: ServiceSettings) -> Path:
    """The path of the key file."""
    return Path(settings.keys_file) if settings.keys_file else settings.var / "keys.json"


def resolve_mode(settings: ServiceSettings, *hosts: str | None) -> KeyMode:
    """Whether keys are `off` or `required` on these addresses: `auto` is `off` on loopback only.

    Raises:
        InvalidSetting: keys are required, and the key file has no valid one.

    """
    mode = settings.keys
    if mode == "auto":
        mode = "off" if all(map(is_loopback, hosts)) else "required"
    path = keys_path(settings)
    if mode == "required" and not read_ring(path).has_valid(datetime.now(UTC)):
        raise InvalidSetting(
            f"{path}: expected an API key, because the service listens on {_open_address(hosts)}"
            f" with SLIPWAY_SERVICE_KEYS={settings.keys}, got none",
            remedy="slipway keys create NAME, or listen on 127.0.0.1, "
            "or admit everyone with SLIPWAY_SERVICE_KEYS=off",
        )
    return mode


def _open_address(hosts: Sequence[str | None]) -> str:
    """The first address that others can reach, or the first one if there is none."""
    reachable = [host for host in hosts if not is_loopback(host)]
    return [*reachable, *hosts][0] or "any address"


def is_loopback(host: str | None) -> bool:
    """Whether a host is a loopback address, or `localhost`."""
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _file_identity(path: Path) -> FileIdentity | None:
    """What changes with each write to the file, and with its owner and mode."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_ctime_ns


def _presented_key(headers: RequestHeaders) -> str | None:
    """The key in `Authorization: Bearer KEY` or in `x-api-key: KEY`."""
    own = headers.get(b"x-api-key")
    if own is not None:
        return own.decode("latin-1")
    scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
    return key.strip().decode("latin-1") if scheme.lower() == b"bearer" and key else None


def _require_no_wait(key: Key, wait_s: float) -> None:
    if wait_s > 0:
        raise Fault(
            "rate_limited",
            f"rate: expected at most {key.rate} with the key {key.name!r}, got more",
            retry_after_s=int(wait_s),
        )
