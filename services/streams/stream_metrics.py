"""The metrics of a stream worker; those of the service are in `services.metrics`."""

import time
from collections.abc import Mapping, Sequence

from prometheus_client import Counter, Gauge, Histogram

from services.streams.message import StreamMessage

BATCH_BUCKETS_MESSAGES = (1, 4, 16, 64, 128, 256, 512, 1024, 4096)


class StreamMetrics:
    """What one process has done with the messages of streams; create it once per process."""

    def __init__(self) -> None:
        self.messages = Counter(
            "slipway_stream_messages",
            "Messages that were acknowledged, by outcome: predicted or rejected",
            ["model", "stream", "outcome"],
        )
        self.redelivered = Counter(
            "slipway_stream_redelivered",
            "Messages that another worker had in hand when it died or was too slow",
            ["model", "stream"],
        )
        self.retries = Counter(
            "slipway_stream_retries",
            "Attempts that failed and are repeated, by step: read, publish or acknowledge",
            ["model", "stream", "step"],
        )
        self.batch_messages = Histogram(
            "slipway_stream_batch_messages",
            "Messages in one batch",
            ["model", "stream"],
            buckets=BATCH_BUCKETS_MESSAGES,
        )
        self.lag = Gauge(
            "slipway_stream_lag_messages",
            "Messages that wait and that no worker has in hand",
            ["model", "stream", "partition"],
        )
        self.age = Gauge(
            "slipway_stream_age_seconds",
            "Age of the oldest message of the last batch when it was read; 0 if none waits",
            ["model", "stream"],
        )


class WorkerMetrics:
    """The metrics of one worker: those of `StreamMetrics` with its model and stream."""

    def __init__(self, metrics: StreamMetrics, model: str, stream: str) -> None:
        self.n_acknowledged = 0
        self._names = (model, stream)
        self._lag = metrics.lag
        self._partitions: set[str] = set()
        self._predicted = metrics.messages.labels(model, stream, "predicted")
        self._rejected = metrics.messages.labels(model, stream, "rejected")
        self._redelivered = metrics.redelivered.labels(model, stream)
        self._n_redelivered = 0
        self._retries = {
            step: metrics.retries.labels(model, stream, step)
            for step in ("read", "publish", "acknowledge")
        }
        self._batch_messages = metrics.batch_messages.labels(model, stream)
        self._age = metrics.age.labels(model, stream)

    def read(self, messages: Sequence[StreamMessage], n_redelivered: int) -> None:
        """Messages are in hand; `n_redelivered` of all so far were in other hands before."""
        self._batch_messages.observe(len(messages))
        self._age.set(max(0.0, time.time() - messages[0].time_ms / 1e3))
        self._redelivered.inc(n_redelivered - self._n_redelivered)
        self._n_redelivered = n_redelivered

    def acknowledged(self, n_predicted: int, n_rejected: int) -> None:
        """Messages are done with."""
        self._predicted.inc(n_predicted)
        self._rejected.inc(n_rejected)
        self.n_acknowledged += n_predicted + n_rejected

    def retried(self, step: str) -> None:
        """A step failed and is repeated."""
        self._retries[step].inc()

    def lags(self, by_partition: Mapping[int, int]) -> None:
        """How many messages wait in each partition of this worker; others have no series."""
        current = {str(partition): lag for partition, lag in by_partition.items()}
        for partition in self._partitions - current.keys():
            self._lag.remove(*self._names, partition)
        for partition, lag in current.items():
            self._lag.labels(*self._names, partition).set(lag)
        self._partitions = set(current)
        if current and not any(current.values()):
            self._age.set(0)
