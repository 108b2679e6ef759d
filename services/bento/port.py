"""The port of the service, checked before anything is started."""

import socket

from contracts.errors import InvalidUsage, PortTaken


def check_port(host: str, port: int) -> None:
    """Check that a port can be bound; BentoML would end with a traceback.

    Raises:
        InvalidUsage: it is no number of a port.
        PortTaken: another process listens on it, or it may not be bound.

    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OverflowError as err:
            raise InvalidUsage(
                f"port: expected 0 to 65535, got {port}", remedy="choose another --port"
            ) from err
        except OSError as err:
            raise PortTaken(
                f"port: expected {host}:{port} to be free, got {err.strerror}",
                remedy=f"stop the process that listens there, or choose --port {port + 1}",
            ) from err
