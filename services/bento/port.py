"""The port to listen on, looked at before anything is started."""

import socket

from contracts.errors import PortTaken


def check_port(host: str, port: int) -> None:
    """Refuse a port on which another process listens; BentoML would end in a traceback.

    Raises:
        PortTaken: it cannot be bound.

    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as err:
            raise PortTaken(
                f"port: expected {host}:{port} to be free, got {err.strerror}",
                remedy=f"stop the process that listens there, or choose --port {port + 1}",
            ) from err
