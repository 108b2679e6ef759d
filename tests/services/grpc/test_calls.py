"""What a call meets on its way: deadlines, keys, limits, the stop; on a server in this process."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from tritonclient.grpc import service_pb2, service_pb2_grpc

from contracts.names import Layout
from services.auth.keys import create_key
from services.faults import FAULTS
from services.grpc.messages import HealthCheckRequest, HealthCheckResponse
from services.grpc.statuses import DETAILS, GRPC_STATUSES
from services.inference.loader import ServedModel, load_model
from services.inference.model_source import ModelSource
from services.metrics import Metrics
from tests import tiny
from tests.services.grpc.conftest import typed_request
from tests.services.grpc.stage import WAIT_S, Running, Stage, certificate

pytestmark = pytest.mark.slow
KEY = "tiny", "production"
REQUEST = typed_request("tiny", [tiny.GOOD])


@pytest.fixture(scope="module")
def served(models: Path) -> ServedModel:
    source = ModelSource(Layout(models))
    pointer = next(p for p in source.pointers() if p.name == "tiny")
    return load_model(source.directory(pointer), pointer)


@pytest.fixture
def stage(tmp_path: Path, served: ServedModel, metrics: Metrics) -> Stage:
    return Stage(tmp_path, served, metrics)


async def refused(call: Awaitable[Any]) -> Any:
    """The error with which a call ends."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


def details_of(err: Any) -> dict[str, Any]:
    """The details of a refused call by the names of their types, read by Google's own messages."""
    status = status_pb2.Status.FromString(dict(err.trailing_metadata())[DETAILS])
    assert (status.code, status.message) == (err.code().value[0], err.details())
    found = {}
    for each in status.details:
        name = each.TypeName().rpartition(".")[2]
        found[name] = getattr(error_details_pb2, name)()
        assert each.Unpack(found[name])
    return found


async def until(claim: Callable[[], bool]) -> None:
    for _ in range(WAIT_S * 100):
        if claim():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it did not happen in time")


def test_every_code_has_a_status() -> None:
    assert GRPC_STATUSES.keys() == FAULTS.keys()


@pytest.mark.parametrize("way", ["cancelled", "expired"])
def test_a_call_that_nobody_waits_for_is_not_scored(stage: Stage, way: str) -> None:
    async def story(running: Running) -> None:
        session, batcher = running.session, running.repository.versions[KEY]._batcher
        session.gate.clear()
        scored = running.stub.ModelInfer(REQUEST)
        await until(session.entered.is_set)
        abandoned = running.stub.ModelInfer(REQUEST, timeout=0.5 if way == "expired" else None)
        await until(lambda: batcher.waiting_rows == 1)
        if way == "cancelled":
            abandoned.cancel()
        await until(batcher._waiting[0].sink.done)
        session.gate.set()
        await scored
        await running.stub.ModelInfer(REQUEST)

        assert await abandoned.code() == (
            grpc.StatusCode.CANCELLED if way == "cancelled" else grpc.StatusCode.DEADLINE_EXCEEDED
        )
        assert session.n_rows == 2

    stage.play(story)


async def events(stream: Any, n: int) -> list[Any]:
    return [await stream.read() for _ in range(n)]


def test_the_stop_answers_what_was_taken_and_ends_streams(stage: Stage) -> None:
    async def story(running: Running) -> None:
        session = running.session
        stream = running.stub.ModelStreamInfer()
        await stream.write(REQUEST)
        (first,) = await events(stream, 1)
        session.entered.clear()
        session.gate.clear()
        taken = running.stub.ModelInfer(REQUEST)
        await until(session.entered.is_set)
        await stream.write(REQUEST)
        watch = running.channel.unary_stream("/grpc.health.v1.Health/Watch")(b"")
        assert HealthCheckResponse.FromString(await watch.read()).status == 1
        running.repository.drain()
        assert HealthCheckResponse.FromString(await watch.read()).status == 2
        stop = asyncio.create_task(running.server.stop())
        await asyncio.sleep(0.2)
        session.gate.set()
        await stop

        assert first.infer_response.outputs
        assert (await taken).outputs
        assert (await stream.read()).infer_response.outputs
        assert await stream.code() == grpc.StatusCode.UNAVAILABLE
        assert (await stream.details()).startswith("not_ready: ")

    stage.play(story)


def test_a_message_that_does_not_arrive_ends_its_call(stage: Stage) -> None:
    async def story(running: Running) -> None:
        call = running.channel.stream_unary("/inference.GRPCInferenceService/ModelInfer")()
        err = await refused(call)

        assert err.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        assert details_of(err)["ErrorInfo"].reason == "body_timeout"

    stage.play(story, body_timeout_s=0.2)


def test_a_message_beyond_the_limit_is_refused(stage: Stage) -> None:
    """The limit is that of HTTP, before and after a message is unpacked."""

    async def story(running: Running) -> None:
        infer = running.channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
            err = await refused(infer(bytes(60_000), compression=compression))
            assert err.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        rows = [tiny.GOOD] * 20
        assert (await running.stub.ModelInfer(typed_request("tiny", rows))).outputs

    stage.play(story, body_bytes=50_000)


def test_too_many_rows_are_refused(stage: Stage) -> None:
    async def story(running: Running) -> None:
        request = typed_request("tiny", [tiny.GOOD] * 20)
        err = await refused(running.stub.ModelInfer(request))

        assert err.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert details_of(err)["ErrorInfo"].reason == "body_too_large"

    stage.play(story, request_rows=10)


def test_a_bad_row_is_refused_with_its_violations(stage: Stage) -> None:
    async def story(running: Running) -> None:
        rows = [tiny.GOOD, tiny.GOOD | {"age": -1.0, "work": "né"}]
        metadata = (("x-request-id", "mine"),)
        err = await refused(running.stub.ModelInfer(typed_request("tiny", rows), metadata=metadata))
        details = details_of(err)
        found = {each.field: each.description for each in details["BadRequest"].field_violations}

        assert err.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert err.details().startswith("invalid_request: inputs[1].data[1]: expected a number")
        assert found["inputs[1].data[1]"] == "expected a number 18..100 [years], got -1.0"
        assert found["inputs[5].data[1]"] == "expected one of 'yes', 'no', got \"né\""
        assert (details["ErrorInfo"].reason, details["ErrorInfo"].domain) == (
            "invalid_request",
            "slipway",
        )
        assert details["RequestInfo"].request_id == "mine"
        assert "RetryInfo" not in details

    stage.play(story)


def test_what_a_refusal_says_fits_the_metadata_of_any_client(stage: Stage) -> None:
    """By default, clients take 8 kB; a violation repeats names and values of the request."""

    async def story(running: Running) -> None:
        rows = [tiny.GOOD | {"work": "é" * 5000}] * 100
        err = await refused(running.stub.ModelInfer(typed_request("tiny", rows)))
        metadata = dict(err.trailing_metadata())

        assert len(details_of(err)["BadRequest"].field_violations) > 1
        assert len(metadata[DETAILS]) * 4 / 3 + 3 * len(err.details().encode()) < 8000

    stage.play(story)


def bad_requests() -> dict[str, Any]:
    """Requests that break the protocol, by the path of their violation."""
    both = typed_request("tiny", [tiny.GOOD])
    both.raw_input_contents.extend([b""] * len(both.inputs))
    few = service_pb2.ModelInferRequest(model_name="tiny", raw_input_contents=[b"", b""])
    few.inputs.add(name="age", datatype="FP64", shape=[1])
    many = service_pb2.ModelInferRequest(model_name="tiny")
    for _ in range(7):
        many.inputs.add(name="age", datatype="FP64", shape=[1])
    deep = typed_request("tiny", [tiny.GOOD])
    deep.inputs[0].shape.extend([1] * 8)
    negative = typed_request("tiny", [tiny.GOOD])
    negative.inputs[0].shape[0] = -1
    half = service_pb2.ModelInferRequest(model_name="tiny")
    half.inputs.add(name="age", datatype="FP16", shape=[1])
    wrong = typed_request("tiny", [tiny.GOOD])
    wrong.inputs[0].contents.fp64_contents.append(1.0)
    latin = typed_request("tiny", [tiny.GOOD])
    latin.inputs[0].contents.bytes_contents[0] = b"\xff"
    short = typed_request("tiny", [tiny.GOOD])
    short.inputs[1].contents.fp64_contents.append(1.0)
    output = typed_request("tiny", [tiny.GOOD])
    output.outputs.add(name="none")
    return {
        "inputs[0].contents": both,
        "raw_input_contents": few,
        "inputs": many,
        "inputs[0].shape": deep,
        "inputs[0].shape ": negative,
        "inputs[0].datatype": half,
        "inputs[0].contents ": wrong,
        "inputs[0].contents.bytes_contents": latin,
        "inputs[1].data": short,
        "outputs[0].name": output,
        "rows": service_pb2.ModelInferRequest(model_name="tiny"),
    }


def test_a_request_that_breaks_the_protocol_gets_the_path(stage: Stage) -> None:
    async def story(running: Running) -> None:
        for path, request in bad_requests().items():
            err = await refused(running.stub.ModelInfer(request))
            found = [each.field for each in details_of(err)["BadRequest"].field_violations]
            assert found == [path.strip()], err.details()

    stage.play(story)


def test_what_is_not_served_is_not_found(stage: Stage) -> None:
    async def story(running: Running) -> None:
        for request in (
            typed_request("none", [tiny.GOOD]),
            typed_request("tiny", [tiny.GOOD], model_version="7"),
        ):
            err = await refused(running.stub.ModelInfer(request))
            assert err.code() == grpc.StatusCode.NOT_FOUND
            assert details_of(err)["ErrorInfo"].reason == "unknown_model"
        unknown = running.channel.unary_unary("/inference.GRPCInferenceService/ModelConfig")
        assert (await refused(unknown(b""))).code() == grpc.StatusCode.UNIMPLEMENTED
        check = running.channel.unary_unary("/grpc.health.v1.Health/Check")
        request = HealthCheckRequest(service="none").SerializeToString()
        err = await refused(check(request))
        assert err.code() == grpc.StatusCode.NOT_FOUND
        assert "tiny" not in err.details(), "a stranger learns no name of a model"
        request = HealthCheckRequest(service="tiny").SerializeToString()
        assert HealthCheckResponse.FromString(await check(request)).status == 1

    stage.play(story)


def test_keys_scopes_and_rates_are_those_of_http(stage: Stage) -> None:
    keys = stage.folder / "keys.json"
    _, fine = create_key(keys, "fine", ("predict",), rate="3/minute")
    _, narrow = create_key(keys, "narrow", ("labels",))

    async def story(running: Running) -> None:
        infer = running.stub.ModelInfer
        err = await refused(infer(REQUEST))
        assert err.code() == grpc.StatusCode.UNAUTHENTICATED
        err = await refused(infer(REQUEST, metadata=(("x-api-key", "wrong"),)))
        assert details_of(err)["ErrorInfo"].reason == "unauthorized"
        err = await refused(infer(REQUEST, metadata=(("x-api-key", narrow),)))
        assert err.code() == grpc.StatusCode.PERMISSION_DENIED
        bearer = (("authorization", f"Bearer {fine}"),)
        assert (await infer(REQUEST, metadata=bearer)).outputs
        stream = running.stub.ModelStreamInfer(iter([REQUEST] * 3), metadata=bearer)
        streamed = [each async for each in stream]
        assert [bool(each.error_message) for each in streamed] == [False, False, True]
        assert streamed[2].error_message.startswith("rate_limited: ")
        err = await refused(infer(REQUEST, metadata=bearer))
        assert err.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert details_of(err)["RetryInfo"].retry_delay.seconds > 0
        assert int(dict(err.trailing_metadata())["retry-after"]) > 0
        live = service_pb2.ServerLiveRequest()
        assert (await running.stub.ServerLive(live)).live

    stage.play(story, keys="required")


def test_refused_calls_are_counted_as_those_of_http(stage: Stage, metrics: Metrics) -> None:
    counter = metrics.refused.labels("tiny", "invalid_request")
    before = counter._value.get()

    async def story(running: Running) -> None:
        await refused(running.stub.ModelInfer(typed_request("tiny", [tiny.GOOD | {"age": 1}])))

    stage.play(story)
    assert counter._value.get() == before + 1


def test_tls_with_a_certificate_of_the_client(stage: Stage) -> None:
    """With an authority for clients, only those with a certificate of it are admitted."""
    cert, key = certificate(stage.folder)
    files = {"grpc_cert_file": str(cert), "grpc_key_file": str(key)}
    known = grpc.ssl_channel_credentials(cert.read_bytes(), key.read_bytes(), cert.read_bytes())
    unknown = grpc.ssl_channel_credentials(cert.read_bytes())

    async def live(running: Running, credentials: Any) -> bool:
        async with grpc.aio.secure_channel(running.address, credentials) as channel:
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            return bool((await stub.ServerLive(service_pb2.ServerLiveRequest(), timeout=10)).live)

    async def one_sided(running: Running) -> None:
        assert await live(running, unknown)
        plain = running.stub.ServerLive(service_pb2.ServerLiveRequest(), timeout=10)
        assert (await refused(plain)).code() == grpc.StatusCode.UNAVAILABLE

    async def mutual(running: Running) -> None:
        assert await live(running, known)
        assert (await refused(live(running, unknown))).code() == grpc.StatusCode.UNAVAILABLE

    stage.play(one_sided, **files)
    stage.play(mutual, **files, grpc_client_ca_file=str(cert))
