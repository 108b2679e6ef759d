"""How often a model's second version agreed, in Prometheus' text format."""

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily

AnswerCounts = Mapping[tuple[str, int, str], int]
"""Answers by role, version and outcome."""


def shadow_metrics(model: str, counts: AnswerCounts) -> bytes:
    """The counts for node_exporter's textfile collector."""
    registry = CollectorRegistry()
    registry.register(_Answers(model, counts))
    return generate_latest(registry)


class _Answers:
    """Collects the counts of one model; they begin at 0 with the process that scores it."""

    def __init__(self, model: str, counts: AnswerCounts) -> None:
        self._model = model
        self._counts = counts

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily(
            "slipway_shadow_answers",
            "Answers scored again: agreed, differed, failed, or dropped",
            labels=["model", "role", "version", "outcome"],
        )
        for (role, version, outcome), n in sorted(self._counts.items()):
            family.add_metric([self._model, role, str(version), outcome], n)
        yield family
