"""The manifests of Kubernetes and KServe name what the real service has.

Renaming a setting, port, path, metric, file or command in the code makes one of these tests fail.
"""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # it carries no types
from bentoml._internal.container.generate import BENTO_UID_GID

from contracts.names import Layout
from contracts.settings import load_settings
from registry.heartbeat import HEARTBEAT_FILE
from services.settings import ServiceSettings
from tests.deploy.manifests import (
    KUBERNETES,
    SETTINGS,
    Container,
    base,
    containers,
    documents,
    known_settings,
    of_kind,
    settings_in,
)
from tests.deploy.replicas import ROOT, Replica, replicas
from tests.monitoring.alerting.test_prometheus import service_metrics
from tests.services.http_client import ask
from tests.slipway.test_docs import is_known

BASE = base()
CONTAINERS = list(containers(BASE))
VAR = "/var/lib/slipway"


def service() -> Container:
    """The container that serves."""
    (found,) = (each for each in CONTAINERS if each.spec["name"] == "service")
    return found


def test_every_setting_is_one_of_the_code_with_a_value_it_accepts() -> None:
    known = known_settings()
    files = [*KUBERNETES.rglob("*.yaml"), *KUBERNETES.rglob("*.tpl")]

    for path in files:
        assert settings_in(path) <= known, path
    for container in CONTAINERS:
        own = {k: v for k, v in container.env.items() if k.startswith("SLIPWAY_")}
        for cls in SETTINGS:
            load_settings(cls, own)


def test_the_service_stops_answering_before_it_is_killed() -> None:
    container = service()
    (_, pause) = container.spec["lifecycle"]["preStop"]["exec"]["command"]
    settings = load_settings(ServiceSettings, container.env)
    needed = float(pause) + settings.drain_s + settings.deadline_s + settings.body_timeout_s

    assert container.pod["terminationGracePeriodSeconds"] > needed


def test_users_and_folders_are_those_of_the_images() -> None:
    dockerfile = (ROOT / "deploy" / "platform" / "Dockerfile").read_text()

    assert f"USER {BENTO_UID_GID}:{BENTO_UID_GID}" in dockerfile
    for container in CONTAINERS:
        security = container.pod["securityContext"]
        assert security["runAsUser"] == security["fsGroup"] == BENTO_UID_GID
        assert container.env.get("SLIPWAY_VAR", VAR) == VAR
    layout = Layout(Path(VAR))
    mounts = {mount["mountPath"] for mount in service().spec["volumeMounts"]}
    assert {str(layout.var), str(layout.all_traffic), str(layout.var / "labels"), "/tmp"} <= mounts  # noqa: S108 - in the container
    follower = next(c for c in CONTAINERS if c.spec["name"] == "follower")
    heartbeat = follower.spec["startupProbe"]["exec"]["command"][-1]
    assert Path(heartbeat) == layout.metrics / HEARTBEAT_FILE
    gauges = next(c for c in CONTAINERS if c.spec["name"] == "gauges")
    assert f"--collector.textfile.directory={layout.metrics}" in gauges.command


@pytest.mark.parametrize("container", CONTAINERS, ids=lambda each: str(each.name))
def test_a_command_is_one_of_ours(container: Container) -> None:
    words = container.command
    if words[:1] == ["slipway"]:
        assert is_known(words[1:]), words


def test_metrics_that_scale_are_emitted() -> None:
    text = (KUBERNETES / "chart" / "templates" / "scaling.yaml").read_text()

    assert set(re.findall(r"slipway_\w+", text)) <= service_metrics()


@pytest.fixture(scope="module")
def replica(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replica]:
    with replicas(tmp_path_factory.mktemp("probed"), models, 1) as (running,):
        yield running


def probe_paths() -> set[str]:
    """The paths of the service's probes and of its scraping, in every file that names one."""
    (runtime,) = documents((KUBERNETES / "kserve" / "servingruntime.yaml").read_text())
    of_kserve: list[dict[str, Any]] = runtime["spec"]["containers"]
    probes = [*service().http_probes.values()]
    probes += Container(runtime, {}, of_kserve[0]).http_probes.values()
    (monitor,) = (m for m in of_kind(BASE, "PodMonitor") if m["metadata"]["name"] == "slipway")
    compose = re.findall(r"'GET', '([^']+)'", (ROOT / "compose.yaml").read_text())
    return (
        {probe.split()[0] for probe in probes}
        | {endpoint["path"] for endpoint in monitor["spec"]["podMetricsEndpoints"]}
        | set(compose) - {"/health"}
    )


@pytest.mark.slow
def test_every_probe_path_answers(replica: Replica) -> None:
    paths = probe_paths()

    assert {"/readyz", "/livez", "/metrics", "/v2/health/ready"} <= paths
    for path in paths:
        assert ask(replica, path, None, "GET")[0] == 200, path


def test_ports_agree() -> None:
    container = service()
    (port,) = container.spec["ports"]
    values = yaml.safe_load((KUBERNETES / "chart" / "values.yaml").read_text())

    assert container.env["PORT"] == str(port["containerPort"]) == str(values["service"]["port"])
    assert {probe.split()[1] for probe in container.http_probes.values()} == {port["name"]}
    (balancer,) = of_kind(BASE, "Service")
    assert balancer["spec"]["ports"][0]["targetPort"] == port["name"]


def test_the_chart_has_the_version_of_the_project() -> None:
    chart = yaml.safe_load((KUBERNETES / "chart" / "Chart.yaml").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert chart["version"] == chart["appVersion"] == project["version"]


def test_kserve_names_one_runtime_with_the_formats_it_supports() -> None:
    (runtime,) = documents((KUBERNETES / "kserve" / "servingruntime.yaml").read_text())
    (inference,) = documents((KUBERNETES / "kserve" / "inferenceservice.yaml").read_text())
    model = inference["spec"]["predictor"]["model"]
    formats = [
        {"name": f["name"], "version": f["version"]}
        for f in runtime["spec"]["supportedModelFormats"]
    ]

    assert model["runtime"] == runtime["metadata"]["name"]
    assert model["modelFormat"] in formats
    assert model["protocolVersion"] in runtime["spec"]["protocolVersions"]
    (container,) = runtime["spec"]["containers"]
    own = Container(runtime, {}, container).env
    assert load_settings(ServiceSettings, {k: v for k, v in own.items() if k[:8] == "SLIPWAY_"})
    assert own["PORT"] == str(container["ports"][0]["containerPort"])
