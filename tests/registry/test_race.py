"""Several processes and people move production at once: one version, no gap in the history."""

import fcntl
import itertools
import signal

import pytest

from benchmarks.lifecycle.promotion_races import race
from contracts.errors import NotRegistered, PlatformError, Unwritable
from contracts.files import try_lock
from registry import lock
from registry.history import history
from registry.production import read_state, reconcile, reconcile_locked
from registry.promote import promote
from registry.rollback import rollback
from tests.conftest import Workplace
from tests.registry.processes import Step, ended, promote_and_die, start

STORE = "registry.mlflow_store"


def test_concurrent_moves_leave_one_production_version_and_a_complete_history(
    trained: Workplace,
) -> None:
    promote(trained.store, "tiny", 1, actor="first")
    found = race(trained.root, "tiny", moves=60, processes=4, hand_pause_s=0.3)

    assert found.faults == 0, found
    assert found.by_command > 10
    assert (found.by_alias, found.by_stage) == (15, 15)
    assert found.reads > 10
    assert found.events > found.by_command


@pytest.mark.parametrize(
    ("step", "production"),
    [
        (Step("registry.promote", "record"), 1),
        (Step("registry.promote", "record", before=False), 1),
        (Step("registry.mlflow_store.models", "Models.set_alias", before=False), 2),
        (
            Step(
                "registry.mlflow_store.versions", "Versions.move_to_production_stage", before=False
            ),
            2,
        ),
        (Step("registry.promote", "set_production", before=False), 2),
    ],
    ids=["before the event", "after the event", "after the alias", "after the stage", "at the end"],
)
def test_a_killed_promotion_holds_no_lock_and_is_finished_or_undone_by_the_next_reader(
    trained: Workplace, step: Step, production: int
) -> None:
    store = trained.store
    promote(store, "tiny", 1, actor="ada")

    assert ended(start(promote_and_die, trained.root, 2, step)) == [-signal.SIGKILL]
    assert reconcile(store, "tiny") == production
    state = read_state(store, "tiny")
    assert (state.alias, state.staged_versions) == (production, {production})
    with store.lock("tiny"):
        assert reconcile_locked(store, "tiny") == production
    events = history(store, "tiny")
    assert events[-1].to_version == production
    assert all(a.to_version == b.from_version for a, b in itertools.pairwise(events))
    if production == 1:
        with pytest.raises(NotRegistered, match="a production version before version 1, got none"):
            rollback(store, "tiny", actor="bob")
    if production == 2:
        assert [(e.who, e.to_version) for e in history(store, "tiny")] == [("ada", 1), ("ada", 2)]
    assert promote(store, "tiny", 3, actor="bob").from_version == production


def test_a_lock_that_is_held_for_too_long_is_reported_with_its_holder(
    trained: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "LOCK_TIMEOUT_S", 0.1)
    path = trained.layout.var / "locks" / "models" / "tiny.lock"
    path.parent.mkdir(parents=True)
    with path.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(PlatformError, match="could not get the lock within") as caught:
            promote(trained.store, "tiny", 1, actor="ada")

    assert "fuser" in caught.value.remedy
    assert history(trained.store, "tiny") == []
    assert promote(trained.store, "tiny", 1, actor="ada").changed


def test_the_lock_of_a_model_is_not_that_of_a_process(workplace: Workplace) -> None:
    """`shadow` may be the name of a model, and is that of the shadow process."""
    with try_lock(workplace.layout.locks / "shadow.lock") as held:
        assert held is not None
        with workplace.store.lock("shadow"):
            assert (workplace.layout.locks / "models" / "shadow.lock").exists()


def test_a_lock_that_cannot_be_made_is_reported_and_nothing_changes(trained: Workplace) -> None:
    trained.layout.var.write_text("a file where a folder should be")
    with pytest.raises(Unwritable, match="expected a writable path"):
        promote(trained.store, "tiny", 1, actor="ada")

    assert reconcile(trained.store, "tiny") is None
    assert history(trained.store, "tiny") == []
