"""`http-api.md`: the paths of a service with one model, from its OpenAPI document."""

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

from contracts.manifest import Certificate, DataIdentity, Manifest, Pointer
from docs_site.reference.json_fields import struct_section, type_name
from docs_site.reference.markdown import code, joined, page_head, prose, table
from services.edge.openapi import openapi_document
from services.inference.json_templates import encode
from services.protocols.catalog import PROTOCOLS
from services.serving.endpoint import SingleEndpoint
from services.serving.label_log import LabelLog
from services.serving.model import Model
from training.recipe import load_recipe

EXAMPLE = "iris"
INTRODUCTION = f"""\
The service has these paths for each model that it serves; `{{name}}` is the model. Where a single
model is served, the paths without a name work as well. The page is made from the
OpenAPI document of a service with the model `{EXAMPLE}`, keys and jobs. A running service has its
own, with the schemas of its models: drawn at `/`, as JSON at `/docs.json`, from which
[clients are generated](../clients.md). A refused request has one of the [codes](errors.md) and the
body [FaultBody](#faultbody). [Requests](../requests.md) explains formats and limits."""
BODIES = f"""\
Names such as `{EXAMPLE.title()}Row` begin with the name of the model."""


def openapi() -> dict[str, Any]:
    """The OpenAPI document of a service that serves the recipe `iris`."""
    recipe = load_recipe(EXAMPLE)
    manifest = Manifest(
        name=EXAMPLE,
        task=recipe.task,
        schema=recipe.schema,
        classes=recipe.classes,
        description=recipe.description,
        run_id="",
        recipe=EXAMPLE,
        created_at="",
        data=DataIdentity(source="", digest="", n_train=0, n_holdout=0),
        libraries={},
        metrics={},
        certificate=Certificate(
            rows={}, tolerance=0.0, max_difference=0.0, class_differences=0, passed=True
        ),
        golden=(),
        files={},
    )
    pointer = Pointer(name=EXAMPLE, version=1, run_id="", digest="", bento_tag="", moved_at="")
    # The document asks an endpoint for its version and manifest only.
    served = SimpleNamespace(version=1, served=SimpleNamespace(manifest=manifest, pointer=pointer))
    endpoint = cast("SingleEndpoint", served)
    model = Model(endpoint, endpoint, cast("LabelLog", SimpleNamespace()))
    return openapi_document({EXAMPLE: model}, "1", PROTOCOLS, has_keys=True, has_jobs=True)


def http_page() -> str:
    """The page as Markdown."""
    document = json.loads(encode(openapi()))
    lines = page_head("HTTP API", INTRODUCTION)
    by_tag: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                tag = operation["tags"][0]
                by_tag.setdefault(tag, []).append((path, method, operation))
    for tag, operations in by_tag.items():
        lines += [f"## {tag}", "", *_operations(operations)]
    lines += ["## Bodies", "", joined(BODIES), ""]
    for name, schema in sorted(document["components"]["schemas"].items()):
        lines += struct_section(name, schema, 3)
    return "\n".join(lines)


def _operations(operations: list[tuple[str, str, dict[str, Any]]]) -> Iterator[str]:
    rows = []
    for path, method, operation in operations:
        shown = path.replace(f"/{EXAMPLE}", "/{name}").replace("/versions/1", "/versions/{version}")
        needs_key = "yes" if operation.get("security") else "no"
        answer = operation["responses"].get("200", operation["responses"].get("202", {}))
        rows.append(
            [
                code(f"{method.upper()} {shown}"),
                _summary(operation),
                _bodies(operation.get("requestBody", {})),
                _bodies(answer),
                needs_key,
            ]
        )
    yield from table(["path", "what it is for", "request", "response", "key"], rows)


def _summary(operation: dict[str, Any]) -> str:
    """What the operation does, without the name and the description of the example."""
    text = str(operation["summary"])
    recipe = load_recipe(EXAMPLE)
    for start in (f"{EXAMPLE}: ", f"{recipe.description}: "):
        text = text.removeprefix(start)
    text = text[:1].upper() + text[1:]
    return f"{text} {prose(operation.get('description'))}".strip()


def _bodies(holder: dict[str, Any]) -> str:
    """The types of a body by media type."""
    content = holder.get("content", {})
    shown = []
    for media, each in content.items():
        kind = type_name(each.get("schema", {}))
        shown.append(kind if media == "application/json" else f"{code(media)}: {kind}")
    return "; ".join(shown)
