"""Where each model stands: in the registry, on this machine, in the service."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from contracts.errors import PlatformError
from contracts.names import CHALLENGER, ROLES, SHADOW, TAG_CHALLENGER_SPLIT, Layout
from registry.alias_pointers import split_of
from registry.mlflow_store.models import StoredModel
from registry.production import read_switches
from registry.pull import TAG_REFUSED, pointer_of
from registry.rollout import canary_of
from registry.store import Store

TIMEOUT_S = 5.0


@dataclass(frozen=True)
class ModelState:
    """One model; an empty text where nothing is, or nothing answers.

    `challenger` is its version and the share that it is given here, `wanted` the words of the
    tag, `canary` what was decided last. `refused` tells why a version that an alias names is
    not asked, if it was refused.
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


def states(store: Store, layout: Layout, url: str, key: str = "") -> list[ModelState]:
    """Every model, by name; nothing is changed.

    Raises:
        RegistryUnreachable: the tracking server does not answer.
        PlatformError: the service at `url` answers with an error.

    """
    served = _served(url, key)
    return [_state(store, layout, model.name, served) for model in store.models.all()]


def _state(store: Store, layout: Layout, name: str, served: dict[str, str]) -> ModelState:
    production = read_switches(store, name).alias
    pointer = pointer_of(layout, name)
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
    )


def _challenger(layout: Layout, model: StoredModel) -> str:
    """The challenger and its share as it is in force here."""
    version = model.aliases.get(CHALLENGER)
    if version is None:
        return ""
    split = split_of(layout, model.name)
    weight = split.weight if split is not None and split.challenger_version == version else 0.0
    return f"{version} at {100 * weight:.4g}%"


def _canary(model: StoredModel) -> str:
    """How the canary of a model stands."""
    canary = canary_of(model)
    if canary is None:
        return ""
    if canary.status == "running":
        weight = canary.weights[canary.step]
        step = f"step {canary.step + 1} of {len(canary.weights)} at {100 * weight:.4g}%"
        return f"version {canary.challenger_version}: {step}"
    return f"version {canary.challenger_version}: {canary.sentence}"


def _served(url: str, key: str) -> dict[str, str]:
    """The version of each model that the service at `url` answers with; none if it is not there."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    request = urllib.request.Request(f"{url}/models", headers=headers)  # noqa: S310 - the user's own URL
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - the same
            models: list[dict[str, Any]] = json.load(answer)["models"]
    except urllib.error.HTTPError as err:
        raise PlatformError(
            f"service: expected {url}/models to answer, got {err.code} {err.reason}",
            remedy="slipway status --key KEY",
        ) from err
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return {}
    return {model["name"]: str(model["version"]) for model in models}
