"""The edge: the outermost ASGI application, which answers the hot routes itself.

BentoML's middleware costs several times what a prediction does; a request that the edge knows
never enters it. Everything else (docs, metrics, health) goes the ordinary way.
"""

import asyncio
import logging
import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from services.desk import encode
from services.faults import Fault
from services.hall import Hall
from services.settings import ServiceSettings

logger = logging.getLogger("slipway.services")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

JSON = (b"content-type", b"application/json")
_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
_JSON_TYPE = re.compile(rb"application/json\s*(;\s*charset\s*=\s*\"?utf-?8\"?\s*)?", re.IGNORECASE)


DRAINED = 8
"""A body up to this many times the limit is read and thrown away before it is refused: a
client that still writes when the connection is closed never reads why."""


class ClientLeft(Exception):
    """The connection was closed before the body was whole."""


class Edge:
    """Answers `/predict`, `/models`, `/models/...`; hands on the rest to `inner`."""

    def __init__(self, inner: App, hall: Hall, settings: ServiceSettings) -> None:
        self._inner = inner
        self._hall = hall
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on; ASGI's own signature."""
        path: str = scope.get("path", "")
        if scope["type"] != "http" or not (path == "/predict" or path.startswith("/models")):
            await self._inner(scope, receive, send)
            return
        request_id, headers = _read_headers(scope["headers"])
        model = _model_of(path)
        try:
            status, body, extra = await self._answer(scope, receive, path, request_id, headers)
        except ClientLeft:
            return
        except Fault as fault:
            status, body, extra = fault.status, fault.body(request_id), fault.headers
        except Exception:
            # Whatever it is, the client must not wait for an answer that never comes.
            logger.exception("request %s to %s failed", request_id, path)
            unexpected = Fault("prediction_failed", "an unexpected error; see the service's log")
            status, body, extra = unexpected.status, unexpected.body(request_id), ()
        known = model if model in self._hall.desks else ""
        self._hall.metrics.requests.labels(known, status).inc()
        await _send(send, status, body, request_id, extra)

    async def _answer(
        self,
        scope: Scope,
        receive: Receive,
        path: str,
        request_id: str,
        headers: dict[bytes, bytes],
    ) -> tuple[int, bytes, Sequence[tuple[bytes, bytes]]]:
        if path == "/predict":
            desk, action = self._hall.only_desk(), "predict"
        else:
            parts = path.strip("/").split("/", 2)
            if len(parts) == 1:
                _demand_method(scope, "GET")
                return 200, encode({"models": [d.describe() for d in self._desks()]}), ()
            desk = self._hall.desk(parts[1])
            action = parts[2] if len(parts) > 2 else ""  # noqa: PLR2004 - /models/NAME/ACTION
        if action == "":
            _demand_method(scope, "GET")
            return 200, encode(desk.describe()), ()
        if action not in {"predict", "predict/batch"}:
            raise Fault("not_found", f"path: expected /models/NAME/predict, got {path[:120]!r}")
        _demand_method(scope, "POST")
        body = await self._body(receive, headers)
        if action == "predict":
            return 200, await desk.predict(body, request_id), ()
        return 200, await desk.predict_batch(body, request_id), ()

    def _desks(self) -> list[Any]:
        return [desk for _, desk in sorted(self._hall.desks.items())]

    async def _body(self, receive: Receive, headers: dict[bytes, bytes]) -> bytes:
        """The whole body, if it is JSON, small enough, and comes in time."""
        kind = headers.get(b"content-type", b"application/json")
        if not _JSON_TYPE.fullmatch(kind) or b"content-encoding" in headers:
            got = kind.decode("latin-1")[:80]
            raise Fault(
                "unsupported_media_type",
                f"content-type: expected application/json, unencoded, got {got!r}",
            )
        length = headers.get(b"content-length", b"")
        declared = int(length) if length.isdigit() else 0
        try:
            async with asyncio.timeout(self._settings.body_timeout_s):
                if declared <= self._settings.body_bytes:
                    return await self._received(receive)
                if declared <= DRAINED * self._settings.body_bytes:
                    await _drain(receive)
                raise self._too_large(str(declared))
        except TimeoutError as err:
            raise Fault("body_timeout", headers=[(b"connection", b"close")]) from err

    async def _received(self, receive: Receive) -> bytes:
        message = await receive()
        body: bytes = message.get("body", b"")
        while message["type"] == "http.request" and message.get("more_body"):
            if len(body) > self._settings.body_bytes:
                raise self._too_large(f"{len(body)} or more")
            message = await receive()
            body += message.get("body", b"")
        if message["type"] == "http.disconnect":
            raise ClientLeft
        if len(body) > self._settings.body_bytes:
            raise self._too_large(str(len(body)))
        return body

    def _too_large(self, got: str) -> Fault:
        limit = self._settings.body_bytes
        return Fault(
            "body_too_large",
            f"body: expected up to {limit} bytes, got {got}",
            headers=[(b"connection", b"close")],
        )


async def _drain(receive: Receive) -> None:
    while (await receive()).get("more_body"):
        pass


def _demand_method(scope: Scope, method: str) -> None:
    if scope["method"] != method and not (method == "GET" and scope["method"] == "HEAD"):
        raise Fault(
            "method_not_allowed",
            f"method: expected {method}, got {scope['method']}",
            headers=[(b"allow", method.encode())],
        )


def _read_headers(pairs: Sequence[tuple[bytes, bytes]]) -> tuple[str, dict[bytes, bytes]]:
    """The request id (the client's, if it is plain text) and the headers by name."""
    headers = dict(pairs)
    wanted = headers.get(b"x-request-id", b"")
    own = wanted.decode() if _REQUEST_ID.fullmatch(wanted) else secrets.token_hex(8)
    return own, headers


def _model_of(path: str) -> str:
    parts = path.split("/")
    return parts[2] if len(parts) > 2 else ""  # noqa: PLR2004 - /models/NAME


async def _send(
    send: Send, status: int, body: bytes, request_id: str, extra: Sequence[tuple[bytes, bytes]]
) -> None:
    headers = [
        JSON,
        (b"content-length", str(len(body)).encode()),
        (b"x-request-id", request_id.encode()),
        *extra,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
