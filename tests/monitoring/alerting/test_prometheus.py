"""The gauges of a window are what its verdict says, and the rules use no others."""

import json
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
import yaml  # type: ignore[import-untyped]  # it carries no types
from prometheus_client.parser import text_string_to_metric_families

from contracts.verdict import Estimate, Finding, QualityFinding, Verdict
from monitoring.alerting.prometheus import prometheus_text
from services.jobs.figures import job_metrics
from services.jobs.store import ModelCount, QueueFigures
from tests.monitoring.verdict_history import with_conditions

ROOT = Path(__file__).parents[3]
RULES = ROOT / "deploy" / "prometheus"
FOLLOWER_METRIC = "slipway_follow_last_success_timestamp_seconds"
"""`tests/registry/test_odd_tags.py` reads it from the follower's file."""
GOLDEN = ROOT / "tests" / "contracts" / "golden" / "verdict.v1-labels.json"
JOBS_PAGE = job_metrics(
    QueueFigures(
        [ModelCount("tiny", "queued", 1)],
        [ModelCount("tiny", "finished", 2)],
        [ModelCount("tiny", "rows_scored", 3)],
        4.0,
    )
).decode()
"""What the store of jobs adds to the page of the service's metrics."""
NOW = datetime(2026, 1, 31, 13, tzinfo=UTC)


def verdict() -> Verdict:
    """The golden verdict with every kind of finding, and arguments that must be escaped."""
    judged = msgspec.structs.replace(
        Verdict.read(GOLDEN.read_bytes()),
        decision="quality",
        findings=(
            Finding(
                column='a "quoted\\" column',
                kind="number",
                n=10,
                p_value=0.0,
                test="",
                statistics={"ks": 0.4},
                effect="ks",
                effect_size=0.4,
                effect_threshold=0.05,
                drifted=True,
            ),
        ),
        quality=tuple(
            QualityFinding(
                column="age",
                fault="unit",
                share=share,
                reference_share=0.0,
                p_value=0.0,
                detail=f"fits when divided by {share}",
            )
            for share in (0.25, 0.5)
        ),
        estimate=Estimate(metric="roc_auc", value=0.8),
    )
    return with_conditions(judged)


def samples_of(judged: Verdict) -> dict[str, dict[frozenset[tuple[str, str]], float]]:
    """The samples by name and labels, as Prometheus's own parser reads them."""
    families = text_string_to_metric_families(prometheus_text(judged, NOW).decode())
    return {
        family.name: {frozenset(s.labels.items()): s.value for s in family.samples}
        for family in families
    }


def test_the_gauges_say_what_the_verdict_says() -> None:
    judged = verdict()
    gauges = samples_of(judged)
    base = {("model", judged.model), ("version", str(judged.version))}

    def value(name: str, **labels: str) -> float:
        return gauges[name][frozenset(base | set(labels.items()))]

    assert sum(gauges["slipway_verdict"].values()) == 1
    assert value("slipway_verdict", decision="quality") == 1
    assert value("slipway_condition", condition="quality") == 1
    assert value("slipway_condition", condition="drift") == 1
    assert value("slipway_condition_confirmed", condition="delivery") == 0
    assert value("slipway_window_rows") == judged.window.rows
    assert value("slipway_drift_effect", column='a "quoted\\" column', effect="ks") == 0.4
    assert value("slipway_drift", column='a "quoted\\" column') == 1
    assert value("slipway_quality_share", column="age", fault="unit", alarming="yes") == 0.5
    assert value("slipway_performance_estimate", metric="roc_auc") == 0.8
    assert judged.performance is not None
    for metric in judged.performance.metrics:
        assert value("slipway_performance", metric=metric.metric) == metric.value
        assert value("slipway_performance_worse", metric=metric.metric) == metric.worse
    assert gauges["slipway_monitor_last_success_timestamp_seconds"] == {
        frozenset({("model", judged.model)}): NOW.timestamp()
    }


def test_what_a_window_does_not_have_is_absent_and_not_zero() -> None:
    gauges = samples_of(
        msgspec.structs.replace(verdict(), performance=None, estimate=None, findings=())
    )

    for name in ("slipway_performance", "slipway_performance_estimate", "slipway_drift"):
        assert gauges[name] == {}


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed: .ci/run does")
@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "config", "prometheus.yml"],
        ["check", "rules", "alerts.yml"],
        ["test", "rules", "alerts_test.yml"],
    ],
    ids=" ".join,
)
def test_prometheus_itself_takes_the_rules_and_they_alert_as_they_say(arguments: list[str]) -> None:
    done = subprocess.run(
        ["promtool", *arguments], cwd=RULES, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed: .ci/run does")
def test_prometheus_itself_finds_no_fault_with_the_gauges() -> None:
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=prometheus_text(verdict(), NOW) + JOBS_PAGE.encode(),
        capture_output=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_rules_ask_for_metrics_that_exist_and_each_has_a_test_and_a_page() -> None:
    rules = [
        rule
        for group in yaml.safe_load((RULES / "alerts.yml").read_text())["groups"]
        for rule in group["rules"]
    ]
    tested = {
        case["alertname"]
        for test in yaml.safe_load((RULES / "alerts_test.yml").read_text())["tests"]
        for case in test["alert_rule_test"]
        if case["exp_alerts"]
    }
    page = (ROOT / "docs" / "alerts.md").read_text()
    known = set(samples_of(verdict())) | service_metrics() | {FOLLOWER_METRIC}

    for rule in rules:
        assert set(re.findall(r"slipway_\w+", rule["expr"])) <= known, rule["alert"]
        assert f"### {rule['alert']}\n" in page
        assert rule["annotations"]["runbook"] == f"docs/alerts.md#{rule['alert'].lower()}"
    assert {rule["alert"] for rule in rules} == tested


def service_metrics() -> set[str]:
    """The names that the metrics of the service and of stream workers have on their pages."""
    code = (
        "import json, prometheus_client as p\nfrom services.metrics import Metrics\n"
        "from services.streams.stream_metrics import StreamMetrics\nMetrics()\nStreamMetrics()\n"
        "print(json.dumps([f.name + ('_total' if f.type == 'counter' else '') "
        "for f in p.REGISTRY.collect()]))"
    )
    # In a process of its own: metrics register themselves, once a process.
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout)) | set(re.findall(r"^# TYPE (\w+)", JOBS_PAGE, re.MULTILINE))


def test_every_gauge_is_on_the_page() -> None:
    page = (ROOT / "docs" / "alerts.md").read_text()

    for name in samples_of(verdict()):
        assert f"`{name}`" in page, name
