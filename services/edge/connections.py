"""The limit on open connections, per worker and per client address."""

import logging
import resource
import time

logger = logging.getLogger("bentoml.slipway")

RESERVED_FILES = 64
"""File descriptors that connections must leave free: logs, models, Redis, the listening socket."""
REPORT_INTERVAL_S = 10.0
Address = tuple[str, int] | None


class ConnectionLimit:
    """Counts the connections of a worker; 0 is the limit that its file descriptors set.

    `per_address`: connections per client address, 0 for no limit. Behind a proxy all clients have
    the proxy's address.
    """

    def __init__(self, total: int, per_address: int) -> None:
        self._total = total or _file_limit()
        self._per_address = per_address
        self._open = 0
        self._by_address: dict[str, int] = {}
        self._next_report = 0.0

    def acquire(self, client: Address) -> bool:
        """Count a new connection, and return whether it is within the limits."""
        self._open += 1
        n_of_address = 0
        if self._per_address and client is not None:
            n_of_address = self._by_address[client[0]] = self._by_address.get(client[0], 0) + 1
        if self._open > self._total:
            self._report("of this worker", self._total)
            return False
        if n_of_address > self._per_address:
            self._report("of one client address", self._per_address)
            return False
        return True

    def release(self, client: Address) -> None:
        """Forget a connection that `acquire` has counted."""
        self._open -= 1
        if self._per_address and client is not None:
            left = self._by_address[client[0]] - 1
            if left:
                self._by_address[client[0]] = left
            else:
                del self._by_address[client[0]]

    def _report(self, whose: str, limit: int) -> None:
        now = time.monotonic()
        if now >= self._next_report:
            self._next_report = now + REPORT_INTERVAL_S
            logger.warning("%d connections %s are open; new ones are refused", limit, whose)


def _file_limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return 1_000_000
    return max(soft - RESERVED_FILES, 1)
