"""Where each model stands: in the registry, on this machine, in the service."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from contracts.errors import PlatformError
from contracts.names import Layout
from registry.production import read_switches
from registry.pull import TAG_REFUSED, pointer_of
from registry.store import Store

TIMEOUT_S = 5.0


@dataclass(frozen=True)
class ModelState:
    """One model; an empty text where nothing is, or nothing answers.

    `refused` tells why the Production version is not served, if it was refused.
    """

    name: str
    production: str
    pointed: str
    answers: str
    refused: str


def states(store: Store, layout: Layout, url: str, key: str = "") -> list[ModelState]:
    """Every model, by name; nothing is changed.

    Raises:
        RegistryUnreachable: the tracking server does not answer.
        PlatformError: the service at `url` answers with an error.

    """
    served = _served(url, key)
    return [_state(store, layout, model.name, served) for model in store.models()]


def _state(store: Store, layout: Layout, name: str, served: dict[str, str]) -> ModelState:
    production = read_switches(store, name).alias
    pointer = pointer_of(layout, name)
    tags = store.version(name, production).tags if production is not None else {}
    return ModelState(
        name=name,
        production="" if production is None else str(production),
        pointed="" if pointer is None else str(pointer.version),
        answers=served.get(name, ""),
        refused=tags.get(TAG_REFUSED, ""),
    )


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
