"""From messages to answers: every message through the endpoint of its version, in one batch.

A message that can never be scored becomes a dead letter. A fault that passes (the traffic log
cannot be written, a scoring process was replaced) is waited out: its message stays in hand.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence

from services.faults import Fault
from services.inference.pending import Request
from services.protocols.fault_body import row_fault
from services.streams.message import StreamAnswer, StreamMessage
from services.streams.operations import operation_for
from services.streams.production import ProductionVersions

REJECTED_CODES = frozenset(
    {"invalid_json", "invalid_request", "body_too_large", "prediction_failed"}
)
"""Faults of the message or of the model on it: scoring it again gives the same."""
REMEDIES: Mapping[str, str] = {
    "traffic_log_unavailable": "free space below SLIPWAY_VAR, or give it to this user",
    "deadline_exceeded": "raise SLIPWAY_SERVICE_DEADLINE_S, or pass a smaller --batch",
    "model_unavailable": "see the log lines of the scoring process above",
    "internal_error": "see the traceback above; it is a bug, please report it",
}
MIN_STREAM_PAUSE_S = 0.05
MAX_STREAM_PAUSE_S = 2.0

logger = logging.getLogger("slipway.stream")


class MessageScorer:
    """Scores batches of messages, each with the version that it is pinned to."""

    def __init__(self, versions: ProductionVersions, body_bytes: int) -> None:
        self._versions = versions
        self._body_bytes = body_bytes
        self._last_problem = ""

    async def score(
        self, messages: Sequence[StreamMessage], stopping: asyncio.Event
    ) -> list[StreamAnswer | None]:
        """An answer per message; None for those without one when `stopping` was set."""
        results: list[bytes | BaseException] = await self._submit(messages)
        pause_s = MIN_STREAM_PAUSE_S
        while True:
            late = [i for i, result in enumerate(results) if _may_pass(result)]
            self._report(results, late)
            if not late or stopping.is_set():
                break
            await wait(stopping, pause_s)
            again = await self._submit([messages[i] for i in late])
            advanced = any(not _may_pass(result) for result in again)
            pause_s = MIN_STREAM_PAUSE_S if advanced else min(2 * pause_s, MAX_STREAM_PAUSE_S)
            for i, result in zip(late, again, strict=True):
                results[i] = result
        return [_answer(m, result) for m, result in zip(messages, results, strict=True)]

    async def _submit(self, messages: Sequence[StreamMessage]) -> list[bytes | BaseException]:
        """What the endpoints answer, all of them asked in one turn of the event loop."""
        endpoints = {pin: await self._versions.endpoint(pin) for pin in {m.pin for m in messages}}
        answers = _Answers(len(messages))
        now = time.monotonic()
        for index, message in enumerate(messages):
            sink = _AnswerSlot(answers, index)
            body = message.body
            if len(body) > self._body_bytes:
                expected = f"body: expected at most {self._body_bytes} bytes, got {len(body)}"
                sink.set_exception(Fault("body_too_large", expected))
                continue
            request = Request(body, message.request_id, b"", now, "", message.choose_ids)
            endpoints[message.pin].submit(operation_for(body), request, sink)
        await answers.complete
        return answers.results

    def _report(self, results: Sequence[bytes | BaseException], late: Sequence[int]) -> None:
        """Log once why messages wait, and once that they no longer do."""
        problem = str(results[late[0]]) if late else ""
        if problem and problem != self._last_problem:
            code = getattr(results[late[0]], "code", "")
            remedy = REMEDIES.get(code, "it is tried again")
            logger.error("%d messages wait: %s\nhelp: %s", len(late), problem, remedy)
        if self._last_problem and not problem:
            logger.info("scoring again")
        self._last_problem = problem


class _Answers:
    """What came for the messages of a batch; `complete` is done with the last of them."""

    def __init__(self, count: int) -> None:
        self.results: list[bytes | BaseException] = [b""] * count
        self.complete: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._n_missing = count
        if not count:
            self.complete.set_result(None)

    def put(self, index: int, result: bytes | BaseException) -> None:
        self.results[index] = result
        self._n_missing -= 1
        if not self._n_missing and not self.complete.done():
            self.complete.set_result(None)


class _AnswerSlot:
    """The response sink of one message."""

    __slots__ = ("_answers", "_index", "_is_done")

    def __init__(self, answers: _Answers, index: int) -> None:
        self._answers = answers
        self._index = index
        self._is_done = False

    def done(self) -> bool:
        return self._is_done

    def set_result(self, result: bytes, /) -> None:
        self._is_done = True
        self._answers.put(self._index, result)

    def set_exception(self, fault: BaseException, /) -> None:
        self._is_done = True
        self._answers.put(self._index, fault)


async def wait(event: asyncio.Event, timeout_s: float) -> None:
    """Wait until an event is set, at most `timeout_s`."""
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return


def _may_pass(result: bytes | BaseException) -> bool:
    if isinstance(result, bytes):
        return False
    return not isinstance(result, Fault) or result.code not in REJECTED_CODES


def _answer(message: StreamMessage, result: bytes | BaseException) -> StreamAnswer | None:
    if isinstance(result, bytes):
        return StreamAnswer(message, result)
    if _may_pass(result) or not isinstance(result, Fault):
        return None
    return StreamAnswer(message, message.body, row_fault(result))
