"""Tags and names that somebody wrote by hand: skipped and reported, and they stop nothing."""

import json
import logging
from pathlib import Path

import pytest

from contracts.printable import printable, printable_lines
from registry import production, shadow_process
from registry.follow import Follower
from registry.history import history
from registry.mlflow_store.models import StoredModel
from registry.pointers import read_pointer
from registry.promote import promote
from registry.pull import pull_all
from registry.rollback import rollback
from registry.rollout import Rollout
from registry.store import Store
from slipway.app import run_command_line
from tests.conftest import Workplace
from tests.registry.test_alias_sync import passing

ODD_EVENTS = {
    "slipway.history.20990101T000000Z-ff": '{"document_version":1,"what":"x"}',
    "slipway.history.x": "nonsense",
    "slipway.history.99999999999999999999-zz": "[]",
}


def with_odd_tags(workplace: Workplace) -> Workplace:
    for key, text in ODD_EVENTS.items():
        workplace.store.models.set_tag("tiny", key, text)
    return workplace


def followed(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> Follower:
    monkeypatch.setattr(shadow_process.ShadowProcess, "ensure", lambda _self: None)
    rollout = Rollout(workplace.layout, hold_s=0.0)
    return Follower(lambda: workplace.store, workplace.layout, passing, 1.0, rollout)


def test_a_rollback_works_in_spite_of_odd_history_tags(
    trained: Workplace, caplog: pytest.LogCaptureFixture
) -> None:
    store = with_odd_tags(trained).store
    promote(store, "tiny", 1, actor="ada")
    promote(store, "tiny", 2, actor="ada", force=True, because="to see")
    assert rollback(store, "tiny", actor="ada").to_version == 1

    assert [event.to_version for event in history(store, "tiny")] == [1, 2, 1]
    for key in ODD_EVENTS:
        assert sum(key in record.getMessage() for record in caplog.records) == 1


def test_a_production_tag_that_is_no_number_is_skipped(
    trained: Workplace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = trained.store
    promote(store, "tiny", 1, actor="ada")
    store.models.set_tag("tiny", "slipway.production", "one\x1b[31m")
    follower = followed(trained, monkeypatch)
    assert follower.settle()
    pointer = read_pointer(trained.layout, "tiny")

    assert pointer is not None
    assert pointer.version == 1
    assert store.models.get("tiny").tags["slipway.production"] == "1"
    said = [r.getMessage() for r in caplog.records if "slipway.production" in r.getMessage()]
    assert len(said) == 1
    assert printable(said[0]) == said[0]


def test_an_unexpected_error_of_one_model_keeps_no_other_from_being_followed(
    both: Workplace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    genuine = production.reconcile

    def broken(store: Store, name: str) -> int | None:
        if name == "other":
            raise ZeroDivisionError
        return genuine(store, name)

    monkeypatch.setattr("registry.follow.reconcile", broken)
    follower = followed(both, monkeypatch)
    assert follower.settle()
    assert read_pointer(both.layout, "tiny") is not None
    assert "other: an unexpected error" in caplog.text
    heartbeat = (both.layout.metrics / "slipway-follow.prom").read_text()
    assert heartbeat.splitlines()[-1].startswith("slipway_follow_last_success_timestamp_seconds 1")


def test_no_error_of_a_poll_ends_the_follower(
    promoted: Workplace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing() -> list[StoredModel]:
        raise ZeroDivisionError

    follower = followed(promoted, monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(promoted.store.models, "all", failing)
        assert follower.settle()
    assert "an unexpected error; the next poll tries again" in caplog.text
    assert follower.settle()
    assert read_pointer(promoted.layout, "tiny") is not None


HOSTILE = "\x1b[31mred\x07[/] \x9b2J"
"""It would colour a terminal, ring and clear it, and end a markup that nobody began."""
HOSTILE_NAME = HOSTILE.replace("/", "bold")
"""A registered model of that name; MLflow allows no slash in it."""


def with_hostile_text(workplace: Workplace) -> Workplace:
    """Foreign models, tags and events full of control characters and markup."""
    store = workplace.store
    run_id = store.versions.get("tiny", 1).run_id
    for name in (HOSTILE_NAME, "x2\ny", "[bold", "a'b\"c", "100%", "back\\slash"):
        store.models.ensure(name, "odd")
        store.versions.create(name, "nowhere", run_id, {"slipway.refused": HOSTILE}, HOSTILE)
        store.models.set_alias(name, 1)
        store.models.set_tag(name, "slipway.challenger", HOSTILE)
    event = {"when": HOSTILE, "kind": "promoted", "from_version": None, "to_version": 1}
    event |= {"who": HOSTILE, "why": HOSTILE}
    store.models.set_tag("tiny", "slipway.history.x", json.dumps(event))
    store.models.set_tag("tiny", "slipway.canary", HOSTILE)
    store.models.set_tag("tiny", "slipway.challenger", HOSTILE)
    store.versions.set_tag("tiny", 1, "slipway.refused", HOSTILE)
    return workplace


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["versions"], 0),
        (["versions", HOSTILE_NAME], 0),
        (["status", "--url", "http://127.0.0.1:9"], 0),
        (["history", "tiny"], 0),
        (["history", "no" + HOSTILE], 4),
        (["doctor"], 0),
        (["pull"], 0),
        (["promote", HOSTILE_NAME], 0),
        (["no" + HOSTILE], 2),
    ],
    ids=lambda value: value[0][:8] if isinstance(value, list) else "",
)
def test_no_listing_passes_a_control_character_on(
    promoted: Workplace,
    words: list[str],
    code: int,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))  # for the trial of `pull`
    with_hostile_text(promoted)
    capfd.readouterr()
    assert run_command_line(words) == code
    out, err = capfd.readouterr()
    for text in (out, err):
        assert printable_lines(text) == text
        assert "Traceback" not in text
    if words[0] in {"versions", "status", "history", "promote"}:
        assert "31mred" in out + err


def test_a_model_that_cannot_be_pulled_for_any_reason_leaves_the_others(
    both: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = production.reconcile

    def broken(store: Store, name: str) -> int | None:
        if name == "other":
            raise ZeroDivisionError("odd\x1b")
        return genuine(store, name)

    monkeypatch.setattr("registry.pull.reconcile", broken)
    result = pull_all(both.store, both.layout)
    assert [pointer.name for pointer in result.pulled] == ["tiny"]
    assert result.refused == ("other version None: ZeroDivisionError('odd\\x1b')",)


@pytest.mark.parametrize("name", ["x2\ny", "\x1b[31mred2", "UPPER2", "<img src=x>", "a'b\"c"])
def test_a_name_that_slipway_refuses_is_neither_pulled_nor_printed(
    promoted: Workplace,
    name: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The model is in every other respect one of ours."""
    store = promoted.store
    # MLflow asks the store of the process, not the client's, where a logged model is.
    monkeypatch.setattr("mlflow.tracking._tracking_service.utils._tracking_uri", None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.tracking_uri)
    original = store.versions.get("tiny", 1)
    store.models.ensure(name, "odd")
    store.versions.create(name, original.source, original.run_id, original.tags, "")
    store.models.set_alias(name, 1)
    caplog.set_level(logging.INFO)
    result = pull_all(store, promoted.layout)

    assert [pointer.name for pointer in result.pulled] == ["tiny"]
    assert [path.name for path in promoted.layout.all_models.iterdir()] == ["tiny"]
    assert all(printable(r.getMessage()) == r.getMessage() for r in caplog.records)


def test_a_manifest_of_another_model_is_refused(
    promoted: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = promoted.store
    monkeypatch.setattr("mlflow.tracking._tracking_service.utils._tracking_uri", None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.tracking_uri)
    original = store.versions.get("tiny", 1)
    store.models.ensure("stranger", "")
    store.versions.create("stranger", original.source, original.run_id, original.tags, "")
    store.models.set_alias("stranger", 1)
    result = pull_all(store, promoted.layout)

    assert [pointer.name for pointer in result.pulled] == ["tiny"]
    assert "expected a manifest of 'stranger', got one of \"tiny\"" in result.refused[0]
