"""The edge: the outermost ASGI application, which answers the hot routes itself.

BentoML's middleware costs several times what a prediction does; a request that the edge knows
never enters it. Everything else (docs, metrics, health) goes the ordinary way.
"""

import logging
import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

from services.answer import encode, new_request_id
from services.desk import Desk
from services.faults import Fault
from services.hall import Hall
from services.patience import Patience
from services.settings import ServiceSettings

logger = logging.getLogger("bentoml.slipway")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Pairs = Sequence[tuple[bytes, bytes]]

JSON = b"application/json"
CLOSE = (b"connection", b"close")
MOST_HEADERS = 128
DRAINED = 8
"""A body up to this many times the limit is read and thrown away before it is refused: a
client that still writes when the connection is closed never reads why."""
_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
_JSON_TYPE = re.compile(rb"application/json\s*(;\s*charset\s*=\s*\"?utf-?8\"?\s*)?", re.IGNORECASE)


DRAINED = 8
"""A body up to this many times the limit is read and thrown away before it is refused: a
client that still writes when the connection is closed never reads why."""


class ClientLeft(Exception):
    """The connection was closed before the body was whole."""


class Edge:
    """Answers `/predict`, `/models` and what is below them; hands on the rest to `inner`."""

    def __init__(self, inner: App, hall: Hall, settings: ServiceSettings) -> None:
        self._inner = inner
        self._hall = hall
        self._settings = settings
        self._patience = Patience(settings.body_timeout_s)
        self._hot = {f"/models/{name}/predict": desk for name, desk in hall.desks.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on; ASGI's own signature."""
        path: str = scope.get("path", "")
        if scope["type"] != "http" or not _is_ours(path):
            await self._inner(scope, receive, send)
            return
        headers = dict(scope["headers"])
        request_id = _request_id(headers)
        extra: Pairs = ()
        try:
            status, body = 200, await self._answer(scope, receive, path, request_id, headers)
        except ClientLeft:
            return
        except Fault as fault:
            self._hall.count_refused(_model_of(path), fault)
            status, body, extra = fault.status, fault.body(request_id), fault.headers
        except Exception:
            # Whatever it is, the client must not wait for an answer that never comes.
            logger.exception("request %s to %s failed", request_id, path)
            unexpected = Fault("internal_error")
            self._hall.count_refused(_model_of(path), unexpected)
            status, body = unexpected.status, unexpected.body(request_id)
        if not self._hall.is_open:
            extra = (*extra, CLOSE)
        await _send(send, status, body, request_id, extra)

    async def _answer(
        self,
        scope: Scope,
        receive: Receive,
        path: str,
        request_id: str,
        headers: dict[bytes, bytes],
    ) -> bytes:
        if len(scope["headers"]) > MOST_HEADERS:
            raise Fault("headers_too_large", headers=[CLOSE])
        desk = self._hot.get(path)
        action = "predict"
        if desk is None:
            desk, action = self._desk_and_action(path)
        if action == "predict":
            _demand_method(scope, "POST")
            return await desk.predict(await self._body(receive, headers), request_id)
        if action == "predict/batch":
            _demand_method(scope, "POST")
            return await desk.predict_batch(await self._body(receive, headers), request_id)
        _demand_method(scope, "GET")
        if desk is None:
            every = [desk.describe() for _, desk in sorted(self._hall.desks.items())]
            return encode({"models": every})
        return encode(desk.describe())

    def _desk_and_action(self, path: str) -> tuple[Any, str]:
        """The desk that is meant (None: all of them), and what it is asked for."""
        root, *rest = path.strip("/").split("/", 2)
        if root == "predict":
            desk: Desk | None = self._hall.only_desk()
            action = "/".join(["predict", *rest])
        else:
            desk = self._hall.desk(rest[0]) if rest else None
            action = "/".join(rest[1:])
        if action not in {"", "predict", "predict/batch"}:
            raise Fault("not_found", f"path: expected /models/NAME/predict, got {path[:120]!r}")
        return desk, action

    async def _body(self, receive: Receive, headers: dict[bytes, bytes]) -> bytes:
        """The whole body, if it is JSON, small enough, and comes in time."""
        kind = headers.get(b"content-type", JSON)
        if (kind != JSON and not _JSON_TYPE.fullmatch(kind)) or b"content-encoding" in headers:
            got = kind.decode("latin-1")[:80]
            raise Fault(
                "unsupported_media_type",
                f"content-type: expected application/json, unencoded, got {got!r}",
            )
        length = headers.get(b"content-length", b"")
        declared = int(length) if length.isdigit() else 0
        try:
            return await self._patience.wait(self._received(receive, declared))
        except TimeoutError as err:
            raise Fault("body_timeout", headers=[CLOSE]) from err

    async def _received(self, receive: Receive, declared: int) -> bytes:
        if declared > self._settings.body_bytes:
            if declared <= DRAINED * self._settings.body_bytes:
                await _drain(receive)
            raise self._too_large(str(declared))
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
        text = f"body: expected up to {limit} bytes, got {got}"
        return Fault("body_too_large", text, headers=[CLOSE])


def _is_ours(path: str) -> bool:
    return path.startswith(("/models/", "/predict")) or path == "/models"


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


def _request_id(headers: dict[bytes, bytes]) -> str:
    """The client's own name for the request, if it is plain text, or a new one."""
    wanted = headers.get(b"x-request-id")
    if wanted is not None and _REQUEST_ID.fullmatch(wanted):
        return wanted.decode()
    return new_request_id()


def _model_of(path: str) -> str:
    parts = path.split("/")
    return parts[2] if len(parts) > 2 else ""  # noqa: PLR2004 - /models/NAME


async def _send(send: Send, status: int, body: bytes, request_id: str, extra: Pairs) -> None:
    headers = [
        (b"content-type", JSON),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", request_id.encode()),
        *extra,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
