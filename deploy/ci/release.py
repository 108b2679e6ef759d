#!/usr/bin/env python3
"""The steps of a release that need more than one command: `deploy/ci/release.py STEP ...`.

    train MODEL               train, and print version=N
    bom FILE                  write the packages of the service's image as CycloneDX
    deploy OVERLAY IMAGE      apply an overlay of deploy/kubernetes with the service's image
    smoke MODEL URL           readiness, metadata and one prediction of a row of the recipe's data
    canary MODEL VERSION      start the canary, wait until it has promoted or aborted the version
    rollback MODEL VERSION    stop the canary; return to the previous version if it was promoted

The workflow `.github/workflows/release-model.yml` runs them; they run on your machine as well. KEY
in the environment is the API key for `smoke`. Standard library only, apart from `slipway` itself.
"""

import inspect
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SERVICE_IMAGE = "registry.example.com/slipway/predictor"
"""The name in deploy/kubernetes/base that an image replaces."""
CANARY_TIMEOUT_S = float(os.environ.get("CANARY_TIMEOUT_S", "7200"))
POLL_S = float(os.environ.get("CANARY_POLL_S", "10"))
PIN = re.compile(r"^([a-z0-9][\w.-]*)(?:\[[^]]*\])?==([^\s;\\]+)", re.MULTILINE)


class StepFailed(Exception):
    """A step that ends the release; its text says what was expected and what was found."""


def slipway(*words: str) -> Any:
    """The JSON of a `slipway` command.

    Raises:
        StepFailed: it failed; with its own message.

    """
    done = subprocess.run(
        ["slipway", *words, "--json"], stdout=subprocess.PIPE, text=True, check=False
    )
    failed = f"slipway {' '.join(words)}: exit code {done.returncode}"
    try:
        answer = json.loads(done.stdout)
    except ValueError as err:
        raise StepFailed(failed) from err
    if done.returncode:
        raise StepFailed(answer["error"]["message"] if "error" in answer else failed)
    return answer


def versions(model: str) -> dict[int, bool]:
    """The versions of a model, and whether each is in production."""
    return {each["version"]: each["is_production"] for each in slipway("versions", model)}


def train(model: str) -> None:
    """Train a model and print its new version as the output of a step."""
    slipway("train", model)
    sys.stdout.write(f"version={max(versions(model))}\n")


def bom(target: str) -> None:
    """Write a CycloneDX document with every pinned package of the service's image."""
    pins = PIN.findall((ROOT / "requirements" / "serving.txt").read_text())
    components = [
        {"type": "library", "name": name, "version": version, "purl": f"pkg:pypi/{name}@{version}"}
        for name, version in pins
    ]
    document = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1}
    path = Path(target)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**document, "components": components}, indent=2) + "\n")


def deploy(overlay: str, image: str) -> None:
    """Apply an overlay with the image, named by its digest, and wait for the rollout.

    Raises:
        StepFailed: the image has no digest.

    """
    name, _, digest = image.partition("@")
    if not digest.startswith("sha256:"):
        raise StepFailed(f"IMAGE: expected one by its digest, NAME@sha256:..., got {image}")
    source = os.path.relpath(ROOT / "deploy" / "kubernetes" / "overlays" / overlay, ROOT)
    with tempfile.TemporaryDirectory(dir=ROOT) as folder:
        (Path(folder) / "kustomization.yaml").write_text(
            f"resources: [../{source}]\n"
            f"images: [{{name: {SERVICE_IMAGE}, newName: {name}, digest: {digest}}}]\n"
        )
        subprocess.run(["kubectl", "apply", "--kustomize", folder], check=True)
    rollout = ["kubectl", "rollout", "status", "deployment/slipway", "--namespace", "slipway"]
    subprocess.run([*rollout, "--timeout", "10m"], check=True)


def smoke(model: str, url: str) -> None:
    """Ask a service for its state, its model and one prediction.

    Raises:
        StepFailed: an answer is not what a client needs.

    """
    _ask(f"{url}/readyz")
    _ask(f"{url}/models/{model}")
    key = ("--key", os.environ["KEY"]) if os.environ.get("KEY") else ()
    sent = slipway("simulate", model, "--rows", "1", "--url", url, *key)
    if sent["errors"]:
        raise StepFailed(f"{url}: expected a prediction of {model}, got {sent['statuses']}")


def _ask(url: str) -> None:
    headers = {"authorization": f"Bearer {os.environ['KEY']}"} if os.environ.get("KEY") else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - the caller's own URL
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - as above
            answer.read()
    except OSError as err:
        raise StepFailed(f"{url}: expected 200, got {err}") from err


def canary(model: str, version: str) -> None:
    """Give a version a rising share of the requests until it is promoted.

    Raises:
        StepFailed: it was aborted, or nothing was decided in time.

    """
    slipway("traffic-split", model, "challenger=canary", "--version", version)
    deadline = time.monotonic() + CANARY_TIMEOUT_S
    while time.monotonic() < deadline:
        if versions(model).get(int(version)):
            return
        said = next(state["canary"] for state in slipway("status") if state["name"] == model)
        _, is_of_ours, ended = said.partition(f"version {version}: ")
        if is_of_ours and not ended.startswith("step "):
            raise StepFailed(f"{model} version {version}: expected a promotion, got {ended}")
        time.sleep(POLL_S)
    raise StepFailed(f"{model} version {version}: no decision in {CANARY_TIMEOUT_S:g} s")


def rollback(model: str, version: str) -> None:
    """Take a version out of every role."""
    slipway("traffic-split", model, "challenger=off")
    if versions(model).get(int(version)):
        slipway("rollback", model, "--because", "the release failed")


STEPS: dict[str, Callable[..., None]] = {
    step.__name__: step for step in (train, bom, deploy, smoke, canary, rollback)
}


def main(arguments: list[str]) -> int:
    """Run a step; returns the exit code."""
    step = STEPS.get(arguments[0]) if arguments else None
    if step is None:
        sys.stderr.write(f"error: STEP: expected one of {', '.join(STEPS)}\n")
        return 2
    expected = [name.upper() for name in inspect.signature(step).parameters]
    if len(arguments) - 1 != len(expected):
        got = " ".join(arguments[1:]) or "nothing"
        sys.stderr.write(f"error: {arguments[0]}: expected {' '.join(expected)}, got {got}\n")
        return 2
    try:
        step(*arguments[1:])
    except (StepFailed, subprocess.CalledProcessError) as err:
        sys.stderr.write(f"error: {err}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
