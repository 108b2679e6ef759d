"""The closed loop on short streams: it follows a change, and does no harm where there is none."""

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from benchmarks.monitoring.closed_loop import ClosedLoop
from benchmarks.monitoring.loop import compared_arms
from benchmarks.monitoring.streams import abrupt, bad_week
from tests.conftest import Workplace

pytestmark = pytest.mark.slow


def test_the_loop_promotes_after_an_abrupt_change_and_ends_near_the_best_refit(
    workplace: Workplace,
) -> None:
    """The concept changes with week 1 and with week 4: learned after it, decided a week later."""
    stream = abrupt(11, weeks=7)
    with threadpool_limits(1):
        arms = compared_arms(stream)
        result = ClosedLoop(stream, workplace.root).run()

    promoted = [week for week, event in result.events if event.startswith("promoted")]
    assert promoted
    assert min(promoted) <= 3
    assert result.points[3] > arms.never[3] + 10
    assert result.points[-1] > arms.never[-1] + 10
    assert result.points[-1] > max(points[-1] for points in arms.blind.values()) - 3


def test_a_bad_week_of_labels_promotes_nothing_that_hurts(workplace: Workplace) -> None:
    """All labels of week 2 arrive turned round."""
    stream = bad_week(12, weeks=6)
    with threadpool_limits(1):
        arms = compared_arms(stream)
        result = ClosedLoop(stream, workplace.root, schedule=4).run()

    assert any(event.startswith("waits: exam") for _, event in result.events)
    assert np.mean(result.points) >= np.mean(arms.never) - 1
    assert min(np.subtract(result.points, arms.never)) > -4
