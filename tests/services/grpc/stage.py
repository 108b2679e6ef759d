"""A gRPC server in the process of a test, with a model that the test can hold."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2_grpc

from services.auth.guard import Guard
from services.grpc.server import GrpcServer
from services.inference.loader import ServedModel
from services.inference.scores import ModelRuntime
from services.metrics import Metrics
from services.serving.repository import ModelRepository
from services.settings import ServiceSettings
from tests.slipway.conftest import free_port

WAIT_S = 30


class Gated:
    """A session that scores once its gate is open, and counts the rows."""

    def __init__(self, session: ModelRuntime) -> None:
        self._session = session
        self.dtype = session.dtype
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.n_rows = 0

    def close(self) -> None:
        """Leave the session to the other tests."""

    def run(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        self.n_rows += len(matrix)
        self.entered.set()
        assert self.gate.wait(WAIT_S)
        return self._session.run(matrix)


@dataclass
class Running:
    """A server in this process, and what a test needs of it."""

    address: str
    stub: Any
    channel: Any
    session: Gated
    server: GrpcServer
    repository: ModelRepository


Story = Callable[[Running], Awaitable[None]]


@dataclass(frozen=True)
class Stage:
    """Plays a story on a server of its own."""

    folder: Path
    served: ServedModel
    metrics: Metrics

    def play(self, story: Story, **settings: Any) -> None:
        async def run() -> None:
            async with self._running(**settings) as running:
                await asyncio.wait_for(story(running), 2 * WAIT_S)

        asyncio.run(run())

    @asynccontextmanager
    async def _running(self, **changes: Any) -> AsyncIterator[Running]:
        fields: dict[str, Any] = {"var": self.folder, "keys": "off", "grpc_host": "127.0.0.1"}
        settings = ServiceSettings(**(fields | changes), grpc_port=free_port())
        repository = ModelRepository(settings, self.metrics)
        session = Gated(self.served.session)
        repository.load(replace(self.served, session=session, inline_rows=0))
        server = GrpcServer(repository, Guard(settings), settings)
        await server.start()
        try:
            address = f"127.0.0.1:{settings.grpc_port}"
            async with grpc.aio.insecure_channel(address) as channel:
                stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
                yield Running(address, stub, channel, session, server, repository)
        finally:
            session.gate.set()
            await server.stop()
            await repository.close()


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "slipway")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    paths = folder / "cert.pem", folder / "key.pem"
    paths[0].write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths
