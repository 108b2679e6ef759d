"""The fast path where cross-origin requests are allowed; elsewhere they cost nothing."""

from services.edge.cors import CrossOrigin
from services.edge.fast_path import FastPathProtocol
from services.edge.fast_path_cycle import FastPathCycle
from services.edge.statuses import Pairs
from services.protocols.wire_protocol import JSON


class CrossOriginProtocol(FastPathProtocol):
    """The fast path, which adds to its responses what browsers ask for."""

    __slots__ = ()

    def write_result(self, cycle: FastPathCycle, body: bytes) -> None:
        """Write the response to a request of the fast path that succeeded."""
        self.write_response(cycle, 200, body, ())

    def write_response(
        self,
        cycle: FastPathCycle,
        status: int,
        body: bytes,
        extra: Pairs,
        media_type: bytes = JSON,
    ) -> None:
        """Write the response to a request of the fast path."""
        cors: CrossOrigin | None = self._edge.cors
        if cors is not None:
            extra = (*extra, *cors.response_headers(cycle.headers.get(b"origin")))
        super().write_response(cycle, status, body, extra, media_type)
