"""BentoML's own API methods for the same operations, with types made from the manifests.

They make the docs page, the OpenAPI document and BentoML's clients complete. The edge answers
their routes before they are reached; without it they answer themselves.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

import bentoml
import msgspec
from bentoml.exceptions import BentoMLException, InvalidArgument
from pydantic import BaseModel, ConfigDict, Field, create_model

from contracts.manifest import Manifest
from contracts.schema import Feature
from services.faults import Fault
from services.inference.batch_result import new_request_id
from services.serving.repository import ModelRepository

CLIENT_FAULTS = range(400, 500)


def api_methods(
    manifests: list[Manifest], repository_of: Callable[[Any], ModelRepository]
) -> dict[str, Any]:
    """The API methods of a service with these models, by name of the method."""
    methods: dict[str, Any] = {}
    for manifest in manifests:
        name = manifest.name
        methods[f"predict_{name}"] = _predict(manifest, f"/models/{name}/predict", repository_of)
        methods[f"predict_{name}_batch"] = _predict_batch(manifest, repository_of)
    if len(manifests) == 1:
        methods["predict"] = _predict(manifests[0], "/predict", repository_of)
    return methods


def _predict(
    manifest: Manifest, route: str, repository_of: Callable[[Any], ModelRepository]
) -> Any:
    async def predict(self: Any, **features: Any) -> Any:
        given = {name: value for name, value in features.items() if value is not None}
        repository = repository_of(self)
        asked = repository.endpoint(manifest.name).predict_row(given, new_request_id())
        return await _answered(asked, repository, manifest.name)

    predict.__doc__ = f"{manifest.description or manifest.name}: one prediction."
    predict.__name__ = predict.__qualname__ = f"predict_{manifest.name}"
    return bentoml.api(
        route=route, input_spec=input_type(manifest), output_spec=answer_type(manifest)
    )(predict)


def _predict_batch(manifest: Manifest, repository_of: Callable[[Any], ModelRepository]) -> Any:
    row = input_type(manifest)
    rows = create_model(
        f"{manifest.name.title()}Rows",
        rows=(list[row], Field(min_length=1)),  # type: ignore[valid-type]  # made here
    )
    answer = answer_type(manifest)
    answers = create_model(
        f"{manifest.name.title()}Answers",
        results=(list[answer | dict[str, Any]], ...),  # type: ignore[valid-type]  # made here
        failed=(int, ...),
    )

    async def predict_batch(self: Any, rows: list[BaseModel]) -> Any:
        body = msgspec.json.encode({"rows": [r.model_dump(exclude_none=True) for r in rows]})
        repository = repository_of(self)
        asked = repository.endpoint(manifest.name).predict_batch(body, new_request_id())
        return await _answered(asked, repository, manifest.name)

    predict_batch.__doc__ = f"{manifest.description or manifest.name}: a prediction for each row."
    predict_batch.__name__ = predict_batch.__qualname__ = f"predict_{manifest.name}_batch"
    route = f"/models/{manifest.name}/predict/batch"
    return bentoml.api(route=route, input_spec=rows, output_spec=answers)(predict_batch)


def input_type(manifest: Manifest) -> type[BaseModel]:
    """The pydantic type of a request, with ranges, units, and an example of the manifest."""
    example = manifest.golden[0].features if manifest.golden else {}
    fields: dict[str, Any] = {
        feature.name: _field(feature, example.get(feature.name))
        for feature in manifest.schema.features
    }
    return create_model(
        f"{manifest.name.title()}Features",
        __config__=ConfigDict(strict=True, extra="forbid", protected_namespaces=()),
        **fields,
    )


def answer_type(manifest: Manifest) -> type[BaseModel]:
    """The pydantic type of an answer."""
    prediction: Any = Literal[manifest.classes] if manifest.classes else float
    scores = "probabilities" if manifest.classes else "values"
    fields: dict[str, Any] = {
        "prediction_id": (str, Field(description="Names this prediction in the traffic log")),
        "model": (str, ...),
        "version": (int, ...),
        "variant": (str, ...),
        "time": (str, Field(description="UTC, RFC 3339")),
        "prediction": (prediction, ...),
        scores: (dict[str, float], ...),
        "flags": (list[str], Field(description="What was clipped, unseen or out of range")),
    }
    return create_model(
        f"{manifest.name.title()}Answer", __config__=ConfigDict(protected_namespaces=()), **fields
    )


def _field(feature: Feature, example: object) -> tuple[Any, Any]:
    kinds: dict[str, Any] = {"float": float, "int": int, "bool": bool, "category": str}
    kind = kinds[feature.type]
    bounds: dict[str, Any] = {}
    if feature.policy == "reject":
        if feature.is_category:
            kind = Literal[feature.categories]
        bounds = {"ge": feature.minimum, "le": feature.maximum}
    words = " ".join(
        filter(None, [feature.description, f"[{feature.unit}]" if feature.unit else ""])
    )
    about = {k: v for k, v in bounds.items() if v is not None}
    field = Field(
        None if feature.nullable else ...,
        description=words or feature.expected,
        examples=None if example is None else [example],
    )
    bounded = Annotated[kind, Field(**about)] if about else kind
    return (bounded | None if feature.nullable else bounded), field


async def _answered(asked: Awaitable[bytes], repository: ModelRepository, name: str) -> Any:
    """What the endpoint answers, as BentoML wants it; a refusal is counted."""
    try:
        return msgspec.json.decode(await asked)
    except Fault as fault:
        repository.count_refused(name, fault)
        raise _as_bentoml(fault) from fault


def _as_bentoml(fault: Fault) -> BentoMLException:
    """The nearest thing that BentoML knows; it has no place for violations but the text."""
    text = "; ".join(map(str, fault.violations)) or fault.message
    return InvalidArgument(text) if fault.status in CLIENT_FAULTS else BentoMLException(text)
