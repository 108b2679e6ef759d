"""Runs in MLflow, and the models that they logged."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from contracts.errors import PlatformError
from registry.mlflow_store.connection import Connection


@dataclass(frozen=True)
class StoredRun:
    """A run; `status` is MLflow's, such as RUNNING, `started_ms` its UNIX time."""

    run_id: str
    experiment_id: str
    status: str
    started_ms: int
    tags: Mapping[str, str]


class Runs:
    """The runs of a tracking server."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._client = connection.client

    def get(self, run_id: str) -> StoredRun:
        """A run.

        Raises:
            NotRegistered: there is no such run.
            RegistryUnreachable: the tracking server does not answer.

        """
        with self._connection.errors():
            return _run(self._client.get_run(run_id))

    def with_status(self, status: str) -> list[StoredRun]:
        """Every run with a status, for example RUNNING."""
        found = self._connection.search(
            self._client.search_runs, self._experiments(), f"attributes.status = '{status}'"
        )
        return [_run(run) for run in found]

    def end(self, run_id: str, status: str) -> None:
        """Set the final status of a run."""
        with self._connection.errors():
            self._client.set_terminated(run_id, status=status)

    def pending_models(self) -> list[tuple[str, str]]:
        """Logged models that were never finished, as pairs (model id, run id).

        Empty where this MLflow has no logged models.
        """
        if not hasattr(self._client, "search_logged_models"):
            return []
        found = self._connection.search(self._client.search_logged_models, self._experiments())
        pending = [model for model in found if str(model.status) == "PENDING"]
        return [(model.model_id, model.source_run_id or "") for model in pending]

    def fail_model(self, model_id: str) -> None:
        """Set the final status of a logged model to FAILED.

        Raises:
            PlatformError: this MLflow cannot do it, or refuses.

        """
        if not hasattr(self._client, "finalize_logged_model"):
            raise PlatformError(
                f"logged model {model_id}: this version of MLflow cannot end it",
                remedy="delete it in mlflow ui, or install the MLflow that requirements/ names",
            )
        with self._connection.errors():
            self._client.finalize_logged_model(model_id, "FAILED")

    def _experiments(self) -> list[str]:
        found = self._connection.search(self._client.search_experiments)
        return [experiment.experiment_id for experiment in found]


def _run(run: Any) -> StoredRun:
    return StoredRun(
        run_id=run.info.run_id,
        experiment_id=run.info.experiment_id,
        status=run.info.status,
        started_ms=run.info.start_time,
        tags=dict(run.data.tags),
    )
