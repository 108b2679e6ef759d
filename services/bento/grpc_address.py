"""Where gRPC listens, and with which certificate: as HTTP does, unless settings say otherwise.

BentoML's command line knows the address and the certificate of HTTP, its workers do not. So the
process that starts the workers decides, and hands the result on in the environment.
"""

import os
import ssl
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from contracts.errors import InvalidSetting
from services.bento.port import check_port
from services.settings import ServiceSettings

INSTALL_GRPC = "pip install --require-hashes -r requirements/serving-grpc.txt"
DEFAULT_HOST = "127.0.0.1"


def grpc_host(settings: ServiceSettings, http_host: str | None) -> str:
    """The address on which gRPC listens."""
    return settings.grpc_host or http_host or DEFAULT_HOST


def prepare_grpc(
    settings: ServiceSettings,
    http_host: str | None,
    http_port: int,
    options: Mapping[str, Any],
) -> None:
    """Check, before workers start, that gRPC can be served; workers read the result.

    `options` are those of BentoML's command line.

    Raises:
        InvalidSetting: grpcio is not installed, the port is that of HTTP, or the certificate
            cannot be used.
        PortTaken: another process listens on the port, or it may not be bound.

    """
    if not settings.grpc_port:
        return
    if find_spec("grpc") is None:
        raise InvalidSetting(
            "SLIPWAY_SERVICE_GRPC_PORT: expected the library grpcio, got nothing",
            remedy=INSTALL_GRPC,
        )
    host = grpc_host(settings, http_host)
    if settings.grpc_port == http_port:
        raise InvalidSetting(
            f"SLIPWAY_SERVICE_GRPC_PORT: expected another port than that of HTTP, got {http_port}",
            remedy=f"set it to {http_port + 1}",
        )
    certificate, key = settings.grpc_cert_file, settings.grpc_key_file
    if not certificate:
        certificate = options.get("ssl_certfile") or ""
        # As for HTTP, one file may hold both.
        key = options.get("ssl_keyfile") or certificate
    if settings.grpc_client_ca_file and not certificate:
        raise InvalidSetting(
            "SLIPWAY_SERVICE_GRPC_CLIENT_CA_FILE: expected a certificate of the service as well, "
            "got none",
            remedy="set SLIPWAY_SERVICE_GRPC_CERT_FILE and SLIPWAY_SERVICE_GRPC_KEY_FILE",
        )
    if certificate:
        _check_certificate(certificate, key, options.get("ssl_keyfile_password"))
    check_port(host, settings.grpc_port)
    os.environ["SLIPWAY_SERVICE_GRPC_HOST"] = host
    os.environ["SLIPWAY_SERVICE_GRPC_CERT_FILE"] = certificate
    os.environ["SLIPWAY_SERVICE_GRPC_KEY_FILE"] = key


def _check_certificate(certificate: str, key: str, password: str | None) -> None:
    """Load a certificate with its key, as gRPC will; its own error is a line in a worker's log."""
    if password:
        raise InvalidSetting(
            "--ssl-keyfile-password: expected a key without a password for gRPC, got one with it",
            remedy="set SLIPWAY_SERVICE_GRPC_KEY_FILE to a key that is not encrypted",
        )
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
            certificate, key or None, password=""
        )
    except (OSError, ValueError) as err:
        raise InvalidSetting(
            f"SLIPWAY_SERVICE_GRPC_CERT_FILE: expected a PEM certificate in {certificate} and its "
            f"key in {key or certificate}, got {err}",
            remedy="name the files of the certificate chain and of its private key",
        ) from err
