"""msgspec types made from a schema: what the fast path of the decoder accepts.

Each type is at least as strict as the schema; what it rejects is checked by the schema itself.
Only timestamps are any short text here, which the decoder reads.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from contracts.schema import FLOAT32_MAX, Feature, Policy
from contracts.timestamps import MAX_TIMESTAMP_CHARS

INT64_MAX = 2**63 - 1


def strict_types(columns: Sequence[Feature]) -> list[Any]:
    """Per feature, a type whose values need neither clipping nor a flag."""
    return [_type_of(feature, "reject") for feature in columns]


def lenient_types(columns: Sequence[Feature]) -> list[Any]:
    """Per feature, a type whose values the feature's policy accepts, clipped or flagged."""
    return [_type_of(feature, feature.policy) for feature in columns]


def row_struct(
    columns: Sequence[Feature], types: Sequence[Any], *, needs_all: bool = False
) -> type[Any]:
    """A row: an object of exactly these features.

    A nullable one may be left out (UNSET), unless `needs_all`.
    """
    fields: list[Any] = [
        (f"f{index}", each | UnsetType, UNSET)
        if feature.nullable and not needs_all
        else (f"f{index}", each)
        for index, (feature, each) in enumerate(zip(columns, types, strict=True))
    ]
    return msgspec.defstruct(
        "Features",
        fields,
        rename=_names_of(columns),
        forbid_unknown_fields=True,
        kw_only=True,
        gc=False,
    )


def valid_row_struct(columns: Sequence[Feature]) -> type[Any]:
    """A row without types, to encode values that are valid already."""
    names = _names_of(columns)
    return msgspec.defstruct("ValidRow", [(field, Any) for field in names], rename=names, gc=False)


def object_with(name: str, content: Any) -> type[Any]:
    """An object with exactly one field."""
    return msgspec.defstruct("Body", [(name, content)], forbid_unknown_fields=True)


def list_of(content: Any) -> Any:
    """The type of a list."""
    return list[content]


def _names_of(columns: Sequence[Feature]) -> dict[str, str]:
    return {f"f{index}": feature.name for index, feature in enumerate(columns)}


def _type_of(feature: Feature, policy: Policy) -> Any:
    exact: Any
    if feature.type == "bool":
        exact = bool
    elif feature.is_category:
        exact = Literal[feature.categories] if policy == "reject" else str
    elif feature.is_timestamp:
        exact = Annotated[str, Meta(max_length=MAX_TIMESTAMP_CHARS)]
    elif feature.type == "int":
        low, high = _int_bounds(feature, policy)
        exact = Annotated[int, Meta(ge=low, le=high)]
    elif policy == "reject":
        exact = Annotated[float, Meta(ge=feature.low, le=feature.high)]
    else:
        exact = Annotated[float, Meta(ge=-FLOAT32_MAX, le=FLOAT32_MAX)]
    return exact | None if feature.nullable else exact


def _int_bounds(feature: Feature, policy: Policy) -> tuple[int, int]:
    """Whole bounds within the range and within 64 bits, which is all that msgspec compares."""
    if policy != "reject":
        return -INT64_MAX, INT64_MAX
    low, high = -(-feature.low // 1), feature.high // 1
    return int(max(low, -INT64_MAX)), int(min(high, INT64_MAX))
