"""The service's metrics; BentoML's `/metrics` adds up those of all worker processes.

What happens per request is counted once per batch: with several processes, each count is a write
into a shared file.
"""

import logging
from bisect import bisect_left
from collections.abc import Iterable
from functools import cache

from prometheus_client import Counter, Gauge, Histogram

logger = logging.getLogger("bentoml.slipway")

LATENCY_BUCKETS_S = (
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
)  # fmt: skip
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """The metrics of one process; create them once, after BentoML has set up their folder."""

    def __init__(self) -> None:
        self._define_request_metrics()
        self._define_batch_metrics()
        self._define_version_metrics()

    def _define_request_metrics(self) -> None:
        self.requests = Counter(
            "slipway_requests", "Requests by model and HTTP status", ["model", "status"]
        )
        self.refused = Counter(
            "slipway_refused", "Refused requests, by the code in their response", ["model", "code"]
        )
        self.latency = Histogram(
            "slipway_request_seconds",
            "Seconds from the last byte of a request to its response",
            ["model", "variant"],
            buckets=LATENCY_BUCKETS_S,
        )
        self.predictions = Counter(
            "slipway_predictions",
            "Predictions in responses",
            ["model", "version", "variant", "prediction"],
        )
        self.challenger_failures = Counter(
            "slipway_challenger_failures",
            "Requests that the challenger failed and production answered instead, by fault code",
            ["model", "code"],
        )
        self.labels = Counter("slipway_labels", "Labels accepted", ["model"])

    def _define_batch_metrics(self) -> None:
        self.batch_rows = Histogram(
            "slipway_batch_rows", "Rows in one model call", ["model"], buckets=BATCH_BUCKETS
        )
        self.batches = Counter(
            "slipway_batches",
            "Model calls, and why they were not larger: drained (no row waited) or full",
            ["model", "reason"],
        )
        self.queue_rows = Gauge(
            "slipway_queue_rows",
            "Rows waiting for their model",
            ["model", "variant"],
            multiprocess_mode="livesum",
        )
        self.cache = Counter(
            "slipway_cache_requests",
            "Lookups in a result cache: hit, miss or error",
            ["model", "outcome"],
        )
        self.traffic_errors = Counter(
            "slipway_traffic_errors", "Traffic records that could not be written", ["model"]
        )

    def _define_version_metrics(self) -> None:
        self.scoring_processes = Gauge(
            "slipway_scoring_processes",
            "Processes that score a model outside the workers",
            ["model", "variant"],
            multiprocess_mode="livesum",
        )
        self.scoring_process_ends = Counter(
            "slipway_scoring_process_ends",
            "Scoring processes that were replaced: died, late (no answer in time) or memory",
            ["model", "reason"],
        )
        self.versions_refused = Counter(
            "slipway_versions_refused",
            "Refusals of versions: in their trial, or by this worker although they have a pointer",
            ["model"],
        )
        self.refused_versions = Gauge(
            "slipway_refused_versions",
            "Versions that an alias names, and that failed their trial here",
            ["model"],
            multiprocess_mode="livemax",
        )
        self.load_failed = Gauge(
            "slipway_model_load_failed",
            "1 for each version that a pointer names and that could not be loaded",
            ["model", "version", "variant"],
            multiprocess_mode="livemax",
        )
        self.pointer_errors = Counter(
            "slipway_pointer_errors",
            "Polls in which a worker could not read the pointers; it serves what it has loaded",
        )
        self.split_weight = Gauge(
            "slipway_split_weight",
            "The challenger's share of a model's units in each worker, 0 without a split",
            ["model", "version"],
            multiprocess_mode="liveall",
        )
        self.model_info = Gauge(
            "slipway_model_info",
            "1 for each version that is served",
            ["model", "version", "variant", "run_id", "digest"],
            multiprocess_mode="livemax",
        )


def observe_all(histogram: Histogram, amounts: Iterable[float]) -> None:
    """Observe many amounts with one write per bucket.

    prometheus_client only observes one by one, so this writes to the private parts to which
    `observe` writes. If those have moved, it observes one by one, with one warning.
    """
    try:
        bounds, total, buckets = histogram._upper_bounds, histogram._sum, histogram._buckets  # noqa: SLF001 - see above
    except AttributeError as err:
        _warn_of_slow_metrics(str(err))
        for amount in amounts:
            histogram.observe(amount)
        return
    added = 0.0
    counts: dict[int, int] = {}
    for amount in amounts:
        added += amount
        bucket = bisect_left(bounds, amount)
        counts[bucket] = counts.get(bucket, 0) + 1
    total.inc(added)
    for bucket, count in counts.items():
        buckets[bucket].inc(count)


@cache
def _warn_of_slow_metrics(reason: str) -> None:
    """Log a reason once per process."""
    logger.warning("prometheus_client's histogram has changed (%s): metrics are slower", reason)
