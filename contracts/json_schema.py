"""A model's schema as JSON Schema: for the OpenAPI document, pydantic models and the docs.

A row is valid under `row_schema` exactly if `Schema.violations` finds nothing in it, but for the
range of a timestamp, and days that no month has, which JSON Schema cannot say.
"""

from collections.abc import Mapping
from typing import Any, Literal

from contracts.schema import FLOAT32_MAX, Feature, FeatureType, Schema
from contracts.timestamps import MAX_TIMESTAMP_CHARS, PATTERN

JsonSchema = dict[str, Any]
Dialect = Literal["2020-12", "openapi-3.0"]
"""JSON Schema 2020-12, which OpenAPI 3.1 and pydantic use; or that of OpenAPI 3.0, which knows
neither a list of types nor `examples`."""

JSON_TYPES: Mapping[FeatureType, str] = {
    "float": "number",
    "int": "integer",
    "bool": "boolean",
    "category": "string",
    "timestamp": "string",
}


def feature_schema(feature: Feature, dialect: Dialect = "2020-12") -> JsonSchema:
    """What a value of one feature must be, with its description, unit and range.

    The description is always there; `enum` for the categories that are accepted, `minimum` and
    `maximum` for a number.

    >>> from contracts.schema import integer
    >>> feature_schema(integer("age", 18, 99, unit="years", description="Age", nullable=True))
    ... # doctest: +NORMALIZE_WHITESPACE
    {'type': ['integer', 'null'], 'description': 'Age (an integer 18..99 [years] or null)',
     'minimum': 18, 'maximum': 99}
    """
    schema: JsonSchema = {"type": JSON_TYPES[feature.type]}
    schema["description"] = f"{feature.description} ({feature.expected})".strip()
    if feature.is_category and feature.policy == "reject":
        schema["enum"] = [*feature.categories, *([None] if feature.nullable else [])]
    if feature.is_timestamp:
        schema |= {"format": "date-time", "pattern": PATTERN, "maxLength": MAX_TIMESTAMP_CHARS}
    if feature.type in {"float", "int"}:
        is_bounded = feature.policy == "reject"
        exact = int if feature.type == "int" else float
        schema["minimum"] = exact(feature.low if is_bounded else -FLOAT32_MAX)
        schema["maximum"] = exact(feature.high if is_bounded else FLOAT32_MAX)
    if feature.nullable and dialect == "openapi-3.0":
        schema["nullable"] = True
    elif feature.nullable:
        schema["type"] = [schema["type"], "null"]
    return schema


def row_schema(
    schema: Schema, example: Mapping[str, Any] | None = None, dialect: Dialect = "2020-12"
) -> JsonSchema:
    """An object with every feature of a schema and nothing else.

    Features that may be null may be left out. `example` is a valid row.
    """
    row: JsonSchema = {
        "type": "object",
        "additionalProperties": False,
        "required": [feature.name for feature in schema.features if not feature.nullable],
        "properties": {f.name: feature_schema(f, dialect) for f in schema.features},
    }
    if example is None:
        return row
    if dialect == "openapi-3.0":
        return row | {"example": dict(example)}
    return row | {"examples": [dict(example)]}
