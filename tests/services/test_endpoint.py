"""An endpoint answers whoever asks it, and a row on which the model fails fails alone."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from contracts.labels import label_violations
from contracts.names import CHALLENGER, PRODUCTION, Layout
from contracts.split import TrafficSplit
from services.faults import Fault
from services.inference.cache import open_cache
from services.inference.ids import IdsFromHash
from services.inference.loader import ServedModel, load_model
from services.inference.model_source import ModelSource
from services.inference.pending import Assignment, Request
from services.inference.scores import ModelRuntime
from services.metrics import Metrics
from services.protocols.batch import PredictBatch
from services.protocols.catalog import PROTOCOLS
from services.protocols.row import PredictRow
from services.serving.endpoint import Endpoint, Operation, SingleEndpoint, ask
from services.serving.split_endpoint import SplitEndpoint
from services.settings import ServiceSettings
from tests import tiny

pytestmark = pytest.mark.slow
POISON = 66
GOOD = json.dumps(tiny.GOOD).encode()


class Failing:
    """A session that fails on every batch with a row of a certain age."""

    def __init__(self, session: ModelRuntime) -> None:
        self._session = session
        self.dtype = session.dtype

    def close(self) -> None:
        self._session.close()

    def run(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        if (matrix == POISON).any():
            raise RuntimeError("expected another age")
        return self._session.run(matrix)


class Recording:
    """A sink that counts its calls."""

    def __init__(self) -> None:
        self.results: list[bytes] = []
        self.faults: list[BaseException] = []

    def done(self) -> bool:
        return bool(self.results or self.faults)

    def set_result(self, result: bytes, /) -> None:
        self.results.append(result)

    def set_exception(self, fault: BaseException, /) -> None:
        self.faults.append(fault)


@pytest.fixture(scope="module")
def served(models: Path) -> ServedModel:
    source = ModelSource(Layout(models))
    pointer = next(p for p in source.pointers() if p.name == "tiny")
    return load_model(source.directory(pointer), pointer)


def poisoned(served: ServedModel, role: str = PRODUCTION) -> ServedModel:
    pointer = msgspec.structs.replace(served.pointer, alias=role)
    return replace(served, pointer=pointer, session=Failing(served.session))


def request(body: bytes, unit: bytes = b"") -> Request:
    return Request(body, "r", unit, time.monotonic())


def batch_body(*ages: float) -> bytes:
    return json.dumps({"rows": [tiny.GOOD | {"age": age} for age in ages]}).encode()


def test_a_request_with_chosen_ids_gets_the_same_ids_again(
    served: ServedModel, tmp_path: Path, metrics: Metrics
) -> None:
    """A row that is refused leaves the ids of the other rows as they are."""
    choose = IdsFromHash(b"requests/0/17")
    body = batch_body(20, POISON, 40)

    async def story(endpoint: SingleEndpoint) -> list[Any]:
        asked = msgspec.structs.replace(request(body), choose_ids=choose)
        return [json.loads(await ask(endpoint, PredictBatch, asked)) for _ in range(2)]

    def make() -> SingleEndpoint:
        return SingleEndpoint(poisoned(served), Layout(tmp_path), ServiceSettings(), metrics)

    answers = run_with(make, story)
    given = [[row.get("prediction_id", "").encode() for row in a["results"]] for a in answers]
    (log,) = tmp_path.glob("traffic/tiny/*/*.jsonl")
    logged = [json.loads(line)["prediction_id"].encode() for line in log.read_text().splitlines()]
    first, _, third = choose(served.pointer.digest, range(3))

    assert given == [[first, b"", third]] * 2
    assert logged == [first, third] * 2
    assert not label_violations({"prediction_id": first.decode(), "truth": "yes"}, ("no", "yes"))


def run_with(
    make: Callable[[], SingleEndpoint], story: Callable[[SingleEndpoint], Awaitable[Any]]
) -> Any:
    """What a coroutine returns that gets an endpoint of its own."""

    async def run() -> Any:
        endpoint = make()
        try:
            return await story(endpoint)
        finally:
            await endpoint.close()

    return asyncio.run(run())


def test_only_the_rows_on_which_the_model_fails_are_errors(
    served: ServedModel, tmp_path: Path, metrics: Metrics
) -> None:
    async def story(endpoint: SingleEndpoint) -> Any:
        return json.loads(await ask(endpoint, PredictBatch, request(batch_body(20, POISON, 40))))

    def make() -> SingleEndpoint:
        return SingleEndpoint(poisoned(served), Layout(tmp_path), ServiceSettings(), metrics)

    answer = run_with(make, story)
    errors = ["error" in row for row in answer["results"]]
    (log,) = tmp_path.glob("traffic/tiny/*/*.jsonl")

    assert (answer["failed"], errors) == (1, [False, True, False])
    assert answer["results"][1]["error"]["code"] == "prediction_failed"
    assert [json.loads(line)["features"]["age"] for line in log.read_bytes().splitlines()] == [
        20,
        40,
    ]


def test_a_bad_row_and_a_failing_row_are_errors_in_their_places(
    served: ServedModel, tmp_path: Path, metrics: Metrics
) -> None:
    async def story(endpoint: SingleEndpoint) -> Any:
        mixed = await ask(endpoint, PredictBatch, request(batch_body(-1, 20, POISON, 40, -1)))
        bad = await ask(endpoint, PredictBatch, request(batch_body(-1, -1)))
        failing = await ask(endpoint, PredictBatch, request(batch_body(POISON, POISON)))
        return [json.loads(each) for each in (mixed, bad, failing)]

    def make() -> SingleEndpoint:
        return SingleEndpoint(poisoned(served), Layout(tmp_path), ServiceSettings(), metrics)

    mixed, bad, failing = run_with(make, story)
    codes = [
        [row.get("error", {"code": "-"})["code"] for row in answer["results"]]
        for answer in (mixed, bad, failing)
    ]

    assert codes == [
        ["invalid_request", "-", "prediction_failed", "-", "invalid_request"],
        ["invalid_request"] * 2,
        ["prediction_failed"] * 2,
    ]
    assert [answer["failed"] for answer in (mixed, bad, failing)] == [3, 2, 2]
    assert mixed["results"][4]["error"]["violations"][0]["path"] == "rows[4].age"


@pytest.mark.parametrize("operation", PROTOCOLS)
@pytest.mark.parametrize("body", [b"{", b"{}", b"[]"])
def test_a_fault_goes_to_the_sink_once_and_is_never_raised(
    served: ServedModel, tmp_path: Path, metrics: Metrics, operation: Operation, body: bytes
) -> None:
    async def story(endpoint: SingleEndpoint) -> Recording:
        sink = Recording()
        endpoint.submit(operation, request(body), sink)
        return sink

    def make() -> SingleEndpoint:
        return SingleEndpoint(served, Layout(tmp_path), ServiceSettings(), metrics)

    sink = run_with(make, story)

    assert not sink.results
    assert [type(fault) for fault in sink.faults] == [Fault]


def test_a_cache_is_asked_first_and_its_answer_is_recorded(
    served: ServedModel, tmp_path: Path, metrics: Metrics
) -> None:
    settings = ServiceSettings(cache_models="*")

    async def story(endpoint: SingleEndpoint) -> list[Any]:
        return [json.loads(await ask(endpoint, PredictRow, request(GOOD))) for _ in range(3)]

    def make() -> SingleEndpoint:
        cache = open_cache(served.pointer, settings, metrics.cache)
        return SingleEndpoint(served, Layout(tmp_path), settings, metrics, cache)

    answers = run_with(make, story)
    (log,) = tmp_path.glob("traffic/tiny/*/*.jsonl")

    assert len({answer["prediction_id"] for answer in answers}) == 3
    assert len({json.dumps(answer["probabilities"]) for answer in answers}) == 1
    assert len(log.read_bytes().splitlines()) == 3


def test_production_answers_all_rows_of_a_batch_on_which_the_challenger_fails(
    served: ServedModel, tmp_path: Path, metrics: Metrics
) -> None:
    split = TrafficSplit(
        model="tiny", challenger_version=2, challenger_digest="d", weight=1.0, since="now"
    )

    async def story() -> list[Any]:
        layout, settings = Layout(tmp_path), ServiceSettings()
        production = SingleEndpoint(served, layout, settings, metrics)
        challenger = SingleEndpoint(poisoned(served, CHALLENGER), layout, settings, metrics)
        current: list[SingleEndpoint | None] = [production]
        endpoint: Endpoint = SplitEndpoint(
            production, challenger, split, metrics, lambda: current[0]
        )
        answers = [
            json.loads(await ask(endpoint, PredictBatch, request(batch_body(*ages), b"ada")))
            for ages in ((20, 40), (20, POISON))
        ]
        current[0] = None
        with pytest.raises(Fault, match="unknown_model"):
            await ask(endpoint, PredictBatch, request(batch_body(POISON), b"ada"))
        await production.close()
        await challenger.close()
        return answers

    first, second = asyncio.run(story())

    assert [row["variant"] for row in first["results"]] == [CHALLENGER] * 2
    assert [row["variant"] for row in second["results"]] == [PRODUCTION] * 2
    assert (first["failed"], second["failed"]) == (0, 0)


def test_the_latency_of_a_request_includes_the_failed_attempt_of_the_challenger(
    served: ServedModel, tmp_path: Path, metrics: Metrics
) -> None:
    """The log's latency counts from the arrival of the request, whichever version answers."""

    async def story(endpoint: SingleEndpoint) -> None:
        late = Request(GOOD, "late", b"", time.monotonic() - 2)
        sink: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        endpoint.submit(PredictRow, late, sink, Assignment("u", CHALLENGER, 0.5))
        await sink

    def make() -> SingleEndpoint:
        settings = ServiceSettings(deadline_s=1)
        return SingleEndpoint(served, Layout(tmp_path), settings, metrics)

    run_with(make, story)
    (log,) = tmp_path.glob("traffic/tiny/*/*.jsonl")
    record = json.loads(log.read_bytes())

    assert record["latency_ms"] > 2000
    assert (record["assigned"], record["variant"]) == (CHALLENGER, PRODUCTION)
