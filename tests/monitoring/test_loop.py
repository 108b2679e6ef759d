"""The loop closes automatically: the world turns, and the service answers rightly again.

The service (which follows Production), the monitor and the training are processes, started as
a person would start them, and are seen from outside only.
"""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from contracts.names import Layout
from contracts.retraining import Retraining
from contracts.verdict import Verdict
from registry.promote import promote
from registry.settings import RegistrySettings
from registry.store import Store
from tests import tiny
from tests.monitoring.scenarios import turned
from tests.services.conftest import Service, await_ready
from tests.services.http_client import ask
from tests.slipway.conftest import BIN, Checkout, copy_of_the_project, free_port
from training.dataset import plain_rows
from training.run import train_recipe

pytestmark = pytest.mark.slow

RECIPE = '''"""A recipe whose labels come at once."""

from training.recipes import _tiny

recipe = _tiny.binary(load=lambda: _tiny.people(2_000), margin=0.02)
'''


@pytest.fixture
def checkout(fresh_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """A copy of the project with a recipe of its own, of which a version is in production."""
    root = copy_of_the_project(tmp_path / "checkout")
    shutil.copy(fresh_database, root / "mlflow.db")
    shutil.copy(tiny.__file__, root / "training" / "recipes" / "_tiny.py")
    (root / "training" / "recipes" / "tiny.py").write_text(RECIPE)
    monkeypatch.chdir(root)
    store = Store.open(RegistrySettings())
    train_recipe(tiny.binary(load=lambda: tiny.people(2_000)), store)
    promote(store, "tiny", actor="ada")
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("SLIPWAY_", "MLFLOW_T"))}
    environ |= {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "BENTOML_HOME": str(tmp_path / "bentoml"),
        "PYTHONPATH": str(root),
        "COLUMNS": "200",
        "SLIPWAY_REGISTRY_POLL_S": "0.3",
    }
    return Checkout(root, environ, "")


@contextmanager
def running(place: Checkout, log: Path, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A process of the checkout's, ended with the block."""
    with log.open("wb") as sink:
        process = subprocess.Popen(
            words,
            cwd=place.root,
            env=place.environ,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        # With what it started: a retraining outlives a monitor that is ended.
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def awaited(what: Callable[[], Any], logs: list[Path], seconds: float) -> Any:
    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until, "\n".join(p.read_text()[-3000:] for p in logs)
        time.sleep(0.1)
    return found


def asked(service: Service, world: pd.DataFrame) -> tuple[list[dict[str, Any]], float]:
    """The answers to a world's people, and the AUC of them as scikit-learn has it."""
    body = json.dumps({"rows": plain_rows(world, tiny.SCHEMA)}).encode()
    status, document, _ = ask(service, "/models/tiny/predict/batch", body)
    assert status == 200, document
    answers = document["results"]
    scores = [answer["probabilities"]["yes"] for answer in answers]
    return answers, float(roc_auc_score(world.paid == "yes", scores))


def tell_truth(service: Service, answers: list[dict[str, Any]], world: pd.DataFrame) -> None:
    pairs = zip(answers, world.paid, strict=True)
    labels = [{"prediction_id": a["prediction_id"], "truth": truth} for a, truth in pairs]
    status, document, _ = ask(
        service, "/models/tiny/labels", json.dumps({"labels": labels}).encode()
    )
    assert (status, document) == (200, {"accepted": len(labels)})


def verdicts(layout: Layout, version: int) -> list[Verdict]:
    paths = sorted((layout.verdicts / "tiny").glob(f"tiny-{version}-*.json"))
    return [Verdict.read(path.read_bytes()) for path in paths]


def judged_right(layout: Layout, version: int) -> bool:
    """Whether labels have shown a version to be as good as at training."""
    return any(
        v.performance is not None
        and v.performance.status == "judged"
        and not any(metric.worse for metric in v.performance.metrics)
        for v in verdicts(layout, version)
    )


def is_served_with_traffic(service: Service, version: int, seed: int) -> bool:
    """Whether a version answers; traffic goes on: a window's lesson is examined on later ones."""
    more = turned(150, seed)
    answers, _ = asked(service, more)
    tell_truth(service, answers, more)
    time.sleep(1)
    return int(ask(service, "/models/tiny", None, "GET")[1]["version"]) == version


def test_the_world_turns_and_the_service_becomes_right_again_automatically(
    checkout: Checkout, tmp_path: Path
) -> None:
    port = free_port()
    logs = [tmp_path / "serve.log", tmp_path / "monitor.log"]
    layout = Layout(checkout.root / "var")
    python = sys.executable
    with ExitStack() as stack:
        serve = [python, "-m", "bentoml", "serve", "--port", str(port)]
        process = stack.enter_context(running(checkout, logs[0], *serve))
        service = Service(f"http://127.0.0.1:{port}", layout, process, logs[0])
        monitor = [python, "-m", "slipway", "monitor", "tiny", "--every", "5s", "--retrain"]
        stack.enter_context(running(checkout, logs[1], *monitor))
        await_ready(service.url, process, logs[0])

        _, usual = asked(service, tiny.people(1_500, 3))
        world = turned(1_500, 5)
        answers, wrong = asked(service, world)
        tell_truth(service, answers, world)

        seeds = itertools.count(100)
        awaited(lambda: is_served_with_traffic(service, 3, next(seeds)), logs, 600)
        fresh = turned(1_500, 7)
        answers, right = asked(service, fresh)
        tell_truth(service, answers, fresh)
        awaited(lambda: judged_right(layout, 3), logs, 90)

    assert usual > 0.75
    assert wrong < 0.5
    assert right > usual - 0.05
    assert {answer["version"] for answer in answers} == {3}
    worse = {v.verdict_id for v in verdicts(layout, 1) if v.decision == "performance"}
    paths = list(layout.retrainings("tiny").glob("*/retraining.json"))
    story = Retraining.read(paths[0].read_bytes())
    assert len(paths) == 1
    assert (story.state, story.version, story.refit_version) == ("promoted", 2, 3)
    assert story.sentence.endswith(
        "version 3 is production: version 2, which passed its exam, fitted once more on all rows"
    )
    assert story.request.verdict_id in worse
    history = json.loads(checkout.run("slipway", "history", "tiny", "--json").stdout)
    assert [event["kind"] for event in history] == ["promoted"] * 3
    assert story.request.retraining_id in history[-1]["why"]
    walked = checkout.run("slipway", "explain", answers[0]["prediction_id"], "--json")
    assert json.loads(walked.stdout)["lineage"]["verdict_id"] == story.request.verdict_id
    # Rows like those that were learned, and answers like those of the exam: nothing to alarm.
    assert np.all([v.decision != "performance" for v in verdicts(layout, 3)])
