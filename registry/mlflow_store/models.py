"""Registered models in MLflow: their names, aliases and tags."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contracts.errors import NotRegistered
from contracts.names import PRODUCTION
from registry.mlflow_store.connection import Connection
from registry.mlflow_store.errors import translated


@dataclass(frozen=True)
class StoredModel:
    """A registered model: version numbers by alias, tags by key."""

    name: str
    aliases: Mapping[str, int]
    tags: Mapping[str, str]


class Models:
    """The registered models of a tracking server."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._client = connection.client

    def all(self) -> list[StoredModel]:
        """Every registered model, by name."""
        found = self._connection.search(self._client.search_registered_models)
        return sorted(map(_model, found), key=lambda model: model.name)

    def get(self, name: str) -> StoredModel:
        """The registered model `name`.

        Raises:
            NotRegistered: there is none; the remedy names the nearest.
            RegistryUnreachable: the tracking server does not answer.

        """
        try:
            with self._connection.errors():
                return _model(self._client.get_registered_model(name))
        except NotRegistered as err:
            raise self._unknown(name) from err

    def ensure(self, name: str, description: str) -> None:
        """Register a model, unless it is registered already."""
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(name, description=description)
        except MlflowException as err:
            if err.error_code != "RESOURCE_ALREADY_EXISTS":
                raise translated(err, self._connection.tracking_uri) from err

    def set_tag(self, name: str, key: str, value: str) -> None:
        """Set a tag of a model."""
        self._connection.write(self._client.set_registered_model_tag, name, key, value)

    def delete_tag(self, name: str, key: str) -> None:
        """Delete a tag of a model."""
        self._connection.write(self._client.delete_registered_model_tag, name, key)

    def set_alias(self, name: str, version: int, alias: str = PRODUCTION) -> None:
        """Point an alias of a model at a version."""
        self._connection.write(self._client.set_registered_model_alias, name, alias, str(version))

    def delete_alias(self, name: str, alias: str = PRODUCTION) -> None:
        """Delete an alias of a model."""
        self._connection.write(self._client.delete_registered_model_alias, name, alias)

    def _unknown(self, name: str) -> NotRegistered:
        known = [model.name for model in self.all()]
        near = difflib.get_close_matches(name, known, n=1)
        return NotRegistered(
            f"model: expected one of {', '.join(known) or 'none registered yet'}, got {name!r}",
            remedy=f"did you mean {near[0]!r}?" if near else f"slipway train {name}",
        )


def _model(model: Any) -> StoredModel:
    aliases = {alias: int(version) for alias, version in model.aliases.items()}
    return StoredModel(model.name, aliases, dict(model.tags))
