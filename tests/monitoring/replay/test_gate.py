"""The gate's check on a replay."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from contracts.errors import PlatformError
from metrics.interval import wilson
from monitoring.replay.gate import flips_check
from monitoring.traffic.window import TimeWindow
from tests.conftest import Workplace
from tests.monitoring.replay.scenario import NOW, WHOLE, replayed


@pytest.mark.usefixtures("traffic")
def test_the_gate_holds_flips_against_the_upper_end(place: Workplace) -> None:
    document = replayed(place, 2, window=TimeWindow("tiny", 1, WHOLE.start, WHOLE.end))
    high = document.flips.high

    assert flips_check(document, high + 0.001).passed
    refused = flips_check(document, document.flips.share)
    assert refused.refuses
    assert document.replay_id in refused.got
    assert not flips_check(document, None).refuses
    # What would be refused is decided differently, too.
    strict = replayed(place, 3, window=TimeWindow("tiny", 1, WHOLE.start, WHOLE.end))
    assert flips_check(strict, 0.5).refuses
    empty = replayed(place, 2, window=TimeWindow("tiny", 1, NOW, NOW + timedelta(hours=1)))
    assert "no traffic of version 1" in flips_check(empty, 1.0).sentence
    assert flips_check(empty, 1.0).refuses
    with pytest.raises(PlatformError, match="expected a classifier"):
        flips_check(msgspec.structs.replace(document, task="regression"), 0.1)


@given(st.integers(1, 5000), st.floats(0, 1))
def test_the_interval_of_a_share_is_scipys(n: int, share: float) -> None:
    hits = round(n * share)
    theirs = stats.binomtest(hits, n).proportion_ci(method="wilson")

    assert wilson(hits, n) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
