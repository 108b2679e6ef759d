"""`python -m benchmarks.grpc.echo PORT BYTES`: a bare grpc.aio server with constant answers."""

import asyncio
import sys
from typing import Any

import grpc


class Echo(grpc.GenericRpcHandler):
    """Answers every call with the same bytes, without reading them."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def service(self, handler_call_details: Any) -> Any:
        """The handler of any method."""
        del handler_call_details

        async def handle(request: bytes, context: Any) -> bytes:
            del request, context
            return self._answer

        return grpc.unary_unary_rpc_method_handler(handle)


async def serve(port: int, n_bytes: int) -> None:
    """Answer until the process ends."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Echo(bytes(n_bytes)),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2])))
