"""Labels as clients send them: what turned out to be true of a prediction."""

from datetime import datetime
from math import isfinite
from typing import Any

import msgspec

from contracts.manifest import Manifest
from contracts.schema import Violation
from contracts.times import utc_text
from services.faults import Fault
from services.inference.decode import parse, refused

FIELDS = frozenset({"prediction_id", "truth", "time"})
MAX_ID_CHARS = 128
MAX_VIOLATIONS = 100


class Label(msgspec.Struct, frozen=True):
    """One label as it is written; `time` is when it was known, UTC."""

    prediction_id: str
    truth: str | float
    time: str


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
        found += _violations(label, f"{path}[{index}]." if path else "", manifest)
        if len(found) >= MAX_VIOLATIONS:
            break
    if found:
        raise refused(found[:MAX_VIOLATIONS])
    return [_label(each, now) for each in given]


def _violations(label: object, path: str, manifest: Manifest) -> list[Violation]:
    if not isinstance(label, dict):
        return [Violation(path.rstrip(".") or "body", "a label", _kind(label))]
    found = [Violation(f"{path}{n}", "no such field", "a value") for n in label if n not in FIELDS]
    identity = label.get("prediction_id")
    if not isinstance(identity, str) or not 0 < len(identity) <= MAX_ID_CHARS:
        found.append(Violation(f"{path}prediction_id", "the id of a prediction", _shown(identity)))
    if not _is_truth(label.get("truth"), manifest):
        expected = f"one of {', '.join(manifest.classes)}" if manifest.classes else "a number"
        found.append(Violation(f"{path}truth", expected, _shown(label.get("truth"))))
    if "time" in label and _moment(label["time"]) is None:
        found.append(Violation(f"{path}time", "RFC 3339 with a zone", _shown(label["time"])))
    return found


def _is_truth(truth: Any, manifest: Manifest) -> bool:
    if manifest.classes:
        return truth in manifest.classes
    is_number = isinstance(truth, int | float) and not isinstance(truth, bool)
    return is_number and abs(truth) < 2**1023 and isfinite(truth)


def _moment(text: object) -> datetime | None:
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo is not None and utc_text(moment) else None
    except (ValueError, OverflowError):
        return None


def _label(given: dict[str, Any], now: datetime) -> Label:
    known = _moment(given.get("time")) or now
    return Label(given["prediction_id"], given["truth"], utc_text(known))


def _kind(value: object) -> str:
    return "an empty list" if value == [] else type(value).__name__


def _shown(value: object) -> str:
    return "nothing" if value is None else repr(value)[:60]
