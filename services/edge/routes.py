"""What the service answers itself: each path with its method, its scope, and who answers."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from services.auth.keys import Scope
from services.faults import Fault
from services.inference.render import encode
from services.protocols.open_inference import NAME
from services.serving.repository import ModelRepository
from services.serving.split_endpoint import Endpoint, SplitEndpoint

Respond = Callable[..., Awaitable[bytes]]
"""From a body, a request id (and a unit) to the body of the answer; raises Fault."""
Ask = Callable[..., None]
"""The same for an `ResponseSink` that stands behind the request id, to which the body is given."""

OURS = ("/models", "/predict", "/invocations", "/labels", "/ping", "/v2")
"""Paths below these are nobody else's."""


@dataclass(frozen=True, slots=True)
class Route:
    """One path. `scope`: what a key must open; None: nothing. `endpoint`: whose model it asks.

    `ask` does what `respond` does without a task of its own, for an endpoint that is immediate.
    `takes_unit`: both must be told for whom the request is.
    """

    method: str
    respond: Respond
    scope: Scope | None = "predict"
    endpoint: Endpoint | None = None
    is_open_inference: bool = False
    ask: Ask | None = None
    takes_unit: bool = False


def routes_of(repository: ModelRepository) -> Mapping[str, Route]:
    """Every path of ours."""
    return dict(_general(repository)) | dict(_of_models(repository))


def is_ours(path: str) -> bool:
    """Whether a path is ours, or would be if it existed."""
    return any(path == root or path.startswith(f"{root}/") for root in OURS)


def _general(repository: ModelRepository) -> Iterator[tuple[str, Route]]:
    yield "/models", Route("GET", _told(lambda: {"models": repository.describe()}))
    yield "/ping", Route("GET", _told(lambda: _if_ready(repository, {})), None)
    yield "/v2", Route("GET", _told(lambda: {"name": NAME, "version": "2", "extensions": []}), None)
    yield "/v2/health/live", Route("GET", _told(lambda: {"live": True}), None)
    ready = _told(lambda: _if_ready(repository, {"ready": True}))
    yield "/v2/health/ready", Route("GET", ready, None, is_open_inference=True)


def _of_models(repository: ModelRepository) -> Iterator[tuple[str, Route]]:
    for name, endpoint in repository.endpoints.items():
        yield f"/models/{name}", Route("GET", _told(endpoint.describe), endpoint=endpoint)
        yield from _asked(f"/models/{name}", endpoint)
        yield from _v2(f"/v2/models/{name}", repository, endpoint)
        # Who names a version wants that one.
        for one in (
            (endpoint.challenger, endpoint.production)
            if isinstance(endpoint, SplitEndpoint)
            else (endpoint,)
        ):
            yield from _v2(f"/v2/models/{name}/versions/{one.version}", repository, one)
    if len(repository.endpoints) == 1:
        yield from _asked("", next(iter(repository.endpoints.values())))


def _asked(root: str, endpoint: Endpoint) -> Iterator[tuple[str, Route]]:
    split = isinstance(endpoint, SplitEndpoint)
    one = Route("POST", endpoint.predict, endpoint=endpoint, ask=endpoint.ask, takes_unit=split)
    yield f"{root}/predict", one
    batch = Route(
        "POST", endpoint.predict_batch, endpoint=endpoint, ask=endpoint.ask_batch, takes_unit=split
    )
    yield f"{root}/predict/batch", batch
    yield f"{root}/invocations", Route("POST", endpoint.invoke, endpoint=endpoint, takes_unit=split)
    yield f"{root}/labels", Route("POST", endpoint.label, "labels", endpoint)


def _v2(root: str, repository: ModelRepository, endpoint: Endpoint) -> Iterator[tuple[str, Route]]:
    yield (
        root,
        Route(
            "GET",
            _told(endpoint.open_inference.metadata),
            endpoint=endpoint,
            is_open_inference=True,
        ),
    )
    ready = _told(lambda: _if_ready(repository, {"name": endpoint.name, "ready": True}))
    yield f"{root}/ready", Route("GET", ready, None, endpoint, is_open_inference=True)
    split = isinstance(endpoint, SplitEndpoint)
    yield (
        f"{root}/infer",
        Route("POST", endpoint.infer, endpoint=endpoint, is_open_inference=True, takes_unit=split),
    )


def _told(tell: Callable[[], dict[str, Any]]) -> Respond:
    async def respond(_body: bytes, _request_id: str) -> bytes:
        return encode(tell())

    return respond


def _if_ready(repository: ModelRepository, answer: dict[str, Any]) -> dict[str, Any]:
    if not repository.is_open:
        raise Fault("not_ready")
    return answer


def no_route(path: str, repository: ModelRepository) -> Fault:
    """What to tell who asks for a path that there is not."""
    parts = path.strip("/").split("/")
    if parts[0] == "v2":
        parts = parts[1:]
    if parts[0] == "models" and len(parts) > 1 and parts[1] not in repository.endpoints:
        known = ", ".join(sorted(repository.endpoints)) or "none"
        return Fault("unknown_model", f"model: expected one of {known}, got {parts[1][:80]!r}")
    if parts[0] in {"predict", "invocations", "labels"} and len(repository.endpoints) != 1:
        known = (
            ", ".join(f"/models/{name}/{parts[0]}" for name in sorted(repository.endpoints))
            or "none"
        )
        return Fault("unknown_model", f"several models are served: expected one of {known}")
    return Fault("not_found", f"path: expected /models/NAME/predict, got {path[:120]!r}")
