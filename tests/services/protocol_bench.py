"""A protocol of the fast path without a service: bytes in, bytes out."""

import asyncio
from types import SimpleNamespace
from typing import Any

from services.edge.connections import ConnectionLimit
from services.edge.fast_path import FastPathProtocol, Shared
from services.edge.response import Response
from services.edge.routes import Route
from services.edge.statuses import headers_of
from services.inference.pending import Request, ResponseSink
from tests.services.raw_connection import PATH


class Transport:
    """What a protocol needs of a transport; remembers what was written."""

    def __init__(self) -> None:
        self.written = b""
        self.unread = 0
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def get_write_buffer_size(self) -> int:
        return self.unread

    def get_extra_info(self, name: str) -> Any:
        return ("127.0.0.1", 1234) if name in {"peername", "sockname"} else None

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class Bench:
    """A protocol of the fast path without a service; an ASGI application is never asked."""

    def __init__(self, guard: Any = None, *, traces: bool = False) -> None:
        self.handled: list[Request] = []
        self.guard = guard
        self.traces = traces
        self.transport = Transport()
        self.protocol = self._protocol()
        self.protocol.connection_made(self.transport)  # type: ignore[arg-type]  # it has what is used

    def send(self, data: bytes, piece: int = 0) -> None:
        size = piece or len(data) or 1
        for start in range(0, len(data), size):
            self.protocol.data_received(data[start : start + size])

    def _handle(self, request: Request, sink: ResponseSink, /) -> None:
        self.handled.append(request)
        sink.set_result(b"{}")

    def _protocol(self) -> FastPathProtocol:
        from uvicorn.config import Config
        from uvicorn.server import ServerState

        async def app(_scope: object, _receive: object, _send: object) -> None:
            raise AssertionError("expected the fast path, got the ordinary one")

        config = Config(app, access_log=False, log_config=None)
        config.load()
        route = Route("POST", self._handle, scope=self.guard and "predict")
        self.state = ServerState()
        edge: Any = SimpleNamespace(
            routes=SimpleNamespace(find={PATH: route}.get),
            guard=self.guard,
            repository=SimpleNamespace(is_open=True),
            traces=self.traces,
            cors=None,
            head_timeout_s=10.0,
            body_bytes=10_000,
            refuse=lambda err, *_: Response(400, str(err).encode(), headers_of(err)),
        )
        return FastPathProtocol(
            edge=edge,
            shared=Shared(ConnectionLimit(0, 0)),
            config=config,
            server_state=self.state,
            app_state={},
        )


def run_on_bench(data: bytes, piece: int = 0, *, traces: bool = False) -> Bench:
    async def run() -> Bench:
        bench = Bench(traces=traces)
        bench.send(data, piece)
        assert not bench.state.tasks
        return bench

    return asyncio.run(run())
