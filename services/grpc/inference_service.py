"""The methods of the Open Inference Protocol."""

import asyncio
import time
from typing import Any

from services.grpc.calls import Call, Calls
from services.grpc.messages import (
    INFERENCE,
    ModelInferRequest,
    ModelMetadataRequest,
    ModelMetadataResponse,
    ModelReadyRequest,
    ModelReadyResponse,
    ServerLiveResponse,
    ServerMetadataResponse,
    ServerReadyResponse,
    parsed,
)
from services.grpc.model_infer import InferBody, ModelInfer
from services.inference.pending import Request
from services.protocols.open_inference import (
    EXTENSIONS,
    PROTOCOL_VERSION,
    SERVER_NAME,
    model_metadata,
)
from services.serving.endpoint import Endpoint
from services.serving.repository import ModelRepository
from services.serving.watchdog import standing_models


class InferenceService:
    """Answers calls about the models of a worker. `deadline_s`: how long a model call may take."""

    def __init__(self, repository: ModelRepository, deadline_s: float) -> None:
        self._repository = repository
        self._deadline_s = deadline_s
        self._server = ServerMetadataResponse(
            name=SERVER_NAME, version=PROTOCOL_VERSION, extensions=EXTENSIONS
        ).SerializeToString()

    def handlers(self, calls: Calls) -> dict[str, Any]:
        """The handlers of the methods with one response, by full name."""
        methods = {
            "ServerLive": calls.unary(self.server_live, None),
            "ServerReady": calls.unary(self.server_ready, None),
            "ServerMetadata": calls.unary(self.server_metadata, None),
            "ModelReady": calls.unary(self.model_ready, None),
            "ModelMetadata": calls.unary(self.model_metadata),
            "ModelInfer": calls.unary(self.model_infer),
        }
        return {f"/{INFERENCE}/{name}": handler for name, handler in methods.items()}

    async def server_live(self, _: Call, __: bytes, /) -> bytes:
        """Whether no model call stands still."""
        live = not standing_models(self._repository, self._deadline_s)
        return bytes(ServerLiveResponse(live=live).SerializeToString())

    async def server_ready(self, _: Call, __: bytes, /) -> bytes:
        """Whether requests may be sent here."""
        ready = self._repository.is_ready and bool(self._repository.models)
        return bytes(ServerReadyResponse(ready=ready).SerializeToString())

    async def server_metadata(self, _: Call, __: bytes, /) -> bytes:
        """Name, version of the protocol, extensions."""
        return bytes(self._server)

    async def model_ready(self, _: Call, message: bytes, /) -> bytes:
        """Whether a model, or a version of it, answers; one that is not served does not."""
        request = parsed(ModelReadyRequest, message)
        model = self._repository.models.get(request.name)
        ready = model is not None and self._repository.is_ready
        if model is not None and request.version:
            ready = ready and request.version in map(str, model.versions)
        return bytes(ModelReadyResponse(ready=ready).SerializeToString())

    async def model_metadata(self, call: Call, message: bytes, /) -> bytes:
        """The tensors that a model takes and gives."""
        request = parsed(ModelMetadataRequest, message)
        model = self._repository.model(request.name)
        call.model = request.name
        found = model_metadata(model.version(request.version).served)
        response = ModelMetadataResponse(
            name=found.name, versions=found.versions, platform=found.platform
        )
        for described, tensors in (
            (found.inputs, response.inputs),
            (found.outputs, response.outputs),
        ):
            for each in described:
                tensors.add(name=each.name, datatype=each.datatype, shape=each.shape)
        return bytes(response.SerializeToString())

    async def model_infer(self, call: Call, message: bytes, /) -> bytes:
        """Predictions for the rows of a request."""
        return await self.submit(call, parsed(ModelInferRequest, message), call.request_id)

    def submit(self, call: Call, message: Any, request_id: str) -> "asyncio.Future[bytes]":
        """Ask the endpoint of the model that a `ModelInferRequest` names.

        The future gets the encoded response, or a fault. Rows whose future is cancelled while they
        wait are not scored.

        Raises:
            Fault: `unknown_model`.

        """
        model = self._repository.model(message.model_name)
        call.model = message.model_name
        version = message.model_version
        endpoint: Endpoint = model.version(version) if version else model.endpoint
        response: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        body = InferBody.of(message)
        request = Request(body, request_id, call.unit, time.monotonic(), call.trace_id)
        endpoint.submit(ModelInfer, request, response)
        return response
