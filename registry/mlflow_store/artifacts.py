"""Artifacts of runs in MLflow: list them, measure them, copy them here, add to them."""

import importlib
import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit
from urllib.request import url2pathname

from contracts.errors import NotRegistered, PlatformError, first_line
from contracts.files import unwritable
from registry.mlflow_store.connection import Connection
from registry.mlflow_store.errors import artifacts_unreachable, errno_line, is_local

logger = logging.getLogger("slipway.registry")

PRIVATE_MODULE = "mlflow.store.artifact.artifact_repository_registry"
"""MLflow's private module that opens the artifact store of a location."""
MAX_RECENT_RUNS = 100
"""At most this many runs of an experiment are searched before its artifacts count as gone."""


class ArtifactStore(Protocol):
    """What we use of MLflow's `ArtifactRepository`; each kind of store has its own.

    Each kind (S3, Azure, a folder, a proxy) raises exceptions of its own.
    """

    def list_artifacts(self, path: str | None) -> list[Any]:
        """Files and folders right below `path`: `path`, `is_dir`, `file_size` (bytes)."""

    def download_artifacts(self, artifact_path: str, dst_path: str) -> str:
        """Copy a file or folder below `dst_path`; returns its path there."""

    def log_artifact(self, local_file: str, artifact_path: str) -> None:
        """Add a file to a folder."""


class ClientArtifacts:
    """An `ArtifactStore` of MLflow's public client, for versions that moved the private one.

    It says "no such path" for every failed download, a full disk included.
    """

    def __init__(self, client: Any, run_id: str) -> None:
        self._client = client
        self._run_id = run_id

    def list_artifacts(self, path: str | None) -> list[Any]:
        """Files and folders right below `path`."""
        return list(self._client.list_artifacts(self._run_id, path))

    def download_artifacts(self, artifact_path: str, dst_path: str) -> str:
        """Copy a file or folder below `dst_path`; returns its path there."""
        return str(self._client.download_artifacts(self._run_id, artifact_path, dst_path))

    def log_artifact(self, local_file: str, artifact_path: str) -> None:
        """Add a file to a folder."""
        self._client.log_artifact(self._run_id, local_file, artifact_path)


class Artifacts:
    """The artifacts of the runs of a tracking server.

    Every method raises NotRegistered for a run that does not exist, and RegistryUnreachable
    where the tracking server or the run's artifact store does not answer.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._client = connection.client
        self._has_warned = False

    def paths(self, run_id: str, path: str) -> list[str]:
        """The paths of a run's artifacts right below `path`; empty where there are none."""
        location, store = self._store_of(run_id)
        try:
            return [item.path for item in store.list_artifacts(path or None)]
        except Exception as err:
            raise artifacts_unreachable(location, first_line(err)) from err

    def sizes_bytes(self, run_id: str, path: str) -> dict[str, int | None]:
        """The size of each file right below `path`, by its path; None for a folder."""
        location, store = self._store_of(run_id)
        try:
            listed = store.list_artifacts(path)
            return {each.path: None if each.is_dir else each.file_size or 0 for each in listed}
        except Exception as err:
            raise artifacts_unreachable(location, first_line(err)) from err

    def has_any(self, experiment_id: str) -> bool:
        """Whether any recent run of an experiment shows an artifact.

        MLflow lists nothing where a folder is missing, whether it is one run's or the whole
        store's. So an empty list means something only if another list is not empty.
        """
        with self._connection.errors():
            runs = self._client.search_runs([experiment_id], max_results=MAX_RECENT_RUNS)
        return any(self.paths(run.info.run_id, "") for run in runs)

    def check(self) -> None:
        """List the folder of a new run's artifacts, as a client would."""
        with self._connection.errors():
            experiments = self._client.search_experiments(max_results=1)
        if not experiments:
            return  # without an experiment there is no location of artifacts yet
        location = experiments[0].artifact_location
        try:
            self._opened(location, "").list_artifacts(None)
        except Exception as err:
            raise artifacts_unreachable(location, first_line(err)) from err

    def download(self, run_id: str, path: str, target: Path) -> Path:
        """Copy a file or folder of a run's artifacts below `target`; returns its path there.

        Raises:
            NotRegistered: no such artifact, in a store that shows others.
            Unwritable: it cannot be written here: the disk is full, or the folder is not ours.

        """
        location, store = self._store_of(run_id)
        try:
            return Path(store.download_artifacts(path, str(target)))
        except Exception as err:
            if is_local(err, target):
                raise unwritable(target, errno_line(err)) from err
            raise self._not_downloaded(run_id, path, location, err) from err

    def upload(self, run_id: str, folder: str, files: Mapping[str, bytes]) -> None:
        """Add files, by name, to a folder of a run's artifacts.

        Raises:
            Unwritable: the folder for temporary files is full.

        """
        location, store = self._store_of(run_id)
        with tempfile.TemporaryDirectory() as temporary:
            for name, data in files.items():
                path = Path(temporary, name)
                try:
                    path.write_bytes(data)
                except OSError as err:
                    raise unwritable(path, err) from err
                try:
                    store.log_artifact(str(path), folder)
                except Exception as err:
                    raise artifacts_unreachable(location, first_line(err)) from err

    def place(self, run_id: str, path: str) -> str:
        """Where a person opens an artifact: its file, or if it is not on this machine, its run."""
        with self._connection.errors():
            location: str = self._client.get_run(run_id).info.artifact_uri
        parts = urlsplit(location)
        file = Path(url2pathname(parts.path), path)
        if parts.scheme in {"", "file"} and file.exists():
            return str(file)
        return f"{path} of run {run_id} (in mlflow ui: Artifacts)"

    def _not_downloaded(
        self, run_id: str, path: str, location: str, err: Exception
    ) -> PlatformError:
        """What a failed download means, judged by what else the artifact store shows."""
        if path in self.paths(run_id, path.rpartition("/")[0]):
            return artifacts_unreachable(location, first_line(err))
        with self._connection.errors():
            experiment_id = self._client.get_run(run_id).info.experiment_id
        if not self.has_any(experiment_id):
            return artifacts_unreachable(location, "no artifact of any run of its experiment")
        return NotRegistered(
            f"run {run_id}: expected the artifact {path} in {location}, got none",
            remedy="slipway doctor, or train the version again",
        )

    def _store_of(self, run_id: str) -> tuple[str, ArtifactStore]:
        """Where the artifacts of a run are, and the store that holds them."""
        with self._connection.errors():
            location = self._client.get_run(run_id).info.artifact_uri
        return location, self._opened(location, run_id)

    def _opened(self, location: str, run_id: str) -> ArtifactStore:
        """The store of a location; where only MLflow's client opens one, that of a run."""
        try:
            # Used although it is private, because it keeps the cause of a failed download.
            open_store = importlib.import_module(PRIVATE_MODULE).get_artifact_repository
        except (ImportError, AttributeError) as err:
            if not self._has_warned:
                self._has_warned = True
                logger.warning("this MLflow hides why a download fails: %s", err)
            return ClientArtifacts(self._client, run_id)
        with self._connection.errors():
            found: ArtifactStore = open_store(location, tracking_uri=self._connection.tracking_uri)
            return found
