"""The schemas of one model in the OpenAPI document: its rows, tables of rows, and labels."""

from typing import Any

from contracts.json_schema import JsonSchema, feature_schema, row_schema
from contracts.labels import parse_truth
from contracts.manifest import Manifest
from services.protocols.prediction import row_name, table_name, truth_name

NUMBER_TEXT = r"^-?\d{1,15}(\.\d{1,15})?$"
"""A number as CSV has it."""


def model_schemas(manifest: Manifest) -> dict[str, JsonSchema]:
    """The schemas of a model by their names among the components of the document."""
    example = manifest.golden[0].features if manifest.golden else None
    return {
        row_name(manifest): row_schema(manifest.schema, example),
        table_name(manifest): _table_schema(manifest),
        truth_name(manifest): _truth_schema(manifest.classes),
    }


def with_items(schema: Any) -> Any:
    """A schema in which each array says what its items are, if only that they may be anything.

    JSON Schema lets an array say nothing about them, but generators of clients leave out what
    uses such an array.

    >>> with_items({"anyOf": [{"type": "array"}, {"type": "array", "items": {"type": "string"}}]})
    {'anyOf': [{'type': 'array', 'items': {}}, {'type': 'array', 'items': {'type': 'string'}}]}
    """
    if isinstance(schema, list):
        return [with_items(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    described = {name: with_items(each) for name, each in schema.items()}
    if described.get("type") == "array" and not described.keys() & {"items", "prefixItems"}:
        described["items"] = {}
    return described


def _table_schema(manifest: Manifest) -> JsonSchema:
    """An object with a list per feature; that the lists are equally long cannot be said."""
    row = row_schema(manifest.schema)
    columns = {
        feature.name: {"type": "array", "minItems": 1, "items": feature_schema(feature)}
        for feature in manifest.schema.features
    }
    return row | {"properties": columns}


def _truth_schema(classes: tuple[str, ...]) -> JsonSchema:
    """The classes, as the manifest or JSON spells them; a number for a regression.

    >>> _truth_schema(("no", "yes"))
    {'anyOf': [{'type': 'string', 'enum': ['no', 'yes']}]}
    >>> _truth_schema(("0", "1"))["anyOf"][1], _truth_schema(("False", "True"))["anyOf"][1]
    ({'type': 'number', 'enum': [0.0, 1.0]}, {'type': 'boolean', 'enum': [False, True]})
    """
    if not classes:
        return {"anyOf": [{"type": "number"}, {"type": "string", "pattern": NUMBER_TEXT}]}
    numbers = [number for number in map(_number, classes) if number is not None]
    booleans = [value for value in (False, True) if parse_truth(value, classes) is not None]
    spellings: list[JsonSchema] = [{"type": "string", "enum": list(classes)}]
    if numbers:
        spellings.append({"type": "number", "enum": numbers})
    if booleans:
        spellings.append({"type": "boolean", "enum": booleans})
    return {"anyOf": spellings}


def _number(text: str) -> float | None:
    """The number that a class is, if JSON's spelling of it means the class."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if parse_truth(number, (text,)) == text else None
