"""Labels: the true outcome of a prediction, and what a valid label is.

A label is an object `{"prediction_id": ..., "truth": ..., "time": ...}`. The rule is the same
for a request to the service and for a file given to the monitor.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import islice
from math import isfinite

import msgspec

from contracts.errors import preview
from contracts.schema import Violation
from contracts.times import parse_utc, utc_text

LABEL_FIELDS = ("prediction_id", "truth", "time")
MAX_PREDICTION_ID_CHARS = 128


class Label(msgspec.Struct, frozen=True, gc=False):
    """One label as a line of `var/labels/<model>/*.jsonl`.

    `truth` is a class as the manifest spells it, or a number; lines that something other than
    Slipway appended may hold what `parse_truth` accepts. `time` is when the truth was known,
    RFC 3339.
    """

    prediction_id: str
    truth: str | float | bool
    time: str


def label_violations(
    given: object, classes: tuple[str, ...], prefix: str = "", limit: int | None = None
) -> list[Violation]:
    """Everything that is wrong with a label.

    Args:
        given: the label as it came, decoded from JSON or CSV.
        classes: the model's classes; empty for a regression.
        prefix: what stands before a field's name in a violation's path, such as `labels[3].`.
        limit: where the search ends; None for no limit.

    """
    if not isinstance(given, Mapping):
        expected = "an object with prediction_id, truth and optionally time"
        return [Violation(prefix.rstrip(".: ") or "body", expected, preview(given))]
    return list(islice(_violations(given, classes, prefix), limit))


def _violations(
    given: Mapping[object, object], classes: tuple[str, ...], prefix: str
) -> Iterator[Violation]:
    for name in given:
        if name not in LABEL_FIELDS:
            yield Violation(f"{prefix}{name}", "no such field", "a value")
    identity, truth, time = (given.get(name) for name in LABEL_FIELDS)
    if not isinstance(identity, str) or not 0 < len(identity) <= MAX_PREDICTION_ID_CHARS:
        expected = f"a prediction id of 1 to {MAX_PREDICTION_ID_CHARS} characters"
        yield Violation(f"{prefix}prediction_id", expected, _got(given, "prediction_id"))
    if parse_truth(truth, classes) is None:
        expected = f"one of {', '.join(classes)}" if classes else "a number"
        yield Violation(f"{prefix}truth", expected, _got(given, "truth"))
    if time is not None and time != "" and _parse_time(time) is None:
        yield Violation(f"{prefix}time", "RFC 3339 with a zone", preview(time))


def label_of(given: Mapping[str, object], classes: tuple[str, ...], now: datetime) -> Label:
    """A label without violations as it is kept; without a time it is of `now`.

    A time in the future is kept as `now`: of two labels of a prediction the later one counts, so
    no correction would ever win against it.

    >>> from datetime import UTC
    >>> label_of({"prediction_id": "a", "truth": 1}, ("0", "1"), datetime(2026, 1, 31, tzinfo=UTC))
    Label(prediction_id='a', truth='1', time='2026-01-31T00:00:00.000000Z')
    """
    truth = parse_truth(given["truth"], classes)
    if truth is None:
        raise ValueError(f"expected a label without violations, got truth {given['truth']!r}")
    known = min(_parse_time(given.get("time")) or now, now)
    return Label(str(given["prediction_id"]), truth, utc_text(known))


def parse_truth(value: object, classes: tuple[str, ...]) -> str | float | None:
    """A truth as the manifest spells its class, or as a number; None if it is neither.

    A class may be given as JSON spells it: `1` for the class `1` or `1.0`, `true` for the
    class `true` or `True`. A number may be given as a string, as CSV files have it.

    >>> parse_truth(True, ("False", "True")), parse_truth(1.0, ("0", "1"))
    ('True', '1')
    >>> parse_truth("2.5", ()), parse_truth(True, ()), parse_truth("nan", ())
    (2.5, None, None)
    """
    if not classes:
        return _number(value)
    return next((text for text in _spellings(value) if text in classes), None)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if isfinite(number) else None


def _spellings(value: object) -> tuple[str, ...]:
    """How a class may be written that JSON has as this value."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, bool):
        return (str(value).lower(), str(value))
    number = _number(value)
    if number is None:
        return ()
    return (f"{number:.0f}", repr(number)) if number.is_integer() else (repr(number),)


def _parse_time(text: object) -> datetime | None:
    if not isinstance(text, str):
        return None
    try:
        return parse_utc(text)
    except ValueError:
        return None


def _got(given: Mapping[object, object], name: str) -> str:
    return preview(given[name]) if name in given else "nothing"
