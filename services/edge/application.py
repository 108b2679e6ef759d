"""The edge: the outermost ASGI application, which answers our own paths itself.

BentoML's middleware costs several times what a prediction does; a request that the edge knows
never enters it. Everything else (docs, metrics, health) goes the ordinary way, past the guard.
"""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from typing import Any

from contracts.split import UNIT_HEADER
from services.auth.keys import Scope
from services.edge.routes import Route, is_ours, no_route, routes_of
from services.edge.timeout import SharedTimeout
from services.faults import Fault
from services.inference.batch_result import new_request_id
from services.serving.repository import ModelRepository
from services.serving.split_endpoint import Endpoint
from services.settings import ServiceSettings

logger = logging.getLogger("bentoml.slipway")

ASGIScope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[ASGIScope, Receive, Send], Awaitable[None]]
Pairs = Sequence[tuple[bytes, bytes]]
Headers = Mapping[bytes, bytes]

JSON = b"application/json"
CLOSE = (b"connection", b"close")
MAX_HEADERS = 128
DRAIN_LIMIT_FACTOR = 8
"""A body up to this many times the limit is read and thrown away before it is refused: a
client that still writes when the connection is closed never reads why."""
OPEN_TO_ALL = ("/livez", "/readyz", "/healthz")
"""BentoML's paths that need no key: whoever restarts the service has none."""
_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,128}")
_JSON_TYPE = re.compile(rb"application/json\s*(;\s*charset\s*=\s*\"?utf-?8\"?\s*)?", re.IGNORECASE)


class ClientLeft(Exception):
    """The connection was closed before the body was whole."""


class Edge:
    """Answers our paths, and hands on the rest to `inner`."""

    def __init__(self, inner: App, repository: ModelRepository, settings: ServiceSettings) -> None:
        self.repository = repository
        self.guard = repository.guard
        self.routes: Mapping[str, Route] = {}
        self._endpoints: Mapping[str, Endpoint] = {}
        self.head_timeout_s = settings.body_timeout_s
        self.body_bytes = settings.body_bytes
        self._inner = inner
        self._settings = settings
        self._body_timeout = SharedTimeout(settings.body_timeout_s)

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Answer, or hand on; ASGI's own signature."""
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        path: str = scope["path"]
        route = self.route(path)
        is_handed_on = route is None and not is_ours(path)
        if is_handed_on and (self.guard.is_off or path in OPEN_TO_ALL):
            await self._inner(scope, receive, send)
            return
        headers = dict(scope["headers"])
        request_id = _request_id(headers)
        body = b""
        try:
            if is_handed_on:
                await self.guard.aadmit(headers, _scope_of(path))
            else:
                body = await self._answer(route, scope, receive, request_id, headers)
        except ClientLeft:
            return
        except Exception as err:  # noqa: BLE001 - whatever it is, the client must not wait for ever
            status, body, extra = self.error_response(err, route, path, request_id)
            await self._send(send, status, body, request_id, extra)
            return
        if is_handed_on:
            # What BentoML raises is its own to answer: it may have begun to.
            await self._inner(scope, receive, send)
        else:
            await self._send(send, 200, body, request_id)

    async def _send(
        self, send: Send, status: int, body: bytes, request_id: str, extra: Pairs = ()
    ) -> None:
        headers = [
            (b"content-type", JSON),
            (b"content-length", b"%d" % len(body)),
            (b"x-request-id", request_id.encode()),
            *extra,
        ]
        if not self.repository.is_open and CLOSE not in extra:
            headers.append(CLOSE)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def route(self, path: str) -> Route | None:
        """Who answers a path at this moment."""
        if self._endpoints is not self.repository.endpoints:
            self._endpoints = self.repository.endpoints
            self.routes = routes_of(self.repository)
        return self.routes.get(path)

    def error_response(
        self, err: BaseException, route: Route | None, path: str, request_id: str
    ) -> tuple[int, bytes, Pairs]:
        """Status, body and headers for a request that failed; it is counted."""
        if not isinstance(err, Fault):
            logger.error("request %s to %s failed", request_id, path, exc_info=err)
        fault = err if isinstance(err, Fault) else Fault("internal_error")
        self.repository.count_refused(
            route.endpoint.name if route and route.endpoint else "", fault
        )
        is_open_inference = route.is_open_inference if route else path.startswith("/v2")
        body = (
            fault.open_inference_body(request_id) if is_open_inference else fault.body(request_id)
        )
        return fault.status, body, fault.headers

    async def _answer(
        self,
        route: Route | None,
        scope: ASGIScope,
        receive: Receive,
        request_id: str,
        headers: Headers,
    ) -> bytes:
        if len(scope["headers"]) > MAX_HEADERS:
            raise Fault("headers_too_large", headers=[CLOSE])
        if route is None:
            await self.guard.aadmit(headers, "predict")
            raise no_route(scope["path"], self.repository)
        if route.scope is not None:
            await self.guard.aadmit(headers, route.scope)
        _demand_method(scope, route.method)
        body = await self._body(receive, headers) if route.method == "POST" else b""
        if route.takes_unit:
            return await route.respond(body, request_id, headers.get(UNIT_HEADER, b""))
        return await route.respond(body, request_id)

    async def _body(self, receive: Receive, headers: Headers) -> bytes:
        """The whole body, if it is JSON, small enough, and comes in time."""
        demand_json(headers)
        length = headers.get(b"content-length", b"")
        declared = int(length) if length.isdigit() else 0
        try:
            return await self._body_timeout.wait(self._received(receive, declared))
        except TimeoutError as err:
            raise Fault("body_timeout", headers=[CLOSE]) from err

    async def _received(self, receive: Receive, declared: int) -> bytes:
        if declared > self._settings.body_bytes:
            if declared <= DRAIN_LIMIT_FACTOR * self._settings.body_bytes:
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


def demand_json(headers: Headers) -> None:
    """Refuse a body that is said to be anything but JSON as it is.

    Raises:
        Fault: `unsupported_media_type`.

    """
    kind = headers.get(b"content-type", JSON)
    if (kind != JSON and not _JSON_TYPE.fullmatch(kind)) or b"content-encoding" in headers:
        got = kind.decode("latin-1")[:80]
        raise Fault(
            "unsupported_media_type",
            f"content-type: expected application/json, unencoded, got {got!r}",
        )


def _scope_of(path: str) -> Scope:
    """What a key must open for a path of BentoML's: its docs show what `predict` may ask."""
    return "admin" if path == "/metrics" else "predict"


async def _drain(receive: Receive) -> None:
    while (await receive()).get("more_body"):
        pass


def _demand_method(scope: ASGIScope, method: str) -> None:
    if scope["method"] != method and not (method == "GET" and scope["method"] == "HEAD"):
        raise Fault(
            "method_not_allowed",
            f"method: expected {method}, got {scope['method']}",
            headers=[(b"allow", method.encode())],
        )


def _request_id(headers: Headers) -> str:
    """The client's own name for the request, if it is plain text, or a new one."""
    wanted = headers.get(b"x-request-id")
    if wanted is not None and _REQUEST_ID.fullmatch(wanted):
        return wanted.decode()
    return new_request_id()
