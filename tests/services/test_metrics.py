"""What is observed at once is what is observed one by one, whatever prometheus_client keeps."""

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram

from services import metrics

AMOUNTS = st.lists(st.floats(0, 20, width=32) | st.sampled_from(metrics.LATENCY_BUCKETS_S))


def histogram() -> Histogram:
    return Histogram(
        "seconds", "-", buckets=metrics.LATENCY_BUCKETS_S, registry=CollectorRegistry()
    )


def samples(observed: Histogram) -> dict[tuple[str, str], float]:
    """The samples of a histogram, without the time at which it was made."""
    return {
        (sample.name, sample.labels.get("le", "")): sample.value
        for family in observed.collect()
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


@given(AMOUNTS)
def test_observing_all_equals_observing_each(amounts: list[float]) -> None:
    each, together = histogram(), histogram()
    for amount in amounts:
        each.observe(amount)
    metrics.observe_all(together, amounts)

    assert samples(together) == pytest.approx(samples(each))


@pytest.mark.parametrize("moved", ["_upper_bounds", "_sum", "_buckets"])
def test_without_a_private_part_each_is_observed_with_one_warning(
    moved: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What happens when prometheus_client renames what `observe_all` writes to."""

    class Renamed:
        def __init__(self) -> None:
            self.inner = histogram()

        def __getattr__(self, name: str) -> Any:
            if name == moved:
                raise AttributeError(name)
            return getattr(self.inner, name)

    renamed: Any = Renamed()
    with caplog.at_level(logging.WARNING, logger="bentoml.slipway"):
        for _ in range(3):
            metrics.observe_all(renamed, [0.001, 0.3])

    expected = histogram()
    for amount in [0.001, 0.3] * 3:
        expected.observe(amount)
    assert samples(renamed.inner) == pytest.approx(samples(expected))
    assert [moved in record.message for record in caplog.records] == [True]
