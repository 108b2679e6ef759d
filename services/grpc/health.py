"""Health as gRPC defines it, for Kubernetes and load balancers.

The names of services are those of gRPC, the names of models, and the empty one, which is the whole
server.
"""

import asyncio
from typing import Any

from services.faults import Fault
from services.grpc.calls import Call, Calls
from services.grpc.messages import (
    HEALTH,
    INFERENCE,
    HealthCheckRequest,
    HealthCheckResponse,
    parsed,
)
from services.serving.repository import ModelRepository

HEALTH_POLL_S = 0.5
"""Time between two looks at the health that a client watches."""
MAX_WATCHERS = 256
"""Clients that watch at the same time: they need no key, and each is one of a worker's calls."""
SERVERS = ("", INFERENCE, HEALTH)


class Health:
    """Answers what a service's health is, from the models of a worker."""

    def __init__(self, repository: ModelRepository) -> None:
        self._repository = repository
        self._n_watchers = 0

    def handlers(self, calls: Calls) -> dict[str, Any]:
        """The handlers of the methods, by full name; they need no key."""
        return {
            f"/{HEALTH}/Check": calls.unary(self.check, None),
            f"/{HEALTH}/Watch": calls.streaming(self.watch, None),
        }

    async def check(self, _: Call, message: bytes, /) -> bytes:
        """The health of a service now.

        Raises:
            Fault: `not_found`.

        """
        name = parsed(HealthCheckRequest, message).service
        status = self.status(name)
        if status == HealthCheckResponse.SERVICE_UNKNOWN:
            # Which models there are, a stranger need not know.
            raise Fault("not_found", f"service: expected {INFERENCE}, or the name of a model")
        return bytes(HealthCheckResponse(status=status).SerializeToString())

    async def watch(self, call: Call, /) -> None:
        """The health of a service now and after each change, until the service stops.

        Raises:
            Fault: `overloaded`.

        """
        if self._n_watchers >= MAX_WATCHERS:
            raise Fault("overloaded", f"expected at most {MAX_WATCHERS} watches at the same time")
        self._n_watchers += 1
        try:
            await self._watch(call)
        finally:
            self._n_watchers -= 1

    async def _watch(self, call: Call) -> None:
        name = parsed(HealthCheckRequest, await call.read()).service
        last = None
        while True:
            status = self.status(name)
            if status != last:
                last = status
                await call.context.write(HealthCheckResponse(status=status).SerializeToString())
            if not self._repository.is_open:
                return
            await asyncio.sleep(HEALTH_POLL_S)

    def status(self, name: str) -> int:
        """The health of a service, a value of `ServingStatus`."""
        models = self._repository.models
        if name not in SERVERS and name not in models:
            return int(HealthCheckResponse.SERVICE_UNKNOWN)
        is_serving = self._repository.is_ready and bool(models)
        serving = HealthCheckResponse.SERVING if is_serving else HealthCheckResponse.NOT_SERVING
        return int(serving)
