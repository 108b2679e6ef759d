"""Requests that arrive whole, each in one piece: most are, and they need no parser of their own.

llhttp validates each byte and says where the request ends. Only if that is exactly where the data
ends are the few headers that matter here taken from the raw bytes. All other data is left to the
parser of its connection: a request in several pieces, several in one piece, a chunked body, an
`Upgrade`, `Expect`, a header that occurs twice.
"""

import re
from typing import Any

import httptools
import msgspec

from services.edge.asgi import Headers
from services.edge.http_head import END, MAX_HEAD_BYTES

MAX_BYTES = 1 << 20
"""A larger request hardly ever arrives in one piece."""
MIN_LINE_BYTES = 4
"""The shortest header line: a letter, a colon, a line break."""


def _any_case(pattern: str) -> bytes:
    """A pattern of lower-case names that matches them in any case; faster than IGNORECASE."""
    return re.sub(r"[a-z]", lambda m: f"[{m[0]}{m[0].upper()}]", pattern).encode()


_REQUEST_LINE = re.compile(rb"POST (/[!-~]*) HTTP/1\.1(?=\r\n)")
_HEADERS = re.compile(
    rb"\r\n(%b):[ \t]*([^\r]*)"
    % _any_case(
        "content-(?:encoding|length|type)|host|x-(?:api-key|request-id|user-id)"
        "|a(?:ccept-encoding|uthorization)|t(?:raceparent|ransfer-encoding)|expect|upgrade|origin"
        "|inference-header-content-length|prefer"
    )
)
_FOR_A_PARSER = frozenset({b"transfer-encoding", b"expect", b"upgrade"})
"""Headers that need the parser of the connection."""


class WholeRequest(msgspec.Struct, frozen=True, gc=False):
    """A POST request. `headers`: those that matter here, by lower-case name."""

    path: str
    headers: Headers
    body: bytes
    keep_alive: bool


class WholeRequestReader:
    """Reads whole requests, one after the other, of any connection."""

    def __init__(self, max_headers: int) -> None:
        self._max_headers = max_headers
        self._safe_head_bytes = max_headers * MIN_LINE_BYTES
        self._reset()

    def read(self, data: bytes) -> WholeRequest | None:
        """The request in `data`, which begins where a request begins; None unless it is whole."""
        line = _REQUEST_LINE.match(data)
        end = data.find(END)
        if line is None or not 0 < end < MAX_HEAD_BYTES or len(data) > MAX_BYTES:
            return None
        found = _HEADERS.findall(data, line.end(), end)
        headers = {name.lower(): value for name, value in found}
        start = end + len(END)
        if (
            len(headers) < len(found)
            or headers.get(b"content-length") != b"%d" % (len(data) - start)
            or b"host" not in headers
            or not _FOR_A_PARSER.isdisjoint(headers)
            or (end > self._safe_head_bytes and data.count(b"\n", 0, start) > self._max_headers)
            or not self._is_valid(data)
        ):
            return None
        keep_alive = self._keeps_alive
        if not keep_alive:
            self._reset()
        return WholeRequest(line[1].decode(), headers, data[start:], keep_alive)

    def on_message_begin(self) -> None:
        """Count a request; called by the parser."""
        self._n_begun += 1

    def on_message_complete(self) -> None:
        """Count the end of a request; called by the parser."""
        self._n_complete += 1
        self._keeps_alive = self._parser.should_keep_alive()

    def _is_valid(self, data: bytes) -> bool:
        """Whether llhttp finds exactly one request in `data`, and nothing behind it."""
        self._n_begun = self._n_complete = 0
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            is_whole = False
        else:
            is_whole = self._n_begun == self._n_complete == 1
        if not is_whole:
            self._reset()
        return is_whole

    def _reset(self) -> None:
        """Begin with a new parser: what the last one holds must not meet other data."""
        self._n_begun = self._n_complete = 0
        self._keeps_alive = False
        self._parser: Any = httptools.HttpRequestParser(self)
        self._parser.set_dangerous_leniencies(lenient_data_after_close=True)
