"""Tracking on PostgreSQL, with artifacts in an S3-compatible store: the same promises."""

import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from benchmarks.lifecycle import processes
from benchmarks.lifecycle.promotion_races import race
from contracts.errors import PlatformError, RegistryUnreachable
from contracts.names import Layout
from registry.doctor import examine
from registry.history import history
from registry.production import read_state, reconcile
from registry.promote import promote
from registry.pull import pull_all
from registry.settings import RegistrySettings
from registry.store import Store
from slipway.app import run_command_line
from tests import tiny
from tests.registry.processes import Step, ended, promote_and_die, start
from tests.registry.tracking_servers import (
    ObjectStore,
    Postgres,
    mlflow_server,
    object_store,
    postgres,
)
from tests.slipway.conftest import free_port
from training.run import train_recipe

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Tracking:
    """Three versions of `tiny` in a PostgreSQL, asked directly or through MLflow's server."""

    database: Postgres
    server: str
    objects: ObjectStore


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracking]:
    folder = tmp_path_factory.mktemp("tracking")
    (folder / "objects").mkdir()
    with (
        postgres() as database,
        object_store(folder / "objects") as objects,
        mlflow_server(folder, database.uri(), objects.url) as server,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", server)
        store = Store.open(RegistrySettings())
        for _ in range(3):
            train_recipe(tiny.binary(), store)
        yield Tracking(database, server, objects)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of this test's own, without a key of the object store."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def opened(monkeypatch: pytest.MonkeyPatch, uri: str) -> Store:
    """The store at a tracking URI, which processes started from here use too."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setattr(processes, "tracking_uri", uri)
    return Store.open(RegistrySettings())


def test_a_version_goes_through_the_server_to_production_and_back_to_this_machine(
    tracking: Tracking, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(monkeypatch, tracking.server)
    promote(store, "tiny", 1, actor="ada")
    result = pull_all(store, Layout(place / "var"))

    assert [(p.name, p.version) for p in result.pulled] == [("tiny", 1)]
    assert (Layout(place / "var").model("tiny", 1) / "model.onnx").stat().st_size > 0
    assert examine(store, Layout(place / "var")) == []


def test_concurrent_moves_leave_one_production_version_and_a_complete_history(
    tracking: Tracking, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(monkeypatch, tracking.server)
    promote(store, "tiny", 1, actor="first")
    found = race(place, "tiny", moves=16, processes=4, hand_pause_s=0.3)

    assert found.faults == 0, found
    assert found.reads > 5
    assert found.events > 3


def test_a_killed_promotion_is_finished_or_undone_by_the_next_reader(
    tracking: Tracking, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(monkeypatch, tracking.server)
    promote(store, "tiny", 1, actor="ada")
    step = Step("registry.mlflow_store.models", "Models.set_alias", before=False)

    assert ended(start(promote_and_die, place, 2, step)) == [-signal.SIGKILL]
    assert reconcile(store, "tiny") == 2
    state = read_state(store, "tiny")
    assert (state.alias, state.staged_versions) == (2, {2})
    assert history(store, "tiny")[-1].to_version == 2


# What the doctor says when a part is missing


def diagnosis(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, object]]:
    """Exit code and JSON of `slipway doctor`."""
    capsys.readouterr()
    code = run_command_line(["doctor", "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("database", "user", "says"),
    [("nowhere", "mlflow", '"nowhere" does not exist'), ("mlflow", "eve", '"eve" does not exist')],
)
def test_a_database_that_refuses_is_named_at_once_without_its_password(
    tracking: Tracking,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    database: str,
    user: str,
    says: str,
) -> None:
    uri = tracking.database.uri(database, user, password="hush-hush")  # noqa: S106 - a test's own
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    code, told = diagnosis(capsys)

    assert code == RegistryUnreachable.exit_code
    assert says in str(told)
    assert "hush-hush" not in str(told)
    assert "MLFLOW_TRACKING_URI" in str(told)


def test_a_database_that_is_down_is_reported_within_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = f"postgresql+psycopg2://mlflow:hush-hush@127.0.0.1:{free_port()}/mlflow"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    code, told = diagnosis(capsys)

    assert code == RegistryUnreachable.exit_code
    assert "tracking database: expected a connection to postgresql+psycopg2://mlflow:***" in str(
        told
    )


def test_tables_of_another_version_are_named_with_the_command_that_migrates_them(
    tracking: Tracking,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    change = "UPDATE alembic_version SET version_num = '{}'"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", tracking.database.uri())
        Store.open(RegistrySettings())
    from mlflow.store.db.utils import _get_latest_schema_revision

    current = _get_latest_schema_revision()
    tracking.database.run("psql", "-c", change.format("451aebb31d03"), "mlflow")
    try:
        # MLflow checks the tables when it opens them first in a process: another database name.
        uri = tracking.database.uri() + "?application_name=old"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        code, told = diagnosis(capsys)
    finally:
        tracking.database.run("psql", "-c", change.format(current), "mlflow")

    assert code == PlatformError.exit_code
    assert f"expected the schema version {current}, got 451aebb31d03" in str(told)
    assert "mlflow db upgrade" in str(told)


def test_an_artifact_store_that_is_down_is_a_problem_for_a_person(
    tracking: Tracking, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last test of this file: it ends the object store."""
    store = opened(monkeypatch, tracking.server)
    tracking.objects.process.terminate()
    tracking.objects.process.wait(30)
    (problem,) = (p for p in examine(store, Layout(place / "var")) if p.kind == "artifact_store")

    assert "artifact store: expected an answer from mlflow-artifacts:" in problem.detail
