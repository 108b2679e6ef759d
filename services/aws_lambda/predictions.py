"""Answers prediction requests one at a time: decode, score, record, render, as an endpoint does."""

import time
from collections.abc import Callable, Iterator
from itertools import product

from contracts.errors import NothingInProduction
from contracts.names import Layout
from contracts.split import UNIT_HEADER
from services.aws_lambda.events import HTTP_OK, LambdaAnswer, LambdaRequest
from services.faults import MAX_SHOWN_CHARS, Fault
from services.inference.batch_result import EMPTY_RESULT, BatchClock
from services.inference.ids import request_id_of
from services.inference.loader import load_model
from services.inference.model_source import ModelSource
from services.inference.pending import PendingRequest, Request
from services.inference.rows import model_input
from services.inference.scores import finite_scores, prediction_failed, score_alone
from services.protocols.batch import holds_table
from services.protocols.catalog import PROTOCOLS
from services.protocols.fault_body import fault_body
from services.protocols.wire_protocol import CSV, JSON, WireProtocol
from services.settings import ServiceSettings

WriteRecords = Callable[[bytes], None]
"""Writes lines of the traffic log; raises OSError."""
WriteFault = Callable[[Fault, str], bytes]
"""Encodes a fault and the id of its request."""
READ_MEDIA_TYPES = (JSON, CSV)
"""Media types of bodies that are read here. Binary tensors are for sockets."""
HEALTH_PATHS = frozenset({"/ping", "/livez", "/readyz", "/v2/health/live", "/v2/health/ready"})


class LambdaPredictor:
    """Answers requests with the models that are in production below `var/`.

    `write_records` takes the lines of the traffic log.
    """

    def __init__(self, settings: ServiceSettings, write_records: WriteRecords) -> None:
        self._settings = settings
        self._write_records = write_records
        source = ModelSource(Layout(settings.var))
        pointers = source.pointers()
        if not pointers:
            raise NothingInProduction(
                f"{settings.var}: expected models in production, got none",
                remedy="build the image from a checkout with models: slipway pull",
            )
        self._models = {
            pointer.name: load_model(source.directory(pointer), pointer) for pointer in pointers
        }
        self._codecs = dict(self._all_codecs())

    def answer(self, request: LambdaRequest) -> LambdaAnswer:
        """The answer to a request; a fault is one, too."""
        headers = {name.encode(): value.encode() for name, value in request.headers.items()}
        request_id = request_id_of(headers)
        write_fault: WriteFault = fault_body
        try:
            if request.method == "GET" and request.path in HEALTH_PATHS:
                return LambdaAnswer(HTTP_OK, b"{}")
            codec = self._codec(request)
            write_fault = codec.fault_body
            unit = headers.get(UNIT_HEADER, b"")
            asked = Request(request.body, request_id, unit, time.monotonic())
            return LambdaAnswer(HTTP_OK, self._predicted(codec, asked))
        except Fault as fault:
            return LambdaAnswer.of_fault(fault, write_fault(fault, request_id))

    def _all_codecs(self) -> Iterator[tuple[tuple[str, bytes], WireProtocol]]:
        """What reads a body, by path and media type."""
        is_only = len(self._models) == 1
        for protocol, (name, model) in product(PROTOCOLS, self._models.items()):
            if protocol.media_type not in READ_MEDIA_TYPES:
                continue
            codec = protocol(model)
            for template in protocol.paths:
                if "{version}" in template:
                    path = template.format(model=name, version=model.pointer.version)
                    yield (path, protocol.media_type), codec
                elif is_only or "{model}" in template:
                    yield (template.format(model=name), protocol.media_type), codec

    def _codec(self, request: LambdaRequest) -> WireProtocol:
        """What reads the request.

        Raises:
            Fault: `not_found`, `method_not_allowed`, `unsupported_media_type`, `invalid_coding`.

        """
        path = request.path
        if request.is_direct:
            path = "/predict/batch" if holds_table(request.body) else "/predict"
        if (path, JSON) not in self._codecs:
            known = ", ".join(f"/models/{name}/predict" for name in self._models)
            raise Fault("not_found", f"path: expected {known}, got {path[:MAX_SHOWN_CHARS]!r}")
        if request.method != "POST":
            raise Fault("method_not_allowed", f"method: expected POST, got {request.method[:10]!r}")
        if request.headers.get("content-encoding", "identity") != "identity":
            raise Fault("invalid_coding", "content-encoding: expected none")
        codec = self._codecs.get((path, request.media_type.encode()))
        if codec is None:
            raise Fault(
                "unsupported_media_type",
                f"content-type: expected application/json, got {request.media_type[:80]!r}",
            )
        return codec

    def _predicted(self, codec: WireProtocol, request: Request) -> bytes:
        """The encoded predictions, which are in the traffic log.

        Raises:
            Fault: as `services.serving.endpoint.Endpoint.submit`.

        """
        limit = self._settings.body_bytes
        if len(request.body) > limit:
            expected = f"body: expected at most {limit} bytes, got {len(request.body)}"
            raise Fault("body_too_large", expected)
        rows, render = codec.read(request.body, self._settings.request_rows)
        pending = PendingRequest(rows, request, NobodyWaits(), render, request.arrived)
        if rows.features:
            _score(codec, pending)
        rows = pending.rows
        if not rows.features:
            return render(EMPTY_RESULT, slice(0, 0), rows.refused)
        clock, renderer = BatchClock.now(), codec.model.renderer
        result = renderer.result([pending], clock)
        waits_s = [time.monotonic() - request.arrived]
        try:
            self._write_records(renderer.lines(result, [pending], waits_s))
        except OSError as err:
            if self._settings.traffic_on_error == "refuse":
                raise Fault("traffic_log_unavailable") from err
        return render(result, slice(0, len(rows.features)), rows.refused)


class NobodyWaits:
    """A response sink that takes nothing: the answer to an event is returned, not sent."""

    def done(self) -> bool:
        """True, so that nothing is passed."""
        return True

    def set_result(self, result: bytes, /) -> None:
        """Drop a response."""

    def set_exception(self, fault: BaseException, /) -> None:
        """Drop a fault."""


def _score(codec: WireProtocol, pending: PendingRequest) -> None:
    """Set the scores of a request; rows on which the model fails are refused alone if possible.

    Raises:
        Fault: `prediction_failed`.

    """
    session = codec.model.session
    try:
        pending.scores = finite_scores(session.run, model_input([pending.rows], session.dtype))
    except Exception as err:
        if not codec.is_partial:
            raise prediction_failed(err) from err
        score_alone(session.run, pending, session.dtype)
