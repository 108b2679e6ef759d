"""Labels in request bodies: the true outcomes of predictions."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from contracts.labels import Label, label_of, label_violations
from contracts.manifest import Manifest
from contracts.schema import Violation
from services.faults import Fault
from services.inference.json_body import MAX_VIOLATIONS, invalid_request, parse_json

Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]


class LabelBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A label as a request gives it; without `time`, the truth is known since now."""

    prediction_id: str
    truth: Any
    time: Time | UnsetType = UNSET


class LabelsBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Many labels, accepted or refused together."""

    labels: Annotated[list[LabelBody], Meta(min_length=1)]


class LabelsAccepted(msgspec.Struct, frozen=True):
    """The response: the number of labels that were accepted."""

    accepted: int


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
