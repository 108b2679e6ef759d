"""How long two models take to answer, in alternate calls, so that a busy machine slows both."""

import statistics
import time
from collections.abc import Callable, Mapping

CALLS: Mapping[int, int] = {1: 300, 100: 60}
"""Timed calls by rows per call."""
WARM_UP = 10
"""Calls of each model before the first timed one."""


def latencies_ms(models: Mapping[str, Callable[[], object]], n_calls: int) -> dict[str, float]:
    """The median time in milliseconds of a call of each model, by name.

    Each model scores the same rows at every call, as the service would score them.
    """
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for call in range(WARM_UP + n_calls):
        for name, score in models.items():
            start = time.perf_counter()
            score()
            if call >= WARM_UP:
                seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) * 1000 for name, times in seconds.items()}
