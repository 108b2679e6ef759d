"""Dashboards and rules ask for metrics that exist: every query runs in a real Prometheus."""

import json
import re
import shutil
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml  # type: ignore[import-untyped]  # it carries no types
from prometheus_client.parser import text_string_to_metric_families

from contracts.names import Layout
from monitoring.alerting.prometheus import prometheus_text
from registry.heartbeat import HEARTBEAT_FILE, write_heartbeat
from services.shadow.prometheus import shadow_metrics
from tests.deploy.replicas import PREDICT, ROOT, Replica, replicas, until
from tests.monitoring.alerting.test_prometheus import (
    FOLLOWER_METRIC,
    JOBS_PAGE,
    NOW,
    service_metrics,
    verdict,
)
from tests.services.http_client import ask, without
from tests.slipway.conftest import free_port

GRAFANA = ROOT / "deploy" / "grafana"
RULES = ROOT / "deploy" / "prometheus"
DASHBOARDS = tomllib.loads((GRAFANA / "dashboards.toml").read_text())
RULE_FILES = ("alerts.yml", "slo.yml")
WITHOUT_A_FAULT = {
    "slipway_challenger_failures": "a challenger that fails",
    "slipway_traffic_errors": "a traffic log that cannot be written",
    "slipway_versions_refused": "a version that is refused",
    "slipway_refused_versions": "the same",
    "slipway_model_load_failed": "a version that cannot be loaded",
    "slipway_pointer_errors": "pointers that cannot be read",
    "slipway_scoring_processes": "a model with the runtime sklearn",
    "slipway_scoring_process_ends": "a process of such a model that ends",
    "slipway_jobs": "an open job",
    "slipway_jobs_ended": "a job that ended",
    "slipway_job_rows": "a job with rows",
    "slipway_stream_messages": "a worker of a stream",
    "slipway_stream_redelivered": "the same",
    "slipway_stream_retries": "the same",
    "slipway_stream_batch_messages": "the same",
    "slipway_stream_lag_messages": "the same",
    "slipway_stream_age_seconds": "the same",
}
"""Metrics that a healthy service of `tiny` does not have, and what they take."""
OF_PROMETHEUS = {"up"}
METRIC = re.compile(r"\b(?:slipway_\w+|slipway:[\w:]+|up)\b")
SUFFIX = re.compile(r"_(?:total|bucket|sum|count)$")


def panels() -> list[tuple[str, str]]:
    """Dashboard and panel title, and expression, of every query."""
    return [
        (f"{name}: {panel['title']}", query["expr"])
        for name, dashboard in DASHBOARDS.items()
        for panel in dashboard["panels"]
        for query in panel["queries"]
    ]


def rules() -> list[dict[str, Any]]:
    """The rules of every file."""
    return [
        rule
        for file in RULE_FILES
        for group in yaml.safe_load((RULES / file).read_text())["groups"]
        for rule in group["rules"]
    ]


def emitted() -> set[str]:
    """The metrics of service, monitor, shadow scorer and follower, without their suffixes."""
    pages = prometheus_text(verdict(), NOW) + shadow_page()
    families = re.findall(r"^# TYPE (\w+)", pages.decode(), re.MULTILINE)
    names = {*families, *service_metrics(), FOLLOWER_METRIC}
    return {SUFFIX.sub("", name) for name in names if name.startswith("slipway_")}


def shadow_page() -> bytes:
    """What the shadow scorer writes."""
    return shadow_metrics("tiny", {("challenger", 2, "agreed"): 5})


def names_in(expression: str) -> set[str]:
    """The metrics that an expression asks for, without their suffixes."""
    return {SUFFIX.sub("", name) for name in METRIC.findall(expression)}


def test_the_dashboards_are_those_that_the_script_writes() -> None:
    done = subprocess.run(
        [sys.executable, str(GRAFANA / "generate.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr


def test_every_panel_says_what_it_shows_and_asks_the_provisioned_source() -> None:
    (source,) = yaml.safe_load(
        (GRAFANA / "provisioning" / "datasources" / "prometheus.yml").read_text()
    )["datasources"]
    for path in (GRAFANA / "dashboards").glob("*.json"):
        drawn = json.loads(path.read_text())
        titles = [panel["title"] for panel in drawn["panels"]]

        assert len(titles) == len(set(titles))
        for panel in drawn["panels"]:
            assert panel["datasource"]["uid"] == source["uid"]
            assert panel["description"].endswith("."), panel["title"]
            assert panel["fieldConfig"]["defaults"]["unit"]
            assert all(target["legendFormat"] for target in panel["targets"])


def test_dashboards_and_rules_know_no_metric_that_is_not_emitted() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    known = emitted() | recorded | OF_PROMETHEUS

    for where, expression in panels():
        assert names_in(expression) <= known, where
    for rule in rules():
        assert names_in(rule["expr"]) <= known, rule
    for dashboard in DASHBOARDS.values():
        assert names_in(dashboard["models_of"]) <= known


def test_every_metric_that_is_emitted_is_on_a_dashboard() -> None:
    drawn = {name for _, expression in panels() for name in names_in(expression)}

    missing = emitted() - drawn
    assert missing == set(), "add a panel to deploy/grafana/dashboards.toml, and run generate.py"


def test_the_figures_of_jobs_are_a_page_of_metrics() -> None:
    families = {f.name: f for f in text_string_to_metric_families(JOBS_PAGE)}

    assert families["slipway_jobs"].samples[0].labels == {"model": "tiny", "state": "queued"}
    assert families["slipway_jobs_ended"].samples[0].value == 2
    assert families["slipway_job_rows"].samples[0].labels["outcome"] == "scored"
    assert families["slipway_jobs_oldest_seconds"].samples[0].value == 4


def test_every_objective_has_a_test_and_a_page() -> None:
    alerts = {rule["alert"] for rule in rules() if rule.get("alert", "").startswith("SlipwaySlo")}
    tests = yaml.safe_load((RULES / "slo_test.yml").read_text())["tests"]
    tested = {
        case["alertname"]
        for test in tests
        for case in test["alert_rule_test"]
        if case["exp_alerts"]
    }

    assert alerts == tested
    assert "### SlipwaySlo\n" in (ROOT / "docs" / "alerts.md").read_text()


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed: .ci/run does")
@pytest.mark.parametrize(
    "arguments", [["check", "rules", "slo.yml"], ["test", "rules", "slo_test.yml"]]
)
def test_promtool_takes_the_objectives(arguments: list[str]) -> None:
    done = subprocess.run(
        ["promtool", *arguments], cwd=RULES, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


# The real Prometheus


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus that scrapes a service and the pages of monitor and follower."""

    url: str

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression gives now."""
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=30)
        body = answer.json()
        assert body["status"] == "success", (expression, body)
        return list(body["data"]["result"])

    @property
    def names(self) -> set[str]:
        """The metrics it has seen, without their suffixes."""
        body = httpx.get(f"{self.url}/api/v1/label/__name__/values", timeout=30).json()
        return {SUFFIX.sub("", name) for name in body["data"]}


@contextmanager
def page_server(page: bytes) -> Iterator[int]:
    """Serves one page, as node_exporter serves the files of var/metrics."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
            """Stay quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def prometheus(folder: Path, targets: dict[str, list[int]]) -> Iterator[Prometheus]:
    """A Prometheus with the shipped rules, which scrapes ports by job."""
    port = free_port()
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES / file) for file in RULE_FILES],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{p}" for p in ports]}]}
            for job, ports in targets.items()
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder / 'prometheus.yml'}",
                f"--web.listen-address=127.0.0.1:{port}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield Prometheus(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(30)


def use_everything(replica: Replica) -> None:
    """Give every metric of a healthy service a value above zero."""
    for _ in range(5):
        status, answer, _ = ask(replica, PREDICT)
        assert status == 200, answer
    assert ask(replica, PREDICT, without("age"))[0] == 422
    label = {"prediction_id": answer["prediction_id"], "truth": answer["prediction"]}
    assert ask(replica, "/models/tiny/labels", json.dumps(label).encode())[0] == 200


@pytest.fixture(scope="module")
def scraped(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    if not shutil.which("prometheus"):
        pytest.skip("prometheus is not installed: .ci/run does")
    folder = tmp_path_factory.mktemp("scraped")
    layout = Layout(folder)
    layout.metrics.mkdir()
    write_heartbeat(layout)
    heartbeat = (layout.metrics / HEARTBEAT_FILE).read_bytes()
    page = prometheus_text(verdict(), NOW) + shadow_page() + heartbeat
    with (
        replicas(folder, models, 1, SLIPWAY_SERVICE_CACHE="*") as (replica,),
        page_server(page) as of_files,
    ):
        use_everything(replica)
        with prometheus(folder, {"slipway": [replica.port], "node": [of_files]}) as running:
            until(lambda: _is_up(running), 60)
            for _ in range(4):
                use_everything(replica)
                time.sleep(1.1)
            until(lambda: bool(running.ask("slipway:error_ratio:rate5m")), 60)
            yield running


def _is_up(running: Prometheus) -> bool:
    try:
        return len(running.ask("up == 1")) == 2
    except (httpx.TransportError, ValueError):
        return False  # while it starts, it refuses connections, and then answers no JSON


@pytest.mark.slow
def test_every_query_of_a_dashboard_gives_data(scraped: Prometheus) -> None:
    seen = scraped.names
    assert emitted() - seen <= WITHOUT_A_FAULT.keys()

    for where, expression in panels():
        filled = expression.replace("$__rate_interval", "1m").replace("$model", ".+")
        series = scraped.ask(filled)
        assert series or names_in(expression) & WITHOUT_A_FAULT.keys(), where


@pytest.mark.slow
def test_every_rule_is_evaluated_without_an_error(scraped: Prometheus) -> None:
    answer = httpx.get(f"{scraped.url}/api/v1/rules", timeout=30).json()
    found = [rule for group in answer["data"]["groups"] for rule in group["rules"]]

    assert len(found) == len(rules())
    for rule in found:
        assert rule["health"] == "ok", rule
