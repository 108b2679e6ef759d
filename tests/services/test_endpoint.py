"""A batch on which the model fails is answered row by row, whichever way it was asked."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from contracts.names import Layout
from services.inference.loader import find_pointers, load
from services.inference.session import Session
from services.metrics import Metrics
from services.serving.endpoint import SingleEndpoint
from services.settings import ServiceSettings
from tests import tiny

pytestmark = pytest.mark.slow
POISON = 66


class Failing:
    """A session that fails on every batch with a row of a certain age."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def run(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        if (matrix == POISON).any():
            raise RuntimeError("expected another age")
        return self._session.run(matrix)


@pytest.fixture(scope="module")
def metrics() -> Metrics:
    return Metrics()


async def _asked_at_once(endpoint: SingleEndpoint, body: bytes) -> bytes:
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    endpoint.ask_batch(body, "r", answer)
    return bytes(await answer)


@pytest.mark.parametrize(
    "ask", [SingleEndpoint.predict_batch, _asked_at_once], ids=["task", "wire"]
)
def test_only_the_rows_on_which_the_model_fails_are_errors(
    models: Path, tmp_path: Path, metrics: Metrics, ask: Any
) -> None:
    async def story() -> dict[str, Any]:
        pointer = next(p for p in find_pointers(Layout(models)) if p.name == "tiny")
        served = load(Layout(models), pointer)
        poisoned = replace(served, session=cast("Session", Failing(served.session)))
        endpoint = SingleEndpoint(poisoned, Layout(tmp_path), ServiceSettings(), metrics)
        rows = [tiny.GOOD | {"age": age} for age in (20, POISON, 40)]
        words = (json.dumps({"rows": rows}).encode(),)
        asked = ask(endpoint, *words) if ask is _asked_at_once else ask(endpoint, *words, "r")
        answer: dict[str, Any] = json.loads(await asked)
        await endpoint.close()
        return answer

    answer = asyncio.run(story())
    errors = ["error" in row for row in answer["results"]]
    (log,) = tmp_path.glob("traffic/tiny/*/*.jsonl")

    assert (answer["failed"], errors) == (1, [False, True, False])
    assert answer["results"][1]["error"]["code"] == "prediction_failed"
    assert [json.loads(line)["features"]["age"] for line in log.read_bytes().splitlines()] == [
        20,
        40,
    ]
