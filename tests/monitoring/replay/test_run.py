"""A replay counts what the versions' own scores give, counted by another route."""

from collections import Counter

import msgspec
import numpy as np
import pytest

from contracts.errors import NotFoundHere
from contracts.replay import Replay
from contracts.traffic import TrafficRecord
from metrics.interval import wilson
from tests.conftest import Workplace
from tests.monitoring.replay.scenario import N, replayed, scores_of, write_log


def test_flips_and_shifts_are_those_of_the_two_models(
    place: Workplace, traffic: list[TrafficRecord]
) -> None:
    """Against training's session and a loop over the rows."""
    found = replayed(place, 2)
    scores = scores_of(place, 2, [r.features for r in traffic])[:, 1]
    before = np.array([r.score for r in traffic])
    pairs = Counter(
        f"{r.prediction} -> {'yes' if s >= 0.6 else 'no'}"
        for r, s in zip(traffic, scores, strict=True)
    )
    flips = {change: n for change, n in pairs.items() if change in {"no -> yes", "yes -> no"}}

    assert found.replayed == found.window.rows == N
    assert found.transitions == flips
    assert found.flips.flips == sum(flips.values()) > 50
    assert found.shift.mean == pytest.approx((scores - before).mean(), abs=1e-9)
    assert found.shift.std == pytest.approx((scores - before).std(), rel=1e-6)
    assert abs(found.shift.extreme) == pytest.approx(np.abs(scores - before).max(), abs=1e-7)
    assert found.shift.quantiles["95"] == pytest.approx(np.quantile(scores - before, 0.95))
    assert sum(found.distribution.replayed) == N
    assert found.distribution.answered == tuple(np.histogram(before, 40, (0, 1))[0])


@pytest.mark.usefixtures("traffic")
def test_the_served_version_reproduces_itself(place: Workplace) -> None:
    own = replayed(place, 1).reproduction

    assert own is not None
    assert own.rows == own.identical == N


def test_an_answer_that_was_tampered_with_is_not_reproduced(
    place: Workplace, traffic: list[TrafficRecord]
) -> None:
    one = traffic[7]
    wrong = msgspec.structs.replace(one, scores={"no": 0.25, "yes": one.scores["yes"] + 1e-9})
    write_log(place.layout, [*traffic[:7], wrong, *traffic[8:]])
    found = replayed(place, 1)

    assert found.reproduction is not None
    assert found.reproduction.identical == N - 1
    assert found.reproduction.max_difference > 1e-10
    assert "reproduces 2,999 of its own 3,000" in found.sentence


def test_segments_add_up_and_are_those_of_a_hand_count(
    place: Workplace, traffic: list[TrafficRecord]
) -> None:
    found = replayed(place, 2, segments=["region", "owner"])
    regions = {s.value: s.flips for s in found.segments if s.segment == "region"}
    scores = scores_of(place, 2, [r.features for r in traffic])[:, 1]
    flipped = [
        r.features["region"] or "(missing)"
        for r, s in zip(traffic, scores, strict=True)
        if (r.prediction == "yes") != (s >= 0.6)
    ]

    assert {value: f.flips for value, f in regions.items()} == dict(Counter(flipped))
    assert sum(f.rows for f in regions.values()) == N
    assert {s.value for s in found.segments if s.segment == "owner"} == {"true", "false"}
    # Six intervals at once are wider than one.
    north = regions["north"]
    assert (north.low, north.high) != pytest.approx(wilson(north.flips, north.rows))


def test_examples_are_the_largest_flips(place: Workplace, traffic: list[TrafficRecord]) -> None:
    found = replayed(place, 2)
    by_id = {r.prediction_id: r for r in traffic}
    scores = scores_of(place, 2, [r.features for r in traffic])[:, 1]
    shifts = {
        r.prediction_id: abs(s - r.score)
        for r, s in zip(traffic, scores, strict=True)
        if (r.prediction == "yes") != (s >= 0.6)
    }
    largest = sorted(shifts, key=lambda name: -shifts[name])[:20]

    assert [e.prediction_id for e in found.examples] == largest
    assert found.examples[0].features == by_id[largest[0]].features
    assert found.examples[0].answered.prediction == by_id[largest[0]].prediction


def test_rows_that_the_schema_refuses_are_counted_with_reasons(
    place: Workplace, traffic: list[TrafficRecord]
) -> None:
    """Version 3 takes nobody above 60, and knows no `lines`, which everybody sent."""
    found = replayed(place, 3)

    assert (found.replayed, found.refused) == (0, N)
    reasons = {r.reason: r.rows for r in found.refusals}
    old = sum(r.features["age"] > 60 for r in traffic)  # type: ignore[operator]  # a number in tiny
    assert reasons.pop("age: expected a number 18..60 [years]") == old
    assert list(reasons.values()) == [N]
    assert found.refusals[0].example == "id-00000"
    assert f"refuse {N:,} of {N:,}" in found.sentence


@pytest.mark.usefixtures("traffic")
def test_a_segment_must_be_a_category(place: Workplace) -> None:
    with pytest.raises(NotFoundHere, match="'age'"):
        replayed(place, 2, segments=["age"])


def test_a_record_without_its_scores_is_not_reproduced(
    place: Workplace, traffic: list[TrafficRecord]
) -> None:
    write_log(place.layout, [*traffic[:5], msgspec.structs.replace(traffic[5], scores={})])
    found = replayed(place, 1)

    assert found.reproduction is not None
    assert (found.reproduction.rows, found.reproduction.identical) == (6, 5)
    assert Replay.read(found.write()) == found
