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


@dataclass(frozen=True)
class _Known:
    """A failure, and the pointer that named the version; None where it cannot be read.

    `is_lasting`: the same files fail again, unlike files that could not be read.
    """

    failure: LoadFailure
    pointer: Pointer | None
    is_lasting: bool = True


@dataclass
class LoadFailures:
    """At most one failure for each model and role; a version that loads ends it."""

    metrics: Metrics
    _failures: dict[tuple[str, str], _Known] = field(default_factory=dict)

    def record(self, pointer: Pointer, err: Exception) -> None:
        """Log, count and list a version that has a pointer and failed to load."""
        failure = LoadFailure(pointer.name, pointer.version, pointer.alias, failure_reason(err))
        self._record(_Known(failure, pointer, is_lasting=not isinstance(err, OSError)))
        logger.error("refused %s version %d: %s", failure.name, pointer.version, failure.reason)

    def record_unreadable(self, name: str, err: InvalidDocument) -> None:
        """Log, count and list a model whose pointer to production cannot be read, once."""
        failure = LoadFailure(name, None, PRODUCTION, failure_reason(err))
        known = self._failures.get((name, PRODUCTION))
        if known is None or known.failure != failure:
            self._record(_Known(failure, None))
            logger.error("refused %s: %s", name, failure.reason)

    def listing(self) -> list[LoadFailure]:
        """The present failures, by name of the model."""
        return [known.failure for _, known in sorted(self._failures.items())]

    def lasting_pointers(self) -> list[Pointer]:
        """The pointers of the versions that fail again unless their files change."""
        return [
            known.pointer
            for known in self._failures.values()
            if known.pointer is not None and known.is_lasting
        ]

    def has(self, name: str) -> bool:
        """Whether a model's production version failed."""
        return (name, PRODUCTION) in self._failures

    def end(self, name: str, variant: str) -> None:
        """Forget the failure of a model and role, if there is one: another version is in force."""
        if (name, variant) in self._failures:
            self._gauge(self._failures.pop((name, variant)).failure).set(0)

    def keep(self, wanted: Collection[Pointer], unreadable: Collection[str]) -> None:
        """Forget what none of the `wanted` pointers names, and pointers that can be read again.

        `unreadable` are the names of the models whose pointer still cannot be read.
        """
        for (name, variant), known in list(self._failures.items()):
            is_unreadable = known.pointer is None and name in unreadable
            if known.pointer not in wanted and not is_unreadable:
                self.end(name, variant)

    def _record(self, known: _Known) -> None:
        failure = known.failure
        self.end(failure.name, failure.variant)
        self._failures[failure.name, failure.variant] = known
        self._gauge(failure).set(1)
        self.metrics.versions_refused.labels(failure.name).inc()

    def _gauge(self, failure: LoadFailure) -> Gauge:
        version = "" if failure.version is None else str(failure.version)
        return self.metrics.load_failed.labels(failure.name, version, failure.variant)


def failure_reason(err: Exception) -> str:
    """Why a model cannot be loaded, in printable characters."""
    return printable(err.what if isinstance(err, PlatformError) else repr(err))
