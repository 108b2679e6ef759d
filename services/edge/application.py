"""The edge: the outermost ASGI application, which answers our own paths itself.

BentoML's middleware costs several times what a prediction does; a request for one of our paths
never enters it. Everything else (docs page, metrics, health) goes on to BentoML, past the guard.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from contracts.split import UNIT_HEADER
from services.auth.guard import Guard
from services.auth.keys import Scope
from services.edge.asgi import App, ASGIScope, Headers, Receive, Send
from services.edge.body import BodyReader, ClientLeft
from services.edge.cors import CrossOrigin
from services.edge.job_routes import JobCall, JobRoutes
from services.edge.liveness import LIVENESS_PATH, liveness
from services.edge.request_content import content_route, is_plain
from services.edge.response import Response
from services.edge.response_content import MAX_INLINE_BYTES, coded, content_of, is_coded
from services.edge.routes import Page, Route, RouteTable
from services.edge.statuses import CLOSE, HttpFault, headers_of
from services.faults import MAX_SHOWN_CHARS, STATUSES, Fault
from services.inference.ids import new_request_id, request_id_of
from services.inference.pending import Request
from services.protocols.trace_context import trace_headers, trace_id_of
from services.serving.repository import ModelRepository
from services.settings import ServiceSettings

logger = logging.getLogger("bentoml.slipway")

MAX_HEADERS = 128
NO_CONTENT = 204
OPEN_PATHS = ("/livez", "/readyz", "/healthz")
"""BentoML's paths that need no key: whoever restarts the service has none."""


class Edge:
    """Answers our paths, and passes all other requests on to `inner`.

    `pages`: what GET requests to further paths answer. `cors`: options of Starlette's
    `CORSMiddleware`, or None to say nothing to browsers about other origins. `jobs`: what answers
    the paths of jobs.
    """

    def __init__(
        self,
        inner: App,
        repository: ModelRepository,
        guard: Guard,
        settings: ServiceSettings,
        pages: Mapping[str, Page] | None = None,
        cors: Mapping[str, Any] | None = None,
        jobs: JobRoutes | None = None,
    ) -> None:
        self.repository = repository
        self.guard = guard
        self.routes = RouteTable(repository, pages or {})
        self.head_timeout_s = settings.body_timeout_s
        self.body_bytes = settings.body_bytes
        self.max_connections = settings.connections
        self.max_connections_per_address = settings.connections_per_address
        self.cors = None if cors is None else CrossOrigin(self._serve, cors)
        self.traces = settings.trace
        self._inner = inner
        self._jobs = jobs
        self._deadline_s = settings.deadline_s
        self._read_body = BodyReader(settings.body_bytes, settings.body_timeout_s).read

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Answer a request or pass it on, as ASGI defines it."""
        if self.cors is None:
            await self._serve(scope, receive, send)
        else:
            await self.cors(scope, receive, send)

    async def _serve(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        path: str = scope["path"]
        if path == LIVENESS_PATH and (live := liveness(self.repository, self._deadline_s)):
            await self._send(send, Response(*live), new_request_id(), {})
            return
        route = self.routes.find(path)
        headers = dict(scope["headers"])
        job_call = None if self._jobs is None else self._jobs.find(path, headers)
        is_foreign = route is None and job_call is None and not self.routes.is_ours(path)
        if is_foreign and (self.guard.is_off or path in OPEN_PATHS):
            await self._inner(scope, receive, send)
            return
        request_id = request_id_of(headers)
        try:
            if is_foreign:
                await self.guard.aadmit(headers, _scope_of(path))
                response = None
            elif self._jobs is not None and job_call is not None:
                response = await self._answer_job(self._jobs, job_call, scope, receive, headers)
            else:
                response = await self._answer(route, scope, receive, request_id, headers)
        except ClientLeft:
            return
        except Exception as err:  # noqa: BLE001 - whatever it is, the client must not wait for ever
            response = self.refuse(err, route, path, request_id)
        if response is None:
            # Outside the `try`: BentoML answers its own errors, and may have begun to.
            await self._inner(scope, receive, send)
        else:
            await self._send(send, response, request_id, headers)

    def refuse(
        self, err: BaseException, route: Route | None, path: str, request_id: str
    ) -> Response:
        """The response to a request that failed; counts it."""
        if not isinstance(err, Fault):
            logger.error("request %s to %s failed", request_id, path, exc_info=err)
        fault = err if isinstance(err, Fault) else Fault("internal_error")
        status = STATUSES[fault.code]
        model = "" if route is None else route.model
        metrics = self.repository.metrics
        metrics.requests.labels(model, status).inc()
        metrics.refused.labels(model, fault.code).inc()
        encode_fault = self.routes.fault_body(path) if route is None else route.fault_body
        return Response(status, encode_fault(fault, request_id), headers_of(fault))

    async def _send(self, send: Send, response: Response, request_id: str, asked: Headers) -> None:
        """Send a response to a request with the headers `asked`."""
        content = content_of(response.body)
        if response.media_type:
            content = replace(content, media_type=response.media_type)
        if is_coded(content, asked):
            is_short = len(content.body) <= MAX_INLINE_BYTES
            content = coded(content) if is_short else await asyncio.to_thread(coded, content)
        headers = [(b"x-request-id", request_id.encode()), *response.headers]
        if self.traces:
            headers += trace_headers(asked)
        if response.status != NO_CONTENT:
            headers += [
                (b"content-type", content.media_type),
                (b"content-length", b"%d" % len(content.body)),
                *content.headers,
            ]
        if not self.repository.is_open and CLOSE not in response.headers:
            headers.append(CLOSE)
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": content.body})

    async def _answer_job(
        self,
        jobs: JobRoutes,
        call: JobCall,
        scope: ASGIScope,
        receive: Receive,
        headers: Headers,
    ) -> Response:
        """The response to a request for a path of jobs; counts it.

        Raises:
            Fault: the request is refused.
            ClientLeft: nobody waits for the response any more.

        """
        if len(scope["headers"]) > MAX_HEADERS:
            raise Fault("headers_too_large")
        await self.guard.aadmit(headers, "predict")
        response = await jobs.answer(call, scope, receive, headers, self.guard.owner(headers))
        # A name that is no model's would be a series of its own for each request.
        model = call.model if call.model in self.repository.models else ""
        self.repository.metrics.requests.labels(model, response.status).inc()
        return response

    async def _answer(
        self,
        route: Route | None,
        scope: ASGIScope,
        receive: Receive,
        request_id: str,
        headers: Headers,
    ) -> Response:
        """The response to a request for one of our paths.

        Raises:
            Fault: the request is refused.
            ClientLeft: nobody waits for the response any more.

        """
        if len(scope["headers"]) > MAX_HEADERS:
            raise Fault("headers_too_large")
        if route is None:
            await self.guard.aadmit(headers, "predict")
            raise self.routes.not_found(scope["path"])
        if route.scope is not None:
            await self.guard.aadmit(headers, route.scope)
        if scope["method"] == "OPTIONS":
            return Response(NO_CONTENT, b"", [_allow(route)])
        _check_method(scope, route)
        body = b""
        if route.method == "POST":
            if not is_plain(headers):
                route = content_route(route, headers, self.body_bytes)
            body = await self._read_body(receive, headers)
        unit = headers.get(UNIT_HEADER, b"")
        response: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        trace_id = trace_id_of(headers) if self.traces else ""
        route.handle(Request(body, request_id, unit, time.monotonic(), trace_id), response)
        return Response(200, await response)


def _scope_of(path: str) -> Scope:
    """What a key must allow for a path of BentoML's: its docs show what `predict` may ask."""
    return "admin" if path == "/metrics" else "predict"


def _check_method(scope: ASGIScope, route: Route) -> None:
    method = scope["method"]
    if method != route.method and not (method == "HEAD" and route.method == "GET"):
        message = f"method: expected {route.method}, got {method[:MAX_SHOWN_CHARS]}"
        raise HttpFault("method_not_allowed", message, headers=[_allow(route)])


def _allow(route: Route) -> tuple[bytes, bytes]:
    """The header with the methods of a route."""
    return (b"allow", b"GET, HEAD, OPTIONS" if route.method == "GET" else b"POST, OPTIONS")
