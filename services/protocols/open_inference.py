"""The Open Inference Protocol, version 2, over REST: metadata and `infer`.

Source: https://github.com/kserve/open-inference-protocol (inference_rest.md). The values of a
tensor are JSON, or bytes behind it (`binary_tensors`).
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from contracts.schema import Violation
from services.faults import Fault
from services.inference.batch_result import BatchResult
from services.inference.json_body import invalid_request, parse_json
from services.inference.json_templates import encode
from services.inference.loader import ServedModel
from services.inference.pending import Render
from services.inference.rows import Rows
from services.protocols.binary_tensors import (
    ALL_BINARY,
    BINARY_OUTPUT,
    BINARY_SIZE,
    BinaryData,
    TensorBody,
)
from services.protocols.fault_body import FaultCode
from services.protocols.output_tensors import OutputTensors
from services.protocols.table import refuse_any
from services.protocols.tensor_decoder import TensorDecoder
from services.protocols.tensors import (
    RequestedOutput,
    RequestTensor,
    ResponseTensor,
    Tensor,
    TensorMetadata,
    input_metadata,
    object_at,
    output_metadata,
    text_at,
)
from services.protocols.wire_protocol import TENSORS, ModelTypes, WireProtocol

PLATFORM = "onnxruntime_onnx"
SERVER_NAME = "slipway"
PROTOCOL_VERSION = "2"
EXTENSIONS = ("binary_tensor_data",)
"""Extensions of the protocol that the service speaks, by Triton's names."""
REQUEST_FIELDS = frozenset({"id", "model_name", "parameters", "inputs", "outputs"})
"""`model_name` is not of the protocol, but KServe's client sends it. The path decides."""


class InferenceRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request: tensors with the rows, and which outputs the client wants."""

    inputs: Annotated[list[RequestTensor], Meta(min_length=1)]
    id: str | UnsetType = UNSET
    model_name: str | UnsetType = UNSET
    parameters: dict[str, Any] | UnsetType = UNSET
    outputs: list[RequestedOutput] | UnsetType = UNSET


class InferenceResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A response: the requested outputs, with the request's own id."""

    model_name: str
    model_version: str
    id: str | UnsetType = UNSET
    outputs: list[ResponseTensor]


class ModelMetadata(msgspec.Struct, frozen=True):
    """What a model takes and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]


class OpenInferenceFault(msgspec.Struct, frozen=True):
    """A refused request: `error` is a string, as the protocol demands."""

    code: FaultCode
    message: str
    violations: tuple[Violation, ...]
    error: str
    request_id: str


class OpenInference(WireProtocol):
    """Tensors in, tensors out; their values are JSON in requests."""

    paths = ("/v2/models/{model}/infer", "/v2/models/{model}/versions/{version}/infer")
    tag = "Open Inference Protocol v2"
    summary = "Predictions for tensors."
    description = (
        "The values of tensors may also be binary, as Triton's extension `binary_tensor_data` "
        "defines it; OpenAPI has no words for such a body."
    )
    fault_type = OpenInferenceFault

    def __init__(self, model: ServedModel) -> None:
        super().__init__(model)
        self._decoder = TensorDecoder(model)
        self._outputs = OutputTensors(model.manifest)

    def read(self, body: bytes, limit: int) -> tuple[Rows, Render]:
        """The rows of a body, and what encodes the requested outputs.

        Raises:
            Fault: `invalid_json`, `invalid_request`, or `body_too_large` for more than `limit`
                rows.

        """
        return self._read(parse_json(body, nan_is_null=True), None, limit)

    def _read(self, request: object, binary: BinaryData | None, limit: int) -> tuple[Rows, Render]:
        if not isinstance(request, dict) or not isinstance(request.get("inputs"), list):
            got = type(request).__name__
            raise invalid_request([Violation("inputs", "a list of tensors", got)])
        refuse_any(
            Violation(k, "no such field", "a value") for k in request if k not in REQUEST_FIELDS
        )
        client_id = text_at(request.get("id", ""), "id")
        text_at(request.get("model_name", ""), "model_name")
        parameters = object_at(request.get("parameters", {}), "parameters")
        wanted = self._requested_outputs(
            request.get("outputs"), is_binary=parameters.get(ALL_BINARY) is True
        )
        tensors = [
            Tensor.from_json(tensor, f"inputs[{index}]", binary)
            for index, tensor in enumerate(request["inputs"])
        ]
        if binary is not None:
            binary.require_end()
        rows = self._decoder.rows(tensors, limit)

        def render(result: BatchResult, rows: slice, refused: Mapping[int, Fault], /) -> bytes:
            del refused
            return self._response(result, rows, client_id, wanted)

        return rows, render

    @staticmethod
    def fault_body(fault: Fault, request_id: str) -> bytes:
        """The encoded response to a request that is refused."""
        return encode(
            OpenInferenceFault(fault.code, fault.message, fault.violations, str(fault), request_id)
        )

    @classmethod
    def request_type(cls, types: ModelTypes) -> Any:
        """Tensors with the rows."""
        del types
        return InferenceRequest

    @classmethod
    def response_type(cls, types: ModelTypes) -> Any:
        """Tensors with predictions, scores and ids."""
        del types
        return InferenceResponse

    def _requested_outputs(self, outputs: object, *, is_binary: bool) -> Mapping[str, bool]:
        """The wanted outputs, and whether each is sent as bytes instead of JSON."""
        if not outputs:
            return dict.fromkeys(self._outputs.names, is_binary)
        if not isinstance(outputs, list):
            raise invalid_request([Violation("outputs", "a list", type(outputs).__name__)])
        names = [each.get("name") if isinstance(each, dict) else None for each in outputs]
        self._outputs.check_names(names)
        wanted: dict[str, bool] = {}
        for index, each in enumerate(outputs):
            parameters = object_at(each.get("parameters", {}), f"outputs[{index}].parameters")
            wanted[each["name"]] = parameters.get(BINARY_OUTPUT, is_binary) is True
        return wanted

    def _response(
        self, result: BatchResult, rows: slice, client_id: str, wanted: Mapping[str, bool]
    ) -> bytes:
        n_rows = rows.stop - rows.start
        texts = self._outputs.texts(result, rows) if not all(wanted.values()) else None
        packed = self._outputs.packed(result, rows) if any(wanted.values()) else None
        outputs: list[ResponseTensor] = []
        binary: list[bytes] = []
        for index, described in enumerate(self._outputs.described):
            is_binary = wanted.get(described.name)
            if is_binary and packed is not None:
                outputs.append(response_tensor(described, n_rows, size_bytes=len(packed[index])))
                binary.append(packed[index])
            elif is_binary is not None and texts is not None:
                outputs.append(response_tensor(described, n_rows, texts[index]))
        pointer = self.model.pointer
        response = encode(
            InferenceResponse(
                model_name=pointer.name,
                model_version=str(pointer.version),
                id=client_id or UNSET,
                outputs=outputs,
            )
        )
        return TensorBody.of(b"".join((response, *binary)), len(response)) if binary else response


class BinaryInference(OpenInference):
    """Requests whose JSON is followed by the values of tensors as bytes: a `TensorBody`."""

    media_type = TENSORS

    def read(self, body: bytes, limit: int) -> tuple[Rows, Render]:
        """The rows of a `TensorBody`, and what encodes the requested outputs.

        Raises:
            Fault: `invalid_json`, `invalid_request`, or `body_too_large` for more than `limit`
                rows.

        """
        end = body.json_bytes if isinstance(body, TensorBody) else len(body)
        request = parse_json(body[:end], nan_is_null=True)
        return self._read(request, BinaryData(body[end:]), limit)


def model_metadata(model: ServedModel) -> ModelMetadata:
    """What `GET /v2/models/{name}` answers."""
    return ModelMetadata(
        name=model.pointer.name,
        versions=[str(model.pointer.version)],
        platform=PLATFORM,
        inputs=[input_metadata(feature) for feature in model.manifest.schema.columns],
        outputs=list(output_metadata(model.manifest)),
    )


def response_tensor(
    described: TensorMetadata, n_rows: int, texts: Sequence[bytes] = (), size_bytes: int = 0
) -> ResponseTensor:
    """An output tensor of `n_rows` rows.

    It has the JSON texts of its values, or `size_bytes` bytes behind the document.
    """
    parameters = described.parameters
    if size_bytes:
        parameters = {**(parameters or {}), BINARY_SIZE: size_bytes}
    return ResponseTensor(
        name=described.name,
        datatype=described.datatype,
        shape=[n_rows, *described.shape[1:]],
        parameters=parameters,
        data=UNSET if size_bytes else msgspec.Raw(b"[%b]" % b",".join(texts)),
    )
