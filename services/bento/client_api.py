"""BentoML's API methods for our paths: names and types for BentoML's clients and its build.

The edge answers these paths, so the methods are never called. The types are made from the same
JSON Schema as the OpenAPI document.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, NoReturn

import bentoml
import msgspec
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, create_model

from contracts.json_schema import JsonSchema, row_schema
from contracts.manifest import Manifest
from services.protocols.prediction import prediction_type


def api_methods(manifests: Iterable[Manifest]) -> dict[str, Any]:
    """The API methods of a service with these models, by name of the method."""
    methods: dict[str, Any] = {}
    models = list(manifests)
    for manifest in models:
        name = manifest.name
        methods[f"predict_{name}"] = _predict(manifest, f"/models/{name}/predict")
        methods[f"predict_{name}_batch"] = _predict_batch(manifest)
    if len(models) == 1:
        methods["predict"] = _predict(models[0], "/predict")
    return methods


def _predict(manifest: Manifest, route: str) -> Any:
    def predict(self: Any, **features: Any) -> NoReturn:
        del self, features
        raise _never_called(route)

    predict.__doc__ = f"{_about(manifest)}: one prediction."
    predict.__name__ = predict.__qualname__ = f"predict_{manifest.name}"
    return bentoml.api(route=route, input_spec=_row(manifest), output_spec=_prediction(manifest))(
        predict
    )


def _predict_batch(manifest: Manifest) -> Any:
    route = f"/models/{manifest.name}/predict/batch"

    def predict_batch(self: Any, rows: list[Any]) -> NoReturn:
        del self, rows
        raise _never_called(route)

    predict_batch.__doc__ = f"{_about(manifest)}: a prediction for each row."
    predict_batch.__name__ = predict_batch.__qualname__ = f"predict_{manifest.name}_batch"
    row = row_schema(manifest.schema)
    rows = _model(manifest, "Rows", {"rows": {"type": "array", "minItems": 1, "items": row}})
    results = {"type": "array", "items": {"type": "object"}}
    answers = _model(manifest, "Results", {"results": results, "failed": {"type": "integer"}})
    return bentoml.api(route=route, input_spec=rows, output_spec=answers)(predict_batch)


def _never_called(route: str) -> RuntimeError:
    return RuntimeError(f"expected the edge to answer {route}, got a call of BentoML's method")


def _about(manifest: Manifest) -> str:
    return manifest.description or manifest.name


def _row(manifest: Manifest) -> type[BaseModel]:
    schema = row_schema(manifest.schema)
    optional = [feature.name for feature in manifest.schema.features if feature.nullable]
    return _model(manifest, "Features", schema["properties"], optional)


def _prediction(manifest: Manifest) -> type[BaseModel]:
    schema = msgspec.json.schema(prediction_type(manifest))
    name = schema["$ref"].rpartition("/")[2]
    return _model(manifest, "Prediction", schema["$defs"][name]["properties"])


def _model(
    manifest: Manifest,
    suffix: str,
    properties: Mapping[str, JsonSchema],
    optional: Iterable[str] = (),
) -> type[BaseModel]:
    """A pydantic model whose JSON Schema has these properties; it validates nothing itself."""
    omitted = set(optional)
    fields: dict[str, Any] = {}
    for index, (name, schema) in enumerate(properties.items()):
        default = None if name in omitted else ...
        # Pydantic keeps some names to itself; such a feature has its name as an alias.
        is_taken = name.startswith("_") or hasattr(BaseModel, name)
        field = Field(default, alias=name) if is_taken else default
        key = f"feature_{index}" if is_taken else name
        fields[key] = (Annotated[Any, WithJsonSchema(schema)], field)
    config = ConfigDict(extra="forbid", protected_namespaces=())
    return create_model(f"{manifest.name.title()}{suffix}", __config__=config, **fields)
