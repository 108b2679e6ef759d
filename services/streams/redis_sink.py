"""Redis Streams as a sink: many entries are added with one command."""

import struct
from collections.abc import Sequence
from itertools import chain

from contracts.errors import NotFoundHere, PlatformError
from services.streams.address import StreamAddress
from services.streams.message import StreamAnswer
from services.streams.redis_streams import BODY, ERROR, REQUEST_ID, SOURCE, RedisConnection

MAX_FORWARDED_FIELDS = 100
"""Other fields of a message that its dead letter has too."""
MAX_PACK_BYTES = 16 * 2**20
"""Fields and values of one command; a larger entry is added alone."""
OWN_FIELDS = frozenset({BODY, REQUEST_ID, SOURCE, ERROR})
"""What a dead letter that is put back has of its first failure, and gets again."""
ZERO_ID_REFUSED = "greater than 0-0"
"""Part of Redis's answer to an entry with the id 0-0, of whoever may add entries."""
ADD_ALL = """
local texts, sizes, trim = ARGV[1], ARGV[2], ARGV[3]
local text_at, size_at = 1, 1
while size_at <= #sizes do
  local n, size
  n, size_at = struct.unpack('<I4', sizes, size_at)
  local entry = {KEYS[1]}
  if trim ~= '0' then entry = {KEYS[1], 'MAXLEN', '~', trim} end
  entry[#entry + 1] = '*'
  for _ = 1, n do
    size, size_at = struct.unpack('<I4', sizes, size_at)
    entry[#entry + 1] = string.sub(texts, text_at, text_at + size - 1)
    text_at = text_at + size
  end
  redis.call('XADD', unpack(entry))
end
"""
"""Adds entries with one command of few arguments; redis-py takes ten times as long for as many
commands, and three times as long for as many arguments.

Arguments: the fields and values of all entries, concatenated; for each entry their number and
their sizes in bytes; the length to which the stream is trimmed, or 0.
"""


class RedisSink:
    """Adds answers to a stream, trimmed to about `max_entries` (0: never)."""

    def __init__(self, address: StreamAddress, *, max_entries: int, timeout_s: float) -> None:
        self._connection = RedisConnection(address, timeout_s)
        self._max_entries = max_entries

    async def open(self) -> None:
        """Check that Redis answers and that the key may be a stream.

        Raises:
            NotFoundHere: the key holds something else.
            PlatformError: the user may not add entries.
            BrokerUnavailable: Redis does not answer.

        """
        found = await self._connection.run("TYPE", self._connection.name)
        if found not in {b"stream", b"none"}:
            raise NotFoundHere(
                f"{self._connection.address}: expected a stream, got a {found.decode()}",
                remedy="pass another name, or delete the key",
            )
        await self._check_rights()

    async def _check_rights(self) -> None:
        """Check that entries may be added, without adding one: Redis refuses the id 0-0.

        Raises:
            PlatformError: the user may not.
            BrokerUnavailable: Redis does not answer, or is full or read-only.

        """
        await self._add([])
        try:
            await self._connection.run("XADD", self._connection.name, "0-0", SOURCE, b"")
        except PlatformError as err:
            if ZERO_ID_REFUSED not in err.what:
                raise

    async def publish(self, answers: Sequence[StreamAnswer]) -> list[StreamAnswer]:
        """Add an entry per answer: all of them or, if Redis is full, only the first ones.

        Returns none: no answer is too large for Redis.
        """
        pack: list[list[bytes]] = []
        n_bytes = 0
        for answer in answers:
            entry = entry_of(answer)
            size = sum(map(len, entry))
            if pack and n_bytes + size > MAX_PACK_BYTES:
                await self._add(pack)
                pack, n_bytes = [], 0
            pack.append(entry)
            n_bytes += size
        if pack:
            await self._add(pack)
        return []

    async def _add(self, entries: Sequence[Sequence[bytes]]) -> None:
        """Add entries, each of fields and values in turn, with one command."""
        sizes = [n for entry in entries for n in (len(entry), *map(len, entry))]
        packed = struct.pack(f"<{len(sizes)}I", *sizes)
        texts = b"".join(chain.from_iterable(entries))
        name, run = self._connection.name, self._connection.run
        await run("EVAL", ADD_ALL, 1, name, texts, packed, self._max_entries)

    async def close(self) -> None:
        """Disconnect."""
        await self._connection.close()


def entry_of(answer: StreamAnswer) -> list[bytes]:
    """The fields and values that are published for a message."""
    message = answer.message
    fields = [
        *(BODY, answer.body),
        *(REQUEST_ID, message.correlation.encode()),
        *(SOURCE, message.position.encode()),
    ]
    if answer.error:
        fields += (ERROR, answer.error)
        others = [each for each in message.headers if each[0] not in OWN_FIELDS]
        fields += chain.from_iterable(others[:MAX_FORWARDED_FIELDS])
    return fields
