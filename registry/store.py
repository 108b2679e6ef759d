"""The registry's store: everything that is kept in MLflow, one object for each kind of thing."""

from contextlib import AbstractContextManager
from typing import Self

from contracts.names import Layout
from registry.lock import model_lock
from registry.mlflow_store.artifacts import Artifacts
from registry.mlflow_store.connection import Connection
from registry.mlflow_store.models import Models
from registry.mlflow_store.runs import Runs
from registry.mlflow_store.versions import Versions
from registry.settings import RegistrySettings


class Store:
    """Models, versions, runs and artifacts of one tracking server. Open it with `Store.open`.

    `signers_file` names those who may sign versions, and `signing_key` is the file of the key that
    signs here; both are empty without signatures.
    """

    def __init__(self, connection: Connection, settings: RegistrySettings) -> None:
        self.tracking_uri = connection.tracking_uri
        self.max_model_bytes = settings.max_model_bytes
        self.signers_file = settings.signers
        self.signing_key = settings.signing_key
        self.models = Models(connection)
        self.versions = Versions(connection, self.models)
        self.runs = Runs(connection)
        self.artifacts = Artifacts(connection)
        self._locks = Layout(settings.var.absolute()).model_locks

    @classmethod
    def open(cls, settings: RegistrySettings) -> Self:
        """The store at MLFLOW_TRACKING_URI, or at MLflow's own default: `mlflow.db` here.

        Raises:
            RegistryUnreachable: the server does not answer.

        """
        return cls(Connection.open(settings.timeout_s), settings)

    def lock(self, name: str) -> AbstractContextManager[None]:
        """The lock of a model on this machine, held while its production version moves.

        Raises:
            Unwritable: the lock file cannot be made.
            PlatformError: another process held the lock for too long.

        """
        return model_lock(self._locks, name)
