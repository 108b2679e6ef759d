"""MLflow's private and unstable parts: each is there today, and its loss is survived."""

import inspect
import logging

import pytest
import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from contracts.errors import NotRegistered, PlatformError, RegistryUnreachable, Unwritable
from registry.history import history
from registry.listing import list_versions
from registry.mlflow_store import artifacts
from registry.mlflow_store.errors import translated
from registry.production import read_state, reconcile
from registry.promote import promote
from registry.rollback import rollback
from tests.conftest import Workplace


def test_this_mlflow_has_every_part_that_we_use() -> None:
    from mlflow.store.artifact.artifact_repo import ArtifactRepository
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    assert "tracking_uri" in inspect.signature(get_artifact_repository).parameters
    for method in ("list_artifacts", "download_artifacts", "log_artifact"):
        assert hasattr(ArtifactRepository, method)
    assert "model_id" in inspect.signature(MlflowClient.create_model_version).parameters
    for method in (
        "transition_model_version_stage",
        "search_logged_models",
        "finalize_logged_model",
    ):
        assert hasattr(MlflowClient, method)


def test_without_stages_the_alias_alone_decides(
    trained: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(MlflowClient, "transition_model_version_stage")
    store = trained.store
    promote(store, "tiny", 1, actor="ada")
    promote(store, "tiny", 2, actor="ada")
    assert rollback(store, "tiny", actor="bob").to_version == 1

    state = read_state(store, "tiny")
    assert (state.alias, state.staged_versions, state.recorded) == (1, None, 1)
    assert state.is_consistent
    assert [v.version for v in list_versions(store, "tiny") if v.is_production] == [1]
    store.models.set_alias("tiny", 3)
    assert reconcile(store, "tiny") == 3
    store.models.delete_alias("tiny")
    assert reconcile(store, "tiny") is None
    assert [event.kind for event in history(store, "tiny")][-2:] == ["observed", "removed"]


def test_without_the_private_artifact_store_the_client_serves_with_one_warning(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(artifacts, "PRIVATE_MODULE", "mlflow.moved")
    store = workplace.store
    client = MlflowClient(tracking_uri=store.tracking_uri)
    # Not of a template: MLflow's client caches the artifact store of each run.
    run_id = client.create_run("0").info.run_id
    with caplog.at_level(logging.WARNING, logger="slipway.registry"):
        store.artifacts.upload(run_id, "notes", {"a.txt": b"kept", "b.txt": b"12"})

    assert store.artifacts.paths(run_id, "notes") == ["notes/a.txt", "notes/b.txt"]
    assert store.artifacts.sizes_bytes(run_id, "notes") == {"notes/a.txt": 4, "notes/b.txt": 2}
    folder = store.artifacts.download(run_id, "notes", workplace.root)
    assert (folder / "a.txt").read_bytes() == b"kept"
    with pytest.raises(NotRegistered, match=r"expected the artifact notes/c\.txt"):
        store.artifacts.download(run_id, "notes/c.txt", workplace.root)
    assert len([r for r in caplog.records if "hides why a download fails" in r.message]) == 1


def test_without_logged_models_none_is_pending(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(MlflowClient, "search_logged_models")
    monkeypatch.delattr(MlflowClient, "finalize_logged_model")

    assert workplace.store.runs.pending_models() == []
    with pytest.raises(PlatformError, match="this version of MLflow cannot end it"):
        workplace.store.runs.fail_model("m-1")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("API request to http://h/api failed with exception x", RegistryUnreachable),
        ("(sqlite3.OperationalError) unable to open database file", RegistryUnreachable),
        ("(sqlite3.OperationalError) database or disk is full", Unwritable),
        ("(sqlite3.OperationalError) attempt to write a readonly database", Unwritable),
        ("something new", PlatformError),
    ],
)
def test_texts_of_mlflow_are_recognised(text: str, kind: type[PlatformError]) -> None:
    assert type(translated(MlflowException(text), "sqlite:////srv/mlflow.db")) is kind


def test_a_failed_connection_is_recognised_whatever_its_text() -> None:
    err = MlflowException("worded differently in a later version")
    err.__cause__ = requests.ConnectionError("refused")

    assert type(translated(err, "http://h:5000")) is RegistryUnreachable
