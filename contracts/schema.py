"""The schema: what a request may contain, and how a row becomes numbers.

A feature is a number (`float`, `int`), a `bool`, a `timestamp` or a `category`. Its `policy` says
what happens to a number or a time out of range or an unknown category:

* `reject`: the request is refused with a 4xx;
* `clip`: the number or time is moved to the nearest bound, and the prediction is flagged;
* `flag`: the value goes to the model unchanged (a category as `UNSEEN_CODE`), and the prediction is
  flagged.

The input matrix of a model has the numbers first, then the parts of timestamps, then the
categories, each group in the order of the schema (`Schema.inputs`).

Names and categories are compared in Unicode's composed form (NFC): `größe` is one name, whether
its letters and marks were typed together or apart.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec
import numpy as np
from numpy.typing import DTypeLike, NDArray

from contracts.errors import InvalidRecipe, preview
from contracts.feature import (
    FLOAT32_MAX,
    MAX_NAME_CHARS,
    Feature,
    FeatureType,
    Policy,
    Value,
    boolean,
    category,
    integer,
    is_printable_name,
    normalized,
    number,
    string,
    timestamp,
)
from contracts.timestamps import (
    FIRST_SECOND,
    LAST_SECOND,
    PART_RANGES,
    offsets_fault,
    parse_timestamp,
    timestamp_parts,
    timestamp_text,
)

__all__ = [
    "FLOAT32_MAX",
    "MISSING_CODE",
    "UNSEEN_CODE",
    "Feature",
    "FeatureType",
    "Policy",
    "Schema",
    "Value",
    "Violation",
    "boolean",
    "category",
    "integer",
    "normalized",
    "number",
    "string",
    "timestamp",
    "timestamp_columns",
]

MISSING_CODE = -1.0
"""The code of a missing category (a missing number is NaN)."""
UNSEEN_CODE = -2.0
"""The code of a category that is not in the schema."""


class Violation(msgspec.Struct, frozen=True):
    """One thing that is wrong with a row: where, what was expected, what was sent."""

    path: str
    expected: str
    got: str

    def __str__(self) -> str:
        return f"{self.path}: expected {self.expected}, got {self.got}"


class Schema(msgspec.Struct, frozen=True, kw_only=True):
    """The inputs of a model, in the order in which people read them (not that of the matrix)."""

    features: tuple[Feature, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the features, in the order of the schema."""
        return tuple(feature.name for feature in self.features)

    @property
    def columns(self) -> tuple[Feature, ...]:
        """The features in the order of the matrix: numbers, timestamps, categories."""
        return tuple(sorted(self.features, key=lambda f: (f.is_category, f.is_timestamp)))

    @property
    def inputs(self) -> tuple[Feature, ...]:
        """What the columns of the matrix are: as `columns`, with the parts of each timestamp."""
        return tuple(each for feature in self.columns for each in feature.inputs)

    def feature(self, name: str) -> Feature:
        """The feature with this name; KeyError if there is none."""
        for feature in self.features:
            if feature.name == name:
                return feature
        raise KeyError(name)

    def check(self) -> None:
        """Refuse a schema that cannot be served.

        Raises:
            InvalidRecipe: no feature, a name used twice, bounds in the wrong order, categories
                missing or repeated, or a policy that does not fit the type.

        """
        if not self.features:
            raise InvalidRecipe("schema.features: expected at least one feature, got none")
        taken: set[str] = set()
        for index, feature in enumerate(self.features):
            fault = _fault(feature, taken)
            if fault:
                raise InvalidRecipe(
                    f"schema.features[{index}] {feature.name!r}: {fault}",
                    remedy="fix the schema in the recipe",
                )
            taken |= {feature.name, *(each.name for each in feature.inputs)}

    def violations(self, row: object, path: str = "", limit: int | None = None) -> list[Violation]:
        """Everything that is wrong with one row, in the order of the schema.

        `path` is the path of the row: `rows[3]` gives violations at `rows[3].age`. With a
        `limit`, the search ends at that many.
        """
        return list(islice(self._all_violations(row, path), limit))

    def _all_violations(self, row: object, path: str) -> Iterator[Violation]:
        if not isinstance(row, Mapping):
            yield Violation(path or "body", "an object of features", preview(row))
            return
        prefix = f"{path}." if path else ""
        for feature in self.features:
            yield from _violations(feature, row, prefix)
        names = set(self.names)
        for name in row:
            if name not in names:
                yield Violation(f"{prefix}{name}", "no such feature", preview(row[name]))

    def apply_policies(self, row: Mapping[str, Any]) -> tuple[dict[str, Value], tuple[str, ...]]:
        """A row without violations with each feature's policy applied, and its flags.

        Clipped numbers are at their bound (flag `clipped:age`). Numbers out of range and
        unknown categories that pass are flagged `out_of_range:age` and `unseen:region`. A
        missing feature is None.
        """
        applied: dict[str, Value] = {}
        flags: list[str] = []
        for feature in self.features:
            value, flag = _apply_policy(feature, row.get(feature.name))
            applied[feature.name] = value
            if flag:
                flags.append(f"{flag}:{feature.name}")
        return applied, tuple(flags)

    def matrix(
        self, rows: Sequence[Mapping[str, Any]], dtype: DTypeLike = np.float32
    ) -> NDArray[Any]:
        """Rows from `apply_policies` as the model's input, shape `(n_rows, n_inputs)`.

        `dtype` is what the model takes: float32, or float64. Numbers come first, NaN if missing;
        categories are their index in the list, `MISSING_CODE` or `UNSEEN_CODE`. This is the
        definition that the service and the fitted pipeline are tested against; it is not made
        for speed.
        """
        columns = self.columns
        return np.array(
            [
                [number for each in columns for number in _coded(each, row.get(each.name))]
                for row in rows
            ],
            dtype=dtype,
        ).reshape(len(rows), sum(each.n_inputs for each in columns))


def timestamp_columns(
    feature: Feature, seconds: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """The columns of a timestamp in a DataFrame, by name, each of shape `(n_rows,)`.

    They are its seconds, and each of its parts; NaN is missing.
    """
    parts = timestamp_parts(seconds, feature.parts, feature.zone_offsets, feature.since)
    names = [feature.name, *(each.name for each in feature.inputs)]
    return dict(zip(names, [seconds, *parts], strict=True))


def _fault(feature: Feature, taken: set[str]) -> str:
    if feature.is_timestamp and (fault := _timestamp_fault(feature, taken)):
        return fault
    ranged = feature.minimum is not None or feature.maximum is not None
    in_order = -FLOAT32_MAX <= feature.low <= feature.high <= FLOAT32_MAX
    once = len(set(feature.categories)) == len(feature.categories)
    faults = {
        f"expected a name of 1 to {MAX_NAME_CHARS} printable characters": not is_printable_name(
            feature.name
        ),
        "expected each name once, got this one twice": feature.name in taken,
        "expected minimum <= maximum, within float32": not in_order,
        "expected categories for a category, and for nothing else": (
            feature.is_category != bool(feature.categories)
            and not (feature.is_category and feature.max_categories > 0)
        ),
        "expected max_categories of 0 or more, for a category only": (
            feature.max_categories < 0 or (feature.max_categories > 0 and not feature.is_category)
        ),
        "expected categories that are text": not all(
            isinstance(c, str) for c in feature.categories
        ),
        "expected each category once, got one twice": not once,
        "expected a range, since the policy is 'clip'": feature.policy == "clip" and not ranged,
        "expected parts for a timestamp only": bool(feature.parts) and not feature.is_timestamp,
    }
    return next((fault for fault, found in faults.items() if found), "")


def _timestamp_fault(feature: Feature, taken: set[str]) -> str:
    parts = set(feature.parts)
    if not parts or not parts <= PART_RANGES.keys() or len(parts) < len(feature.parts):
        return f"expected parts, each once, of {', '.join(PART_RANGES)}"
    if taken & {each.name for each in feature.inputs}:
        return "expected parts whose names no feature has"
    if not FIRST_SECOND <= feature.low <= feature.high <= LAST_SECOND:
        return "expected minimum <= maximum, from 1900 to 2099"
    return offsets_fault(feature.zone_offsets)


def _violations(feature: Feature, row: Mapping[str, Any], prefix: str) -> Iterable[Violation]:
    path = f"{prefix}{feature.name}"
    if row.get(feature.name) is None:
        if not feature.nullable:
            got = "null" if feature.name in row else "nothing"
            yield Violation(path, feature.expected, got)
    elif not _fits(feature, row[feature.name]):
        yield Violation(path, feature.expected, preview(row[feature.name]))


def _fits(feature: Feature, value: object) -> bool:
    if feature.type == "bool":
        return isinstance(value, bool)
    if feature.is_category:
        return isinstance(value, str) and (
            feature.policy != "reject" or normalized(value) in feature.categories
        )
    if feature.is_timestamp:
        return isinstance(value, str) and _fits_timestamp(feature, value)
    return _fits_number(feature, value)


def _fits_timestamp(feature: Feature, text: str) -> bool:
    seconds = parse_timestamp(text)
    if seconds is None:
        return False
    return feature.policy != "reject" or feature.low <= seconds <= feature.high


def _fits_number(feature: Feature, value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    # JSON has one kind of number: 3.0 is the integer 3, as pandas writes it next to a gap.
    if feature.type == "int" and isinstance(value, float) and not value.is_integer():
        return False
    if not -FLOAT32_MAX <= value <= FLOAT32_MAX:
        return False
    return feature.policy != "reject" or feature.low <= value <= feature.high


def _apply_policy(feature: Feature, value: Any) -> tuple[Value, str]:
    if value is None or feature.type == "bool":
        return value, ""
    if feature.is_category:
        composed = normalized(value)
        return composed, "" if composed in feature.categories else "unseen"
    if feature.is_timestamp:
        return _timestamp_with_policy(feature, value)
    if feature.type == "int":
        value = int(value)
    if feature.low <= value <= feature.high:
        return value, ""
    if feature.policy == "clip":
        bound = min(max(value, feature.low), feature.high)
        return int(bound) if feature.type == "int" else bound, "clipped"
    return value, "out_of_range"


def _timestamp_with_policy(feature: Feature, text: str) -> tuple[Value, str]:
    """A timestamp as it was sent, unless it is clipped; and its flag."""
    seconds = parse_timestamp(text)
    if seconds is None or feature.low <= seconds <= feature.high:
        return text, ""
    if feature.policy == "clip":
        return timestamp_text(min(max(seconds, feature.low), feature.high)), "clipped"
    return text, "out_of_range"


def _coded(feature: Feature, value: Any) -> Sequence[float]:
    """The numbers of a value, one per input of its feature."""
    if feature.is_timestamp:
        seconds = math.nan if value is None else parse_timestamp(value)
        return timestamp_parts(seconds, feature.parts, feature.zone_offsets, feature.since)
    if not feature.is_category:
        return (math.nan if value is None else float(value),)
    if value is None:
        return (MISSING_CODE,)
    is_known = value in feature.categories
    return (float(feature.categories.index(value)) if is_known else UNSEEN_CODE,)
