"""The doctor removes what is certainly left over, and leaves the rest to a person."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing

import pytest
from mlflow import MlflowClient

from registry.doctor import examine, repair
from registry.history import Event, history, record
from registry.mlflow_store.runs import StoredRun
from registry.promote import promote
from registry.pull import pull
from registry.rollback import rollback
from tests.conftest import Workplace

pytestmark = pytest.mark.filterwarnings("ignore:.*transition_model_version_stage:FutureWarning")


def client(workplace: Workplace) -> MlflowClient:
    uri = workplace.store.tracking_uri
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def experiment(workplace: Workplace) -> str:
    """The experiment in which tiny is trained, where other runs have artifacts."""
    return str(client(workplace).get_experiment_by_name("tiny").experiment_id)


def gone_process() -> str:
    gone = subprocess.Popen(["true"])
    gone.wait()
    return f"{os.uname().nodename}:{gone.pid}"


def hollow_version(workplace: Workplace, status: str = "RUNNING") -> int:
    """A version whose run has no artifacts; its process is gone."""
    run = client(workplace).create_run(
        experiment(workplace), tags={"slipway.process": gone_process()}
    )
    if status != "RUNNING":
        client(workplace).set_terminated(run.info.run_id, status)
    tags = {"slipway.digest": "0" * 64}
    return workplace.store.versions.create("tiny", "nowhere", run.info.run_id, tags, "")


def flip_a_byte(workplace: Workplace) -> None:
    path = workplace.layout.model("tiny", 1) / "model.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def numbers(workplace: Workplace) -> list[int]:
    return [v.version for v in workplace.store.versions.of("tiny")]


def test_the_doctor_finds_and_fixes_what_was_left_behind(promoted: Workplace) -> None:
    store, layout = promoted.store, promoted.layout
    pull(store, layout, "tiny")
    process = gone_process()
    run = client(promoted).create_run(experiment(promoted), tags={"slipway.process": process})
    client(promoted).create_logged_model(
        experiment(promoted), name="half", source_run_id=run.info.run_id
    )
    store.versions.create("tiny", "nowhere", run.info.run_id, {"slipway.digest": "0" * 64}, "")
    (layout.var / "models" / "tiny" / f".incoming-{process.rpartition(':')[2]}-00").mkdir()
    flip_a_byte(promoted)
    problems = examine(store, layout)

    assert {p.kind for p in problems} == {
        "dead_run",
        "pending_model",
        "hollow_version",
        "stray_file",
        "broken_pointer",
    }
    assert len(repair(store, layout, problems)) == len(problems)
    assert examine(store, layout) == []
    assert store.runs.get(run.info.run_id) == StoredRun(
        run.info.run_id, experiment(promoted), "FAILED", run.info.start_time, run.data.tags
    )
    assert numbers(promoted) == [1]


@pytest.mark.parametrize("store_is_away", [False, True], ids=["store", "no store"])
def test_a_missing_model_directory_costs_no_pointer(
    promoted: Workplace, *, store_is_away: bool
) -> None:
    """A service may hold the version in memory; without the pointer it would unload that."""
    store, layout = promoted.store, promoted.layout
    pull(store, layout, "tiny")
    shutil.rmtree(layout.model("tiny", 1))
    if store_is_away:
        (promoted.root / "mlruns").rename(promoted.root / "away")
    problems = [p for p in examine(store, layout) if p.kind == "broken_pointer"]
    done = repair(store, layout, problems)

    assert layout.pointer("tiny").is_file()
    if store_is_away:
        assert done == []
    else:
        assert done == ["tiny version 1 is fetched again"]
        assert examine(store, layout) == []


def test_an_artifact_store_that_is_away_costs_no_version(trained: Workplace) -> None:
    store, layout = trained.store, trained.layout
    promote(store, "tiny", 2, actor="ada")
    hollow_version(trained, "FAILED")
    (trained.root / "mlruns").rename(trained.root / "away")
    problems = examine(store, layout)

    assert {(p.kind, p.subject) for p in problems} == {
        ("missing_model", f"tiny/{version}") for version in (1, 2, 3, 4)
    }
    assert all("moved, or not mounted" in p.detail for p in problems)
    assert repair(store, layout, problems) == []
    assert numbers(trained) == [1, 2, 3, 4]

    (trained.root / "away").rename(trained.root / "mlruns")
    assert [(p.kind, p.subject) for p in examine(store, layout)] == [("hollow_version", "tiny/4")]


def finished(_: Workplace, __: int) -> None:
    """Nothing happened but the end of the run."""


def with_an_alias(workplace: Workplace, version: int) -> None:
    client(workplace).set_registered_model_alias("tiny", "challenger", str(version))


def staged(workplace: Workplace, version: int) -> None:
    client(workplace).transition_model_version_stage("tiny", str(version), "Staging")


def once_production(workplace: Workplace, version: int) -> None:
    promote(workplace.store, "tiny", 1, actor="ada")
    rollback(workplace.store, "tiny", to=version, actor="ada")
    rollback(workplace.store, "tiny", to=1, actor="ada")
    client(workplace).transition_model_version_stage("tiny", str(version), "None")


@pytest.mark.parametrize(
    ("status", "happened", "reason"),
    [
        ("FINISHED", finished, "its run is FINISHED"),
        ("FAILED", with_an_alias, "it has the alias challenger"),
        ("FAILED", staged, "it is in the stage Staging"),
        ("KILLED", once_production, "it was production"),
    ],
    ids=["finished", "alias", "stage", "history"],
)
def test_a_version_that_was_more_than_a_leftover_is_left_to_a_person(
    trained: Workplace, status: str, happened: Callable[[Workplace, int], None], reason: str
) -> None:
    version = hollow_version(trained, status)
    happened(trained, version)
    problems = examine(trained.store, trained.layout)

    assert [(p.kind, p.subject) for p in problems] == [("missing_model", f"tiny/{version}")]
    assert problems[0].detail.endswith(f"a person must look, because {reason}")
    assert repair(trained.store, trained.layout, problems) == []
    assert version in numbers(trained)


def test_a_leftover_that_serves_since_its_examination_is_not_deleted(trained: Workplace) -> None:
    version = hollow_version(trained, "FAILED")
    problems = examine(trained.store, trained.layout)
    with_an_alias(trained, version)

    assert [p.kind for p in problems] == ["hollow_version"]
    assert repair(trained.store, trained.layout, problems) == []
    assert version in numbers(trained)


def test_a_move_that_was_recorded_and_then_killed_is_undone(trained: Workplace) -> None:
    store, layout = trained.store, trained.layout
    promote(store, "tiny", 1, actor="ada")
    record(store, "tiny", Event.now("promoted", 1, 2, who="ada", why="killed right after"))
    problems = examine(store, layout)

    assert [(p.kind, p.subject) for p in problems] == [("unfinished_move", "tiny")]
    assert repair(store, layout, problems) == ["tiny: production is 1, and its history agrees"]
    assert examine(store, layout) == []
    events = [(e.kind, e.from_version, e.to_version) for e in history(store, "tiny")]
    assert events == [("promoted", None, 1), ("promoted", 1, 2), ("rolled_back", 2, 1)]


def test_runs_that_live_and_runs_of_others_are_left_alone(workplace: Workplace) -> None:
    ours = {"slipway.process": f"{os.uname().nodename}:{os.getpid()}"}
    client(workplace).create_run("0", tags=ours)
    foreign = client(workplace).create_run("0")
    client(workplace).create_logged_model("0", name="half", source_run_id=foreign.info.run_id)
    client(workplace).create_logged_model("0", name="half without a run")
    client(workplace).set_terminated(foreign.info.run_id)

    assert examine(workplace.store, workplace.layout) == []


def test_a_damaged_database_of_jobs_is_left_to_a_person(workplace: Workplace) -> None:
    path = workplace.layout.jobs
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE jobs (id TEXT)")
    assert examine(workplace.store, workplace.layout) == []
    path.write_bytes(b"no database" * 500)
    (problem,) = examine(workplace.store, workplace.layout)

    assert (problem.kind, problem.subject) == ("damaged_jobs", str(path))
    assert "file is not a database" in problem.detail
    assert repair(workplace.store, workplace.layout, [problem]) == []
    assert path.exists()
