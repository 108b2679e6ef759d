"""Refused versions: kept in one place, tried again after growing pauses, and taken back."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from contracts.errors import CorruptModel
from contracts.manifest import Pointer, Refusal
from contracts.names import Layout
from contracts.times import utc_text
from registry import shadow_process
from registry.follow import Follower
from registry.pointers import read_pointer
from registry.promote import promote
from registry.pull import pull_all
from registry.refusals import TAG_REFUSED, read_refusals
from registry.rollout import Rollout
from tests.conftest import Workplace
from tests.registry.test_alias_sync import passing


class Trial:
    """A trial that the versions in `broken` fail; it keeps the versions that it was asked for."""

    def __init__(self, *broken: int) -> None:
        self.broken = set(broken)
        self.asked: list[int] = []

    def __call__(self, _layout: Layout, pointer: Pointer, /) -> None:
        """Fail for a broken version."""
        self.asked.append(pointer.version)
        if pointer.version in self.broken:
            raise CorruptModel("expected it to load, got \x1b[31mnonsense")


def follower_of(workplace: Workplace, trial: Trial, monkeypatch: pytest.MonkeyPatch) -> Follower:
    monkeypatch.setattr(shadow_process.ShadowProcess, "ensure", lambda _self: None)
    rollout = Rollout(workplace.layout, hold_s=0.0)
    return Follower(lambda: workplace.store, workplace.layout, trial, 1.0, rollout)


def pointed_at(workplace: Workplace, role: str = "production", name: str = "tiny") -> int | None:
    pointer = read_pointer(workplace.layout, name, role)
    return None if pointer is None else pointer.version


def tag(workplace: Workplace, version: int) -> str | None:
    return workplace.store.versions.get("tiny", version).tags.get(TAG_REFUSED)


def age(workplace: Workplace, seconds: float) -> None:
    """Let the refusals in force be as old as this."""
    for refusal in read_refusals(workplace.layout, "tiny"):
        then = utc_text(datetime.now(UTC) - timedelta(seconds=seconds), "seconds")
        path = workplace.layout.refusal("tiny", refusal.role, refusal.version)
        path.write_bytes(replace(refusal, refused_at=then).write_pretty())


def only_refusal(workplace: Workplace) -> Refusal:
    (refusal,) = read_refusals(workplace.layout, "tiny")
    return refusal


def test_a_refused_version_is_tried_again_after_pauses_that_double(
    trained: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by a follower that was restarted: the pause is in the file, not in its memory."""
    trial = Trial(2)
    store = trained.store
    store.models.set_alias("tiny", 2)
    for attempts, pause_s in ((1, 60), (2, 120), (3, 240)):
        follower_of(trained, trial, monkeypatch).settle()
        assert trial.asked == [2] * attempts
        assert only_refusal(trained).attempts == attempts
        age(trained, pause_s - 5)
        follower_of(trained, trial, monkeypatch).settle()
        assert trial.asked == [2] * attempts, "too early"
        age(trained, pause_s + 5)
    age(trained, -3600)
    trial.broken.clear()
    follower_of(trained, trial, monkeypatch).settle()

    assert pointed_at(trained) == 2, "a clock that was set back made it wait"
    assert read_refusals(trained.layout, "tiny") == []
    assert tag(trained, 2) is None


def test_a_version_with_another_digest_is_tried_at_once(
    trained: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = trained.store
    good = store.versions.get("tiny", 2).digest
    store.versions.set_tag("tiny", 2, "slipway.digest", "0" * 64)
    store.models.set_alias("tiny", 2)
    follower = follower_of(trained, Trial(), monkeypatch)
    follower.settle()
    assert only_refusal(trained).digest == "0" * 64
    store.versions.set_tag("tiny", 2, "slipway.digest", good)
    follower.settle()

    assert pointed_at(trained) == 2
    assert tag(trained, 2) is None


def test_what_failed_its_trial_and_passes_later_is_refused_nowhere(
    trained: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its directory is here and right all the time, so nothing is downloaded again."""
    trial = Trial(2)
    trained.store.models.set_alias("tiny", 2)
    follower = follower_of(trained, trial, monkeypatch)
    follower.settle()
    reason = tag(trained, 2)
    assert reason == only_refusal(trained).reason == "expected it to load, got \\x1b[31mnonsense"
    trial.broken.clear()

    assert [p.version for p in pull_all(trained.store, trained.layout, trial).pulled] == [2]
    assert tag(trained, 2) is None
    assert read_refusals(trained.layout, "tiny") == []


def test_a_tag_of_an_earlier_release_ends_when_the_version_is_served(
    promoted: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    promoted.layout.all_refusals.mkdir(parents=True)
    old = promoted.layout.all_refusals / "tiny.json"
    old.write_text("{}")
    follower = follower_of(promoted, Trial(), monkeypatch)
    follower.settle()
    promoted.store.versions.set_tag("tiny", 1, TAG_REFUSED, "long ago")
    follower_of(promoted, Trial(), monkeypatch).settle()

    assert tag(promoted, 1) is None
    assert not old.exists()


def test_a_shadow_that_passes_leaves_the_refusal_of_production(
    trained: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = trained.store
    promote(store, "tiny", 1, actor="ada")
    follower = follower_of(trained, Trial(2), monkeypatch)
    follower.settle()
    store.models.set_alias("tiny", 2)
    store.models.set_alias("tiny", 3, "shadow")
    follower.settle()
    assert (pointed_at(trained), pointed_at(trained, "shadow")) == (1, 3)
    refusal = only_refusal(trained)
    assert (refusal.role, refusal.version) == ("production", 2)
    assert tag(trained, 2)

    store.models.set_alias("tiny", 1)
    follower.settle()
    assert read_refusals(trained.layout, "tiny") == [], "no alias names it any more"
    assert tag(trained, 2), "the tag still says why it was not served"


def test_a_corrupt_challenger_waits_whatever_is_in_production(
    trained: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is at fault by itself: another production version is no reason to try it again."""
    trial = Trial(2)
    store = trained.store
    promote(store, "tiny", 1, actor="ada")
    store.models.set_alias("tiny", 2, "challenger")
    follower = follower_of(trained, trial, monkeypatch)
    follower.settle()
    assert only_refusal(trained).against == ""
    store.models.set_alias("tiny", 3)
    follower.settle()
    follower.settle()

    assert pointed_at(trained) == 3
    assert trial.asked.count(2) == 1


def test_a_trial_that_hangs_delays_no_other_model_and_no_other_role(
    both: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one of `other` hangs; tiny gets a pointer, and its removal is followed."""
    hangs = threading.Event()

    def trial(_layout: Layout, pointer: Pointer) -> None:
        if pointer.name == "other":
            hangs.wait(60)

    follower = follower_of(both, Trial(), monkeypatch)
    follower.preparations.trial = trial
    try:
        poll_until(follower, lambda: pointed_at(both) == 1)
        assert pointed_at(both, name="other") is None
        both.store.models.delete_alias("tiny")
        both.store.models.set_tag("tiny", "slipway.production", "1")
        poll_until(follower, lambda: pointed_at(both) is None)
        assert pointed_at(both, name="other") is None
        assert follower.preparations.n_started == follower.preparations.n_ended + 1
    finally:
        hangs.set()
    follower.settle()
    assert pointed_at(both, name="other") == 1


def poll_until(follower: Follower, claim: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 30
    while not claim():
        assert time.monotonic() < give_up
        assert follower.poll()
        time.sleep(0.02)


def test_a_passing_trial_leaves_no_file(
    promoted: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    follower = follower_of(promoted, Trial(), monkeypatch)
    follower.preparations.trial = passing
    follower.settle()
    assert pointed_at(promoted) == 1
    assert not promoted.layout.all_refusals.exists()
