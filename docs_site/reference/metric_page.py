"""`metrics.md`: every metric for Prometheus, with its labels, by the process that writes it."""

import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prometheus_client import Counter, Histogram
from prometheus_client.parser import text_string_to_metric_families

from contracts.names import Layout
from contracts.verdict import Performance, Verdict, Window
from docs_site.reference.markdown import code, page_head, table
from monitoring.alerting.prometheus import VerdictGauges
from registry.heartbeat import HEARTBEAT_FILE, write_heartbeat
from services.jobs.figures import job_metrics
from services.jobs.store import ModelCount, QueueFigures
from services.metrics import Metrics
from services.shadow.prometheus import shadow_metrics
from services.streams.stream_metrics import StreamMetrics

MetricRow = tuple[str, str, tuple[str, ...], str]
"""Name, type, labels and meaning of a metric."""
INTRODUCTION = """\
Alerts and dashboards use these: [alerts](../alerts.md), [dashboards](../deploy-grafana.md).
BentoML's own metrics (`bentoml_service_*`) are on the service's page as well."""
PLACES = {
    "Service": "`/metrics` of the service, for all its workers together.",
    "Jobs": "`/metrics` of the service, where jobs are accepted.",
    "Streams": "`/metrics` of `slipway stream --metrics-port`.",
    "Monitor": "`var/metrics/<model>.prom`, for node_exporter's textfile collector; the newest "
    "window of each model.",
    "Shadow": "`var/metrics/`, from the process that scores a shadow or a canary again.",
    "Follower": f"`var/metrics/{HEARTBEAT_FILE}`.",
}
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def metric_page() -> str:
    """The page as Markdown."""
    found: dict[str, Iterable[MetricRow]] = {
        "Service": _of_clients(vars(Metrics()).values()),
        "Jobs": _of_text(_job_text()),
        "Streams": _of_clients(vars(StreamMetrics()).values()),
        "Monitor": _of_verdict(),
        "Shadow": _of_text(shadow_metrics("loan", {("shadow", 2, "agreed"): 1}).decode()),
        "Follower": _of_text(_heartbeat_text()),
    }
    lines = page_head("Metrics", INTRODUCTION)
    for place, metrics in found.items():
        rows = [
            [code(name), kind, ", ".join(map(code, labels)), meaning]
            for name, kind, labels, meaning in metrics
        ]
        lines += [f"## {place}", "", PLACES[place], ""]
        lines += table(["metric", "type", "labels", "meaning"], rows)
    return "\n".join(lines)


def _of_clients(metrics: Iterable[Any]) -> Iterator[MetricRow]:
    """Metrics of prometheus_client, whose labels are known before a sample is there."""
    for metric in metrics:
        (family,) = metric.describe()
        kind = "histogram" if isinstance(metric, Histogram) else family.type
        name = f"{family.name}_total" if isinstance(metric, Counter) else family.name
        yield name, kind, tuple(metric._labelnames), family.documentation  # noqa: SLF001 - nothing else lists the labels of a metric without samples


def _of_verdict() -> Iterator[MetricRow]:
    window = Window(
        start="2026-01-01T00:00:00Z", end="2026-01-02T00:00:00Z", rows=0, files=0, torn_lines=0
    )
    verdict = Verdict(
        verdict_id="",
        model="loan",
        version=1,
        run_id="",
        made_at="",
        window=window,
        decision="stable",
        sentence="",
        manifest_digest="",
        performance=Performance(status="no_labels", mature_at=""),
    )
    for family in VerdictGauges(verdict, NOW).collect():
        yield family.name, family.type, tuple(family._labelnames), family.documentation  # noqa: SLF001 - nothing else lists the labels of a metric without samples


def _of_text(text: str) -> Iterator[MetricRow]:
    """Metrics of a page in Prometheus' text format, with a sample of each."""
    for family in text_string_to_metric_families(text):
        if family.name.endswith("_created"):
            continue
        sample = family.samples[0]
        yield sample.name, family.type, tuple(sample.labels), family.documentation


def _job_text() -> str:
    counts = [ModelCount("loan", "queued", 1)]
    return job_metrics(QueueFigures(counts, counts, counts, 0.0)).decode()


def _heartbeat_text() -> str:
    with tempfile.TemporaryDirectory() as folder:
        layout = Layout(Path(folder))
        layout.metrics.mkdir()
        write_heartbeat(layout)
        return (layout.metrics / HEARTBEAT_FILE).read_text()
