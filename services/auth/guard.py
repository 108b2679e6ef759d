"""The guard: admits or refuses a request by its headers, before its body is read."""

import ipaddress
import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from contracts.errors import InvalidDocument, InvalidSetting
from services.auth.keys import Key, KeyRing, Scope, read_ring
from services.faults import Fault, InvalidKey
from services.settings import ServiceSettings

if TYPE_CHECKING:
    from services.auth.limiter import Limiter

logger = logging.getLogger("bentoml.slipway")

RELOAD_INTERVAL_S = 1.0
"""Time between two checks of the key file: a revoked key is refused after at most this time."""
MAX_UNREADABLE_S = 60.0
"""After a key file has been unreadable for this long, no key is admitted: one that was revoked
in the meantime must not stay valid."""
FileIdentity = tuple[int, int, int]
RequestHeaders = Mapping[bytes, bytes]


class Guard:
    """Checks the key of a request, its scope and its rate; admits everyone where keys are off."""

    def __init__(self, settings: ServiceSettings) -> None:
        self.is_off = settings.keys == "off"
        self._path = keys_path(settings)
        self._limiter = None if self.is_off else _limiter_of(settings)
        self._ring = KeyRing()
        self._loaded: FileIdentity | None = None
        self._next_check = 0.0
        self._unreadable_since: float | None = None

    @property
    def is_synchronous(self) -> bool:
        """Whether `admit` is enough; if not, rates are counted elsewhere: await `aadmit`."""
        return self._limiter is None or self._limiter.is_synchronous

    def admit(self, headers: RequestHeaders, scope: Scope) -> None:
        """Admit a request, counting it against the rate of its key in this process.

        Raises:
            Fault: `unauthorized`, `forbidden` or `rate_limited`.

        """
        if self._limiter is None:
            return
        key = self._authorize(headers, scope)
        if key.rate:
            _require_no_wait(key, self._limiter.hit(key.id, key.rate))

    async def aadmit(self, headers: RequestHeaders, scope: Scope) -> None:
        """Admit a request, counting it in Redis where rates are shared; async twin of `admit`.

        Raises:
            Fault: `unauthorized`, `forbidden` or `rate_limited`.

        """
        if self._limiter is None:
            return
        key = self._authorize(headers, scope)
        if key.rate:
            _require_no_wait(key, await self._limiter.ahit(key.id, key.rate))

    async def close(self) -> None:
        """Close the connection to Redis, if there is one."""
        if self._limiter is not None:
            await self._limiter.close()

    def _authorize(self, headers: RequestHeaders, scope: Scope) -> Key:
        presented = _presented_key(headers)
        if presented is None:
            raise Fault("unauthorized")
        key = self._current_ring().find(presented, datetime.now(UTC))
        if key is None:
            raise InvalidKey
        if scope not in key.scopes:
            raise Fault(
                "forbidden",
                f"authorization: expected a key with the scope {scope!r}, "
                f"got {key.name!r} with {', '.join(key.scopes)}",
            )
        return key

    def _current_ring(self) -> KeyRing:
        """The key ring, read again when the file has changed.

        While the file is unreadable the keys stay as they were, for at most `MAX_UNREADABLE_S`.
        """
        now = time.monotonic()
        if now >= self._next_check:
            self._next_check = now + RELOAD_INTERVAL_S
            try:
                self._reload()
            except (InvalidDocument, OSError) as err:
                self._keep_ring(err, now)
        return self._ring

    def _reload(self) -> None:
        """Read the file if it has changed since it was last read successfully."""
        found = _file_identity(self._path)
        if found != self._loaded or self._unreadable_since is not None:
            self._ring = read_ring(self._path)
            self._loaded = found
            self._unreadable_since = None

    def _keep_ring(self, err: Exception, now: float) -> None:
        """Keep the keys that were read last; drop them if that was too long ago."""
        if self._unreadable_since is None:
            self._unreadable_since = now
            logger.error("API keys stay as they were for %g s: %s", MAX_UNREADABLE_S, err)
        elif now - self._unreadable_since >= MAX_UNREADABLE_S and self._ring.keys:
            self._ring = KeyRing()
            logger.error("no API key is admitted until the file can be read: %s", err)


def _limiter_of(settings: ServiceSettings) -> "Limiter":
    # The `limits` library is loaded only where keys are in use.
    from services.auth.limiter import Limiter, SharedLimiter

    return SharedLimiter(settings) if settings.redis_url.reveal() else Limiter()


def keys_path(settings: ServiceSettings) -> Path:
    """The path of the key file."""
    return Path(settings.keys_file) if settings.keys_file else settings.var / "keys.json"


def resolve_mode(settings: ServiceSettings, host: str | None) -> str:
    """Whether keys are `off` or `required` on this address: `auto` is `off` on loopback only.

    Raises:
        InvalidSetting: keys are required, and the key file has no valid one.

    """
    mode: str = settings.keys
    if mode == "auto":
        mode = "off" if _is_loopback(host) else "required"
    path = keys_path(settings)
    if mode == "required" and not read_ring(path).has_valid(datetime.now(UTC)):
        raise InvalidSetting(
            f"{path}: expected an API key, because the service listens on {host or 'any address'}"
            f" with SLIPWAY_SERVICE_KEYS={settings.keys}, got none",
            remedy="slipway keys create NAME, or listen on 127.0.0.1, "
            "or admit everyone with SLIPWAY_SERVICE_KEYS=off",
        )
    return mode


def _is_loopback(host: str | None) -> bool:
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
