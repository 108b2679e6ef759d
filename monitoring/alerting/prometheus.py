"""The newest window's verdict as Prometheus gauges: `var/metrics/<model>.prom`.

The file is for node_exporter's textfile collector, so the monitor needs no port and may exit
after each window. It is replaced as a whole: what a window does not have (metrics from labels,
say) is absent from it, and so from Prometheus, instead of becoming stale.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily

from contracts.files import write_whole
from contracts.names import Layout
from contracts.times import parse_utc
from contracts.verdict import Verdict, VerdictKind

Sample = tuple[tuple[str, ...], float]


def write_gauges(layout: Layout, verdict: Verdict, *, now: datetime) -> Path:
    """Replace the gauges of a model by those of a verdict; gives the path of the file.

    Raises:
        Unwritable: the file cannot be written.

    """
    path = layout.metrics / f"{verdict.model}.prom"
    write_whole(path, prometheus_text(verdict, now))
    return path


def prometheus_text(verdict: Verdict, now: datetime) -> bytes:
    """A verdict in Prometheus' text format; `now` is when the monitor succeeded."""
    registry = CollectorRegistry()
    registry.register(VerdictGauges(verdict, now))
    return generate_latest(registry)


class VerdictGauges:
    """Collects the gauges of one verdict; prometheus_client's own live as long as the process."""

    def __init__(self, verdict: Verdict, now: datetime) -> None:
        self._verdict = verdict
        self._now = now

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Every gauge; without samples, if the verdict has nothing to say about it."""
        yield from self._window()
        yield from self._drift()
        yield from self._quality()
        yield from self._performance()

    def _window(self) -> Iterator[GaugeMetricFamily]:
        verdict, window = self._verdict, self._verdict.window
        start, end = parse_utc(window.start), parse_utc(window.end)
        yield self._gauge(
            "slipway_verdict",
            "1 for the decision on the newest window, 0 for all others",
            ["decision"],
            (
                ((decision,), float(decision == verdict.decision))
                for decision in get_args(VerdictKind)
            ),
        )
        judged = [c for c in verdict.conditions if c.state != "unknown"]
        yield self._gauge(
            "slipway_condition",
            "1 for a condition that alarms, 0 for one that does not; absent if it was not judged",
            ["condition"],
            (((c.kind,), float(c.is_alarming)) for c in judged),
        )
        yield self._gauge(
            "slipway_condition_confirmed",
            "1 for an alarming condition that has lasted, or is certain",
            ["condition"],
            (((c.kind,), float(c.confirmed)) for c in judged),
        )
        for name, description, value in (
            ("slipway_window_rows", "Predictions in the newest window", float(window.rows)),
            ("slipway_window_seconds", "Length of the window", (end - start).total_seconds()),
            ("slipway_window_end_timestamp_seconds", "End of the window", end.timestamp()),
        ):
            yield self._gauge(name, description, [], [((), value)])
        last = GaugeMetricFamily(
            "slipway_monitor_last_success_timestamp_seconds",
            "When the monitor last judged a window",
            labels=["model"],
        )
        last.add_metric([verdict.model], self._now.timestamp())
        yield last

    def _drift(self) -> Iterator[GaugeMetricFamily]:
        findings = self._verdict.findings
        yield self._gauge(
            "slipway_drift_effect",
            "How far a column is from its reference, by the effect that decided",
            ["column", "effect"],
            (((f.column, f.effect), f.effect_size) for f in findings),
        )
        yield self._gauge(
            "slipway_drift_threshold",
            "What that effect is held against",
            ["column", "effect"],
            (((f.column, f.effect), f.effect_threshold) for f in findings),
        )
        yield self._gauge(
            "slipway_drift",
            "1 for a column that has drifted: significantly, by enough, and all the time",
            ["column"],
            (((f.column,), float(f.drifted)) for f in findings),
        )
        yield self._gauge(
            "slipway_drift_windows",
            "Windows of this length in a row in which a drifted column has drifted",
            ["column"],
            (((f.column,), float(f.windows)) for f in findings if f.drifted),
        )

    def _quality(self) -> Iterator[GaugeMetricFamily]:
        # A column may have one fault twice, with different details; one sample each is allowed.
        shares: dict[tuple[str, ...], float] = {}
        for fault in self._verdict.quality:
            key = (fault.column, fault.fault, "yes" if fault.alarming else "no")
            shares[key] = max(fault.share, shares.get(key, 0.0))
        yield self._gauge(
            "slipway_quality_share",
            "Share of rows with a fault of the data",
            ["column", "fault", "alarming"],
            shares.items(),
        )

    def _performance(self) -> Iterator[GaugeMetricFamily]:
        performance, estimate = self._verdict.performance, self._verdict.estimate
        metrics = performance.metrics if performance is not None else ()
        yield self._gauge(
            "slipway_performance",
            "A metric against the labels that arrived",
            ["metric"],
            (((m.metric,), m.value) for m in metrics),
        )
        yield self._gauge(
            "slipway_performance_baseline",
            "The same metric at training",
            ["metric"],
            (((m.metric,), m.baseline) for m in metrics),
        )
        yield self._gauge(
            "slipway_performance_worse",
            "1 for a metric that is worse: significantly and by enough",
            ["metric"],
            (((m.metric,), float(m.worse)) for m in metrics),
        )
        yield self._gauge(
            "slipway_label_coverage",
            "Share of the judged predictions that have a label",
            [],
            [((), performance.coverage)] if performance is not None else [],
        )
        yield self._gauge(
            "slipway_performance_estimate",
            "A metric as estimated without labels",
            ["metric"],
            [((estimate.metric,), estimate.value)]
            if estimate is not None and not estimate.missing
            else [],
        )

    def _gauge(
        self, name: str, description: str, labels: list[str], samples: Iterable[Sample]
    ) -> GaugeMetricFamily:
        gauge = GaugeMetricFamily(name, description, labels=["model", "version", *labels])
        for values, value in samples:
            gauge.add_metric([self._verdict.model, str(self._verdict.version), *values], value)
        return gauge
