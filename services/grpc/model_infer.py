"""Predictions as messages of the Open Inference Protocol: `ModelInferRequest` in, its response out.

The values of all tensors are raw bytes, or typed lists in the messages; the response has the form
of the request.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from contracts.schema import Violation
from services.faults import Fault
from services.grpc.messages import ModelInferRequest, ModelInferResponse, parsed
from services.inference.batch_result import BatchResult
from services.inference.decode_columns import FeatureColumn
from services.inference.json_body import invalid_request
from services.inference.loader import ServedModel
from services.inference.pending import Render
from services.inference.rows import Rows
from services.protocols.output_tensors import OutputTensors
from services.protocols.tensor_decoder import TensorDecoder
from services.protocols.tensors import MAX_RANK, Tensor, checked_shape
from services.protocols.wire_protocol import PredictionCodec

_INT, _UINT = ("int_contents", "<i4"), ("uint_contents", "<u4")
CONTENTS: Mapping[str, tuple[str, str]] = {
    "BOOL": ("bool_contents", "<u1"),
    **dict.fromkeys(("INT8", "INT16", "INT32"), _INT),
    "INT64": ("int64_contents", "<i8"),
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), _UINT),
    "UINT64": ("uint64_contents", "<u8"),
    "FP32": ("fp32_contents", "<f4"),
    "FP64": ("fp64_contents", "<f8"),
    "BYTES": ("bytes_contents", "O"),
}
"""Per datatype, the field with its values, and NumPy's name for their type."""


class InferBody(bytes):
    """The body of a request that is parsed already; its bytes are not kept."""

    message: Any

    @classmethod
    def of(cls, message: Any) -> "InferBody":
        """The body that a `ModelInferRequest` came in."""
        made = cls()
        made.message = message
        return made


class ModelInfer(PredictionCodec):
    """Tensors in, tensors out, as protobuf messages."""

    def __init__(self, model: ServedModel) -> None:
        super().__init__(model)
        self._decoder = TensorDecoder(model)
        self._outputs = OutputTensors(model.manifest)
        described = [
            {"name": each.name, "datatype": each.datatype, "shape": [0, *each.shape[1:]]}
            for each in self._outputs.described
        ]
        pointer = model.pointer
        self._response = ModelInferResponse(
            model_name=pointer.name, model_version=str(pointer.version)
        )
        self._tensors = [ModelInferResponse.InferOutputTensor(**each) for each in described]

    def read(self, body: bytes, limit: int) -> tuple[Rows, Render]:
        """The rows of a `ModelInferRequest`, and what encodes the response to it.

        Raises:
            Fault: `invalid_protobuf`, `invalid_request`, or `body_too_large` for more than `limit`
                rows.

        """
        is_parsed = isinstance(body, InferBody)
        request = body.message if is_parsed else parsed(ModelInferRequest, body)  # type: ignore[attr-defined]  # checked
        self._outputs.check_names([output.name for output in request.outputs[:MAX_OUTPUTS]])
        wanted = {output.name for output in request.outputs} or self._outputs.names
        indices = [i for i, name in enumerate(self._outputs.names) if name in wanted]
        client_id, is_raw = request.id, bool(request.raw_input_contents)
        rows = self._decoder.rows(self._input_tensors(request), limit)

        def render(result: BatchResult, rows: slice, refused: Mapping[int, Fault], /) -> bytes:
            del refused
            return self._encode(result, rows, client_id, indices, is_raw=is_raw)

        return rows, render

    def _input_tensors(self, request: Any) -> list[Tensor]:
        n_tensors, raw = len(request.inputs), request.raw_input_contents
        if n_tensors > self._decoder.max_tensors:
            expected = f"at most {self._decoder.max_tensors} tensors"
            raise invalid_request([Violation("inputs", expected, str(n_tensors))])
        if raw and len(raw) != n_tensors:
            expected = f"{n_tensors} values, one per input"
            raise invalid_request([Violation("raw_input_contents", expected, str(len(raw)))])
        return [
            _tensor(given, f"inputs[{index}]", raw[index] if raw else None)
            for index, given in enumerate(request.inputs)
        ]

    def _encode(
        self,
        result: BatchResult,
        rows: slice,
        client_id: str,
        indices: Sequence[int],
        *,
        is_raw: bool,
    ) -> bytes:
        response = ModelInferResponse()
        response.CopyFrom(self._response)
        response.id = client_id
        for index in indices:
            tensor = response.outputs.add()
            tensor.CopyFrom(self._tensors[index])
            tensor.shape[0] = rows.stop - rows.start
        if is_raw:
            packed = self._outputs.packed(result, rows)
            response.raw_output_contents.extend(packed[index] for index in indices)
        else:
            values = self._outputs.values(result, rows)
            for tensor, index in zip(response.outputs, indices, strict=True):
                field, _ = CONTENTS[tensor.datatype]
                getattr(tensor.contents, field).extend(values[index])
        encoded: bytes = response.SerializeToString()
        return encoded


MAX_OUTPUTS = 100
"""Requested outputs that are checked; there are not as many."""


def _tensor(given: Any, location: str, raw: bytes | None) -> Tensor:
    """A tensor of a request; `raw` are its bytes, if the request has raw contents."""
    shape = checked_shape(given.shape[: MAX_RANK + 1], f"{location}.shape")
    if raw is not None:
        if given.HasField("contents") and given.contents.ListFields():
            violation = Violation(
                f"{location}.contents", "none in addition to raw_input_contents", "some"
            )
            raise invalid_request([violation])
        packed = memoryview(raw)
        return Tensor(given.name, given.datatype, shape, location, packed=packed)
    if given.datatype not in CONTENTS:
        expected = " or ".join(CONTENTS) + ", or FP16 in raw_input_contents"
        raise invalid_request([Violation(f"{location}.datatype", expected, given.datatype)])
    field, dtype = CONTENTS[given.datatype]
    filled = [field.name for field, _ in given.contents.ListFields()]
    if filled not in ([field], []):
        violation = Violation(f"{location}.contents", f"values in {field}", " and ".join(filled))
        raise invalid_request([violation])
    values = getattr(given.contents, field)
    column: FeatureColumn
    if field == "bytes_contents":
        column = [_text(each, location) for each in values]
    else:
        column = np.array(values, dtype=dtype)
    return Tensor(given.name, given.datatype, shape, location, column=column)


def _text(value: bytes, location: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as err:
        path = f"{location}.contents.bytes_contents"
        raise invalid_request([Violation(path, "strings in UTF-8", "other bytes")]) from err
