"""Redis Streams as a source: a consumer group; `redis_sink` adds the answers.

A pin is part of the consumer's name (`<worker>:<version>-<digest>`): Redis notes the name with
each message in the step in which it delivers it, and whoever takes over the messages of a dead
worker reads there which version has them in hand. A new pin therefore is a new consumer.
"""

import logging
import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from contracts.errors import NotFoundHere, PlatformError, first_line
from services.streams.address import StreamAddress
from services.streams.broker import BrokerUnavailable
from services.streams.message import StreamMessage, VersionPin, correlation_id
from services.streams.settings import ALONE_FROM_DELIVERIES

READ_WAIT_MS = 500
"""The longest time for which a read waits for a message."""
TAKEOVER_INTERVAL_S = 1.0
"""Time between two searches for messages of dead workers."""
ACL_COMMANDS = "+@stream +eval +type"
"""What a worker does to its streams, as Redis's ACL names it."""
FORGOTTEN_MS = 3_600_000
"""A consumer that is not heard of for this long, and has nothing in hand, is removed."""
BODY, REQUEST_ID, SOURCE, ERROR = b"body", b"request_id", b"source", b"error"
"""Fields of entries; only the first two are read."""
REMOVE_FORGOTTEN = """
for _, found in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = {}
  for i = 1, #found, 2 do consumer[found[i]] = found[i + 1] end
  if consumer.pending == 0 and consumer.idle > tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer.name)
  end
end
"""
"""One step, so that no consumer gets a message between the question and its removal."""

NO_COUNTS: Mapping[bytes, int] = {}
Answered = TypeVar("Answered")
Entry = tuple[bytes, dict[bytes, bytes] | None]

logger = logging.getLogger("slipway.stream")


class RedisConnection:
    """One stream of a Redis, and its errors as ours."""

    def __init__(self, address: StreamAddress, timeout_s: float) -> None:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        host, _, port = address.servers[0].rpartition(":")
        self.address = address
        self.name = address.name
        self._timeout_s = timeout_s
        self._redis: Any = Redis(
            host=host.strip("[]"),
            port=int(port),
            db=address.database,
            username=address.user or None,
            password=address.password.reveal() or None,
            ssl=address.scheme == "rediss",
            socket_timeout=timeout_s + READ_WAIT_MS / 1e3,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )
        # Replies as Redis sends them.
        self._redis.response_callbacks.clear()

    async def run(self, *command: Any) -> Any:
        """The reply to a command.

        Raises:
            BrokerUnavailable: there is none in time, or Redis is loading, full or read-only.
            PlatformError: Redis refuses the command.

        """
        from redis import exceptions as refusals

        passing = (
            refusals.ConnectionError,
            refusals.TimeoutError,
            refusals.BusyLoadingError,
            refusals.ReadOnlyError,
            refusals.OutOfMemoryError,
            OSError,
        )
        try:
            return await self._redis.execute_command(*command)
        except refusals.AuthenticationError as err:
            raise PlatformError(
                f"{self.address}: {first_line(err)}",
                remedy="write user and password into the address: redis://USER:PASSWORD@HOST/STREAM",
            ) from err
        except refusals.NoPermissionError as err:
            raise PlatformError(
                f"{self.address}: {command[0]}: access denied: {first_line(err)}",
                remedy=f"grant the user of the address what it needs: redis-cli ACL SETUSER USER "
                f"~{self.name} {ACL_COMMANDS}",
            ) from err
        except passing as err:
            raise BrokerUnavailable(
                f"{self.address}: expected an answer within {self._timeout_s:g} s, "
                f"got {first_line(err)}",
                remedy="start Redis, free its memory, or check the address",
            ) from err
        except refusals.RedisError as err:
            raise PlatformError(
                f"{self.address}: {command[0]}: {first_line(err)}",
                remedy="see the documentation of this Redis error; it is tried again",
            ) from err

    async def close(self) -> None:
        """Disconnect."""
        with suppress(Exception):  # whatever a broken connection says at its end
            await self._redis.aclose()


class RedisSource:
    """The messages of a stream for one worker of a consumer group.

    `takeover_s`: how long a message is in the hands of a worker before another one takes it.
    `max_deliveries`: a message that this many workers had in hand is given up.
    """

    def __init__(
        self,
        address: StreamAddress,
        group: str,
        *,
        takeover_s: float,
        timeout_s: float,
        max_deliveries: int,
    ) -> None:
        self._max_deliveries = max_deliveries
        self._connection = RedisConnection(address, timeout_s)
        self._stream = address.name
        self._group = group
        self._takeover_ms = int(takeover_s * 1e3)
        self._worker = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._next_takeover = 0.0
        self.n_redelivered = 0

    async def open(self) -> None:
        """Make the consumer group if there is none; it begins at the oldest message.

        Raises:
            NotFoundHere: there is no such stream.
            BrokerUnavailable: Redis does not answer.

        """
        found = await self._connection.run("TYPE", self._stream)
        if found != b"stream":
            raise NotFoundHere(
                f"{self._connection.address}: expected a stream, got {found.decode()}",
                remedy="add a first message, or make it empty: "
                f"redis-cli XGROUP CREATE {self._stream} {self._group} 0 MKSTREAM",
            )
        await self._make_group()

    async def read(self, limit: int, pin: VersionPin) -> list[StreamMessage]:
        """Messages of dead workers if there are any, else new ones; see `MessageSource.read`."""
        now = time.monotonic()
        if now >= self._next_takeover:
            taken = await self._with_group(lambda: self._take_over(limit, pin))
            if taken:
                return taken
            self._next_takeover = now + TAKEOVER_INTERVAL_S
        return await self._with_group(lambda: self._read_new(limit, pin))

    async def acknowledge(self, messages: Sequence[StreamMessage], next_pin: VersionPin) -> None:
        """Take messages off the list of those in hand."""
        del next_pin  # A message is pinned when it is read.
        if messages:
            await self._connection.run(
                "XACK", self._stream, self._group, *[m.offset for m in messages]
            )

    async def lag(self) -> dict[int, int]:
        """How many messages no worker has read; nothing if Redis cannot say."""
        for found in await self._connection.run("XINFO", "GROUPS", self._stream):
            group = dict(zip(found[::2], found[1::2], strict=True))
            if group[b"name"] == self._group.encode() and group.get(b"lag") is not None:
                return {0: int(group[b"lag"])}
        return {}

    async def close(self) -> None:
        """Disconnect. The consumers stay as long as they have messages in hand."""
        await self._connection.close()

    async def _read_new(self, limit: int, pin: VersionPin) -> list[StreamMessage]:
        reply = await self._connection.run(
            "XREADGROUP", "GROUP", self._group, f"{self._worker}:{pin}",
            "COUNT", limit, "BLOCK", READ_WAIT_MS, "STREAMS", self._stream, ">",
        )  # fmt: skip
        return await self._messages(_entries(reply), pin) if reply else []

    async def _take_over(self, limit: int, pin: VersionPin) -> list[StreamMessage]:
        """Messages that a worker has had in hand for too long, with the pins that they have."""
        stream, group, run = self._stream, self._group, self._connection.run
        pending = await run("XPENDING", stream, group, "IDLE", self._takeover_ms, "-", "+", limit)
        pending = self._together(pending)
        counts = {offset: int(count) for offset, _, _, count in pending}
        by_pin: dict[VersionPin, list[bytes]] = {}
        for offset, consumer, _, _ in pending:
            theirs = VersionPin.parse(consumer.decode("utf-8", "replace").rpartition(":")[2])
            by_pin.setdefault(theirs or pin, []).append(offset)
        if not by_pin:
            await run("EVAL", REMOVE_FORGOTTEN, 1, stream, group, FORGOTTEN_MS)
        taken: list[StreamMessage] = []
        for theirs, offsets in by_pin.items():
            consumer = f"{self._worker}:{theirs}"
            entries = await run("XCLAIM", stream, group, consumer, self._takeover_ms, *offsets)
            taken += await self._messages(
                [_entry(each) for each in entries if each], theirs, counts
            )
        if taken:
            self.n_redelivered += len(taken)
            logger.warning(
                "%s: took over %d messages that other workers had in hand", stream, len(taken)
            )
        return sorted(taken, key=lambda m: tuple(map(int, m.offset.split("-"))))

    def _together(self, pending: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
        """The messages that are taken over at once.

        Those that are given up come first, then those that were in hand once. One whose workers
        died repeatedly comes alone, or it would end the others with it.
        """
        counted = [(int(each[3]), each) for each in pending]
        given_up = [each for count, each in counted if count >= self._max_deliveries]
        fresh = [each for count, each in counted if count < ALONE_FROM_DELIVERIES]
        return given_up or fresh or pending[:1]

    async def _messages(
        self, entries: Sequence[Entry], pin: VersionPin, counts: Mapping[bytes, int] = NO_COUNTS
    ) -> list[StreamMessage]:
        """Entries as messages; entries that were deleted meanwhile are acknowledged."""
        deleted = [offset for offset, fields in entries if fields is None]
        if deleted:
            logger.error(
                "%s: %d messages were deleted or trimmed before they were scored\n"
                "help: trim less (MAXLEN), or run more workers", self._stream, len(deleted),
            )  # fmt: skip
            await self._connection.run("XACK", self._stream, self._group, *deleted)
        stream = self._stream
        found = []
        for offset, fields in entries:
            if fields is not None:
                place = offset.decode()
                found.append(
                    StreamMessage(
                        stream=stream,
                        partition=0,
                        offset=place,
                        time_ms=int(place.partition("-")[0]),
                        body=fields.pop(BODY, b""),
                        correlation=correlation_id(fields.pop(REQUEST_ID, b"")),
                        pin=pin,
                        deliveries=counts.get(offset, 0),
                        headers=tuple(fields.items()),
                    )
                )
        return found

    async def _make_group(self) -> None:
        try:
            await self._connection.run(
                "XGROUP", "CREATE", self._stream, self._group, "0", "MKSTREAM"
            )
        except PlatformError as err:
            if "BUSYGROUP" not in err.what:
                raise

    async def _with_group(self, call: Callable[[], Awaitable[Answered]]) -> Answered:
        """What a call gives; a group that is gone, because Redis lost data, is made again."""
        try:
            return await call()
        except PlatformError as err:
            if "NOGROUP" not in err.what:
                raise
        logger.error(
            "%s: the consumer group %s is gone, so Redis has lost data; made again from the oldest "
            "message\nhelp: run Redis with --appendonly yes", self._stream, self._group,
        )  # fmt: skip
        await self._make_group()
        return await call()


def _entries(reply: Any) -> list[Entry]:
    """The entries in the reply to XREADGROUP, which is of one stream."""
    return [_entry(each) for each in reply[0][1]]


def _entry(pair: Any) -> Entry:
    """An entry; without fields if it was deleted meanwhile."""
    offset, values = pair
    return offset, None if values is None else dict(zip(values[::2], values[1::2], strict=True))
