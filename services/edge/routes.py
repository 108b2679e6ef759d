"""What the service answers itself: each path with its method, its scope, and who answers."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from services.auth.keys import Scope
from services.faults import Fault
from services.inference.render import encode
from services.protocols.open_inference import NAME
from services.serving.repository import Hall
from services.serving.split_endpoint import Front, SplitDesk

Respond = Callable[..., Awaitable[bytes]]
"""From a body, a request id (and a unit) to the body of the answer; raises Fault."""
Ask = Callable[..., None]
"""The same for an `Answer` that stands behind the request id, to which the body is given."""

OURS = ("/models", "/predict", "/invocations", "/labels", "/ping", "/v2")
"""Paths below these are nobody else's."""


@dataclass(frozen=True, slots=True)
class Route:
    """One path. `scope`: what a key must open; None: nothing. `desk`: whose model it asks.

    `ask` does what `respond` does without a task of its own, for a desk that is immediate.
    `takes_unit`: both must be told for whom the request is.
    """

    method: str
    respond: Respond
    scope: Scope | None = "predict"
    desk: Front | None = None
    is_v2: bool = False
    ask: Ask | None = None
    takes_unit: bool = False


def routes_of(hall: Hall) -> Mapping[str, Route]:
    """Every path of ours."""
    return dict(_general(hall)) | dict(_of_models(hall))


def is_ours(path: str) -> bool:
    """Whether a path is ours, or would be if it existed."""
    return any(path == root or path.startswith(f"{root}/") for root in OURS)


def _general(hall: Hall) -> Iterator[tuple[str, Route]]:
    yield "/models", Route("GET", _told(lambda: {"models": hall.describe()}))
    yield "/ping", Route("GET", _told(lambda: _if_ready(hall, {})), None)
    yield "/v2", Route("GET", _told(lambda: {"name": NAME, "version": "2", "extensions": []}), None)
    yield "/v2/health/live", Route("GET", _told(lambda: {"live": True}), None)
    ready = _told(lambda: _if_ready(hall, {"ready": True}))
    yield "/v2/health/ready", Route("GET", ready, None, is_v2=True)


def _of_models(hall: Hall) -> Iterator[tuple[str, Route]]:
    for name, desk in hall.desks.items():
        yield f"/models/{name}", Route("GET", _told(desk.describe), desk=desk)
        yield from _asked(f"/models/{name}", desk)
        yield from _v2(f"/v2/models/{name}", hall, desk)
        # Who names a version wants that one.
        for one in (desk.challenger, desk.production) if isinstance(desk, SplitDesk) else (desk,):
            yield from _v2(f"/v2/models/{name}/versions/{one.version}", hall, one)
    if len(hall.desks) == 1:
        yield from _asked("", next(iter(hall.desks.values())))


def _asked(root: str, desk: Front) -> Iterator[tuple[str, Route]]:
    split = isinstance(desk, SplitDesk)
    one = Route("POST", desk.predict, desk=desk, ask=desk.ask, takes_unit=split)
    yield f"{root}/predict", one
    batch = Route("POST", desk.predict_batch, desk=desk, ask=desk.ask_batch, takes_unit=split)
    yield f"{root}/predict/batch", batch
    yield f"{root}/invocations", Route("POST", desk.invoke, desk=desk, takes_unit=split)
    yield f"{root}/labels", Route("POST", desk.label, "labels", desk)


def _v2(root: str, hall: Hall, desk: Front) -> Iterator[tuple[str, Route]]:
    yield root, Route("GET", _told(desk.v2.metadata), desk=desk, is_v2=True)
    ready = _told(lambda: _if_ready(hall, {"name": desk.name, "ready": True}))
    yield f"{root}/ready", Route("GET", ready, None, desk, is_v2=True)
    split = isinstance(desk, SplitDesk)
    yield f"{root}/infer", Route("POST", desk.infer, desk=desk, is_v2=True, takes_unit=split)


def _told(tell: Callable[[], dict[str, Any]]) -> Respond:
    async def respond(_body: bytes, _request_id: str) -> bytes:
        return encode(tell())

    return respond


def _if_ready(hall: Hall, answer: dict[str, Any]) -> dict[str, Any]:
    if not hall.is_open:
        raise Fault("not_ready")
    return answer


def no_route(path: str, hall: Hall) -> Fault:
    """What to tell who asks for a path that there is not."""
    parts = path.strip("/").split("/")
    if parts[0] == "v2":
        parts = parts[1:]
    if parts[0] == "models" and len(parts) > 1 and parts[1] not in hall.desks:
        known = ", ".join(sorted(hall.desks)) or "none"
        return Fault("unknown_model", f"model: expected one of {known}, got {parts[1][:80]!r}")
    if parts[0] in {"predict", "invocations", "labels"} and len(hall.desks) != 1:
        known = ", ".join(f"/models/{name}/{parts[0]}" for name in sorted(hall.desks)) or "none"
        return Fault("unknown_model", f"several models are served: expected one of {known}")
    return Fault("not_found", f"path: expected /models/NAME/predict, got {path[:120]!r}")
