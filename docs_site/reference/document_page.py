"""`documents.md`: every document on disk with its fields, and its JSON Schema as a file."""

import importlib
import json
import pkgutil
from typing import Any

import msgspec

import contracts
from contracts.documents import Document
from docs_site.reference.json_fields import struct_section
from docs_site.reference.markdown import page_head, prose, table
from slipway.json_results import SCHEMA_DIALECT

SCHEMAS = "schemas"
REF_TEMPLATE = "#/$defs/{name}"
INTRODUCTION = """\
The packages exchange these documents as JSON. They are strict when written and tolerant when
read: an unknown field is ignored, a new field has a default, and a field never changes its
meaning. A few fields keep an earlier name on disk. Each document has a JSON Schema."""


def document_types() -> list[type[Document]]:
    """Every document of `contracts`, by name."""
    for module in pkgutil.iter_modules(contracts.__path__):
        importlib.import_module(f"contracts.{module.name}")
    found: set[type[Document]] = set()
    waiting: list[type[Document]] = [Document]
    while waiting:
        kind = waiting.pop()
        inner = [each for each in kind.__subclasses__() if each.__module__.startswith("contracts.")]
        found |= set(inner)
        waiting += inner
    return sorted(found, key=lambda each: each.__name__)


def document_page() -> str:
    """The page as Markdown."""
    kinds = document_types()
    lines = page_head("Documents", INTRODUCTION)
    lines += table(
        ["document", "version", "what it is", "JSON Schema"],
        [
            [
                f"[{kind.__name__}](#{kind.__name__.lower()})",
                str(kind.VERSION),
                prose(kind.__doc__).partition("\n\n")[0],
                f"[schema]({SCHEMAS}/{schema_file(kind)})",
            ]
            for kind in kinds
        ],
    )
    _, components = msgspec.json.schema_components(kinds, ref_template=REF_TEMPLATE)
    names = [kind.__name__ for kind in kinds]
    lines += ["## The documents", ""]
    for name in names:
        lines += struct_section(name, components[name], 3)
    lines += ["## Their parts", ""]
    for name in sorted(components.keys() - set(names)):
        lines += struct_section(name, components[name], 3)
    return "\n".join(lines)


def document_schemas() -> dict[str, str]:
    """The JSON Schema of each document as the text of a file, by the file's name."""
    return {f"{SCHEMAS}/{schema_file(kind)}": _text(kind) for kind in document_types()}


def schema_file(kind: type[Document]) -> str:
    """The name of a document's schema.

    >>> from contracts.manifest import Manifest
    >>> schema_file(Manifest)
    'manifest.json'
    """
    return f"{kind.__name__.lower()}.json"


def _text(kind: type[Document]) -> str:
    schema: dict[str, Any] = {"$schema": SCHEMA_DIALECT, **msgspec.json.schema(kind)}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
