"""Versions of registered models in MLflow, and their stages.

MLflow has deprecated stages; people still use the switch in its page. Where a newer MLflow no
longer has them, `has_stages` is False, every version's stage is empty, and nothing is moved.
"""

import inspect
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contracts.errors import NotRegistered
from contracts.names import PRODUCTION_STAGE, TAG_DIGEST
from registry.mlflow_store.connection import Connection
from registry.mlflow_store.models import Models

LOGGED_MODEL = "models:/m-"
"""How the URI of a model begins that a run logged."""


@dataclass(frozen=True)
class StoredVersion:
    """A model version; `stage` is empty where it has none."""

    name: str
    version: int
    run_id: str
    source: str
    stage: str
    status: str
    created_ms: int
    tags: Mapping[str, str]

    @property
    def digest(self) -> str:
        """The sha256 of its manifest; empty for a version that `slipway train` did not make."""
        return self.tags.get(TAG_DIGEST, "")


class Versions:
    """The model versions of a tracking server."""

    def __init__(self, connection: Connection, models: Models) -> None:
        self._connection = connection
        self._client = connection.client
        self._models = models

    @property
    def has_stages(self) -> bool:
        """Whether this MLflow can still move a version from one stage to another."""
        return hasattr(self._client, "transition_model_version_stage")

    def create(
        self, name: str, source: str, run_id: str, tags: Mapping[str, str], description: str
    ) -> int:
        """Register a version of a model; returns its number.

        Over HTTP, a tracking server accepts a logged model as the source (`models:/m-...`) only
        if the request also names its id.
        """
        extra: dict[str, str] = {}
        known = inspect.signature(self._client.create_model_version).parameters
        if source.startswith(LOGGED_MODEL) and "model_id" in known:
            extra["model_id"] = source.removeprefix("models:/")
        with self._connection.errors():
            created = self._client.create_model_version(
                name, source, run_id, tags=dict(tags), description=description, **extra
            )
        return int(created.version)

    def of(self, name: str) -> list[StoredVersion]:
        """The versions of a model, oldest first."""
        # MLflow reads both quotation marks, and has no way to escape one.
        quote = '"' if "'" in name else "'"
        query = "" if quote in name else f"name = {quote}{name}{quote}"
        found = self._connection.search(self._client.search_model_versions, filter_string=query)
        found = [version for version in found if version.name == name]
        return sorted(map(_version, found), key=lambda version: version.version)

    def get(self, name: str, version: int) -> StoredVersion:
        """One version of a model.

        Raises:
            NotRegistered: no such model or version; the message lists the versions there are.
            RegistryUnreachable: the tracking server does not answer.

        """
        self._models.get(name)
        try:
            with self._connection.errors():
                return _version(self._client.get_model_version(name, str(version)))
        except NotRegistered as err:
            known = ", ".join(str(v.version) for v in self.of(name)) or "none"
            raise NotRegistered(
                f"model {name!r}: expected one of its versions ({known}), got {version}",
                remedy=f"slipway versions {name}",
            ) from err

    def newest(self, name: str) -> StoredVersion:
        """The version of a model that was registered last.

        Raises:
            NotRegistered: no such model, or it has no version.
            RegistryUnreachable: the tracking server does not answer.

        """
        self._models.get(name)
        versions = self.of(name)
        if not versions:
            raise NotRegistered(
                f"model {name!r}: expected a version, got none", remedy=f"slipway train {name}"
            )
        return versions[-1]

    def set_tag(self, name: str, version: int, key: str, value: str) -> None:
        """Set a tag of a version."""
        self._connection.write(self._client.set_model_version_tag, name, str(version), key, value)

    def delete_tag(self, name: str, version: int, key: str) -> None:
        """Delete a tag of a version."""
        self._connection.write(self._client.delete_model_version_tag, name, str(version), key)

    def delete(self, name: str, version: int) -> None:
        """Delete a version; its run and artifacts stay."""
        with self._connection.errors():
            self._client.delete_model_version(name, str(version))

    def move_to_production_stage(self, name: str, version: int) -> None:
        """Put one version into the stage Production, and every other version out of it."""
        self._move(name, version, PRODUCTION_STAGE, archive=True)

    def archive(self, name: str, version: int) -> None:
        """Put a version into the stage Archived."""
        self._move(name, version, "Archived", archive=False)

    def _move(self, name: str, version: int, stage: str, *, archive: bool) -> None:
        if not self.has_stages:
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            self._connection.write(
                self._client.transition_model_version_stage,
                name,
                str(version),
                stage,
                archive_existing_versions=archive,
            )


def _version(version: Any) -> StoredVersion:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        stage = getattr(version, "current_stage", None)
    return StoredVersion(
        name=version.name,
        version=int(version.version),
        run_id=version.run_id or "",
        source=version.source or "",
        stage="" if stage in {None, "None"} else stage,
        status=version.status,
        created_ms=version.creation_timestamp,
        tags=dict(version.tags),
    )
