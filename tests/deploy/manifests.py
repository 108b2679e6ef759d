"""The manifests of deploy/kubernetes, and what can be said of every container in them."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # it carries no types

from contracts.settings import SHARED, variables
from monitoring.settings import MonitoringSettings
from registry.settings import RegistrySettings
from services.settings import ServiceSettings
from tests.deploy.replicas import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"
SETTINGS = (ServiceSettings, RegistrySettings, MonitoringSettings)
POD_OWNERS = {"Deployment", "CronJob"}


@dataclass(frozen=True)
class Container:
    """A container, the pod it is part of and the object that makes the pod."""

    owner: dict[str, Any]
    pod: dict[str, Any]
    spec: dict[str, Any]

    @property
    def name(self) -> str:
        """Owner and container, for messages."""
        return f"{self.owner['metadata']['name']}/{self.spec['name']}"

    @property
    def env(self) -> dict[str, str]:
        """The variables with a value of their own."""
        return {each["name"]: each.get("value", "") for each in self.spec.get("env", [])}

    @property
    def command(self) -> list[str]:
        """What it runs instead of the image's own command."""
        return [*self.spec.get("command", []), *self.spec.get("args", [])]

    @property
    def http_probes(self) -> dict[str, str]:
        """Path and port of its HTTP probes, by the name of the probe."""
        return {
            name: f"{probe['httpGet']['path']} {probe['httpGet']['port']}"
            for name, probe in self.spec.items()
            if name.endswith("Probe") and "httpGet" in probe
        }


def documents(text: str) -> list[dict[str, Any]]:
    """The objects of a file of manifests."""
    return [each for each in yaml.safe_load_all(text) if each]


def base() -> list[dict[str, Any]]:
    """The objects of the kustomize base."""
    return documents((KUBERNETES / "base" / "slipway.yaml").read_text())


def kustomized(overlay: str) -> list[dict[str, Any]]:
    """The objects of an overlay, by kustomize itself."""
    done = subprocess.run(
        ["kubectl", "kustomize", str(KUBERNETES / "overlays" / overlay)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return documents(done.stdout)


def has(tool: str) -> bool:
    """Whether a tool is on the PATH."""
    return shutil.which(tool) is not None


def of_kind(objects: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """The objects of a kind."""
    return [each for each in objects if each["kind"] == kind]


def pod_template(owner: dict[str, Any]) -> dict[str, Any]:
    """The template of the pods that an object makes."""
    spec = owner["spec"]["jobTemplate"]["spec"] if owner["kind"] == "CronJob" else owner["spec"]
    return dict(spec["template"])


def containers(objects: list[dict[str, Any]]) -> Iterator[Container]:
    """Every container of every pod."""
    for owner in objects:
        if owner["kind"] in POD_OWNERS:
            pod = pod_template(owner)["spec"]
            for spec in (*pod.get("initContainers", []), *pod["containers"]):
                yield Container(owner, pod, spec)


def settings_in(path: Path) -> set[str]:
    """The variables of ours that a file names."""
    return set(re.findall(r"\bSLIPWAY_[A-Z_]*[A-Z]\b", path.read_text()))


def known_settings() -> set[str]:
    """The variables that the code reads."""
    return set(SHARED).union(*(variables(cls) for cls in SETTINGS))
