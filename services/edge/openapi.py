"""The OpenAPI document: every path that the service answers, for the models it serves now.

Its components are the schemas of the structs that are encoded and of the models' features, so the
document and the code cannot differ. The docs page of BentoML (`/`) draws it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from contracts.json_schema import JsonSchema
from contracts.manifest import Manifest, Pointer
from services.edge.job_openapi import job_paths, job_types
from services.edge.model_schemas import model_schemas, with_items
from services.edge.routes import prediction_paths
from services.faults import FAULTS, STATUSES
from services.inference.json_templates import encode
from services.protocols.catalog import PROTOCOLS
from services.protocols.fault_body import FaultBody
from services.protocols.labels import LabelsAccepted, labels_types
from services.protocols.open_inference import ModelMetadata, OpenInference, OpenInferenceFault
from services.protocols.prediction import model_types
from services.protocols.wire_protocol import JSON, SCHEMA_REF, TENSORS, ModelTypes, WireProtocol
from services.serving.load_failures import LoadFailure
from services.serving.model import Model, ModelDescription
from services.serving.repository import ModelRepository

TITLE = "Slipway"
PING = "MLflow's health check: whether the service is ready."
MODELS, LABELS, HEALTH = "Models", "Labels", "Health"
ANY_OBJECT = dict[str, Any]
SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"key": []}]
"""An API key in one of two headers."""
SECURITY_SCHEMES: JsonSchema = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
}
BENTOML_PATHS = {
    "/livez": "Whether the process is alive.",
    "/readyz": "Whether verified models are warm and the service is not about to stop.",
    "/healthz": "Whether the process is alive.",
    "/metrics": "Metrics for Prometheus.",
}
USAGE = (
    '`POST /models/{name}/predict` takes one row, `/predict/batch` takes `{"rows": [...]}`; '
    "`GET /models/{name}` returns the schema. An error lists each violation with its path, what "
    "was expected and what came."
)


class ModelList(msgspec.Struct, frozen=True):
    """What `GET /models` answers; `refused` are versions in force that cannot be served."""

    models: list[ModelDescription]
    refused: list[LoadFailure]


@dataclass(frozen=True)
class PathOperation:
    """One path and method. `request` and `response` are types, or tuples of alternatives.

    `media`: what requests may be instead of JSON, by media type. `needs_key`: where keys are on.
    """

    path: str
    summary: str
    tag: str
    response: Any
    request: Any = None
    fault: type[msgspec.Struct] = FaultBody
    components: tuple[type[msgspec.Struct], ...] = ()
    media: Mapping[str, Any] = field(default_factory=dict)
    needs_key: bool = True
    description: str = ""


class OpenApiPage:
    """Makes the document, once per change of the models.

    `version`: of the running service. `has_keys`: whether requests need an API key. `has_jobs`:
    whether jobs are accepted.
    """

    def __init__(
        self,
        repository: ModelRepository,
        version: Callable[[], str],
        protocols: tuple[type[WireProtocol], ...] = PROTOCOLS,
        *,
        has_keys: bool = False,
        has_jobs: bool = False,
    ) -> None:
        self._repository = repository
        self._version = version
        self._has_keys = has_keys
        self._has_jobs = has_jobs
        self._protocols = protocols
        self._revision = -1
        self._document = b""

    def __call__(self) -> bytes:
        """The document as JSON."""
        if self._revision != self._repository.revision:
            self._revision = self._repository.revision
            models = self._repository.models
            self._document = encode(
                openapi_document(
                    models,
                    self._version(),
                    self._protocols,
                    has_keys=self._has_keys,
                    has_jobs=self._has_jobs,
                )
            )
        return self._document


def openapi_document(
    models: Mapping[str, Model],
    version: str,
    protocols: tuple[type[WireProtocol], ...],
    *,
    has_keys: bool,
    has_jobs: bool,
) -> JsonSchema:
    """The OpenAPI 3.1 document of a service with these models, by name."""
    operations = [*_general(), *_of_models(models, protocols)]
    schemas = _Schemas(operations)
    of_models = {
        k: v for model in models.values() for k, v in model_schemas(model.manifest).items()
    }
    paths = {
        each.path: _path_item(each, schemas, has_key=has_keys and each.needs_key)
        for each in operations
    }
    components = {"schemas": schemas.components | of_models}
    if has_jobs and models:
        _add_jobs(paths, components["schemas"], models, schemas.of(FaultBody), has_keys=has_keys)
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": version, "description": served_table(models)},
        "servers": [{"url": "."}],
        "paths": {**paths, **{path: _bentoml_item(path) for path in BENTOML_PATHS}},
        "components": components | ({"securitySchemes": SECURITY_SCHEMES} if has_keys else {}),
    }


def _add_jobs(
    paths: JsonSchema,
    components: JsonSchema,
    models: Mapping[str, Model],
    fault: JsonSchema,
    *,
    has_keys: bool,
) -> None:
    """Add the paths of jobs, whose bodies are those of the batch route or a table as CSV."""
    csv = {"text/csv": {"schema": {"type": "string", "minLength": 1}}}
    bodies = {
        name: paths[f"/models/{name}/predict/batch"]["post"]["requestBody"]["content"] | csv
        for name in models
    }
    _, found = msgspec.json.schema_components(job_types(), ref_template=SCHEMA_REF)
    components |= {name: with_items(each) for name, each in found.items()}
    added = job_paths(bodies, _refusals(fault))
    if has_keys:
        for item in added.values():
            for operation in item.values():
                operation["security"] = SECURITY
    paths |= added


def served_table(models: Mapping[str, Model]) -> str:
    """Markdown with a line per model: version, what it answers, how good it was, digest."""
    lines = [
        "## What is served",
        "",
        "| model | version | what it answers | held-out rows | digest |",
        "|---|---|---|---|---|",
        *(_table_line(model.served.pointer, model.manifest) for _, model in sorted(models.items())),
        "",
        USAGE,
    ]
    return "\n".join(lines)


def _table_line(pointer: Pointer, manifest: Manifest) -> str:
    name, metric = next(iter(manifest.metrics.items()), ("", None))
    skill = ""
    if metric is not None:
        skill = f"{name} {metric.value:.3g} ({metric.low:.3g} .. {metric.high:.3g})"
    answers = manifest.description or manifest.task
    digest = pointer.digest[:12]
    return f"| {pointer.name} | {pointer.version} | {answers} | {skill} | `{digest}` |"


class _Schemas:
    """The schema of every type in some operations, and the components they refer to."""

    def __init__(self, operations: list[PathOperation]) -> None:
        types: dict[int, Any] = {}
        for each in operations:
            described = (each.request, each.response, each.fault, each.components)
            for alternatives in (*described, *each.media.values()):
                types |= {id(kind): kind for kind in _alternatives(alternatives)}
        schemas, components = msgspec.json.schema_components(
            types.values(), ref_template=SCHEMA_REF
        )
        self.components = {name: with_items(each) for name, each in components.items()}
        self._by_type = dict(zip(types, map(with_items, schemas), strict=True))

    def of(self, kind: Any) -> JsonSchema:
        """The schema of a type, or of a tuple of alternatives."""
        schemas = [self._by_type[id(each)] for each in _alternatives(kind)]
        return schemas[0] if len(schemas) == 1 else {"oneOf": schemas}


def _alternatives(kind: Any) -> tuple[Any, ...]:
    if kind is None:
        return ()
    return kind if isinstance(kind, tuple) else (kind,)


def _general() -> Iterator[PathOperation]:
    yield PathOperation("/models", "All models: versions, schemas, metrics.", MODELS, ModelList)
    yield _open("/ping", PING, HEALTH)
    tag, fault = OpenInference.tag, OpenInferenceFault
    yield _open("/v2", "The server.", tag)
    yield _open("/v2/health/live", "Whether the server is alive.", tag)
    yield _open("/v2/health/ready", "Whether the server is ready.", tag, fault)


def _open(
    path: str, summary: str, tag: str, fault: type[msgspec.Struct] = FaultBody
) -> PathOperation:
    """A path that needs no key."""
    return PathOperation(path, summary, tag, ANY_OBJECT, fault=fault, needs_key=False)


def _of_models(
    models: Mapping[str, Model], protocols: tuple[type[WireProtocol], ...]
) -> Iterator[PathOperation]:
    is_only = len(models) == 1
    for name, model in models.items():
        yield PathOperation(
            f"/models/{name}", f"{name}: version, schema, metrics.", MODELS, ModelDescription
        )
        yield _open(f"/models/{name}/ping", PING, HEALTH)
        types = model_types(model.manifest)
        labels = labels_types(types)
        yield from _labels(f"/models/{name}/labels", name, labels)
        if is_only:
            yield from _labels("/labels", name, labels)
        yield from _metadata(f"/v2/models/{name}", name)
        for version in model.versions:
            yield from _metadata(f"/v2/models/{name}/versions/{version}", name)
        for protocol in protocols:
            if protocol.media_type != JSON:
                continue
            request, response = protocol.request_type(types), protocol.response_type(types)
            media = _other_media(protocol, protocols, types)
            for path, _ in prediction_paths(protocol, name, model, is_only=is_only):
                yield PathOperation(
                    path,
                    _summary(protocol, model.manifest),
                    protocol.tag,
                    response,
                    request,
                    protocol.fault_type,
                    protocol.component_types,
                    media,
                    description=protocol.description,
                )


def _other_media(
    protocol: type[WireProtocol], protocols: tuple[type[WireProtocol], ...], types: ModelTypes
) -> dict[str, Any]:
    """By media type, what else than JSON the paths of a protocol read, if it has a schema."""
    return {
        each.media_type.decode(): each.request_type(types)
        for each in protocols
        if each.paths == protocol.paths and each.media_type not in {JSON, TENSORS}
    }


def _summary(protocol: type[WireProtocol], manifest: Manifest) -> str:
    return f"{manifest.description or manifest.name}: {protocol.summary}"


def _labels(path: str, name: str, request: tuple[Any, Any]) -> Iterator[PathOperation]:
    summary = f"{name}: the true outcomes of predictions."
    yield PathOperation(path, summary, LABELS, LabelsAccepted, request)


def _metadata(root: str, name: str) -> Iterator[PathOperation]:
    tag, fault = OpenInference.tag, OpenInferenceFault
    yield PathOperation(root, f"{name}: inputs and outputs.", tag, ModelMetadata, fault=fault)
    yield _open(f"{root}/ready", f"{name}: whether it is ready.", tag, fault)


def _path_item(operation: PathOperation, schemas: _Schemas, *, has_key: bool) -> JsonSchema:
    answer = _json(schemas.of(operation.response))
    media = {name: {"schema": schemas.of(kind)} for name, kind in operation.media.items()}
    described: JsonSchema = {
        "summary": operation.summary,
        "tags": [operation.tag],
        "responses": {
            "200": {"description": "OK", "content": answer},
            **_refusals(schemas.of(operation.fault)),
        },
    }
    if operation.description:
        described["description"] = operation.description
    if has_key:
        described["security"] = SECURITY
    if operation.request is None:
        return {"get": described}
    body = {"required": True, "content": _json(schemas.of(operation.request)) | media}
    return {"post": described | {"requestBody": body}}


def _refusals(fault: JsonSchema) -> JsonSchema:
    """By HTTP status, the codes of refused requests and what they mean."""
    cases: dict[str, list[str]] = {}
    for code, meaning in FAULTS.items():
        cases.setdefault(str(STATUSES[code]), []).append(f"`{code}`: {meaning}")
    return {
        status: {"description": "; ".join(texts), "content": _json(fault)}
        for status, texts in cases.items()
    }


def _json(schema: JsonSchema) -> JsonSchema:
    return {"application/json": {"schema": schema}}


def _bentoml_item(path: str) -> JsonSchema:
    """A path that BentoML answers, with plain text."""
    responses = {
        status: {"description": meaning, "content": {"text/plain": {"schema": {"type": "string"}}}}
        for status, meaning in (("200", "OK"), ("503", "Not ready"))
    }
    return {"get": {"summary": BENTOML_PATHS[path], "tags": [HEALTH], "responses": responses}}
