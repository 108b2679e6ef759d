"""`slipway traffic-split --wait` returns when every worker has the split, or says why not."""

import pytest

from contracts.errors import PlatformError
from slipway import split_wait
from slipway.split_wait import WantedSplit, WorkerWeights, read_weights, wait_for_split, weights_of

PAGE = """# HELP slipway_split_weight The challenger's share
slipway_split_weight{model="loan",pid="7",version=""} 0.0
slipway_split_weight{model="loan",pid="7",version="2"} 0.1
slipway_split_weight{model="loan",pid="8",version=""} 0.0
slipway_split_weight{model="iris",pid="9",version="3"} 0.5
"""
WANTED = WantedSplit("loan", 2, 0.1)


def test_the_weights_of_each_worker_are_read_from_the_page() -> None:
    assert weights_of(PAGE, "loan") == {"7": {2: 0.1}, "8": {}}
    assert weights_of("", "loan") == {}


@pytest.mark.parametrize(
    ("wanted", "weights", "is_met"),
    [
        (WANTED, {2: 0.1}, True),
        (WANTED, {2: 0.2}, False),
        (WANTED, {3: 0.1}, False),
        (WANTED, {2: 0.1, 3: 0.2}, False),
        (WANTED, {}, False),
        (WantedSplit("loan", 2, 0.0), {}, True),
        (WantedSplit("loan", 2, 0.0), {2: 0.1}, False),
        (WantedSplit("loan", 2, None), {2: 0.05}, True),
        (WantedSplit("loan", 2, None), {}, False),
    ],
)
def test_a_worker_has_a_split_or_not(
    wanted: WantedSplit, weights: dict[int, float], is_met: bool
) -> None:
    assert wanted.is_met(weights) is is_met


def test_it_waits_for_the_last_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split_wait, "POLL_S", 0.0)
    pages: list[WorkerWeights] = [{}, {"7": {2: 0.1}, "8": {}}, {"7": {2: 0.1}, "8": {2: 0.1}}]

    assert wait_for_split(WANTED, lambda: pages.pop(0), lambda: "", 60) == 2
    assert pages == []


def test_it_gives_up_with_what_it_saw() -> None:
    with pytest.raises(PlatformError, match="after 0 s, 1 of 2 workers have version 2 10%"):
        wait_for_split(WANTED, lambda: {"7": {2: 0.1}, "8": {}}, lambda: "", 0)


def test_a_refused_version_is_not_waited_for() -> None:
    with pytest.raises(PlatformError, match="version 2 is refused: it hangs"):
        wait_for_split(WANTED, dict, lambda: "it hangs", 60)


def test_a_service_that_is_away_is_named() -> None:
    with pytest.raises(PlatformError, match=r"expected an answer from http://127\.0\.0\.1:9"):
        read_weights("http://127.0.0.1:9", "", "loan")
