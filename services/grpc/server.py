"""The gRPC server of one worker: its port, its limits, its certificate, its stop."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc

from services.auth.guard import Guard
from services.grpc.calls import Calls
from services.grpc.health import Health
from services.grpc.inference_service import InferenceService
from services.grpc.model_stream import ModelStream
from services.grpc.reflection import Reflection
from services.serving.repository import ModelRepository
from services.settings import ServiceSettings

MAX_CALLS = 1024
"""Calls that a worker answers at the same time; more get RESOURCE_EXHAUSTED."""
MAX_CONNECTION_CALLS = 128
"""Calls on one connection at the same time; the client's library holds more back."""
KEEPALIVE_S = 60
KEEPALIVE_TIMEOUT_S = 20
"""A silent client is asked whether it lives, and after the timeout its connection is closed."""
MIN_PING_INTERVAL_S = 10
MAX_PING_STRIKES = 3
"""A client that asks more often than that, this many times, has its connection closed."""
MAX_METADATA_BYTES = 16 * 1024


class GrpcServer:
    """Answers gRPC in addition to HTTP, from the same models, for the same keys."""

    def __init__(
        self, repository: ModelRepository, guard: Guard, settings: ServiceSettings
    ) -> None:
        calls = Calls(repository, guard, settings)
        service = InferenceService(repository, settings.deadline_s)
        self._streams = ModelStream(service, calls)
        self._grace_s = settings.deadline_s
        self._server = grpc.aio.server(
            options=server_options(settings), maximum_concurrent_rpcs=MAX_CALLS
        )
        handlers = _Handlers(
            {
                **service.handlers(calls),
                **self._streams.handlers(),
                **Health(repository).handlers(calls),
                **Reflection().handlers(calls),
            }
        )
        self._server.add_generic_rpc_handlers((handlers,))
        _listen(self._server, settings)

    async def start(self) -> None:
        """Answer from now on."""
        await self._server.start()

    async def stop(self) -> None:
        """Take no more calls, and end when those that were taken are answered."""
        self._streams.close()
        await self._server.stop(self._grace_s)


class _Handlers(grpc.GenericRpcHandler):
    """Finds the handler of a method by its full name."""

    def __init__(self, handlers: dict[str, Any]) -> None:
        self._handlers = handlers

    def service(self, handler_call_details: Any) -> Any:
        """The handler; None for a method that is not known."""
        return self._handlers.get(handler_call_details.method)


def server_options(settings: ServiceSettings) -> Sequence[tuple[str, int]]:
    """The limits of the server, by gRPC's names."""
    return (
        ("grpc.so_reuseport", 1),
        ("grpc.max_receive_message_length", settings.body_bytes),
        ("grpc.max_concurrent_streams", MAX_CONNECTION_CALLS),
        ("grpc.max_metadata_size", MAX_METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", MAX_METADATA_BYTES),
        ("grpc.server_handshake_timeout_ms", int(settings.body_timeout_s * 1e3)),
        ("grpc.keepalive_time_ms", KEEPALIVE_S * 1000),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_S * 1000),
        ("grpc.http2.min_ping_interval_without_data_ms", MIN_PING_INTERVAL_S * 1000),
        ("grpc.http2.max_ping_strikes", MAX_PING_STRIKES),
        *(
            [("grpc.max_allowed_incoming_connections", settings.connections)]
            if settings.connections
            else []
        ),
    )


def _listen(server: Any, settings: ServiceSettings) -> None:
    """Bind the port; every worker binds the same one, and the kernel spreads the connections."""
    host = f"[{settings.grpc_host}]" if ":" in settings.grpc_host else settings.grpc_host
    address = f"{host}:{settings.grpc_port}"
    if not settings.grpc_cert_file:
        server.add_insecure_port(address)
        return
    server.add_secure_port(address, _credentials(settings))


def _credentials(settings: ServiceSettings) -> Any:
    """The certificate and its key; with a CA, clients need a certificate of it as well."""
    certificate, key = Path(settings.grpc_cert_file), Path(settings.grpc_key_file)
    ca = Path(settings.grpc_client_ca_file) if settings.grpc_client_ca_file else None
    return grpc.ssl_server_credentials(
        [(key.read_bytes(), certificate.read_bytes())],
        ca.read_bytes() if ca else None,
        require_client_auth=ca is not None,
    )
