"""The ceiling: read the body, answer constant JSON as long as Slipway's answer."""

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]


def _constant(size: int) -> bytes:
    return b'{"echo":"%s"}' % (b"x" * (size - len(b'{"echo":""}')))


ONE = _constant(int(os.environ["BENCHMARK_ONE_BYTES"]))
BATCH = _constant(int(os.environ["BENCHMARK_BATCH_BYTES"]))


async def app(
    scope: Message,
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """Answer; ASGI's own signature."""
    if scope["type"] != "http":
        return
    more = scope["method"] == "POST"
    while more:
        more = (await receive()).get("more_body", False)
    body = BATCH if scope["path"].endswith("/batch") else ONE
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", b"0123456789abcdef"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
