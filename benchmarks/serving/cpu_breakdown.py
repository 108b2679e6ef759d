"""What a one-row request's microseconds are spent on: each step alone, in this process.

The steps are the service's own functions, on a batch of 32 requests as one model call takes
them. What they leave of a request's CPU is the socket, the head of the request and the loop.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from benchmarks.serving.testbed import Workplace
from contracts.names import Layout
from services.inference.batch_result import BatchClock
from services.inference.jsonl_log import JsonlLog
from services.inference.loader import load_model
from services.inference.model_source import ModelSource
from services.inference.pending import PendingRequest, Request
from services.inference.rows import Rows, join_rows
from services.protocols.prediction import PredictionTemplate

BATCH = 32
REPEATS = 400
LOG_FILE_BYTES = 1 << 27


def steps_us(place: Workplace, folder: Path) -> dict[str, float]:
    """By step, its microseconds a request; the median of many batches."""
    source = ModelSource(Layout(place.root / "var"))
    pointer = next(p for p in source.pointers() if p.name == "loan")
    served = load_model(source.directory(pointer), pointer)
    renderer, template = served.renderer, PredictionTemplate(served)
    log = JsonlLog(folder / "breakdown", LOG_FILE_BYTES)
    bodies = [msgspec.json.encode(row) for row in place.works["loan"].rows[:BATCH]]
    rows = join_rows([served.decoder.one(body) for body in bodies])
    matrix = np.array(rows.numbers, dtype=np.float32)
    scores = served.session.run(matrix).tolist()
    batch = [_scored(one, each) for one, each in zip(rows.split(), scores, strict=True)]
    clock, waits_s = BatchClock.now(), [0.001] * BATCH
    result = renderer.result(batch, clock)
    lines = renderer.lines(result, batch, waits_s)
    found = {
        "decode and validate": _us(lambda: [served.decoder.one(body) for body in bodies]),
        "make the matrix": _us(lambda: np.array(rows.numbers, dtype=np.float32)),
        "score (onnxruntime)": _us(lambda: served.session.run(matrix).tolist()),
        "decide": _us(partial(renderer.result, batch, clock)),
        "make the traffic lines": _us(partial(renderer.lines, result, batch, waits_s)),
        "write them": _us(partial(log.append_block, lines, clock.datetime)),
        "make the answers": _us(lambda: [template.one(result, index) for index in range(BATCH)]),
    }
    log.close()
    return found


def _scored(rows: Rows, scores: Sequence[float]) -> PendingRequest:
    """A request as the batcher leaves it; here nobody waits for the answer."""
    nobody: Any = None
    request = Request(b"", "request", b"", 0.0)
    return PendingRequest(rows, request, nobody, nobody, 0.0, scores=[scores])


def _us(step: Callable[[], object]) -> float:
    taken = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        step()
        taken.append(time.perf_counter() - begin)
    return 1e6 * statistics.median(taken) / BATCH
