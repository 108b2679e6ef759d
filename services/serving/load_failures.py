"""The versions of a worker that have a pointer and cannot be served: logged, counted, listed."""

import logging
from collections.abc import Collection
from dataclasses import dataclass, field

import msgspec
from prometheus_client import Gauge

from contracts.errors import InvalidDocument, PlatformError
from contracts.manifest import Pointer
from contracts.names import PRODUCTION
from contracts.printable import printable
from services.metrics import Metrics

logger = logging.getLogger("bentoml.slipway")


class LoadFailure(msgspec.Struct, frozen=True):
    """A version that cannot be served; `GET /models` lists it as refused.

    `version` is None where the pointer itself cannot be read. `reason` is printable.
    """

    name: str
    version: int | None
    variant: str
    reason: str


@dataclass
class LoadFailures:
    """At most one failure for each model and role; a version that loads ends it."""

    metrics: Metrics
    _failures: dict[tuple[str, str], tuple[LoadFailure, Pointer | None]] = field(
        default_factory=dict
    )

    def record(self, pointer: Pointer, err: Exception) -> None:
        """Log, count and list a version that has a pointer and failed to load."""
        failure = LoadFailure(pointer.name, pointer.version, pointer.alias, failure_reason(err))
        self._record(failure, pointer)
        logger.error("refused %s version %d: %s", failure.name, pointer.version, failure.reason)

    def record_unreadable(self, name: str, err: InvalidDocument) -> None:
        """Log, count and list a model whose pointer to production cannot be read."""
        failure = LoadFailure(name, None, PRODUCTION, failure_reason(err))
        self._record(failure, None)
        logger.error("refused %s: %s", name, failure.reason)

    def listing(self) -> list[LoadFailure]:
        """The present failures, by name of the model."""
        return [failure for _, (failure, _) in sorted(self._failures.items())]

    def pointers(self) -> list[Pointer]:
        """The pointers of the versions that failed."""
        return [pointer for _, pointer in self._failures.values() if pointer is not None]

    def has(self, name: str) -> bool:
        """Whether a model's production version failed."""
        return (name, PRODUCTION) in self._failures

    def end(self, name: str, variant: str) -> None:
        """Forget the failure of a model and role, if there is one: another version is in force."""
        if (name, variant) in self._failures:
            failure, _ = self._failures.pop((name, variant))
            self._gauge(failure).set(0)

    def keep(self, wanted: Collection[Pointer], unreadable: Collection[str]) -> None:
        """Forget what none of the `wanted` pointers names, and pointers that can be read again.

        `unreadable` are the names of the models whose pointer still cannot be read.
        """
        for (name, variant), (_, pointer) in list(self._failures.items()):
            if pointer not in wanted and (pointer is not None or name not in unreadable):
                self.end(name, variant)

    def _record(self, failure: LoadFailure, pointer: Pointer | None) -> None:
        self.end(failure.name, failure.variant)
        self._failures[failure.name, failure.variant] = (failure, pointer)
        self._gauge(failure).set(1)
        self.metrics.versions_refused.labels(failure.name).inc()

    def _gauge(self, failure: LoadFailure) -> Gauge:
        version = "" if failure.version is None else str(failure.version)
        return self.metrics.load_failed.labels(failure.name, version, failure.variant)


def failure_reason(err: Exception) -> str:
    """Why a model cannot be loaded, in printable characters."""
    return printable(err.what if isinstance(err, PlatformError) else repr(err))
