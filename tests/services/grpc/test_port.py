"""The port of gRPC: shared by workers, unmoved by garbage, with TLS, only where it is set."""

import os
import random
import socket
import time
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import grpc
import jinja2
import pytest
from tritonclient.grpc import service_pb2

from contracts.errors import InvalidSetting, PortTaken
from services.bento.grpc_address import prepare_grpc
from services.settings import ServiceSettings
from tests import tiny
from tests.services.conftest import ROOT
from tests.services.grpc.conftest import GrpcService, typed_request
from tests.services.grpc.stage import certificate
from tests.slipway.conftest import free_port

REQUEST = typed_request("tiny", [tiny.GOOD])
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
LISTENING = "0A"
SETTINGS = b"\0\0\0\4\0\0\0\0\0"
LIVE = service_pb2.ServerLiveRequest()


def workers(service: GrpcService) -> set[str]:
    """The processes that listen at the address."""
    port = int(service.address.rpartition(":")[2])
    lines = [Path(f"/proc/net/{kind}").read_text().splitlines()[1:] for kind in ("tcp", "tcp6")]
    tables = [line.split() for line in chain.from_iterable(lines)]
    inodes = {
        f"socket:[{fields[9]}]"
        for fields in tables
        if fields[1].endswith(f":{port:04X}") and fields[3] == LISTENING
    }
    found = set()
    for folder in Path("/proc").glob("[0-9]*/fd"):
        with suppress(OSError):
            if {str(each.readlink()) for each in folder.iterdir()} & inodes:
                found.add(folder.parent.name)
    return found


def both_workers(service: GrpcService) -> set[str]:
    """The two processes that listen, once both do: a worker may start later than the other."""
    deadline = time.monotonic() + 60
    while len(found := workers(service)) < 2:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return found


@pytest.mark.slow
def test_workers_share_the_port(grpc_service: GrpcService) -> None:
    assert len(both_workers(grpc_service)) == 2


@pytest.mark.slow
def test_garbage_stops_no_worker(grpc_service: GrpcService) -> None:
    """Bytes that are not HTTP/2, frames that break it, and messages that are none."""
    before = both_workers(grpc_service)
    random_bytes = random.Random(7).randbytes
    host, _, port = grpc_service.address.partition(":")
    for index in range(60):
        head = (b"", PREFACE, PREFACE + SETTINGS)[index % 3]
        with (
            suppress(ConnectionError, TimeoutError),
            socket.create_connection((host, int(port)), timeout=5) as connection,
        ):
            connection.settimeout(0.05)
            connection.sendall(head + random_bytes(index * 13))
            connection.recv(1000)
    with grpc_service.channel() as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        for index in range(100):
            with pytest.raises(grpc.RpcError) as caught:
                infer(random_bytes(index))
            assert caught.value.code() in {
                grpc.StatusCode.INVALID_ARGUMENT,
                grpc.StatusCode.NOT_FOUND,
            }
    with grpc_service.stub() as stub:
        assert stub.ModelInfer(REQUEST).outputs

    assert workers(grpc_service) == before


def test_what_keeps_grpc_from_starting_is_said_before_workers_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_SERVICE_GRPC_HOST", "")
    monkeypatch.setenv("SLIPWAY_SERVICE_GRPC_CERT_FILE", "")
    monkeypatch.setenv("SLIPWAY_SERVICE_GRPC_KEY_FILE", "")
    port = free_port()
    settings = ServiceSettings(grpc_port=port)
    with pytest.raises(InvalidSetting, match="another port than that of HTTP"):
        prepare_grpc(settings, "127.0.0.1", port, {})
    with pytest.raises(InvalidSetting, match=r"expected a PEM certificate in .*none\.pem"):
        prepare_grpc(settings, None, 1, {"ssl_certfile": str(tmp_path / "none.pem")})
    with pytest.raises(InvalidSetting, match="expected a certificate of the service as well"):
        prepare_grpc(ServiceSettings(grpc_port=port, grpc_client_ca_file="ca.pem"), None, 1, {})
    with pytest.raises(InvalidSetting, match="expected a key without a password"):
        prepare_grpc(settings, None, 1, {"ssl_certfile": "c", "ssl_keyfile_password": "p"})
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with pytest.raises(PortTaken):
            prepare_grpc(settings, "127.0.0.1", 1, {})
    monkeypatch.setattr("services.bento.grpc_address.find_spec", lambda _: None)
    with pytest.raises(InvalidSetting, match="expected the library grpcio") as caught:
        prepare_grpc(settings, None, 1, {})
    assert "requirements/serving-grpc.txt" in str(caught.value)


def test_workers_get_the_address_and_the_certificate_of_http(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_SERVICE_GRPC_HOST", "")
    monkeypatch.setenv("SLIPWAY_SERVICE_GRPC_CERT_FILE", "")
    monkeypatch.setenv("SLIPWAY_SERVICE_GRPC_KEY_FILE", "")
    cert, key = certificate(tmp_path)
    options = {"ssl_certfile": str(cert), "ssl_keyfile": str(key)}
    prepare_grpc(ServiceSettings(grpc_port=free_port()), "127.0.0.1", 1, options)

    assert os.environ["SLIPWAY_SERVICE_GRPC_HOST"] == "127.0.0.1"
    assert os.environ["SLIPWAY_SERVICE_GRPC_CERT_FILE"] == str(cert)
    assert os.environ["SLIPWAY_SERVICE_GRPC_KEY_FILE"] == str(key)

    both = tmp_path / "both.pem"
    both.write_bytes(cert.read_bytes() + key.read_bytes())
    options = {"ssl_certfile": str(both)}
    prepare_grpc(ServiceSettings(grpc_port=free_port()), "127.0.0.1", 1, options)
    assert os.environ["SLIPWAY_SERVICE_GRPC_CERT_FILE"] == str(both)
    assert os.environ["SLIPWAY_SERVICE_GRPC_KEY_FILE"] == str(both)


@pytest.mark.parametrize("fields", [{"grpc_port": 70_000}, {"grpc_cert_file": "c"}])
def test_settings_that_mean_nothing_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidSetting, match="SLIPWAY_SERVICE_GRPC_"):
        ServiceSettings(**fields)


@pytest.mark.parametrize(
    ("port", "exposed"), [("", "EXPOSE 3000\n"), ("3001", "EXPOSE 3000 3001\n")]
)
def test_an_image_has_grpcio_if_its_settings_name_the_port(port: str, exposed: str) -> None:
    environment = jinja2.Environment(autoescape=False)  # noqa: S701 - a Dockerfile, as BentoML renders it
    environment.filters["bash_quote"] = str
    template = environment.from_string((ROOT / "deploy" / "Dockerfile.j2").read_text())
    env = {"SLIPWAY_SERVICE_GRPC_PORT": port} if port else {}
    image = template.render(__options__env=env, __base_image__="base", bento__path="/bento")

    assert ("serving-grpc.txt" in image) == bool(port)
    assert exposed in image
