"""The image, built by podman from the Bento and run as a stranger would."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from contracts.manifest import Manifest
from contracts.names import MANIFEST_FILE
from tests.deploy.conftest import MODEL, Built, done
from tests.services.aws_lambda.runtime_api import runtime_api
from tests.slipway.conftest import ROOT, free_port

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("podman"), reason="podman is not installed: .ci/run does"),
]

READY_WITHIN_S = 60.0
HERE = [sys.executable, "deploy/podman/here.py"]


def podman(built: Built, *words: str) -> "subprocess.CompletedProcess[str]":
    return built.checkout.run(*HERE, "podman", *words)


@dataclass(frozen=True)
class Container:
    """A running container of the image."""

    built: Built
    name: str
    url: str

    def inside(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """A command run in it, as its user."""
        return podman(self.built, "exec", self.name, *words)

    def state(self, template: str) -> str:
        """What podman says of it."""
        return podman(self.built, "inspect", "--format", template, self.name).stdout.strip()

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2):
                return True
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def predict(self, features: dict[str, object]) -> dict[str, object]:
        return self.ask(f"/models/{MODEL}/predict", features)

    def ask(self, path: str, content: object = None) -> dict[str, object]:
        """The answer to a GET, or to a POST of JSON."""
        body = None if content is None else json.dumps(content).encode()
        return self.post(path, body, "application/json")

    def post(self, path: str, body: bytes | None, kind: str) -> dict[str, object]:
        """The answer to a body of some media type."""
        request = urllib.request.Request(self.url + path, data=body, headers={"content-type": kind})
        with urllib.request.urlopen(request, timeout=40) as answer:
            body = json.load(answer)
        assert isinstance(body, dict)
        return body


def await_ready(container: Container) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while not container.is_ready():
        running = container.state("{{.State.Running}}") == "true"
        if not running or time.monotonic() > deadline:
            logs = podman(container.built, "logs", container.name)
            pytest.fail(f"the container is not ready\n{logs.stdout}\n{logs.stderr}")
        time.sleep(0.2)


@pytest.fixture(scope="module")
def image(bento: Built) -> Iterator[str]:
    base = bento.checkout.run(*HERE, "deploy/podman/base-image.sh", timeout_s=300)
    if base.returncode != 0 and (os.getuid() != 0 or not shutil.which("mmdebstrap")):
        pytest.skip(f"no base image, and no means to build one: {base.stderr.strip()[-300:]}")
    assert base.returncode == 0, base.stderr
    tag = f"localhost/predictor-test:{secrets.token_hex(4)}"
    bentoml = ["bentoml", "containerize", "predictor:latest", "--backend", "podman"]
    # Without layers podman keeps no intermediate images, so that removing this one is enough.
    unlayered = ["env", "BUILDAH_LAYERS=false", *HERE, "--build"]
    done(bento.checkout, *unlayered, *bentoml, "--image-tag", tag, timeout_s=600)
    yield tag
    podman(bento, "rmi", "--force", tag)


@contextmanager
def running(built: Built, image: str, *options: str, command: str = "") -> Iterator[Container]:
    """A container of the image on a free port, until the block ends."""
    port = free_port()
    name = f"predictor-test-{secrets.token_hex(4)}"
    words = ["run", "--detach", "--name", name, "--env", f"PORT={port}", *options, image]
    address = ["--host", "127.0.0.1"]
    started = podman(built, *words, *filter(None, [command]), *address)
    assert started.returncode == 0, started.stderr
    container = Container(built, name, f"http://127.0.0.1:{port}")
    try:
        await_ready(container)
        yield container
    finally:
        podman(built, "rm", "--force", "--time", "0", name)


@pytest.fixture(scope="module")
def container(bento: Built, image: str) -> Iterator[Container]:
    with running(bento, image) as container:
        yield container


def golden_request(bento: Built) -> dict[str, object]:
    return true_manifest(bento).golden[0].features


def true_manifest(bento: Built) -> Manifest:
    path = bento.checkout.root / "var/models" / MODEL / "1" / MANIFEST_FILE
    return Manifest.read(path.read_bytes())


def test_a_job_is_scored_in_the_container(container: Container, bento: Built) -> None:
    """Its worker finds the code, the models of the image and a folder that it may write to."""
    job = container.ask(f"/models/{MODEL}/jobs", {"rows": [golden_request(bento)]})
    deadline = time.monotonic() + READY_WITHIN_S
    while job["state"] in {"queued", "running"}:
        assert time.monotonic() < deadline, job
        time.sleep(0.2)
        job = container.ask(f"/jobs/{job['id']}")

    assert job["state"] == "finished", job
    assert container.ask(f"/jobs/{job['id']}/results")["results"]


def test_the_image_answers_like_the_fitted_pipeline(container: Container, bento: Built) -> None:
    manifest = true_manifest(bento)

    for golden in manifest.golden:
        answer = container.predict(golden.features)
        assert answer["version"] == 1
        probabilities = answer["probabilities"]
        assert isinstance(probabilities, dict)
        expected = dict(zip(manifest.classes, golden.scores, strict=True))
        assert probabilities == pytest.approx(expected, abs=manifest.certificate.tolerance)


def test_the_health_check_says_healthy(container: Container) -> None:
    checked = podman(container.built, "healthcheck", "run", container.name)

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert container.state("{{.State.Health.Status}}") == "healthy"


def test_the_user_is_not_root_and_cannot_change_the_code(container: Container) -> None:
    assert container.inside("id", "--user").stdout.strip() == "1034"
    for place in (
        "bento/src/services/predictor.py",
        "bento/src/contracts/new.py",
        "bento/models/x",
    ):
        changed = container.inside("touch", f"/home/bentoml/{place}")
        assert changed.returncode != 0, place
        assert "Permission denied" in changed.stderr


def test_no_library_of_training_or_tracking_is_in_the_image(container: Container) -> None:
    for library in ("mlflow", "sklearn", "pandas", "evidently", "matplotlib", "polars", "pip"):
        found = container.inside("python", "-c", f"import {library}")
        assert f"No module named '{library}'" in found.stderr
    found = container.inside("python", "-c", "import bentoml, onnxruntime")
    assert found.returncode == 0, found.stderr


def test_nothing_of_the_building_machine_is_in_the_image(container: Container) -> None:
    listed = container.inside("find", "/home/bentoml", "/app", "/opt", "-not", "-path", "*/.venv/*")
    names = {path.rsplit("/", 1)[-1] for path in listed.stdout.split()}
    assert names.isdisjoint({".env", "mlruns", "training", "registry", "monitoring", "tests"})
    assert "production.json" in names

    assert container.inside("test", "-e", "/etc/pip.conf").returncode != 0
    environment = container.state("{{.Config.Env}}")
    assert "PIP_" not in environment
    assert str(ROOT) not in environment
    assert "BENTOML_DO_NOT_TRACK=True" in environment


def test_a_prediction_is_in_the_traffic_log(container: Container, bento: Built) -> None:
    answer = container.predict(golden_request(bento))

    logged = container.inside("grep", "-rl", str(answer["prediction_id"]), "/home/bentoml")
    assert f"/traffic/{MODEL}/" in logged.stdout, logged.stderr


def test_a_worker_that_is_killed_is_replaced(container: Container, bento: Built) -> None:
    """The request waits on the socket until BentoML's next look at its workers, every 10 s."""
    kill = "import psutil; psutil.Process(1).children()[0].kill()"
    assert container.inside("python", "-c", kill).returncode == 0

    assert container.predict(golden_request(bento))["model"] == MODEL


def test_managed_hosts_can_run_the_image(bento: Built, image: str, tmp_path: Path) -> None:
    """SageMaker: `serve`, /ping, /invocations in JSON and CSV. Cloud Run: PORT, SIGTERM.

    Both, and OpenShift: a user of their own choice, and nothing that can be written but /tmp and
    the two folders that hold state.
    """
    state = []
    for name in ("traffic", "jobs"):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o777)
        state += ["--volume", f"{tmp_path / name}:/home/bentoml/bento/src/var/{name}"]
    options = ["--read-only", "--user", "471100:0", "--env", "BENTOML_HOME=/tmp/bentoml", *state]
    features = golden_request(bento)
    table = ",".join(features) + "\n" + ",".join(map(str, features.values())) + "\n"
    with running(bento, image, *options, command="serve") as hosted:
        assert hosted.ask("/ping") == {}
        answer = hosted.ask("/invocations", {"dataframe_records": [features]})
        assert hosted.post("/invocations", table.encode(), "text/csv") == answer
        assert answer["predictions"] == [hosted.predict(features)["prediction"]]
        assert hosted.inside("id", "--user").stdout.strip() == "471100"
        assert hosted.inside("touch", "/home/bentoml/x").returncode != 0

        stopped = podman(bento, "stop", "--time", "30", hosted.name)

        assert stopped.returncode == 0, stopped.stderr
        assert hosted.state("{{.State.ExitCode}}") == "0"


def test_the_image_of_the_lambda_function_answers(bento: Built, image: str) -> None:
    """Built as its page says, and run as Lambda runs it: another user, nothing can be written."""
    del image  # it brings the base image
    tag = f"localhost/function-test:{secrets.token_hex(4)}"
    build = ["podman", "build", "--file", "deploy/lambda/Dockerfile", "--tag", tag, "."]
    done(bento.checkout, "env", "BUILDAH_LAYERS=false", *HERE, "--build", *build, timeout_s=600)
    name = f"function-test-{secrets.token_hex(4)}"
    manifest = true_manifest(bento)
    try:
        with runtime_api() as (api, address):
            runtime = f"AWS_LAMBDA_RUNTIME_API={address}"
            options = ["--read-only", "--user", "993:990", "--env", runtime]
            started = podman(bento, "run", "--detach", "--name", name, *options, tag)
            assert started.returncode == 0, started.stderr
            answer = api.invoke(manifest.golden[0].features)

        expected = dict(zip(manifest.classes, manifest.golden[0].scores, strict=True))
        tolerance = manifest.certificate.tolerance
        assert answer["probabilities"] == pytest.approx(expected, abs=tolerance)
    finally:
        podman(bento, "rm", "--force", "--time", "0", name)
        podman(bento, "rmi", "--force", tag)


def test_the_container_ends_when_asked(container: Container) -> None:
    """Stands last: it ends the container that the others ask."""
    begun = time.monotonic()
    stopped = podman(container.built, "stop", "--time", "30", container.name)

    assert stopped.returncode == 0, stopped.stderr
    assert time.monotonic() - begun < 20
    assert container.state("{{.State.ExitCode}}") == "0"
