"""Labels in request bodies: the true outcomes of predictions."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from contracts.labels import MAX_PREDICTION_ID_CHARS, Label, label_of, label_violations
from contracts.manifest import Manifest
from contracts.schema import Violation
from services.faults import Fault
from services.inference.json_body import MAX_VIOLATIONS, invalid_request, parse_json
from services.protocols.wire_protocol import ModelTypes

TIME_SCHEMAS = (
    {"type": "string", "format": "date-time"},
    {"type": "string", "maxLength": 0},
    {"type": "null"},
)
Time = Annotated[Any | UnsetType, Meta(extra_json_schema={"anyOf": TIME_SCHEMAS})]


class LabelsAccepted(msgspec.Struct, frozen=True):
    """The response: the number of labels that were accepted."""

    accepted: int


def labels_types(types: ModelTypes) -> tuple[Any, Any]:
    """The types of a request body: one label, and many that are accepted or refused together.

    Without `time`, the truth is known since now.
    """
    identity = Annotated[str, Meta(min_length=1, max_length=MAX_PREDICTION_ID_CHARS)]
    label = msgspec.defstruct(
        f"{types.name}Label",
        [
            ("prediction_id", identity),
            ("truth", types.truth),
            ("time", Time, UNSET),
        ],
        forbid_unknown_fields=True,
    )
    labels: Any = list[label]  # type: ignore[valid-type]  # a type made at run time
    many = msgspec.defstruct(
        f"{types.name}Labels",
        [("labels", Annotated[labels, Meta(min_length=1)])],
        forbid_unknown_fields=True,
    )
    return label, many


def labels_of(body: bytes, manifest: Manifest, limit: int, now: datetime) -> list[Label]:
    """The labels of a body, all of them valid.

    Raises:
        Fault: `invalid_json`, `invalid_request`, or `body_too_large` for more than `limit` labels.

    """
    document = parse_json(body)
    given: Any = [document]
    path = ""
    if isinstance(document, dict) and set(document) == {"labels"}:
        given, path = document["labels"], "labels"
        if not isinstance(given, list) or not given:
            got = "an empty list" if given == [] else type(given).__name__
            raise invalid_request([Violation("labels", "a list of at least one label", got)])
    if len(given) > limit:
        raise Fault("body_too_large", f"labels: expected at most {limit}, got {len(given)}")
    found: list[Violation] = []
    for index, label in enumerate(given):
        prefix = f"{path}[{index}]." if path else ""
        found += label_violations(label, manifest.classes, prefix, MAX_VIOLATIONS + 1)
        if len(found) > MAX_VIOLATIONS:
            break
    if found:
        raise invalid_request(found)
    return [label_of(each, manifest.classes, now) for each in given]
