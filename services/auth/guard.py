"""The guard: whether a request may come in, before its body is read or a place is taken."""

import ipaddress
import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from contracts.errors import InvalidDocument, InvalidSetting
from services.auth.keys import Key, KeyRing, Scope, read_ring
from services.faults import Fault
from services.settings import ServiceSettings

if TYPE_CHECKING:
    from services.auth.limiter import Limiter

logger = logging.getLogger("bentoml.slipway")

LOOK_AGAIN_S = 1.0
"""So often the key file is looked at; a revoked key opens nothing after that time."""
Headers = Mapping[bytes, bytes]


class Guard:
    """Asks for a key, its scope and its rate; or for nothing, where keys are off."""

    def __init__(self, settings: ServiceSettings) -> None:
        self.is_off = settings.keys == "off"
        self._path = keys_path(settings)
        self._limiter = None if self.is_off else _limiter_of(settings)
        self._ring = KeyRing()
        self._seen: tuple[int, int] | None = None
        self._look_at = 0.0

    @property
    def is_immediate(self) -> bool:
        """Whether `admit` will do: nobody else must be asked."""
        return self._limiter is None or self._limiter.is_immediate

    def admit(self, headers: Headers, scope: Scope) -> None:
        """Let a request in.

        Raises:
            Fault: `unauthorized`, `forbidden` or `rate_limited`.

        """
        if self._limiter is None:
            return
        key = self._key_of(headers, scope)
        if key.rate:
            _demand_no_wait(key, self._limiter.count(key.id, key.rate))

    async def admitted(self, headers: Headers, scope: Scope) -> None:
        """The same, where rates are counted elsewhere."""
        if self._limiter is None:
            return
        key = self._key_of(headers, scope)
        if key.rate:
            _demand_no_wait(key, await self._limiter.counted(key.id, key.rate))

    async def close(self) -> None:
        """Let go of what is held."""
        if self._limiter is not None:
            await self._limiter.close()

    def _key_of(self, headers: Headers, scope: Scope) -> Key:
        presented = _presented(headers)
        if presented is None:
            raise Fault("unauthorized", headers=[(b"www-authenticate", b"Bearer")])
        key = self._read().find(presented, datetime.now(UTC))
        if key is None:
            raise Fault(
                "unauthorized",
                "authorization: expected a valid key, got one that is wrong, expired or revoked",
                headers=[(b"www-authenticate", b'Bearer error="invalid_token"')],
            )
        if scope not in key.scopes:
            raise Fault(
                "forbidden",
                f"authorization: expected a key with the scope {scope!r}, "
                f"got {key.name!r} with {', '.join(key.scopes)}",
            )
        return key

    def _read(self) -> KeyRing:
        """The key ring, read again when the file is another."""
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + LOOK_AGAIN_S
            seen = _identity(self._path)
            if seen != self._seen:
                self._seen = seen
                try:
                    self._ring = read_ring(self._path)
                except InvalidDocument as err:
                    logger.error("API keys stay as they were: %s", err)  # noqa: TRY400 - the place is known
        return self._ring


def _limiter_of(settings: ServiceSettings) -> "Limiter":
    # A service without keys does without the library.
    from services.auth.limiter import Limiter, SharedLimiter

    return SharedLimiter(settings) if settings.redis_url.reveal() else Limiter()


def keys_path(settings: ServiceSettings) -> Path:
    """The file of the keys."""
    return Path(settings.keys_file) if settings.keys_file else settings.var / "keys.json"


def settled(settings: ServiceSettings, host: str | None) -> str:
    """What `SLIPWAY_SERVICE_KEYS=auto` means for an address: `off` on loopback, else `required`.

    Raises:
        InvalidSetting: keys are required, and there is none.

    """
    word = settings.keys
    if word == "auto":
        word = "off" if _is_loopback(host) else "required"
    path = keys_path(settings)
    if word == "required" and not read_ring(path).has_valid(datetime.now(UTC)):
        raise InvalidSetting(
            f"{path}: expected an API key, because the service listens on {host or 'any address'}"
            f" with SLIPWAY_SERVICE_KEYS={settings.keys}, got none",
            remedy="slipway keys create NAME, or listen on 127.0.0.1, "
            "or let everybody in with SLIPWAY_SERVICE_KEYS=off",
        )
    return word


def _is_loopback(host: str | None) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns


def _presented(headers: Headers) -> str | None:
    """The key in `Authorization: Bearer KEY` or in `x-api-key: KEY`."""
    own = headers.get(b"x-api-key")
    if own is not None:
        return own.decode("latin-1")
    kind, _, word = headers.get(b"authorization", b"").partition(b" ")
    return word.strip().decode("latin-1") if kind.lower() == b"bearer" and word else None


def _demand_no_wait(key: Key, wait_s: float) -> None:
    if wait_s > 0:
        raise Fault(
            "rate_limited",
            f"rate: expected up to {key.rate} with the key {key.name!r}, got more",
            headers=[(b"retry-after", b"%d" % wait_s)],
        )
