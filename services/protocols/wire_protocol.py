"""What a codec of predictions is, and a wire protocol, which is one over HTTP.

To add one, add a file with a subclass of `WireProtocol`, and its name to
`services.protocols.catalog`. Its paths, its documentation and the shape of its errors follow from
the class.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from services.faults import Fault
from services.inference.loader import ServedModel
from services.inference.pending import Render
from services.inference.rows import Rows
from services.protocols.fault_body import FaultBody, fault_body

JSON, CSV, TENSORS = b"application/json", b"text/csv", b"application/octet-stream"
"""Media types of request bodies; the last is JSON that binary tensors follow."""
SCHEMA_REF = "#/components/schemas/{name}"


def reference(*names: str) -> Any:
    """A type whose JSON Schema refers to components by name; of several names, to any of them."""
    references = [{"$ref": SCHEMA_REF.format(name=name)} for name in names]
    schema = references[0] if len(references) == 1 else {"anyOf": references}
    return Annotated[Any, Meta(extra_json_schema=schema)]


def rows_or_table(types: "ModelTypes") -> Any:
    """The type of several rows in any form: objects, lists of values, or a table."""
    row, table = (
        {"$ref": SCHEMA_REF.format(name=f"{types.name}{kind}")} for kind in ("Row", "Table")
    )
    # One array, because generators of clients take two of them for the same.
    rows = {"type": "array", "minItems": 1, "items": {"anyOf": [row, {"type": "array"}]}}
    return Annotated[Any, Meta(extra_json_schema={"anyOf": [rows, table]})]


@dataclass(frozen=True)
class ModelTypes:
    """Types of one model, for documentation.

    `row`: an object of its features. `table`: an object with a list per feature. `truth`: what a
    label says. `prediction`: one prediction.
    """

    name: str
    row: Any
    table: Any
    truth: Any
    prediction: type[msgspec.Struct]


class PredictionCodec(ABC):
    """Reads prediction requests and renders the responses to them, for one version of a model.

    The class itself is the `operation` of `Endpoint.submit`; each version has an instance.
    """

    is_one_row: ClassVar[bool] = False
    """Whether a body is one JSON object of features: a split may find its unit there."""
    is_partial: ClassVar[bool] = False
    """Whether a response can state an error for a single row; if not, one bad row refuses all."""

    def __init__(self, model: ServedModel) -> None:
        self.model = model

    @abstractmethod
    def read(self, body: bytes, limit: int) -> tuple[Rows, Render]:
        """The rows of a body, and what encodes the response to it.

        Raises:
            Fault: `invalid_json`, `invalid_request`, or `body_too_large` for more than `limit`
                rows.

        """


class WireProtocol(PredictionCodec):
    """A codec that HTTP serves: its paths, its media type, its documentation."""

    paths: ClassVar[tuple[str, ...]]
    """Paths under which HTTP serves it, by POST: `{model}` and `{version}` are filled in. A path
    without `{model}` is served while the service has a single model."""
    tag: ClassVar[str]
    summary: ClassVar[str]
    """Heading and summary in the OpenAPI document."""
    description: ClassVar[str] = ""
    """What the OpenAPI document says beyond the summary and the types."""
    media_type: ClassVar[bytes] = JSON
    """What request bodies are."""
    fault_type: ClassVar[type[msgspec.Struct]] = FaultBody
    """What `fault_body` encodes."""

    @staticmethod
    def fault_body(fault: Fault, request_id: str) -> bytes:
        """The encoded response to a request that is refused."""
        return fault_body(fault, request_id)

    component_types: ClassVar[tuple[type[msgspec.Struct], ...]] = ()
    """Types to which the two below refer by name."""

    @classmethod
    @abstractmethod
    def request_type(cls, types: ModelTypes) -> Any:
        """The type of a request body, for `msgspec.json.schema`; a tuple of alternatives."""

    @classmethod
    @abstractmethod
    def response_type(cls, types: ModelTypes) -> Any:
        """The type of a response body, for `msgspec.json.schema`; a tuple of alternatives."""
