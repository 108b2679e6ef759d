"""The address of a stream: `redis://host:6379/requests` or `kafka://host:9092/requests`."""

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote, urlsplit

from contracts.errors import InvalidUsage
from contracts.settings import Secret

Scheme = Literal["redis", "rediss", "kafka"]
STREAM_SCHEMES: tuple[Scheme, ...] = ("redis", "rediss", "kafka")
EXAMPLES = "redis://127.0.0.1:6379/requests or kafka://127.0.0.1:9092/requests"
DEFAULT_PORTS = {"redis": 6379, "rediss": 6379, "kafka": 9092}
_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_SERVER = re.compile(r"(?P<host>\[[0-9a-fA-F:]+\]|[^:\[\]]+)(:(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True)
class StreamAddress:
    """A stream and the servers that hold it.

    `servers`: `host:port` each; one for Redis. `name`: the key of the Redis stream, or the topic.
    `database`: of Redis. Printed, it has no password.
    """

    scheme: Scheme
    servers: tuple[str, ...]
    name: str
    user: str = ""
    password: Secret = Secret("")
    database: int = 0

    def __str__(self) -> str:
        more = f"?db={self.database}" if self.database else ""
        return f"{self.scheme}://{','.join(self.servers)}/{self.name}{more}"

    @property
    def is_kafka(self) -> bool:
        """Whether it is a topic."""
        return self.scheme == "kafka"

    def sibling(self, name: str) -> "StreamAddress":
        """Another stream of the same servers."""
        return StreamAddress(
            self.scheme, self.servers, name, self.user, self.password, self.database
        )


def parse_address(text: str, option: str) -> StreamAddress:
    """The address in a URL; `option` is named in errors.

    >>> str(parse_address("redis://user:secret@cache/requests?db=2", "--from"))
    'redis://cache:6379/requests?db=2'
    >>> parse_address("kafka://a:9092,b/requests", "--to").servers
    ('a:9092', 'b:9092')

    Raises:
        InvalidUsage: it is no such URL.

    """
    # A password is not repeated in an error.
    shown = re.sub(r"//[^@/]*@", "//***@", text)[:200]
    try:
        parts = urlsplit(text)
    except ValueError as err:
        raise _unusable(option, EXAMPLES, shown) from err
    scheme = next((each for each in STREAM_SCHEMES if each == parts.scheme), None)
    if scheme is None:
        raise _unusable(option, EXAMPLES, shown)
    credentials, _, hosts = parts.netloc.rpartition("@")
    servers = [_SERVER.fullmatch(host) for host in hosts.split(",")]
    if not all(servers) or (scheme != "kafka" and len(servers) > 1):
        raise _unusable(option, f"a server, as in {EXAMPLES}", shown)
    name = unquote(parts.path.removeprefix("/"))
    if not name or (scheme == "kafka" and not _TOPIC.fullmatch(name)):
        raise _unusable(option, f"the name of a stream or topic, as in {EXAMPLES}", shown)
    user, _, password = credentials.partition(":")
    return StreamAddress(
        scheme,
        tuple(f"{m['host']}:{m['port'] or DEFAULT_PORTS[scheme]}" for m in servers if m),
        name,
        unquote(user),
        Secret(unquote(password)),
        _database(parts.query, option, shown),
    )


def _database(query: str, option: str, shown: str) -> int:
    if not query:
        return 0
    name, _, number = query.partition("=")
    if name != "db" or not number.isdecimal() or len(number) > 5:  # noqa: PLR2004 - Redis has few
        raise _unusable(option, "no parameter but db=NUMBER", shown)
    return int(number)


def _unusable(option: str, expected: str, got: str) -> InvalidUsage:
    return InvalidUsage(
        f"{option}: expected {expected}, got {got!r}", remedy="slipway stream --help"
    )
