"""The door to MLflow: what the registry asks of it, in our types and with our errors."""

import contextlib
import difflib
import errno
import logging
import os
import re
import socket
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from contracts.errors import NotRegistered, PlatformError, RegistryUnreachable
from contracts.files import unwritable
from contracts.names import PRODUCTION, PRODUCTION_STAGE
from registry.lock import turn
from registry.settings import RegistrySettings

FULL_OR_READ_ONLY = ("disk is full", "readonly database", "disk I/O error")
"""How SQLite says that its file cannot be written."""
PAUSES_S = (0.05, 0.2, 0.8)
"""Seconds before a write that collided is tried again."""
LOGGED = "models:/"
RECENT_RUNS = 100
"""How many runs of an experiment are asked before its artifact store counts as gone."""
ERRNO = re.compile(r"\[Errno (\d+)\]")
OF_THIS_MACHINE = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EMFILE, errno.ENFILE}
)
"""What the operating system only says to who writes here; other numbers need a path to tell."""
ABSENT = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND"})


@dataclass(frozen=True)
class StoredVersion:
    """A model version as MLflow keeps it."""

    name: str
    version: int
    run_id: str
    source: str
    stage: str
    status: str
    created_ms: int
    tags: Mapping[str, str]


@dataclass(frozen=True)
class StoredModel:
    """A registered model as MLflow keeps it: aliases by name, tags by key."""

    name: str
    aliases: Mapping[str, int]
    tags: Mapping[str, str]


@dataclass(frozen=True)
class StoredRun:
    """A run as MLflow keeps it."""

    run_id: str
    experiment_id: str
    status: str
    started_ms: int
    tags: Mapping[str, str]


class Store:
    """An open door to one tracking server. Open it with `Store.open`."""

    def __init__(self, tracking_uri: str, client: Any, settings: RegistrySettings) -> None:
        self.tracking_uri = tracking_uri
        self.largest_bytes = settings.model_bytes
        self._client = client
        self._locks = settings.var.absolute() / "locks"

    @classmethod
    def open(cls, settings: RegistrySettings) -> "Store":
        """The door to MLFLOW_TRACKING_URI, or to MLflow's own default: `mlflow.db` here.

        Raises:
            RegistryUnreachable: the server does not answer.

        """
        uri = os.environ.get("MLFLOW_TRACKING_URI") or default_uri(Path.cwd())
        _probe(uri, settings.timeout_s)
        # MLflow waits two minutes for a silent server and tries eight times, unless it is told
        # otherwise. One more try is for a kept connection that the server has just closed.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(max(1, settings.timeout_s // 2)))
        # Else each run of a server's ends with two lines on standard output, JSON or not.
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        # The first use of an SQLite file logs each migration of its schema.
        logging.getLogger("alembic").setLevel(logging.WARNING)
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
        from mlflow import MlflowClient

        with _our_errors(uri):
            client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        return cls(uri, client, settings)

    def turn(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Alone on this machine to move a model's Production; see `registry.lock`."""
        return turn(self._locks, name)

    # models

    def models(self) -> list[StoredModel]:
        """Every registered model, by name."""
        found = self._pages(self._client.search_registered_models)
        return sorted((_model(m) for m in found), key=lambda model: model.name)

    def model(self, name: str) -> StoredModel:
        """A registered model; NotRegistered, with the nearest name, when there is none."""
        try:
            with self._errors():
                return _model(self._client.get_registered_model(name))
        except NotRegistered as err:
            raise self._unknown_model(name) from err

    def ensure_model(self, name: str, description: str) -> None:
        """Register the model's name, unless it is registered already."""
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(name, description=description)
        except MlflowException as err:
            if err.error_code != "RESOURCE_ALREADY_EXISTS":
                raise _translated(err, self.tracking_uri) from err

    def set_model_tag(self, name: str, key: str, value: str) -> None:
        """Set a tag on a registered model."""
        self._write(self._client.set_registered_model_tag, name, key, value)

    def delete_model_tag(self, name: str, key: str) -> None:
        """Take a tag away from a registered model."""
        self._write(self._client.delete_registered_model_tag, name, key)

    def set_alias(self, name: str, version: int, alias: str = PRODUCTION) -> None:
        """Let an alias name a version."""
        self._write(self._client.set_registered_model_alias, name, alias, str(version))

    def delete_alias(self, name: str, alias: str = PRODUCTION) -> None:
        """Take an alias away."""
        self._write(self._client.delete_registered_model_alias, name, alias)

    # versions

    def create_version(
        self, name: str, source: str, run_id: str, tags: Mapping[str, str], description: str
    ) -> int:
        """Register a version of a model; gives its number.

        A tracking server over HTTP takes a logged model as source (`models:/m-...`) only if
        the request names it a second time, by its id.
        """
        model_id = source.removeprefix(LOGGED) if source.startswith(LOGGED + "m-") else None
        with self._errors():
            created = self._client.create_model_version(
                name, source, run_id, tags=dict(tags), description=description, model_id=model_id
            )
        return int(created.version)

    def versions(self, name: str) -> list[StoredVersion]:
        """The versions of a model, oldest first."""
        query = f"name = '{name}'"
        found = self._pages(self._client.search_model_versions, filter_string=query)
        return sorted((_version(v) for v in found), key=lambda version: version.version)

    def version(self, name: str, version: int) -> StoredVersion:
        """A version; NotRegistered, with those there are, when there is none."""
        self.model(name)
        try:
            with self._errors():
                return _version(self._client.get_model_version(name, str(version)))
        except NotRegistered as err:
            known = ", ".join(str(v.version) for v in self.versions(name)) or "none"
            raise NotRegistered(
                f"model {name!r}: expected one of its versions ({known}), got {version}",
                remedy=f"slipway versions {name}",
            ) from err

    def set_version_tag(self, name: str, version: int, key: str, value: str) -> None:
        """Set a tag on a version."""
        self._write(self._client.set_model_version_tag, name, str(version), key, value)

    def delete_version_tag(self, name: str, version: int, key: str) -> None:
        """Take a tag away from a version."""
        self._write(self._client.delete_model_version_tag, name, str(version), key)

    def delete_version(self, name: str, version: int) -> None:
        """Delete a version; its run and artifacts stay."""
        with self._errors():
            self._client.delete_model_version(name, str(version))

    def move_to_production_stage(self, name: str, version: int) -> None:
        """Put one version into the stage Production, and every other out of it."""
        self._move(name, version, PRODUCTION_STAGE, archive=True)

    def archive(self, name: str, version: int) -> None:
        """Put a version into the stage Archived."""
        self._move(name, version, "Archived", archive=False)

    def _move(self, name: str, version: int, stage: str, *, archive: bool) -> None:
        with warnings.catch_warnings():
            # Stages are deprecated in MLflow; people still use the switch in its page.
            warnings.simplefilter("ignore", FutureWarning)
            self._write(
                self._client.transition_model_version_stage,
                name,
                str(version),
                stage,
                archive_existing_versions=archive,
            )

    # runs

    def run(self, run_id: str) -> StoredRun:
        """A run; NotRegistered when there is none."""
        with self._errors():
            return _run(self._client.get_run(run_id))

    def runs(self, status: str) -> list[StoredRun]:
        """Every run in a status, for example RUNNING."""
        experiments = self._pages(self._client.search_experiments)
        query = f"attributes.status = '{status}'"
        found = self._pages(self._client.search_runs, [e.experiment_id for e in experiments], query)
        return [_run(run) for run in found]

    def end_run(self, run_id: str, status: str) -> None:
        """Give a run its final status."""
        with self._errors():
            self._client.set_terminated(run_id, status=status)

    def artifacts(self, run_id: str, path: str) -> list[str]:
        """The paths of a run's artifacts below `path`; empty where nothing is.

        Raises:
            NotRegistered: no such run.
            RegistryUnreachable: the artifact store does not answer, or may not be read.

        """
        where, repository = self._artifact_store(run_id)
        try:
            return [item.path for item in repository.list_artifacts(path or None)]
        except Exception as err:
            # Each kind of artifact store (S3, Azure, a folder, a proxy) fails in its own way.
            raise _artifacts_unreachable(where, _first_line(err)) from err

    def size_bytes(self, run_id: str, path: str) -> int:
        """How large the files right below `path` are together; 0 where nothing is.

        Raises:
            NotRegistered: no such run.
            RegistryUnreachable: the artifact store does not answer, or may not be read.

        """
        where, repository = self._artifact_store(run_id)
        try:
            return sum(item.file_size or 0 for item in repository.list_artifacts(path))
        except Exception as err:
            # As above.
            raise _artifacts_unreachable(where, _first_line(err)) from err

    def shows_artifacts(self, experiment_id: str) -> bool:
        """Whether an artifact of any recent run of an experiment is seen.

        MLflow lists nothing where a folder is missing, be it of one run or the whole store;
        so an empty list means something only beside one that is not empty.
        """
        with self._errors():
            runs = self._client.search_runs([experiment_id], max_results=RECENT_RUNS)
        return any(self.artifacts(run.info.run_id, "") for run in runs)

    def download(self, run_id: str, path: str, target: Path) -> Path:
        """Copy a file or folder of a run's artifacts below `target`; gives where it lies.

        Raises:
            NotRegistered: no such run, or no such artifact where others are.
            Unwritable: this machine cannot keep it: a full disk, a folder of someone else.
            RegistryUnreachable: the artifact store does not answer, or shows nothing at all.

        """
        # MLflow's `runs:/` scheme says "no such path" of every failure, a full disk included.
        where, repository = self._artifact_store(run_id)
        try:
            return Path(repository.download_artifacts(path, str(target)))
        except Exception as err:
            # As above; MLflow gathers the failures of single files in a text.
            if _is_of_this_machine(err, target):
                raise unwritable(target, _errno_line(err)) from err
            raise self._not_downloaded(run_id, path, where, err) from err

    def put(self, run_id: str, folder: str, files: Mapping[str, bytes]) -> None:
        """Add files, by name, to a folder of a run's artifacts.

        Raises:
            NotRegistered: no such run.
            Unwritable: the folder for temporary files is full.
            RegistryUnreachable: the artifact store did not take them.

        """
        where, repository = self._artifact_store(run_id)
        with tempfile.TemporaryDirectory() as beside:
            for name, data in files.items():
                path = Path(beside, name)
                try:
                    path.write_bytes(data)
                except OSError as err:
                    raise unwritable(path, err) from err
                try:
                    repository.log_artifact(str(path), folder)
                except Exception as err:
                    # As above, each kind of artifact store fails in its own way.
                    raise _artifacts_unreachable(where, _first_line(err)) from err

    def _not_downloaded(self, run_id: str, path: str, where: str, err: Exception) -> PlatformError:
        """What a failed download means, by what else the artifact store shows."""
        if path in self.artifacts(run_id, path.rpartition("/")[0]):
            return _artifacts_unreachable(where, _first_line(err))
        if not self.shows_artifacts(self.run(run_id).experiment_id):
            return _artifacts_unreachable(where, "no artifact of any run of its experiment")
        return NotRegistered(
            f"run {run_id}: expected the artifact {path} in {where}, got none",
            remedy="slipway doctor, or train the version again",
        )

    def _artifact_store(self, run_id: str) -> tuple[str, Any]:
        """Where the artifacts of a run lie, and MLflow's door to them."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        with self._errors():
            where = self._client.get_run(run_id).info.artifact_uri
            return where, get_artifact_repository(where, tracking_uri=self.tracking_uri)

    def pending_models(self) -> list[tuple[str, str]]:
        """Logged models that were never finished: (model id, id of the run)."""
        from mlflow.entities import LoggedModelStatus

        experiments = self._pages(self._client.search_experiments)
        found = self._pages(
            self._client.search_logged_models, [e.experiment_id for e in experiments]
        )
        pending = [model for model in found if model.status == LoggedModelStatus.PENDING]
        return [(model.model_id, model.source_run_id or "") for model in pending]

    def fail_model(self, model_id: str) -> None:
        """Give a logged model the final status FAILED."""
        from mlflow.entities import LoggedModelStatus

        with self._errors():
            self._client.finalize_logged_model(model_id, LoggedModelStatus.FAILED)

    def _pages(self, search: Callable[..., Any], *args: Any, **kwargs: Any) -> list[Any]:
        found: list[Any] = []
        token: str | None = None
        while True:
            with self._errors():
                page = search(*args, **kwargs, page_token=token)
            found += page
            token = page.token
            if not token:
                return found

    def _write(self, act: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Do what may be done twice, again when it collided with another writer.

        MLflow looks whether a row is there and then inserts or updates it, aliases included:
        of two processes that do so at once one fails, and succeeds when it tries again.
        """
        from mlflow.exceptions import MlflowException

        for pause_s in PAUSES_S:
            try:
                act(*args, **kwargs)
            except MlflowException as err:
                translated = _translated(err, self.tracking_uri)
                if type(translated) is not PlatformError:
                    raise translated from err
                time.sleep(pause_s)
            else:
                return
        with self._errors():
            act(*args, **kwargs)

    def _errors(self) -> contextlib.AbstractContextManager[None]:
        return _our_errors(self.tracking_uri)

    def _unknown_model(self, name: str) -> NotRegistered:
        known = [model.name for model in self.models()]
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"slipway train {name}"
        return NotRegistered(
            f"model: expected one of {', '.join(known) or 'none registered yet'}, got {name!r}",
            remedy=hint,
        )


def default_uri(folder: Path) -> str:
    """MLflow's own default in a folder, so that plain `mlflow ui` there shows it."""
    return f"sqlite:///{(folder / 'mlflow.db').resolve()}"


def _probe(uri: str, timeout_s: float) -> None:
    """Fail within seconds where MLflow's client would try for minutes."""
    parts = urlsplit(uri)
    if parts.scheme not in {"http", "https"} or parts.hostname is None:
        return
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname, port), timeout_s).close()
    except OSError as err:
        raise _unreachable(uri, str(err)) from err


def _is_of_this_machine(err: Exception, target: Path) -> bool:
    """Whether an error, or one in its text, came from writing here and not from the store."""
    numbers = {int(number) for number in ERRNO.findall(str(err))}
    return bool(numbers & OF_THIS_MACHINE) or (bool(numbers) and str(target) in str(err))


def _errno_line(err: Exception) -> str:
    return next(line for line in str(err).splitlines() if ERRNO.search(line))


def _first_line(err: Exception) -> str:
    return next(iter(str(err).splitlines()), type(err).__name__)


def _artifacts_unreachable(where: str, got: str) -> RegistryUnreachable:
    return RegistryUnreachable(
        f"artifact store: expected an answer from {where}, got {got}",
        remedy="mount it, start it, or move it back there (MLflow keeps absolute paths)",
    )


def _unreachable(uri: str, got: str) -> RegistryUnreachable:
    return RegistryUnreachable(
        f"tracking server: expected an answer from {uri}, got {got}",
        remedy="start it, or unset MLFLOW_TRACKING_URI to use mlflow.db in this folder",
    )


@contextlib.contextmanager
def _our_errors(uri: str) -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as err:
        raise _translated(err, uri) from err
    except OSError as err:
        raise _unreachable(uri, str(err)) from err


def _translated(err: Any, uri: str) -> PlatformError:
    text = str(err.message).splitlines()[0]
    if err.error_code in ABSENT:
        return NotRegistered(f"registry: {text}", remedy="slipway versions")
    if "API request to" in text or "Max retries" in text or "unable to open database" in text:
        return _unreachable(uri, text)
    if any(words in text for words in FULL_OR_READ_ONLY):
        return unwritable(Path(urlsplit(uri).path), text)
    return PlatformError(f"registry: {text}", remedy=f"look at the tracking server {uri}")


def _model(model: Any) -> StoredModel:
    aliases = {alias: int(version) for alias, version in model.aliases.items()}
    return StoredModel(model.name, aliases, dict(model.tags))


def _version(version: Any) -> StoredVersion:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        stage = version.current_stage
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


def _run(run: Any) -> StoredRun:
    return StoredRun(
        run_id=run.info.run_id,
        experiment_id=run.info.experiment_id,
        status=run.info.status,
        started_ms=run.info.start_time,
        tags=dict(run.data.tags),
    )
