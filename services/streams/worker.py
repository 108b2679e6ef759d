"""The loop of a stream worker: read, score, publish, acknowledge.

In this order, one batch at a time: a message is acknowledged after the broker has its answer,
and a record of it is in the traffic log before that. A worker that dies in between leaves the
batch to another one, which gives the same answers the same ids. What fails is repeated until it
succeeds or the worker is stopped; nothing more is read meanwhile.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

import msgspec

from contracts.errors import PlatformError
from services.faults import Fault
from services.protocols.fault_body import row_fault
from services.streams.broker import AnswerSink, MessageSource
from services.streams.message import StreamAnswer, StreamMessage
from services.streams.production import ProductionVersions
from services.streams.scoring import MAX_STREAM_PAUSE_S, MIN_STREAM_PAUSE_S, MessageScorer, wait
from services.streams.stream_metrics import WorkerMetrics

LAG_INTERVAL_S = 5.0
LAG_LOG_INTERVAL_S = 60.0
LAST_TRIES_TIMEOUT_S = 10.0
"""The time for which a stopped worker tries to publish and acknowledge what it has in hand."""

Result = TypeVar("Result")

logger = logging.getLogger("slipway.stream")


class StreamWorker:
    """Answers the messages of one source until it is stopped.

    `batch_messages`: the most messages that it has in hand. `max_deliveries`: a message with
    which this many workers died is a dead letter.
    """

    def __init__(
        self,
        source: MessageSource,
        sink: AnswerSink,
        dead_letters: AnswerSink,
        versions: ProductionVersions,
        scorer: MessageScorer,
        metrics: WorkerMetrics,
        *,
        batch_messages: int,
        max_deliveries: int,
    ) -> None:
        self._source = source
        self._sink = sink
        self._dead_letters = dead_letters
        self._versions = versions
        self._scorer = scorer
        self._metrics = metrics
        self._batch_messages = batch_messages
        self._max_deliveries = max_deliveries
        self._stopping = asyncio.Event()
        self._stop_deadline = float("inf")
        self._next_lag = 0.0
        self._next_lag_log = time.monotonic() + LAG_LOG_INTERVAL_S

    def stop(self) -> None:
        """Finish the batch in hand, then end `run`."""
        self._stop_deadline = time.monotonic() + LAST_TRIES_TIMEOUT_S
        self._stopping.set()

    async def run(self) -> None:
        """Work until `stop`.

        Raises:
            PlatformError: stopped with messages in hand that could not be answered.

        """
        while not self._stopping.is_set():
            messages = await self._read()
            if messages:
                await self._answer(messages)
            await self._report_lag()

    async def _read(self) -> Sequence[StreamMessage]:
        """The next messages; none if the worker is stopped while the broker does not answer."""
        call = partial(self._source.read, self._batch_messages)
        pause_s, problem = MIN_STREAM_PAUSE_S, ""
        while not self._stopping.is_set():
            try:
                messages = await call(self._versions.current)
            except PlatformError as err:
                problem = self._report("read", err, problem)
                await wait(self._stopping, pause_s)
                pause_s = min(2 * pause_s, MAX_STREAM_PAUSE_S)
            else:
                self._report_end("read", problem)
                return messages
        return ()

    async def _answer(self, messages: Sequence[StreamMessage]) -> None:
        """Score, publish and acknowledge the messages in hand."""
        self._metrics.read(messages, self._source.n_redelivered)
        given_up = [_given_up(m) for m in messages if m.deliveries >= self._max_deliveries]
        tried = [m for m in messages if m.deliveries < self._max_deliveries]
        found = await self._scorer.score(tried, self._stopping)
        answers = [answer for answer in found if answer is not None] + given_up
        if len(answers) < len(messages):
            # All of them keep their pins. To acknowledge one in Kafka acknowledges what is before.
            raise PlatformError(
                f"stopped with {len(messages) - len(answers)} messages in hand that were not "
                "scored",
                remedy=f"the log says why; all {len(messages)} of the batch are delivered again to "
                "the next worker",
            )
        predicted = [answer for answer in answers if not answer.error]
        rejected = [answer for answer in answers if answer.error]
        if predicted:
            publish = partial(self._sink.publish, predicted)
            rejected += map(_too_large, await self._repeat("publish", publish))
        if rejected:
            await self._publish_dead_letters(rejected)
        acknowledge = partial(self._source.acknowledge, messages, self._versions.current)
        await self._repeat("acknowledge", acknowledge)
        self._metrics.acknowledged(len(messages) - len(rejected), len(rejected))
        await self._versions.release()

    async def _publish_dead_letters(self, rejected: Sequence[StreamAnswer]) -> None:
        """Publish dead letters; those that are too large go without body, key and headers.

        Raises:
            PlatformError: the broker does not take even that.

        """
        first = rejected[0]
        logger.warning(
            "%d messages are dead letters; the first, %s: %s",
            len(rejected), first.message.position, first.error[:300].decode("utf-8", "replace"),
        )  # fmt: skip
        left = rejected
        for shorten in (None, _without_body, _without_headers):
            tried = left if shorten is None else [shorten(each) for each in left]
            left = await self._repeat("publish", partial(self._dead_letters.publish, tried))
            if not left:
                return
        raise PlatformError(
            f"{left[0].message.position}: expected that the broker takes a dead letter without "
            f"body, got a refusal of {len(left[0].error)} bytes",
            remedy="raise max.message.bytes of the topic of dead letters",
        )

    async def _repeat(self, step: str, call: Callable[[], Awaitable[Result]]) -> Result:
        """What a call gives, repeated while it fails.

        Raises:
            PlatformError: as the call raised, if the worker is stopped and has no time left.

        """
        pause_s, problem = MIN_STREAM_PAUSE_S, ""
        while True:
            try:
                result = await call()
            except PlatformError as err:
                problem = self._report(step, err, problem)
                if time.monotonic() > self._stop_deadline:
                    raise
                # A stopped worker waits as well, or it would try as fast as it can.
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, MAX_STREAM_PAUSE_S)
            else:
                self._report_end(step, problem)
                return result

    def _report(self, step: str, err: PlatformError, last: str) -> str:
        """Count a failure, and log it if it is not the last one again; returns its text."""
        self._metrics.retried(step)
        if str(err) != last:
            logger.error("%s: %s", step, err)
        return str(err)

    def _report_end(self, step: str, problem: str) -> None:
        if problem:
            logger.info("%s: succeeds again", step)

    async def _report_lag(self) -> None:
        now = time.monotonic()
        if now < self._next_lag:
            return
        self._next_lag = now + LAG_INTERVAL_S
        try:
            lag = await self._source.lag()
        except PlatformError:
            return  # the next read reports it
        self._metrics.lags(lag)
        if now >= self._next_lag_log:
            self._next_lag_log = now + LAG_LOG_INTERVAL_S
            logger.info(
                "%d messages answered, %d wait", self._metrics.n_acknowledged, sum(lag.values())
            )


def _too_large(answer: StreamAnswer) -> StreamAnswer:
    """The dead letter of a message whose answer the broker does not take."""
    fault = Fault(
        "body_too_large",
        f"answer: expected a size that the broker takes, got {len(answer.body)} bytes",
    )
    return StreamAnswer(answer.message, answer.message.body, row_fault(fault))


def _given_up(message: StreamMessage) -> StreamAnswer:
    """The dead letter of a message that ended every worker that had it in hand."""
    fault = Fault(
        "prediction_failed",
        f"message: expected an answer, got {message.deliveries} workers that died in a row with "
        "it in hand",
    )
    return StreamAnswer(message, message.body, row_fault(fault))


def _without_body(answer: StreamAnswer) -> StreamAnswer:
    return StreamAnswer(answer.message, b"", answer.error)


def _without_headers(answer: StreamAnswer) -> StreamAnswer:
    message = msgspec.structs.replace(answer.message, key=None, headers=())
    return StreamAnswer(message, b"", answer.error)
