"""The table of paths and the OpenAPI document follow the models, and a new wire protocol."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.names import CHALLENGER, Layout
from contracts.schema import number
from contracts.split import TrafficSplit
from services.edge.openapi import BENTOML_PATHS, OpenApiPage
from services.edge.routes import RouteTable
from services.faults import Fault
from services.inference.batch_result import BatchResult
from services.inference.decode import Decoder
from services.inference.loader import ServedModel, load_model
from services.inference.model_source import ModelSource
from services.inference.pending import Render, Request
from services.inference.rows import Rows
from services.metrics import Metrics
from services.protocols.catalog import PROTOCOLS
from services.protocols.wire_protocol import ModelTypes, WireProtocol
from services.serving.repository import ModelRepository
from services.settings import ServiceSettings
from tests import tiny

pytestmark = pytest.mark.slow


class Lines(WireProtocol):
    """A wire protocol in one class: `age=40;income=1` and so on, answered by the prediction."""

    paths = ("/models/{model}/lines", "/models/{model}/versions/{version}/lines")
    tag = "Lines"
    summary = "A prediction for a line of text."

    def read(self, body: bytes, limit: int) -> tuple[Rows, Render]:
        del limit
        pairs = dict(pair.partition("=")[::2] for pair in body.decode().split(";"))
        return self.model.decoder.exact({k: json.loads(v) for k, v in pairs.items()}), self._line

    def _line(self, result: BatchResult, rows: slice, refused: Mapping[int, Fault], /) -> bytes:
        del refused
        return bytes(result.predictions[rows.start]) + b"\n"

    @staticmethod
    def fault_body(fault: Fault, request_id: str) -> bytes:
        return f"{request_id}: {fault.code}\n".encode()

    @classmethod
    def request_type(cls, types: ModelTypes) -> Any:
        del types
        return str

    @classmethod
    def response_type(cls, types: ModelTypes) -> Any:
        del types
        return str


@pytest.fixture
def served(models: Path) -> dict[str, ServedModel]:
    source = ModelSource(Layout(models))
    return {p.name: load_model(source.directory(p), p) for p in source.pointers()}


def changed(model: ServedModel, role: str, version: int) -> ServedModel:
    """A later version of a model, with another description and another range of a feature."""
    schema = msgspec.structs.replace(
        tiny.SCHEMA,
        features=tuple(
            number("age", 18, 120, unit="years") if feature.name == "age" else feature
            for feature in tiny.SCHEMA.features
        ),
    )
    manifest = msgspec.structs.replace(
        model.manifest, schema=schema, description="Pays the loan back"
    )
    pointer = msgspec.structs.replace(
        model.pointer, version=version, alias=role, digest=f"digest-of-{version}"
    )
    return replace(model, pointer=pointer, manifest=manifest, decoder=Decoder(schema))


def within(
    folder: Path, metrics: Metrics, story: Callable[[ModelRepository], Awaitable[None]]
) -> None:
    """A story about a repository of its own."""

    async def run() -> None:
        repository = ModelRepository(ServiceSettings(var=folder), metrics)
        try:
            await story(repository)
        finally:
            await repository.close()

    asyncio.run(run())


def document(page: OpenApiPage) -> Any:
    return json.loads(page())


async def answer(table: RouteTable, path: str, body: bytes) -> bytes:
    route = table.find(path)
    assert route is not None
    sink: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    route.handle(Request(body, "r", b"", time.monotonic()), sink)
    return await sink


def test_routes_and_document_follow_the_repository(
    served: dict[str, ServedModel], tmp_path: Path, metrics: Metrics
) -> None:
    async def story(repository: ModelRepository) -> None:
        table, page = RouteTable(repository, {}), OpenApiPage(repository, lambda: "1")
        assert table.find("/models/tiny/predict") is None
        assert document(page)["info"]["description"].count("| tiny") == 0
        repository.load(served["tiny"])
        assert table.find("/predict") is not None
        before = document(page)
        assert before["components"]["schemas"]["TinyRow"]["properties"]["age"]["maximum"] == 100
        assert page() is page()
        replaced = repository.load(changed(served["tiny"], "production", 7))
        assert replaced is not None
        await replaced.retire()
        after = document(page)
        assert after["components"]["schemas"]["TinyRow"]["properties"]["age"]["maximum"] == 120
        assert "| tiny | 7 | Pays the loan back |" in after["info"]["description"]
        assert "/v2/models/tiny/versions/7/infer" in after["paths"]
        assert table.find("/v2/models/tiny/versions/1/infer") is None
        repository.load(served["tiny3"])
        assert table.find("/predict") is None
        assert "/predict" not in document(page)["paths"]
        assert set(document(page)["paths"]) == {*table._routes, *BENTOML_PATHS}
        await repository.unload("tiny").retire()
        assert table.find("/models/tiny/predict") is None
        assert "/models/tiny/predict" not in document(page)["paths"]

    within(tmp_path, metrics, story)


def test_every_version_of_a_split_has_its_own_path(
    served: dict[str, ServedModel], tmp_path: Path, metrics: Metrics
) -> None:
    async def story(repository: ModelRepository) -> None:
        table = RouteTable(repository, {})
        repository.load(served["tiny"])
        repository.load(changed(served["tiny"], CHALLENGER, 2))
        assert table.find("/v2/models/tiny/versions/2/infer") is None
        split = TrafficSplit(
            model="tiny",
            challenger_version=2,
            challenger_digest="digest-of-2",
            weight=1.0,
            since="now",
        )
        repository.set_splits({"tiny": split})
        body = json.dumps(tiny.GOOD).encode()
        challenged = json.loads(await answer(table, "/models/tiny/predict", body))
        described = json.loads(await answer(table, "/models/tiny", b""))
        assert (challenged["variant"], challenged["version"]) == (CHALLENGER, 2)
        assert described["challenger"] == {"version": 2, "weight": 1.0}
        assert table.find("/v2/models/tiny/versions/1/infer") is not None
        repository.set_splits({})
        assert json.loads(await answer(table, "/models/tiny/predict", body))["version"] == 1
        assert "challenger" not in json.loads(await answer(table, "/models/tiny", b""))

    within(tmp_path, metrics, story)


def test_a_wire_protocol_is_one_class(
    served: dict[str, ServedModel], tmp_path: Path, metrics: Metrics
) -> None:
    """Its paths, its errors and its documentation follow from it."""
    line = ";".join(f"{name}={json.dumps(value)}" for name, value in tiny.GOOD.items()).encode()
    protocols: tuple[type[WireProtocol], ...] = (*PROTOCOLS, Lines)

    async def story(repository: ModelRepository) -> None:
        repository.load(served["tiny"])
        table = RouteTable(repository, {}, protocols)
        route = table.find("/models/tiny/lines")
        assert route is not None
        assert await answer(table, "/models/tiny/lines", line) in {b'"yes"\n', b'"no"\n'}
        assert await answer(table, "/models/tiny/versions/1/lines", line) in {b'"yes"\n', b'"no"\n'}
        with pytest.raises(Fault, match="invalid_request") as refused:
            await answer(table, "/models/tiny/lines", b"age=40")
        assert route.fault_body(refused.value, "r") == b"r: invalid_request\n"
        paths = document(OpenApiPage(repository, lambda: "1", protocols))["paths"]
        assert paths["/models/tiny/lines"]["post"]["tags"] == ["Lines"]

    within(tmp_path, metrics, story)
