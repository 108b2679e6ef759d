"""Challenger and shadow: fetched, refused, given a share and removed, by alias and tag."""

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from contracts.canary import Canary, CanaryEvidence
from contracts.errors import CorruptModel
from contracts.manifest import Pointer
from contracts.names import TAG_CANARY, TAG_CHALLENGER_SPLIT, Layout
from contracts.schema import Schema
from contracts.split import TrafficSplit
from registry import shadow_process
from registry.doctor import examine
from registry.follow import Follower
from registry.history import history
from registry.pointers import read_pointer
from registry.promote import promote
from registry.refusals import TAG_REFUSED
from registry.rollout import Rollout
from slipway.app import app
from tests import tiny
from tests.conftest import Workplace
from training.run import train_recipe


def passing(_layout: Layout, _pointer: Pointer) -> None:
    """A trial that every version passes: the service's tests cover loading."""


@pytest.fixture
def follower(trained: Workplace, monkeypatch: pytest.MonkeyPatch) -> Follower:
    """A follower of three versions; the first is in production, and no shadow process runs."""
    monkeypatch.setattr(shadow_process.ShadowProcess, "ensure", lambda _self: None)
    promote(trained.store, "tiny", 1, actor="ada")
    rollout = Rollout(trained.layout, hold_s=0.0)
    follower = Follower(lambda: trained.store, trained.layout, passing, 1.0, rollout)
    follower.settle()
    return follower


def split(workplace: Workplace) -> TrafficSplit | None:
    path = workplace.layout.split("tiny")
    return TrafficSplit.read(path.read_bytes()) if path.exists() else None


def say(*words: str) -> Any:
    done = CliRunner().invoke(app, ["traffic-split", "tiny", *words, "--json"])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return {each["role"]: each for each in json.loads(done.stdout)}


def test_a_challenger_gets_its_share_and_loses_it(trained: Workplace, follower: Follower) -> None:
    assert say("challenger=10%", "--version", "2")["challenger"] == {
        "role": "challenger",
        "version": 2,
        "share": "10%",
    }
    follower.settle()
    found, pointer = split(trained), read_pointer(trained.layout, "tiny", "challenger")
    assert found is not None
    assert pointer is not None
    assert (found.challenger_version, found.weight, found.canary) == (2, 0.1, "")
    assert (pointer.version, pointer.alias) == (2, "challenger")
    assert found.challenger_digest == pointer.digest
    before = found.since
    follower.settle()
    assert split(trained) == found
    say("challenger=20%")
    follower.settle()
    raised = split(trained)
    assert raised is not None
    assert raised.weight == 0.2
    assert raised.since > before
    say("challenger=off")
    follower.settle()
    assert split(trained) is None
    trained.store.models.delete_alias("tiny", "challenger")
    follower.settle()
    assert read_pointer(trained.layout, "tiny", "challenger") is None
    assert not examine(trained.store, trained.layout)


def test_a_shadow_comes_and_goes(trained: Workplace, follower: Follower) -> None:
    assert say("shadow=3")["shadow"]["version"] == 3
    follower.settle()
    pointer = read_pointer(trained.layout, "tiny", "shadow")
    assert pointer is not None
    assert (pointer.version, pointer.alias) == (3, "shadow")
    assert say("shadow=off")["shadow"]["version"] is None
    follower.settle()
    assert read_pointer(trained.layout, "tiny", "shadow") is None


@pytest.mark.parametrize(
    "words",
    [("challenger=ten",), ("challenger",), ("champion=5%",), ("shadow=x",)],
    ids=lambda words: words[0],
)
def test_words_that_mean_nothing_change_nothing(
    trained: Workplace, follower: Follower, words: tuple[str, ...]
) -> None:
    del follower
    before = trained.store.models.get("tiny")
    with pytest.raises(Exception, match="expected"):
        say(*words)

    assert trained.store.models.get("tiny") == before


def test_a_challenger_must_take_what_production_takes(
    trained: Workplace, follower: Follower
) -> None:
    """A feature that clients send is missing: today's requests would be refused."""
    features = [f for f in tiny.SCHEMA.features if f.name != "lines"]
    narrower = Schema(features=tuple(features))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiny, "NUMBERS", ["age", "income", "owner"])
        made = train_recipe(tiny.binary(schema=narrower), trained.store)
    say("challenger=50%", "--version", str(made.version))
    follower.settle()
    tags = trained.store.versions.get("tiny", made.version).tags

    assert split(trained) is None
    assert "feature lines: clients send it, and it would be refused" in tags[TAG_REFUSED]
    assert read_pointer(trained.layout, "tiny", "challenger") is None
    say("challenger=50%", "--version", "2")
    follower.settle()
    assert split(trained) is not None


def test_a_challenger_that_cannot_be_loaded_disturbs_nobody(
    trained: Workplace, follower: Follower
) -> None:
    def failing(_layout: Layout, pointer: Pointer) -> None:
        if pointer.version == 2:
            raise CorruptModel("expected it to load, got nonsense")

    follower.preparations.trial = failing
    say("challenger=50%", "--version", "2")
    follower.settle()
    assert split(trained) is None
    assert TAG_REFUSED in trained.store.versions.get("tiny", 2).tags
    production = read_pointer(trained.layout, "tiny")
    assert production is not None
    assert production.version == 1
    follower.preparations.trial = passing
    promote(trained.store, "tiny", 2, actor="ada", force=True, because="to see")
    follower.settle()
    served = read_pointer(trained.layout, "tiny")
    assert served is not None
    assert served.version == 2, "what is refused as challenger is judged again as production"
    assert TAG_REFUSED not in trained.store.versions.get("tiny", 2).tags


# canaries


def begun(
    workplace: Workplace, follower: Follower, words: str = "canary 10,50,100 each 5"
) -> Canary:
    say(f"challenger={words}", "--version", "2")
    follower.settle()
    return stored(workplace)


def stored(workplace: Workplace) -> Canary:
    return Canary.read(workplace.store.models.get("tiny").tags[TAG_CANARY].encode())


def show(workplace: Workplace, canary: Canary, **counts: Any) -> None:
    """Write evidence as the service counts it."""
    path = workplace.layout.evidence("tiny")
    path.write_bytes(CanaryEvidence(canary=canary.began, **counts).write_pretty())


def test_a_canary_goes_step_by_step_to_production(trained: Workplace, follower: Follower) -> None:
    canary = begun(trained, follower)
    first = split(trained)
    assert first is not None
    assert (first.weight, first.canary, canary.weights) == (0.1, canary.began, (0.1, 0.5))
    show(trained, canary, seen=50, requests=5, compared=5, units=5)
    follower.settle()
    second = split(trained)
    assert second is not None
    assert (second.weight, second.canary, stored(trained).step) == (0.5, canary.began, 1)
    show(trained, canary, seen=60, requests=9, compared=9, units=9)
    follower.settle()
    assert stored(trained).step == 1
    show(trained, canary, seen=62, requests=10, compared=10, units=10)
    follower.settle()
    assert split(trained) is not None, "its users stay with it until production has moved"
    follower.settle()

    assert split(trained) is None
    assert (stored(trained).status, stored(trained).is_closed) == ("completed", True)
    assert trained.store.models.get("tiny").tags[TAG_CHALLENGER_SPLIT] == "off"
    event = history(trained.store, "tiny")[-1]
    assert (event.from_version, event.to_version, event.who) == (1, 2, "canary")
    production = read_pointer(trained.layout, "tiny")
    assert production is not None
    assert production.version == 2
    documents = trained.store.artifacts.paths(
        trained.store.versions.get("tiny", 2).run_id, "decision"
    )
    assert [Path(name).suffix for name in documents] == [".json"]


def test_a_canary_that_fails_is_taken_back_and_stays_so(
    trained: Workplace, follower: Follower
) -> None:
    canary = begun(trained, follower)
    show(trained, canary, seen=20, requests=3, failed=3)
    for _ in range(3):
        follower.settle()

    assert split(trained) is None
    assert (stored(trained).status, stored(trained).is_closed) == ("aborted", True)
    assert "3 of 3 requests failed" in stored(trained).sentence
    assert trained.store.models.get("tiny").tags[TAG_CHALLENGER_SPLIT] == "off"
    assert trained.store.models.get("tiny").aliases["production"] == 1
    again = begun(trained, follower)
    assert again.began > canary.began
    assert split(trained) is not None, "asking for a canary again starts a new one"


@pytest.mark.parametrize("status", ["aborted", "completed"])
def test_a_follower_that_was_killed_after_deciding_does_what_follows(
    trained: Workplace, follower: Follower, status: Any
) -> None:
    canary = begun(trained, follower)
    half = replace(canary, status=status, sentence="decided")
    trained.store.models.set_tag("tiny", TAG_CANARY, half.write().decode())
    for _ in range(3):
        follower.settle()

    assert stored(trained).is_closed
    assert stored(trained).status == status
    assert trained.store.models.get("tiny").tags[TAG_CHALLENGER_SPLIT] == "off"
    promoted = {"aborted": 1, "completed": 2}[status]
    assert trained.store.models.get("tiny").aliases["production"] == promoted
    assert split(trained) is None


def test_another_share_by_hand_stops_a_canary(trained: Workplace, follower: Follower) -> None:
    begun(trained, follower)
    say("challenger=30%")
    for _ in range(2):
        follower.settle()

    found = split(trained)
    assert found is not None
    assert (found.weight, found.canary) == (0.3, "")
    assert (stored(trained).status, stored(trained).is_closed) == ("stopped", True)


def test_evidence_of_another_canary_moves_nothing(trained: Workplace, follower: Follower) -> None:
    canary = begun(trained, follower)
    show(trained, replace(canary, began="2020-01-01T00:00:00Z"), requests=9, failed=9)
    follower.settle()

    assert stored(trained).status == "running"
    assert stored(trained).step == 0
