"""A feature: the type, range and policy of one input of a model."""

import unicodedata
from collections.abc import Iterable
from typing import Literal

import msgspec
import numpy as np

FeatureType = Literal["float", "int", "bool", "category"]
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
    """One input of a model; made by `number`, `integer`, `boolean` or `category`.

    The name is the user's own, such as `fixed acidity` or `3P%`. Name and categories are in NFC.
    With `max_categories`, the categories are learned: the most frequent ones, at most that many.
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
    def frame_dtype(self) -> str:
        """The pandas dtype of this feature in the DataFrame that a pipeline is fitted on."""
        return "str" if self.is_category else "float64"

    @property
    def low(self) -> float:
        """The lowest value in range: `minimum`, or the lowest float32."""
        return -FLOAT32_MAX if self.minimum is None else self.minimum

    @property
    def high(self) -> float:
        """The highest value in range: `maximum`, or the highest float32."""
        return FLOAT32_MAX if self.maximum is None else self.maximum

    @property
    def expected(self) -> str:
        """A description of valid values, such as `a number 0..100 [vol%]`."""
        if self.is_category:
            text = "one of " + ", ".join(repr(c) for c in self.categories)
            if self.max_categories:
                text = "text"
        elif self.type == "bool":
            text = "true or false"
        else:
            noun = "an integer" if self.type == "int" else "a number"
            span = "" if self.minimum is None and self.maximum is None else f" {self._span}"
            text = noun + span + (f" [{self.unit}]" if self.unit else "")
        return text + (" or null" if self.nullable else "")

    @property
    def _span(self) -> str:
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
