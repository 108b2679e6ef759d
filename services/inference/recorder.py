"""The recorder: what was scored is written to the traffic log, answered and counted."""

import logging
import time
from collections import Counter
from collections.abc import Sequence

from services.faults import Fault
from services.inference.batch_result import BatchClock, BatchResult
from services.inference.batcher import DRAINED, FULL
from services.inference.cache import ResultCache
from services.inference.json_templates import encode
from services.inference.jsonl_log import JsonlLog
from services.inference.loader import ServedModel
from services.inference.pending import PendingRequest
from services.metrics import Metrics, observe_all

ANSWERED = "200"
"""The status under which answered requests are counted, once per batch; refused ones are
counted by the transport that refuses them."""

logger = logging.getLogger("bentoml.slipway")


class Recorder:
    """Observes the batcher of one version: caches scores, logs predictions, answers requests.

    `must_log`: refuse a prediction that cannot be written to the traffic log.
    """

    def __init__(
        self,
        served: ServedModel,
        log: JsonlLog,
        metrics: Metrics,
        cache: ResultCache | None,
        *,
        must_log: bool,
    ) -> None:
        name, version = served.pointer.name, str(served.pointer.version)
        variant = served.pointer.alias
        self._name = name
        self._renderer = served.renderer
        self._log = log
        self._cache = cache
        self._must_log = must_log
        self._answered = metrics.requests.labels(name, ANSWERED)
        self._latency = metrics.latency.labels(name, variant)
        self._batch_rows = metrics.batch_rows.labels(name)
        self._batches = {why: metrics.batches.labels(name, why) for why in (DRAINED, FULL)}
        self._queue_rows = metrics.queue_rows.labels(name, variant)
        self._traffic_errors = metrics.traffic_errors.labels(name)
        counter = metrics.predictions.labels
        self._predictions = {
            encode(prediction): counter(name, version, variant, prediction)
            for prediction in served.manifest.classes
        }
        self._values = None if self._predictions else counter(name, version, variant, "value")

    def scored(
        self, batch: Sequence[PendingRequest], n_rows: int, n_waiting: int, reason: str
    ) -> None:
        """Count a model call, and keep its scores for requests with the same rows."""
        self._batch_rows.observe(n_rows)
        self._batches[reason].inc()
        self._queue_rows.set(n_waiting)
        if self._cache is not None:
            for pending in batch:
                self._cache.put_many(pending.rows, pending.scores)

    def complete(self, batch: Sequence[PendingRequest]) -> None:
        """Record scored requests with one write, then answer them.

        If the write fails and must not, each sink gets the fault `traffic_log_unavailable`.
        """
        clock, now = BatchClock.now(), time.monotonic()
        waits_s = [now - pending.request.arrived for pending in batch]
        result = self._renderer.result(batch, clock)
        if result.ids and not self._is_recorded(result, batch, waits_s, clock):
            for pending in batch:
                pending.sink.set_exception(Fault("traffic_log_unavailable"))
            return
        start = 0
        for pending in batch:
            rows = pending.rows
            stop = start + len(rows.features)
            pending.sink.set_result(pending.render(result, slice(start, stop), rows.refused))
            start = stop
        self._answered.inc(len(batch))
        observe_all(self._latency, waits_s)

    def _is_recorded(
        self,
        result: BatchResult,
        batch: Sequence[PendingRequest],
        waits_s: Sequence[float],
        clock: BatchClock,
    ) -> bool:
        """Whether the predictions may be given: they are in the log, or need not be."""
        try:
            self._log.append_block(self._renderer.lines(result, batch, waits_s), clock.datetime)
        except OSError as err:
            self._traffic_errors.inc(len(result.ids))
            logger.error("traffic log of %s: %s", self._name, err)  # noqa: TRY400 - the error names the file
            if self._must_log:
                return False
        if self._values is None:
            for prediction, times in Counter(result.predictions).items():
                self._predictions[prediction].inc(times)
        else:
            self._values.inc(len(result.ids))
        return True
