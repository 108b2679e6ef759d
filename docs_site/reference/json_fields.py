"""JSON Schema as tables of fields."""

import json
from typing import Any

from docs_site.reference.markdown import code, prose, table

MAX_LISTED_VALUES = 12


def type_name(schema: Any) -> str:
    """What a schema allows, in a few words; structs are links to their own headings.

    >>> type_name({"anyOf": [{"$ref": "#/$defs/Window"}, {"type": "null"}]})
    '[Window](#window) or null'
    >>> type_name({"type": "array", "items": {"type": "string"}})
    'array of string'
    """
    if not isinstance(schema, dict) or not schema:
        return "anything"
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    alternatives = schema.get("anyOf") or schema.get("oneOf")
    if alternatives:
        return " or ".join(dict.fromkeys(type_name(each) for each in alternatives))
    values = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
    return _values(values) if values else _plain_type(schema)


def _plain_type(schema: dict[str, Any]) -> str:
    kind = schema.get("type", "anything")
    if isinstance(kind, list):
        return " or ".join(kind)
    if kind == "array":
        return f"array of {type_name(schema.get('items'))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {type_name(schema['additionalProperties'])}"
    return str(kind)


def field_table(schema: dict[str, Any]) -> list[str]:
    """A struct's fields: name, type and default; `required` for one without a default."""
    required = set(schema.get("required", ()))
    rows = [
        [code(name), type_name(field), _default(field, is_required=name in required)]
        for name, field in schema.get("properties", {}).items()
    ]
    return table(["field", "type", "default"], rows)


def struct_section(name: str, schema: dict[str, Any], level: int) -> list[str]:
    """The heading, the description and the fields of a struct."""
    heading = f"{'#' * level} {name}"
    return [heading, "", prose(schema.get("description")), "", *field_table(schema)]


def _values(values: list[Any]) -> str:
    shown = [code(json.dumps(value)) for value in values[:MAX_LISTED_VALUES]]
    return ", ".join(shown) + (", ..." if len(values) > MAX_LISTED_VALUES else "")


def _default(field: dict[str, Any], *, is_required: bool) -> str:
    if is_required:
        return "required"
    return code(json.dumps(field["default"])) if "default" in field else "may be absent"
