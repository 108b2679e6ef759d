"""The paths that the service answers itself: method, key scope, handler, shape of errors."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

from services.auth.keys import Scope
from services.faults import Fault
from services.inference.json_templates import encode
from services.inference.pending import Request, ResponseSink
from services.protocols.catalog import PROTOCOLS
from services.protocols.fault_body import fault_body
from services.protocols.open_inference import (
    EXTENSIONS,
    PROTOCOL_VERSION,
    SERVER_NAME,
    OpenInference,
    model_metadata,
)
from services.protocols.wire_protocol import JSON, WireProtocol
from services.serving.endpoint import SingleEndpoint
from services.serving.model import Model
from services.serving.repository import ModelRepository

VERSION = "/version"
"""MLflow's path for the version of the server; its clients ask for it, and have no key."""
MAX_PATH_CHARS = 120


class Handler(Protocol):
    """Answers a request that the guard admitted."""

    def __call__(self, request: Request, sink: ResponseSink, /) -> None:
        """Pass the encoded response, or a fault, to the sink; or raise the fault."""


class FaultBodyWriter(Protocol):
    """Encodes the body of a refused request."""

    def __call__(self, fault: Fault, request_id: str, /) -> bytes:
        """The encoded body."""


Page = Callable[[], bytes]
"""Makes the body of a GET request."""


class TextBody(bytes):
    """The body of a response in plain text."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Route:
    """One path. `scope`: what its key must allow, None for no key. `model`: for metrics.

    `media_handlers`: what takes bodies that are not JSON, by media type.
    """

    method: str
    handle: Handler
    scope: Scope | None = "predict"
    model: str = ""
    fault_body: FaultBodyWriter = fault_body
    media_handlers: Mapping[bytes, Handler] = field(default_factory=dict)


class HtmlBody(bytes):
    """The body of a response in HTML."""

    __slots__ = ()


Routes = Iterator[tuple[str, Route]]


class RouteTable:
    """Finds the route of a path. It follows the models of the repository.

    `pages`: more GET requests, by path. `protocols`: the wire protocols that are spoken.
    """

    def __init__(
        self,
        repository: ModelRepository,
        pages: Mapping[str, Page],
        protocols: tuple[type[WireProtocol], ...] = PROTOCOLS,
    ) -> None:
        self._repository = repository
        self._pages = pages
        self._protocols = protocols
        self._roots = _roots(protocols)
        self._routes: Mapping[str, Route] = {}
        repository.subscribe(self._rebuild)

    def find(self, path: str) -> Route | None:
        """The route of a path; None if nothing is served there."""
        return self._routes.get(path)

    def is_ours(self, path: str) -> bool:
        """Whether a path is in our namespace, even if nothing is served there."""
        return _root_of(path) in self._roots or path in self._routes

    def fault_body(self, path: str) -> FaultBodyWriter:
        """How faults are encoded on a path without a route."""
        return self._roots.get(_root_of(path), fault_body)

    def not_found(self, path: str) -> Fault:
        """The fault for a path without a route: `unknown_model` or `not_found`."""
        parts = [part for part in path.strip("/").split("/") if part != "v2"]
        models = self._repository.models
        if parts and parts[0] == "models" and len(parts) > 1 and parts[1] not in models:
            return self._repository.unknown_model(parts[1])
        if len(parts) > 3 and parts[0] == "models" and parts[2] == "versions":  # noqa: PLR2004 - models/NAME/versions/VERSION
            try:
                models[parts[1]].version(parts[3])
            except Fault as fault:
                return fault
        if parts and parts[0] in {"predict", "invocations", "labels"} and len(models) != 1:
            known = ", ".join(f"/models/{name}/{parts[0]}" for name in sorted(models)) or "none"
            message = f"several models are served: expected one of {known}"
            return Fault("unknown_model", message)
        got = repr(path[:MAX_PATH_CHARS])
        return Fault("not_found", f"path: expected /models/NAME/predict, got {got}")

    def _rebuild(self) -> None:
        self._routes = {**dict(self._general()), **dict(self._of_models())}

    def _general(self) -> Routes:
        repository = self._repository
        yield "/models", _get(lambda: encode(_listing(repository)))
        yield "/ping", _get(lambda: self._if_ready({}), scope=None)
        server = encode(
            {"name": SERVER_NAME, "version": PROTOCOL_VERSION, "extensions": EXTENSIONS}
        )
        yield "/v2", _get(lambda: server, scope=None)
        yield "/v2/health/live", _get(lambda: encode({"live": True}), scope=None)
        ready = partial(self._if_ready, {"ready": True})
        yield "/v2/health/ready", _get(ready, scope=None, fault_body=OpenInference.fault_body)
        for path, page in self._pages.items():
            yield path, _get(page, scope=None if path == VERSION else "predict")

    def _of_models(self) -> Routes:
        models = self._repository.models
        for name, model in models.items():
            yield f"/models/{name}", _get(partial(_description, model), model=name)
            ping = partial(self._if_ready, {})
            yield f"/models/{name}/ping", _get(ping, scope=None, model=name)
            if VERSION in self._pages:
                yield f"/models/{name}{VERSION}", _get(self._pages[VERSION], scope=None, model=name)
            yield f"/models/{name}/labels", _labels(name, model)
            yield from self._metadata(f"/v2/models/{name}", name, model.production)
            for version, endpoint in model.versions.items():
                yield from self._metadata(f"/v2/models/{name}/versions/{version}", name, endpoint)
            yield from self._predictions(name, model)
        if len(models) == 1:
            ((name, model),) = models.items()
            yield "/labels", _labels(name, model)

    def _predictions(self, name: str, model: Model) -> Routes:
        is_only = len(self._repository.models) == 1
        routes: dict[str, Route] = {}
        for protocol in self._protocols:
            for path, version in prediction_paths(protocol, name, model, is_only=is_only):
                endpoint = model.endpoint if version is None else model.versions[version]
                submit = partial(endpoint.submit, protocol)
                if protocol.media_type == JSON:
                    fault_body = protocol.fault_body
                    routes[path] = Route("POST", submit, model=name, fault_body=fault_body)
                else:
                    others = {**routes[path].media_handlers, protocol.media_type: submit}
                    routes[path] = replace(routes[path], media_handlers=others)
        yield from routes.items()

    def _metadata(self, root: str, name: str, endpoint: SingleEndpoint) -> Routes:
        """Metadata and readiness in the Open Inference Protocol."""
        shape = OpenInference.fault_body
        metadata = partial(_metadata_body, endpoint)
        yield root, _get(metadata, model=name, fault_body=shape)
        ready = partial(self._if_ready, {"name": name, "ready": True})
        yield f"{root}/ready", _get(ready, scope=None, model=name, fault_body=shape)

    def _if_ready(self, body: dict[str, Any]) -> bytes:
        if not self._repository.is_ready:
            raise Fault("not_ready")
        return encode(body)


def prediction_paths(
    protocol: type[WireProtocol], name: str, model: Model, *, is_only: bool
) -> Iterator[tuple[str, int | None]]:
    """The paths of a protocol for one model, and the version that a path names, if any.

    `is_only`: whether the service has no other model, so that paths need not name it.
    """
    for template in protocol.paths:
        if "{version}" in template:
            for version in model.versions:
                yield template.format(model=name, version=version), version
        elif is_only or "{model}" in template:
            yield template.format(model=name), None


def _labels(name: str, model: Model) -> Route:
    def handle(request: Request, sink: ResponseSink, /) -> None:
        sink.set_result(model.accept_labels(request.body))

    return Route("POST", handle, "labels", name)


def _get(
    page: Page,
    *,
    scope: Scope | None = "predict",
    model: str = "",
    fault_body: FaultBodyWriter = fault_body,
) -> Route:
    def handle(request: Request, sink: ResponseSink, /) -> None:
        del request
        sink.set_result(page())

    return Route("GET", handle, scope, model, fault_body)


def _listing(repository: ModelRepository) -> dict[str, Any]:
    return {"models": repository.describe(), "refused": repository.failures.listing()}


def _description(model: Model) -> bytes:
    return encode(model.describe())


def _metadata_body(endpoint: SingleEndpoint) -> bytes:
    return encode(model_metadata(endpoint.served))


def _roots(protocols: tuple[type[WireProtocol], ...]) -> Mapping[str, FaultBodyWriter]:
    """The first parts of our paths, and how faults are encoded below each."""
    roots: dict[str, FaultBodyWriter] = dict.fromkeys(
        ("models", "labels", "ping", "jobs"), fault_body
    )
    for protocol in protocols:
        for template in protocol.paths:
            roots.setdefault(_root_of(template), protocol.fault_body)
    return roots


def _root_of(path: str) -> str:
    return path[1:].partition("/")[0]
