"""What Prometheus is told; several processes add up in BentoML's `/metrics`."""

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
            ["model"],
            buckets=LATENCY_BUCKETS_S,
        )
        self.predictions = Counter(
            "slipway_predictions", "Predictions given", ["model", "version", "prediction"]
        )
        self.batch_rows = Histogram(
            "slipway_batch_rows", "Rows in one model call", ["model"], buckets=BATCH_BUCKETS
        )
        self.traffic_errors = Counter(
            "slipway_traffic_errors", "Records that could not be written", ["model"]
        )
        self.model_info = Gauge(
            "slipway_model_info",
            "1 for each model that is served",
            ["model", "version", "run_id", "digest"],
            multiprocess_mode="livemax",
        )
