"""Server reflection: tools such as grpcurl learn the services and messages from the server."""

from typing import Any

import grpc

from services.grpc.calls import Call, Calls
from services.grpc.messages import (
    HEALTH,
    INFERENCE,
    POOL,
    REFLECTION,
    ServerReflectionRequest,
    ServerReflectionResponse,
    parsed,
)


class Reflection:
    """Answers what the service's descriptors say."""

    def handlers(self, calls: Calls) -> dict[str, Any]:
        """The handler of the method, in each version of the protocol, by full name."""
        handler = calls.streaming(self.answer)
        return {f"/{name}/ServerReflectionInfo": handler for name in REFLECTION}

    async def answer(self, call: Call, /) -> None:
        """Answer question after question."""
        while (message := await call.context.read()) is not grpc.aio.EOF:
            response = reflected(parsed(ServerReflectionRequest, message))
            await call.context.write(response.SerializeToString())


def reflected(request: Any) -> Any:
    """The `ServerReflectionResponse` to a `ServerReflectionRequest`."""
    response = ServerReflectionResponse(valid_host=request.host, original_request=request)
    kind = request.WhichOneof("message_request")
    try:
        if kind == "list_services":
            for name in (INFERENCE, HEALTH, *REFLECTION):
                response.list_services_response.service.add(name=name)
        elif kind == "file_by_filename":
            _describe(response, POOL.FindFileByName(request.file_by_filename))
        elif kind == "file_containing_symbol":
            symbol = request.file_containing_symbol.replace(*reversed(REFLECTION))
            _describe(response, POOL.FindFileContainingSymbol(symbol))
        elif kind == "all_extension_numbers_of_type":
            name = request.all_extension_numbers_of_type
            POOL.FindMessageTypeByName(name)
            response.all_extension_numbers_response.base_type_name = name
        else:
            _refuse(response)
    except KeyError:
        _refuse(response)
    return response


def _refuse(response: Any) -> None:
    response.error_response.error_code = grpc.StatusCode.NOT_FOUND.value[0]
    response.error_response.error_message = "expected a name that reflection lists"


def _describe(response: Any, file: Any) -> None:
    """Add a file, and after it all files that it imports."""
    waiting, seen = [file], {file.name}
    while waiting:
        described = waiting.pop()
        response.file_descriptor_response.file_descriptor_proto.append(described.serialized_pb)
        new = [each for each in described.dependencies if each.name not in seen]
        seen.update(each.name for each in new)
        waiting.extend(new)
