"""What a one-row request's microseconds are spent on: each step alone, in this process.

The steps are the service's own functions, on a batch of 32 requests as one model call takes
them. What they leave of a request's CPU is the socket, the head of the request and the loop.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.serving.workplace import Workplace
from contracts.names import Layout
from services.scoring.answer import Clerk, Moment, encode
from services.scoring.decode import joined
from services.scoring.models import find_pointers, load
from services.scoring.traffic import TrafficLog

BATCH = 32
REPEATS = 400
SEGMENT_BYTES = 1 << 27


def steps_us(place: Workplace, folder: Path) -> dict[str, float]:
    """By step, its microseconds a request; the median of many batches."""
    layout = Layout(place.root / "var")
    pointer = next(p for p in find_pointers(layout) if p.name == "loan")
    served = load(layout, pointer)
    clerk, log = Clerk(pointer, served.manifest), TrafficLog(folder / "anatomy", SEGMENT_BYTES)
    bodies = [msgspec.json.encode(row) for row in place.works["loan"].rows[:BATCH]]
    rows = joined([served.decoder.one(body) for body in bodies])
    matrix = np.array(rows.numbers, dtype=np.float32)
    scores = served.session.run(matrix).tolist()
    moment = Moment.now()
    records = clerk.records(rows, scores, moment, 0.001, "request")
    lines = [encode(record) for record in records]
    found = {
        "decode and validate": _us(lambda: [served.decoder.one(body) for body in bodies]),
        "make the matrix": _us(lambda: np.array(rows.numbers, dtype=np.float32)),
        "score (onnxruntime)": _us(lambda: served.session.run(matrix).tolist()),
        "decide and record": _us(partial(clerk.records, rows, scores, moment, 0.001, "request")),
        "encode the traffic lines": _us(lambda: [encode(record) for record in records]),
        "write them": _us(partial(log.append, lines, moment.datetime)),
        "encode the answers": _us(lambda: [encode(clerk.answer(record)) for record in records]),
    }
    log.close()
    return found


def _us(step: Callable[[], object]) -> float:
    taken = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        step()
        taken.append(time.perf_counter() - begin)
    return 1e6 * statistics.median(taken) / BATCH
