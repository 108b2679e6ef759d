"""The state of each model: in the registry, on this machine, in the running service."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from contracts.errors import PlatformError
from contracts.names import (
    CHALLENGER,
    PRODUCTION,
    ROLES,
    SHADOW,
    TAG_CHALLENGER_SPLIT,
    TAG_RUNTIME,
    Layout,
)
from registry.mlflow_store.models import StoredModel
from registry.pointers import read_pointer, read_split
from registry.production import read_state
from registry.refusals import TAG_REFUSED
from registry.rollout import canary_of
from registry.store import Store

STATUS_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class ModelState:
    """The state of one model; a field is empty if there is no such version.

    `production` is the version with the alias, `pointed` the one this machine serves, `answers`
    the one that the service reports. `challenger` is the version and its share in force here,
    `wanted` the requested split, `canary` its last decision. `refused` says why a version with
    an alias is not served. `runtime` is what scores the version in production.
    """

    name: str
    production: str
    pointed: str
    answers: str
    challenger: str
    wanted: str
    shadow: str
    canary: str
    refused: str
    runtime: str


def states(store: Store, layout: Layout, served: Mapping[str, str]) -> list[ModelState]:
    """The state of every model, by name; changes nothing.

    `served` are the versions that a service reports, by model: see `served_versions`.

    Raises:
        RegistryUnreachable: the tracking server does not answer.

    """
    return [_state(store, layout, model.name, served) for model in store.models.all()]


def _state(store: Store, layout: Layout, name: str, served: Mapping[str, str]) -> ModelState:
    production = read_state(store, name).alias
    pointer = read_pointer(layout, name)
    model = store.models.get(name)
    named = {role: model.aliases[role] for role in ROLES if role in model.aliases}
    tags = {role: store.versions.get(name, version).tags for role, version in named.items()}
    refusals = [f"{r}: {t[TAG_REFUSED]}" for r, t in tags.items() if TAG_REFUSED in t]
    return ModelState(
        name=name,
        production="" if production is None else str(production),
        pointed="" if pointer is None else str(pointer.version),
        answers=served.get(name, ""),
        challenger=_challenger(layout, model),
        wanted=model.tags.get(TAG_CHALLENGER_SPLIT, ""),
        shadow=str(named.get(SHADOW, "")),
        canary=_canary(model),
        refused="; ".join(refusals),
        runtime=tags[PRODUCTION].get(TAG_RUNTIME, "onnx") if PRODUCTION in tags else "",
    )


def _challenger(layout: Layout, model: StoredModel) -> str:
    """The challenger and its share as it is in force here."""
    version = model.aliases.get(CHALLENGER)
    if version is None:
        return ""
    split = read_split(layout, model.name)
    weight = split.weight if split is not None and split.challenger_version == version else 0.0
    return f"{version} at {100 * weight:.4g}%"


def _canary(model: StoredModel) -> str:
    """The step of a running canary, or how the last one ended."""
    canary = canary_of(model)
    if canary is None:
        return ""
    if canary.status == "running":
        weight = canary.weights[canary.step]
        step = f"step {canary.step + 1} of {len(canary.weights)} at {100 * weight:.4g}%"
        return f"version {canary.challenger_version}: {step}"
    return f"version {canary.challenger_version}: {canary.sentence}"


def served_versions(url: str, key: str = "") -> dict[str, str] | None:
    """The version by which the service at `url` answers for each model; None if none answers.

    Raises:
        PlatformError: the service answers with an error, or is no HTTP service.

    """
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        answer = httpx.get(f"{url.rstrip('/')}/models", headers=headers, timeout=STATUS_TIMEOUT_S)
    except (httpx.NetworkError, httpx.TimeoutException):
        return None
    except (httpx.HTTPError, httpx.InvalidURL) as err:
        raise PlatformError(
            f"--url: expected an HTTP service at {url!r}, got {err}",
            remedy="for example --url http://127.0.0.1:3000",
        ) from err
    if answer.status_code != httpx.codes.OK:
        raise PlatformError(
            f"service: expected {url}/models to answer 200, "
            f"got {answer.status_code} {answer.reason_phrase}",
            remedy="slipway status --key KEY",
        )
    models: list[dict[str, Any]] = answer.json()["models"]
    return {model["name"]: str(model["version"]) for model in models}
