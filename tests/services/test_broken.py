"""A version that is broken, in whichever way, is refused; the old one serves on, and all see it."""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pytest

from contracts.manifest import Refusal
from registry.store import Store
from slipway.model_state import ModelState, served_versions, states
from tests.conftest import working_in
from tests.services import broken
from tests.services.conftest import Service, serving
from tests.services.http_client import ask, metric

pytestmark = pytest.mark.slow
COUNTED = 'slipway_versions_refused_total{model="tiny"}'
IN_FORCE = 'slipway_refused_versions{model="tiny"}'
TRIAL_S = 20.0


@dataclass(frozen=True)
class Ward:
    """A service that follows a registry in which broken versions are registered."""

    service: Service
    client: mlflow.MlflowClient
    store: Store
    whole: Path
    """The model directory of version 1."""

    def register(self, folder: Path, damage: broken.Damage, *, after: bool = False) -> int:
        """Register a damaged copy of version 1, damaged `after` its digest was made or before."""
        directory = folder / "model_directory"
        shutil.copytree(self.whole, directory)
        if not after:
            damage(directory)
        digest = broken.seal(directory)
        if after:
            damage(directory)
        experiment = self.client.get_experiment_by_name("tiny").experiment_id
        run = self.client.create_run(experiment).info.run_id
        self.client.log_artifacts(run, str(directory), "model_directory")
        self.client.set_terminated(run)
        return self.store.versions.create("tiny", "nowhere", run, {"slipway.digest": digest}, "")

    def point(self, version: int) -> None:
        """What a person does in `mlflow ui`."""
        self.client.set_registered_model_alias("tiny", "production", str(version))

    def answer(self) -> dict[str, Any]:
        status, answer, _ = ask(self.service, "/models/tiny/predict")
        assert status == 200, answer
        return {key: answer[key] for key in ("version", "prediction", "probabilities")}

    def state(self) -> ModelState:
        """What `slipway status` shows."""
        found = states(self.store, self.service.layout, served_versions(self.service.url) or {})
        return next(state for state in found if state.name == "tiny")

    def wait_for(self, claim: Callable[[], bool]) -> None:
        until = time.monotonic() + 120
        while not claim():
            assert time.monotonic() < until, self.service.log.read_text()[-4000:]
            time.sleep(0.05)


@pytest.fixture(scope="module")
def ward(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    folder = tmp_path_factory.mktemp("ward")
    shutil.copy(models.parent / "mlflow.db", folder / "mlflow.db")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    settings = {
        "MLFLOW_TRACKING_URI": uri,
        "SLIPWAY_SERVICE_PULL": "true",
        "SLIPWAY_REGISTRY_POLL_S": "0.3",
        "SLIPWAY_REGISTRY_TRIAL_S": str(TRIAL_S),
        "SLIPWAY_REGISTRY_MODEL_BYTES": str(broken.MAX_MODEL_BYTES),
    }
    with working_in(folder) as workplace, serving(folder, models, **settings) as service:
        client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)
        yield Ward(service, client, workplace.store, service.layout.model("tiny", 1))


def flip_a_byte(directory: Path) -> None:
    path = directory / "model.onnx"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


AFTER: dict[str, tuple[broken.Damage, str]] = {
    "digest": (flip_a_byte, "model.onnx: expected sha256"),
    "other manifest": (lambda d: (d / "manifest.json").write_text("{}"), "expected sha256"),
    "lost file": (lambda d: (d / "reference.json").unlink(), "reference.json: expected sha256"),
}
"""What the digests tell, because it was done after they were made."""
KINDS = AFTER | broken.KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_version_is_refused_visibly_and_the_old_one_serves_on(
    ward: Ward, tmp_path: Path, kind: str
) -> None:
    damage, reason = KINDS[kind]
    before, counted = ward.answer(), metric(ward.service, COUNTED)
    version = ward.register(tmp_path, damage, after=kind in AFTER)
    ward.point(version)
    ward.wait_for(lambda: metric(ward.service, COUNTED) == counted + 1)

    assert ward.answer() == before
    log = ward.service.log.read_text()
    assert f"refused tiny version {version}: " in log
    ward.wait_for(lambda: bool(ward.state().refused))
    state = ward.state()
    assert reason in state.refused
    assert (state.production, state.pointed, state.answers) == (str(version), "1", "1")
    tags = ward.client.get_model_version("tiny", str(version)).tags
    assert state.refused == f"production: {tags['slipway.refused']}"
    path = ward.service.layout.refusal("tiny", "production", version)
    assert Refusal.read(path.read_bytes()).reason == tags["slipway.refused"]
    ward.wait_for(lambda: metric(ward.service, IN_FORCE) == 1)


def test_a_version_that_is_right_is_served_after_all_that_was_refused(
    ward: Ward, tmp_path: Path
) -> None:
    before, counted = ward.answer(), metric(ward.service, COUNTED)
    version = ward.register(tmp_path, lambda _: None)
    ward.point(version)
    ward.wait_for(lambda: ward.answer()["version"] == version)

    assert ward.answer() == before | {"version": version}
    assert metric(ward.service, COUNTED) == counted
    ward.wait_for(lambda: not list(ward.service.layout.refusals("tiny").iterdir()))
    ward.wait_for(lambda: metric(ward.service, IN_FORCE) == 0)
