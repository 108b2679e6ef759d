"""The manifests are valid, follow our policies, and name what the real service has."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]  # it carries no types

from tests.deploy.manifests import (
    KUBERNETES,
    Container,
    base,
    containers,
    documents,
    has,
    kustomized,
    of_kind,
    pod_template,
)

VERSIONS = ("1.31", "1.34", "1.37")
"""Kubernetes' versions that the manifests are validated against."""
CUSTOM = {"PodMonitor", "ScaledObject", "ServingRuntime", "InferenceService"}
"""Kinds that Kubernetes itself does not have."""
BASE = base()
CONTAINERS = list(containers(BASE))
NEEDS_KUBECTL = pytest.mark.skipif(not has("kubectl"), reason="kubectl is not installed")
NEEDS_HELM = pytest.mark.skipif(not has("helm"), reason="helm is not installed")


def service() -> Container:
    """The container that serves."""
    (found,) = (each for each in CONTAINERS if each.spec["name"] == "service")
    return found


def each_container() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("container", CONTAINERS, ids=lambda each: str(each.name))


# The manifests by their own tools


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_schemas_accept_the_base(version: str, tmp_path: Path) -> None:
    """kubernetes-validate only warns of an object that it does not know, so none is given."""
    known = [each for each in BASE if each["kind"] not in CUSTOM]
    path = tmp_path / "known.yaml"
    path.write_text(yaml.safe_dump_all(known))
    command = Path(sys.executable).with_name("kubernetes-validate")
    done = subprocess.run(
        [command, "-k", version, "--strict", path], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARN" not in done.stdout + done.stderr


@NEEDS_HELM
def test_the_base_is_what_the_chart_renders() -> None:
    done = subprocess.run(
        [sys.executable, KUBERNETES / "render.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lint = subprocess.run(
        ["helm", "lint", "--strict", KUBERNETES / "chart"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert lint.returncode == 0, lint.stdout


@NEEDS_HELM
@pytest.mark.parametrize(
    "values",
    [
        "autoscaling.keda.enabled=true",
        "autoscaling.enabled=false",
        "autoscaling.queueRows=64",
        "service.keys=off",
        "service.redisSecret=redis",
        "service.settings.SLIPWAY_SERVICE_CACHE=*",
        "monitoring.podMonitor=false",
        "network.enabled=false",
        "models={loan,iris}",
    ],
)
def test_the_chart_renders_with_other_values(values: str) -> None:
    done = subprocess.run(
        ["helm", "template", "other", KUBERNETES / "chart", "--set", values],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rendered = documents(done.stdout)
    names = [(each["kind"], each["metadata"]["name"]) for each in rendered]

    assert len(names) == len(set(names))
    assert all(name.startswith("other") for _, name in names)


@NEEDS_HELM
def test_an_upgrade_changes_no_selector_and_no_secret() -> None:
    """Selectors cannot be changed in place; a chart that makes secrets changes them each time."""
    first, second = (
        documents(
            subprocess.run(
                ["helm", "template", "slipway", KUBERNETES / "chart", *more],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for more in ([], ["--is-upgrade", "--set", "image.service=r/p:0.2.0"])
    )
    for before, after in zip(
        of_kind(first, "Deployment"), of_kind(second, "Deployment"), strict=True
    ):
        assert before["spec"]["selector"] == after["spec"]["selector"]
    assert of_kind(first, "Secret") == of_kind(second, "Secret") == []


@NEEDS_KUBECTL
@pytest.mark.parametrize("overlay", ["local", "production"])
def test_an_overlay_keeps_the_policies(overlay: str) -> None:
    objects = kustomized(overlay)

    assert {each["metadata"].get("namespace", "slipway") for each in objects} == {"slipway"}
    for container in containers(objects):
        check_policies(container)
    service_env = next(c for c in containers(objects) if c.spec["name"] == "service").env
    assert service_env["SLIPWAY_SERVICE_KEYS"] == ("off" if overlay == "local" else "required")
    assert ("SLIPWAY_SERVICE_KEYS_FILE" in service_env) == (overlay == "production")


# Our policies


@each_container()
def test_a_container_follows_the_policies(container: Container) -> None:
    check_policies(container)


def check_policies(container: Container) -> None:
    """Limits, no root, nothing to write to, an image with a version."""
    name, spec = container.name, container.spec
    security = spec["securityContext"]
    assert container.pod["securityContext"]["runAsNonRoot"], name
    assert container.pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
    assert security["readOnlyRootFilesystem"], name
    assert not security["allowPrivilegeEscalation"], name
    assert security["capabilities"] == {"drop": ["ALL"]}, name
    assert container.pod["automountServiceAccountToken"] is False, name
    assert re.search(r":[\w.-]+$", spec["image"]), name
    assert not spec["image"].endswith(":latest"), name
    for kind in ("requests", "limits"):
        assert spec["resources"][kind].keys() == {"cpu", "memory"}, name
    mounted = {mount["name"] for mount in spec["volumeMounts"]}
    assert mounted <= {volume["name"] for volume in container.pod["volumes"]}, name


def test_selectors_match_their_pods_and_nothing_else() -> None:
    labels = {
        (owner["kind"], owner["metadata"]["name"]): pod_template(owner)["metadata"]["labels"]
        for owner in BASE
        if owner["kind"] in {"Deployment", "CronJob"}
    }

    def selected(selector: dict[str, str]) -> list[str]:
        return [name for (_, name), pod in labels.items() if selector.items() <= pod.items()]

    for owner in of_kind(BASE, "Deployment"):
        assert selected(owner["spec"]["selector"]["matchLabels"]) == [owner["metadata"]["name"]]
    for kind in ("PodDisruptionBudget", "PodMonitor"):
        for each in of_kind(BASE, kind):
            assert selected(each["spec"]["selector"]["matchLabels"]) == [each["metadata"]["name"]]
    for each in of_kind(BASE, "NetworkPolicy"):
        assert selected(each["spec"]["podSelector"]["matchLabels"]) == [each["metadata"]["name"]]
    (balancer,) = of_kind(BASE, "Service")
    assert selected(balancer["spec"]["selector"]) == ["slipway"]


def test_the_autoscaler_has_a_target_with_requests_and_the_budget_leaves_replicas() -> None:
    (scaler,) = of_kind(BASE, "HorizontalPodAutoscaler")
    target = scaler["spec"]["scaleTargetRef"]
    (deployment,) = (
        each for each in of_kind(BASE, target["kind"]) if each["metadata"]["name"] == target["name"]
    )
    scaled = {m["containerResource"]["container"] for m in scaler["spec"]["metrics"]}

    assert scaled == {service().spec["name"]}
    assert "replicas" not in deployment["spec"], "it would undo what the autoscaler did"
    (budget,) = of_kind(BASE, "PodDisruptionBudget")
    assert budget["spec"]["maxUnavailable"] < scaler["spec"]["minReplicas"]


def test_every_volume_claim_and_account_exists() -> None:
    names = {(each["kind"], each["metadata"]["name"]) for each in BASE}
    for container in CONTAINERS:
        assert ("ServiceAccount", container.pod["serviceAccountName"]) in names
        for volume in container.pod["volumes"]:
            if claim := volume.get("persistentVolumeClaim"):
                assert ("PersistentVolumeClaim", claim["claimName"]) in names
        for each in container.spec.get("env", []):
            if reference := each.get("valueFrom", {}).get("configMapKeyRef"):
                assert ("ConfigMap", reference["name"]) in names
