"""The judges of swaps, races and kills see what is wrong, and every step has its function."""

import importlib
from pathlib import Path

from benchmarks.lifecycle import crash_injection, promotion_races
from benchmarks.lifecycle.crash_injection import Death, bars_of
from benchmarks.lifecycle.kill_points import STEPS
from benchmarks.lifecycle.swap_load import Seen, Swap
from benchmarks.lifecycle.swaps import within
from registry.history import Event


def test_every_step_names_a_function_of_ours_or_of_a_library() -> None:
    for step in (step for steps in STEPS.values() for step in steps):
        found = importlib.import_module(step.module)
        for name in step.function.split("."):
            found = getattr(found, name)

        assert callable(found), step


def event(why: str, before: int | None, after: int, who: str = "hand0") -> Event:
    return Event("2026-01-31T12:00:00Z", "promoted", before, after, who, why)


def test_a_race_finds_moves_that_are_missing_recorded_twice_or_wrong() -> None:
    events = [event("a", None, 1), event("b", 1, 2), event("by hand", 2, 3, who="mlflow")]

    assert promotion_races._not_recorded(events, [("a", None, 1), ("b", 1, 2)]) == 0
    assert promotion_races._not_recorded(events, [("a", None, 1)]) == 1
    assert (
        promotion_races._not_recorded([*events, event("b", 1, 2)], [("a", None, 1), ("b", 1, 2)])
        == 1
    )
    assert promotion_races._not_recorded(events, [("a", None, 1), ("b", 3, 2)]) == 2


def test_a_race_finds_versions_that_a_reader_saw_in_no_order_of_the_history() -> None:
    events = [event("a", None, 1), event("b", 1, 2), event("c", 2, 3)]

    assert promotion_races._unknown(events, [1, 1, 2, 3]) == 0
    assert promotion_races._unknown(events, [1, 3, 3]) == 0
    assert promotion_races._unknown(events, [2, 1]) == 1
    assert promotion_races._unknown(events, [4]) == 1


def test_only_requests_that_were_answered_during_a_swap_count_for_it() -> None:
    seen = Seen(at=[1.0, 2.0, 2.9, 3.5, 9.0, 10.2], took=[1, 2, 3, 4, 5, 6])
    swaps = [Swap(2, 2.0, 0.5, 0.5), Swap(1, 10.0, 0.1, 0.1)]

    assert within(seen, swaps) == [2, 3, 6]


def test_a_kill_that_left_something_or_hit_nothing_misses_its_bar() -> None:
    sound = Death("pull", "before x", was_killed=True, wrong=(), left=(), temporary=0)
    missed = Death("pull", "before y", was_killed=False, wrong=(), left=(), temporary=0)
    torn = Death(
        "pull",
        crash_injection.RANDOM,
        was_killed=True,
        wrong=("torn",),
        left=("a", "b"),
        temporary=0,
    )

    assert [bar.met for bar in bars_of([sound] * 200)] == [True] * 4
    assert [bar.met for bar in bars_of([sound] * 200 + [missed])] == [True, False, True, True]
    assert [bar.measured for bar in bars_of([sound, torn])] == ["2", "0", "1", "2"]


def test_results_say_where_they_were_measured() -> None:
    folder = Path(crash_injection.__file__).with_name("results")
    for path in folder.glob("*.json"):
        assert b'"commit"' in path.read_bytes()
