"""A feature: the type, range and policy of one input of a model."""

import unicodedata
from collections.abc import Iterable
from datetime import date, datetime
from typing import Literal

import msgspec
import numpy as np

from contracts.errors import InvalidRecipe
from contracts.timestamps import (
    EXAMPLE,
    FIRST_SECOND,
    LAST_SECOND,
    PART_RANGES,
    parse_file_timestamp,
    timestamp_text,
    zone_offsets,
)

FeatureType = Literal["float", "int", "bool", "category", "timestamp"]
Policy = Literal["reject", "clip", "flag"]
Value = float | int | bool | str | None

FLOAT32_MAX = float(np.finfo(np.float32).max)
"""Models take float32; a larger number would become infinite."""
MAX_NAME_CHARS = 200


def normalized(text: str) -> str:
    """A name or category in Unicode's composed form (NFC), in which both sides are compared.

    >>> normalized("gro\u0308ße") == "gr\u00f6ße"
    True
    """
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def is_printable_name(name: str) -> bool:
    """Whether a name can be a feature's: 1 to `MAX_NAME_CHARS` printable characters."""
    return 0 < len(name) <= MAX_NAME_CHARS and name.isprintable()


class Feature(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One feature of a request; made by `number`, `integer`, `boolean`, `category` and others.

    The name is the user's own, such as `fixed acidity` or `3P%`. Name and categories are in NFC.
    With `max_categories`, the categories are learned: the most frequent ones, at most that many.
    A timestamp becomes the numbers that `parts` names, by the clock of `time_zone`, whose offsets
    are `zone_offsets`; its `minimum`, `maximum` and `since` are seconds since 1970 in UTC
    (`contracts.timestamps`).
    """

    name: str
    type: FeatureType
    description: str = ""
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[str, ...] = ()
    nullable: bool = False
    policy: Policy = "reject"
    max_categories: int = 0
    parts: tuple[str, ...] = ()
    time_zone: str = ""
    zone_offsets: str = ""
    since: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.name, str):
            msgspec.structs.force_setattr(self, "name", normalized(self.name))
        if not all(isinstance(c, str) and c.isascii() for c in self.categories):
            composed = tuple(normalized(c) if isinstance(c, str) else c for c in self.categories)
            msgspec.structs.force_setattr(self, "categories", composed)

    def with_categories(self, categories: tuple[str, ...]) -> "Feature":
        """The feature with these categories."""
        return msgspec.structs.replace(self, categories=categories)

    @property
    def is_category(self) -> bool:
        """Whether the matrix has a code for this feature, not a number."""
        return self.type == "category"

    @property
    def is_timestamp(self) -> bool:
        """Whether the matrix has parts of this feature, each a number."""
        return self.type == "timestamp"

    @property
    def inputs(self) -> "tuple[Feature, ...]":
        """What the matrix has of this feature: itself, or the parts of a timestamp.

        The part `hour` of `pickup` is the number `pickup_hour`.
        """
        if not self.is_timestamp:
            return (self,)
        return tuple(self._part(name) for name in self.parts)

    @property
    def n_inputs(self) -> int:
        """How many columns the matrix has of this feature."""
        return len(self.parts) if self.is_timestamp else 1

    def _part(self, part: str) -> "Feature":
        span = PART_RANGES[part]
        return Feature(
            name=f"{self.name}_{part}",
            type="int" if span else "float",
            description=f"{part} of {self.name}",
            minimum=span[0] if span else None,
            maximum=span[1] if span else None,
            nullable=self.nullable,
        )

    @property
    def frame_dtype(self) -> str:
        """The pandas dtype of this feature in the DataFrame that a pipeline is fitted on.

        A timestamp has its seconds there, followed by its parts.
        """
        return "str" if self.is_category else "float64"

    @property
    def low(self) -> float:
        """The lowest value in range: `minimum`, or the lowest float32 or timestamp."""
        if self.minimum is not None:
            return self.minimum
        return FIRST_SECOND if self.is_timestamp else -FLOAT32_MAX

    @property
    def high(self) -> float:
        """The highest value in range: `maximum`, or the highest float32 or timestamp."""
        if self.maximum is not None:
            return self.maximum
        return LAST_SECOND if self.is_timestamp else FLOAT32_MAX

    @property
    def expected(self) -> str:
        """A description of valid values, such as `a number 0..100 [vol%]`."""
        if self.is_category:
            text = "one of " + ", ".join(repr(c) for c in self.categories)
            if self.max_categories:
                text = "text"
        elif self.type == "bool":
            text = "true or false"
        elif self.is_timestamp:
            span = "1900..2099" if self.minimum is None and self.maximum is None else self._span
            text = f"a time {span} in RFC 3339 with its zone, such as {EXAMPLE}"
        else:
            noun = "an integer" if self.type == "int" else "a number"
            span = "" if self.minimum is None and self.maximum is None else f" {self._span}"
            text = noun + span + (f" [{self.unit}]" if self.unit else "")
        return text + (" or null" if self.nullable else "")

    @property
    def _span(self) -> str:
        if self.is_timestamp:
            ends = (self.minimum, self.maximum)
            return "..".join("" if end is None else timestamp_text(end) for end in ends)
        low = "" if self.minimum is None else f"{self.minimum:g}"
        high = "" if self.maximum is None else f"{self.maximum:g}"
        return f"{low}..{high}"


def number(
    name: str,
    minimum: float | None = None,
    maximum: float | None = None,
    *,
    unit: str = "",
    description: str = "",
    nullable: bool = False,
    policy: Policy = "reject",
) -> Feature:
    """A real number from `minimum` to `maximum`, both included."""
    return Feature(
        name=name,
        type="float",
        minimum=minimum,
        maximum=maximum,
        unit=unit,
        description=description,
        nullable=nullable,
        policy=policy,
    )


def integer(
    name: str,
    minimum: int | None = None,
    maximum: int | None = None,
    *,
    unit: str = "",
    description: str = "",
    nullable: bool = False,
    policy: Policy = "reject",
) -> Feature:
    """A whole number from `minimum` to `maximum`, both included."""
    return Feature(
        name=name,
        type="int",
        minimum=minimum,
        maximum=maximum,
        unit=unit,
        description=description,
        nullable=nullable,
        policy=policy,
    )


def boolean(name: str, *, description: str = "", nullable: bool = False) -> Feature:
    """True or false; 1.0 or 0.0 in the matrix."""
    return Feature(name=name, type="bool", description=description, nullable=nullable)


def category(
    name: str,
    categories: Iterable[str],
    *,
    description: str = "",
    nullable: bool = False,
    policy: Policy = "reject",
) -> Feature:
    """One of a list of strings; its index in the list is its code in the matrix."""
    return Feature(
        name=name,
        type="category",
        categories=tuple(categories),
        description=description,
        nullable=nullable,
        policy=policy,
    )


def string(
    name: str,
    max_categories: int = 50,
    *,
    description: str = "",
    nullable: bool = False,
) -> Feature:
    """Any text: its most frequent values become categories when a model learns, the rest is one.

    The rest has the code of an unseen category, and a prediction for it is flagged so.
    """
    return Feature(
        name=name,
        type="category",
        description=description,
        nullable=nullable,
        policy="flag",
        max_categories=max_categories,
    )


def timestamp(
    name: str,
    minimum: str | date | None = None,
    maximum: str | date | None = None,
    *,
    parts: Iterable[str],
    time_zone: str = "UTC",
    since: str | date | None = None,
    description: str = "",
    nullable: bool = False,
    policy: Policy = "reject",
) -> Feature:
    """A time, of which the model gets `parts` as numbers.

    Parts are `year`, `month`, `day`, `day_of_year`, `weekday` (Monday is 0), `hour`, `minute` and
    `second` by the clock of `time_zone`, and `days_since`, counted from `since`. `minimum`,
    `maximum` and `since` are dates or times, by the same clock if they have no zone. Requests
    send RFC 3339 with any zone; times of training data and of files without a zone are those
    of the clock too.

    Raises:
        InvalidRecipe: there is no such part or zone, or a time is none.

    """
    named = tuple(parts)
    unknown = [part for part in named if part not in PART_RANGES]
    if unknown or not named:
        raise InvalidRecipe(
            f"timestamp {name!r}: parts: expected some of {', '.join(PART_RANGES)}, got "
            f"{', '.join(map(repr, unknown)) or 'none'}",
            remedy="fix the schema in the recipe",
        )
    if ("days_since" in named) != (since is not None):
        raise InvalidRecipe(
            f"timestamp {name!r}: expected since='2020-01-01' or another day with the part "
            f"days_since, and only then, got since={since!r}",
            remedy="fix the schema in the recipe",
        )
    try:
        offsets = zone_offsets(time_zone)
    except ValueError as err:
        raise InvalidRecipe(
            f"timestamp {name!r}: time_zone: {err}",
            remedy="name one such as 'Europe/Berlin' or 'UTC'",
        ) from err
    return Feature(
        name=name,
        type="timestamp",
        description=description,
        minimum=_bound(name, minimum, offsets),
        maximum=_bound(name, maximum, offsets),
        nullable=nullable,
        policy=policy,
        parts=named,
        time_zone=time_zone,
        zone_offsets=offsets,
        since=_bound(name, since, offsets) or 0.0,
    )


def _bound(name: str, value: str | date | None, offsets: str) -> float | None:
    if value is None:
        return None
    seconds = None
    if isinstance(value, str | date | datetime):
        text = value if isinstance(value, str) else value.isoformat()
        seconds = parse_file_timestamp(text, offsets)
    if seconds is None:
        raise InvalidRecipe(
            f"timestamp {name!r}: expected a date or a time from 1900 to 2099, got {value!r}",
            remedy="write it like '2026-01-31' or '2026-01-31T12:00:00Z'",
        )
    return seconds
