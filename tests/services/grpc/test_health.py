"""Health without a key: it takes no room from calls."""

from pathlib import Path

import grpc
import pytest

from contracts.names import Layout
from services.grpc.messages import HealthCheckRequest
from services.inference.loader import ServedModel, load_model
from services.inference.model_source import ModelSource
from services.metrics import Metrics
from tests import tiny
from tests.services.grpc.conftest import typed_request
from tests.services.grpc.stage import Running, Stage

pytestmark = pytest.mark.slow
REQUEST = typed_request("tiny", [tiny.GOOD])


@pytest.fixture
def stage(tmp_path: Path, models: Path, metrics: Metrics) -> Stage:
    source = ModelSource(Layout(models))
    pointer = next(p for p in source.pointers() if p.name == "tiny")
    served: ServedModel = load_model(source.directory(pointer), pointer)
    return Stage(tmp_path, served, metrics)


def test_who_watches_without_a_key_leaves_room_for_calls(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.grpc.health.MAX_WATCHERS", 3)

    async def story(running: Running) -> None:
        watch = running.channel.unary_stream("/grpc.health.v1.Health/Watch")
        request = HealthCheckRequest(service="").SerializeToString()
        watches = [watch(request) for _ in range(3)]
        for each in watches:
            await each.read()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await anext(aiter(watch(request)))
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        assert (await running.stub.ModelInfer(REQUEST)).outputs
        for each in watches:
            each.cancel()

    stage.play(story)
