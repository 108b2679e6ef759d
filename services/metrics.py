"""What Prometheus is told; several processes add up in BentoML's `/metrics`.

Everything that happens for each request is counted once a batch: with several processes each
count is a write into a shared file.
"""

from bisect import bisect_left
from collections.abc import Iterable

from prometheus_client import Counter, Gauge, Histogram

LATENCY_BUCKETS_S = (
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
)  # fmt: skip
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """The service's own metrics. Made once a process, after BentoML has set up the sharing."""

    def __init__(self) -> None:
        self.requests = Counter(
            "slipway_requests", "Requests by model and HTTP status", ["model", "status"]
        )
        self.latency = Histogram(
            "slipway_request_seconds",
            "Seconds from the request's last byte to its answer",
            ["model", "variant"],
            buckets=LATENCY_BUCKETS_S,
        )
        self.predictions = Counter(
            "slipway_predictions",
            "Predictions given",
            ["model", "version", "variant", "prediction"],
        )
        self.challenger_failures = Counter(
            "slipway_challenger_failures",
            "Requests that the challenger failed and production was asked instead, by its fault",
            ["model", "code"],
        )
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
            "Rows that wait for their model",
            ["model", "variant"],
            multiprocess_mode="livesum",
        )
        self.refused = Counter(
            "slipway_refused", "Requests refused, by the code in their answer", ["model", "code"]
        )
        self.traffic_errors = Counter(
            "slipway_traffic_errors", "Records that could not be written", ["model"]
        )
        self.cache = Counter(
            "slipway_cache_requests",
            "Requests to a result cache: hit, miss, or error",
            ["model", "outcome"],
        )
        self.versions_refused = Counter(
            "slipway_versions_refused", "Versions that were pointed at and not served", ["model"]
        )
        self.labels = Counter("slipway_labels", "Labels taken", ["model"])
        self.model_info = Gauge(
            "slipway_model_info",
            "1 for each model that is served",
            ["model", "version", "variant", "run_id", "digest"],
            multiprocess_mode="livemax",
        )


def observe_all(histogram: Histogram, amounts: Iterable[float]) -> None:
    """Observe many amounts with one write for each bucket that they fall into.

    prometheus_client can only observe one by one, so this writes to the two parts of its
    histogram that `observe` writes to.
    """
    total = 0.0
    counts: dict[int, int] = {}
    for amount in amounts:
        total += amount
        bucket = bisect_left(histogram._upper_bounds, amount)  # noqa: SLF001 - see above
        counts[bucket] = counts.get(bucket, 0) + 1
    histogram._sum.inc(total)  # noqa: SLF001 - see above
    for bucket, count in counts.items():
        histogram._buckets[bucket].inc(count)  # noqa: SLF001 - see above
