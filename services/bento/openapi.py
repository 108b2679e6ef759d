"""The OpenAPI document: what BentoML knows of its own methods, completed by what the edge does.

BentoML's document describes the bodies of its API methods. The edge answers more paths, refuses
in more ways and in another shape; a document that leaves that out is a wrong one.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import attr
from bentoml._internal.service.openapi.specification import (
    Info,
    OpenAPISpecification,
    PathItem,
    Schema,
)

from contracts.manifest import Manifest
from contracts.schema import FLOAT32_MAX, Feature
from services.faults import FAULTS

FAULT = {"$ref": "#/components/schemas/Fault"}
FAULT_V2 = {"$ref": "#/components/schemas/FaultV2"}
VIOLATIONS = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {word: {"type": "string"} for word in ("path", "expected", "got")},
    },
}
_CODE = {"type": "string", "enum": list(FAULTS)}
_TOLD = {
    "code": _CODE,
    "message": {"type": "string"},
    "violations": VIOLATIONS,
    "request_id": {"type": "string"},
}
SCHEMAS: dict[str, dict[str, Any]] = {
    "Fault": {
        "type": "object",
        "required": ["error"],
        "properties": {"error": {"type": "object", "properties": _TOLD, "required": list(_TOLD)}},
    },
    "FaultV2": {
        "type": "object",
        "required": ["error"],
        "properties": {"error": {"type": "string"}, **_TOLD},
    },
}
NEVER_ASKED = frozenset(
    {"InvalidArgument", "NotFound", "InternalServerError", "TaskStatusResponse"}
)
"""BentoML's own errors and tasks, which this service does not answer with."""
OBJECT = {"type": "object"}


def completed(spec: OpenAPISpecification, manifests: Sequence[Manifest]) -> OpenAPISpecification:
    """The document with every path, every refusal, and how keys are presented."""
    kept = {k: v for k, v in spec.components["schemas"].items() if k not in NEVER_ASKED}
    rows = {_row_name(manifest): _row(manifest) for manifest in manifests}
    ours = {name: Schema(**each) for name, each in (SCHEMAS | rows).items()}
    paths = {path: _completed(item, _body_of(path, manifests)) for path, item in spec.paths.items()}
    return attr.evolve(
        spec,
        info=Info(
            title="Slipway",
            version="checkout" if spec.info.version == "None" else spec.info.version,
            description=spec.info.description,
        ),
        components={
            "schemas": kept | ours,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
        },
        paths={**paths, **dict(_more_paths(manifests))},
    )


def _body_of(path: str, manifests: Sequence[Manifest]) -> dict[str, Any]:
    """What may be sent to a path of our own protocol."""
    manifest = next((m for m in manifests if path.startswith(f"/models/{m.name}/")), None)
    row = {"$ref": f"#/components/schemas/{_row_name(manifest or manifests[0])}"}
    if not path.endswith("/batch"):
        return row
    rows = _only("rows", {"type": "array", "minItems": 1, "items": row})
    columns = _only("columns", {"type": "object", "additionalProperties": {"type": "array"}})
    return {"oneOf": [rows, columns]}


def _only(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """An object with one field."""
    fields = {"properties": {name: schema}, "required": [name]}
    return {"type": "object", "additionalProperties": False, **fields}


def _row_name(manifest: Manifest) -> str:
    return f"{manifest.name.title()}Row"


def _row(manifest: Manifest) -> dict[str, Any]:
    """The features of a model, with their ranges, units, and an example of the manifest."""
    example = manifest.golden[0].features if manifest.golden else None
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [f.name for f in manifest.schema.features if not f.nullable],
        "properties": {f.name: _feature(f) for f in manifest.schema.features},
        "example": example,
    }


def _feature(feature: Feature) -> dict[str, Any]:
    told: dict[str, Any] = {"type": TYPES[feature.type]}
    told["description"] = f"{feature.description} ({feature.expected})".strip()
    if feature.is_category and feature.policy == "reject":
        told["enum"] = [*feature.categories, *([None] if feature.nullable else [])]
    if feature.type in {"float", "int"}:
        is_strict = feature.policy == "reject"
        exact = int if feature.type == "int" else float
        told["minimum"] = exact(feature.low if is_strict else -FLOAT32_MAX)
        told["maximum"] = exact(feature.high if is_strict else FLOAT32_MAX)
    return told | ({"nullable": True} if feature.nullable else {})


TYPES = {"float": "number", "int": "integer", "bool": "boolean", "category": "string"}


def _completed(item: PathItem, body: dict[str, Any]) -> PathItem:
    """An operation of ours, with our body and our refusals."""
    operation: Any = item.post
    if not isinstance(operation, dict) or "requestBody" not in operation:
        return item
    more = {
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {"200": operation["responses"][200], **_refusals(FAULT)},
        "security": SECURITY,
    }
    return attr.evolve(item, post={**operation, **more})


SECURITY: list[dict[str, list[str]]] = [{}, {"bearer": []}, {"key": []}]
"""A key one way or the other, or none where keys are off."""


def _more_paths(manifests: Sequence[Manifest]) -> Iterator[tuple[str, PathItem]]:
    yield "/models", _get("All models: versions, schemas, metrics.")
    yield "/v2", _get("Open Inference Protocol: the server.", "Open Inference Protocol v2")
    for state in ("live", "ready"):
        words = f"Open Inference Protocol: whether the server is {state}."
        yield f"/v2/health/{state}", _get(words, "Open Inference Protocol v2", FAULT_V2)
    for manifest in manifests:
        name = manifest.name
        yield f"/models/{name}", _get(f"{name}: version, schema, metrics.")
        yield (
            f"/models/{name}/invocations",
            _post(f"{name}: MLflow's scoring protocol.", "MLflow", FAULT, INVOCATION),
        )
        yield (
            f"/models/{name}/labels",
            _post(f"{name}: what turned out to be true.", "Labels", FAULT, LABELS),
        )
        v2 = f"/v2/models/{name}"
        yield v2, _get(f"{name}: inputs and outputs.", "Open Inference Protocol v2", FAULT_V2)
        yield f"{v2}/ready", _get(f"{name}: ready?", "Open Inference Protocol v2", FAULT_V2)
        yield (
            f"{v2}/infer",
            _post(f"{name}: tensors.", "Open Inference Protocol v2", FAULT_V2, INFERENCE),
        )


LABEL = {
    "type": "object",
    "required": ["prediction_id", "truth"],
    "properties": {
        "prediction_id": {"type": "string"},
        "truth": {},
        "time": {"type": "string", "format": "date-time"},
    },
    "additionalProperties": False,
}
LABELS = {"oneOf": [LABEL, _only("labels", {"type": "array", "minItems": 1, "items": LABEL})]}
INVOCATION = {
    "type": "object",
    "properties": {
        "dataframe_split": {
            "type": "object",
            "properties": {"columns": {"type": "array"}, "data": {"type": "array"}},
        },
        "dataframe_records": {"type": "array", "items": OBJECT},
        "inputs": {},
        "instances": {},
    },
}
INFERENCE = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string"},
        "inputs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "shape", "datatype", "data"],
                "properties": {
                    "name": {"type": "string"},
                    "shape": {"type": "array", "items": {"type": "integer"}},
                    "datatype": {"type": "string"},
                    "data": {"type": "array"},
                },
            },
        },
        "outputs": {"type": "array", "items": OBJECT},
    },
}


def _get(words: str, tag: str = "Models", fault: dict[str, str] = FAULT) -> PathItem:
    return PathItem(get=_operation(words, tag, fault))


def _post(words: str, tag: str, fault: dict[str, str], body: dict[str, Any]) -> PathItem:
    content = {"application/json": {"schema": body}}
    return PathItem(
        post=_operation(words, tag, fault) | {"requestBody": {"required": True, "content": content}}
    )


def _operation(words: str, tag: str, fault: dict[str, str]) -> dict[str, Any]:
    ok = {"description": "OK", "content": {"application/json": {"schema": OBJECT}}}
    return {
        "description": words,
        "tags": [tag],
        "responses": {"200": ok, **_refusals(fault)},
        "security": SECURITY,
    }


def _refusals(fault: dict[str, str]) -> dict[str, Any]:
    """By status, in which cases a request is refused."""
    cases: dict[str, list[str]] = {}
    for code, (status, meaning) in FAULTS.items():
        cases.setdefault(str(status), []).append(f"`{code}`: {meaning}")
    return {
        status: {
            "description": "; ".join(each),
            "content": {"application/json": {"schema": fault}},
        }
        for status, each in cases.items()
    }
