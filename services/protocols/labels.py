"""Labels as clients send them: what turned out to be true of a prediction."""

from datetime import datetime
from typing import Any

from contracts.labels import Label, label_of, label_violations
from contracts.manifest import Manifest
from contracts.schema import Violation
from services.faults import Fault
from services.inference.decode import parse, refused

MAX_VIOLATIONS = 100


def labels_of(body: bytes, manifest: Manifest, limit: int, now: datetime) -> list[Label]:
    """The labels of a body, all of them valid.

    Raises:
        Fault: `invalid_json`, `invalid_request`, or `body_too_large` beyond `limit` labels.

    """
    document = parse(body)
    given: Any = [document]
    path = ""
    if isinstance(document, dict) and set(document) == {"labels"}:
        given, path = document["labels"], "labels"
        if not isinstance(given, list) or not given:
            raise refused([Violation("labels", "a list of labels, one at least", _kind(given))])
    if len(given) > limit:
        raise Fault("body_too_large", f"labels: expected up to {limit}, got {len(given)}")
    found: list[Violation] = []
    for index, label in enumerate(given):
        prefix = f"{path}[{index}]." if path else ""
        found += label_violations(label, manifest.classes, prefix)
        if len(found) >= MAX_VIOLATIONS:
            break
    if found:
        raise refused(found[:MAX_VIOLATIONS])
    return [label_of(each, manifest.classes, now) for each in given]


def _kind(value: object) -> str:
    return "an empty list" if value == [] else type(value).__name__
