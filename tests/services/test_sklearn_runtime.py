"""A fitted pipeline with own code behind a real server, and what it may do to its neighbours."""

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from registry.listing import list_versions
from registry.promote import promote
from registry.pull import pull_all
from tests import tiny
from tests.conftest import working_in
from tests.own_code import DIES, FAILS, HANGS, LEAKS, SLOW, TRAPS, own_code
from tests.services.conftest import Service, serving
from tests.services.http_client import ask, changed, metric
from training.dataset import split
from training.pipeline import fitted_pipeline, scores_of
from training.recipe import Recipe
from training.rows import plain_rows
from training.run import train_recipe

pytestmark = pytest.mark.slow
NAME = "trapped"
DEADLINE_S = 4.0


@dataclass(frozen=True)
class Trapped:
    """A service with a model that has traps and one that has none; the fitted pipeline."""

    service: Service
    pipeline: Any
    recipe: Recipe

    def predict(self, model: str = NAME, **features: Any) -> tuple[int, Any]:
        status, answer, _ = ask(self.service, f"/models/{model}/predict", changed(**features))
        return status, answer

    def ends(self, reason: str) -> float:
        return metric(
            self.service,
            f'slipway_scoring_process_ends_total{{model="{NAME}",reason="{reason}"}}',
        )

    def wait_for(self, claim: Callable[[], bool]) -> None:
        until = time.monotonic() + 60
        while not claim():
            assert time.monotonic() < until, self.service.log.read_text()[-4000:]
            time.sleep(0.05)

    def scoring_process(self) -> int:
        """The process that scores: a copy of the one that loaded the model."""
        (found,) = [
            int(stat.parent.name)
            for stat in Path("/proc").glob("[0-9]*/stat")
            if is_scoring(stat)
            and is_scoring(Path(f"/proc/{parent_of(stat)}/stat"))
            and self.service.process.pid in ancestors_of(stat)
        ]
        return found


def parent_of(stat: Path) -> int:
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def ancestors_of(stat: Path) -> set[int]:
    found: set[int] = set()
    while (parent := parent_of(stat)) > 1:
        found.add(parent)
        stat = Path(f"/proc/{parent}/stat")
    return found


def is_scoring(stat: Path) -> bool:
    try:
        is_zombie = stat.read_text().rpartition(")")[2].split()[0] == "Z"
        return (
            not is_zombie and b"services.scoring_process" in stat.with_name("cmdline").read_bytes()
        )
    except (FileNotFoundError, ProcessLookupError):
        return False


def has_ended_times(trapped: Trapped, times: int) -> bool:
    return trapped.ends("died") >= times


def with_own_code() -> Any:
    from training.features.trap import trap  # type: ignore[import-not-found]  # see own_code

    return make_pipeline(FunctionTransformer(trap), tiny.linear())


def untrapped() -> Any:
    table = tiny.people(4500)
    return table[~table.age.isin([FAILS, DIES, HANGS, LEAKS, SLOW])].reset_index(drop=True)


@pytest.fixture(scope="module")
def trapped(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trapped]:
    root = tmp_path_factory.mktemp("trapped")
    shutil.copy(models.parent / "mlflow.db", root / "mlflow.db")
    recipe = tiny.binary(NAME, with_own_code, load=untrapped)
    with own_code(root / "code", trap=TRAPS):
        with working_in(root) as workplace:
            trained = train_recipe(recipe, workplace.store)
            promote(workplace.store, NAME, actor="ada")
            pull_all(workplace.store, workplace.layout)
            assert trained.runtime == "sklearn"
            assert [v.runtime for v in list_versions(workplace.store, NAME)] == ["sklearn"]
        rows = split(recipe, untrapped(), 0)
        pipeline = fitted_pipeline(recipe, rows.train, rows.train_target, 0)
    folder = tmp_path_factory.mktemp("service")
    with serving(folder, root / "var", SLIPWAY_SERVICE_DEADLINE_S=str(DEADLINE_S)) as service:
        yield Trapped(service, pipeline, recipe)


def test_a_thousand_rows_are_answered_like_the_fitted_pipeline(trapped: Trapped) -> None:
    table = split(trapped.recipe, untrapped(), 0).holdout.iloc[:1000]
    rows = plain_rows(table, trapped.recipe.schema)
    body = json.dumps({"rows": rows}).encode()
    status, answer, _ = ask(trapped.service, f"/models/{NAME}/predict/batch", body)
    got = [list(each["probabilities"].values()) for each in answer["results"]]
    expected = scores_of(trapped.pipeline, table, trapped.recipe)
    decided = trapped.recipe.decision_rule.class_indices(expected)

    assert (status, len(got)) == (200, 1000)
    np.testing.assert_allclose(got, expected, rtol=1e-14)
    assert [r["prediction"] for r in answer["results"]] == [("no", "yes")[i] for i in decided]


def test_models_says_what_scores_a_version(trapped: Trapped) -> None:
    runtimes = {
        each["name"]: each["runtime"]
        for each in ask(trapped.service, "/models", None, "GET")[1]["models"]
    }

    assert runtimes[NAME] == "sklearn"
    assert runtimes["tiny"] == "onnx"
    assert (
        metric(trapped.service, f'slipway_scoring_processes{{model="{NAME}",variant="production"}}')
        == 1
    )


def test_an_error_of_own_code_fails_its_row_only(trapped: Trapped) -> None:
    rows = {"rows": [tiny.GOOD, tiny.GOOD | {"age": FAILS}]}
    status, answer, _ = ask(
        trapped.service, f"/models/{NAME}/predict/batch", json.dumps(rows).encode()
    )

    assert (status, answer["failed"]) == (200, 1)
    assert "expected another age" in json.dumps(answer["results"][1])
    assert trapped.predict(age=FAILS)[0] == 500


def test_a_killed_process_costs_no_request_an_answer(trapped: Trapped) -> None:
    """Each request is answered, correctly: those of a process that dies are asked once more."""
    expected = trapped.predict()[1]["probabilities"]
    stop = threading.Event()

    def send() -> list[tuple[int, Any]]:
        answers = []
        while not stop.is_set():
            answers.append(trapped.predict())
        return answers

    with ThreadPoolExecutor(4) as clients:
        loads = [clients.submit(send) for _ in range(4)]
        for n_killed in range(1, 4):
            os.kill(trapped.scoring_process(), signal.SIGKILL)
            trapped.wait_for(partial(has_ended_times, trapped, n_killed))
            # Batches are scored one after the other: those that died are answered by now.
            assert trapped.predict()[0] == 200
        stop.set()
    answers = [answer for load in loads for answer in load.result()]

    assert len(answers) > 4
    assert {status for status, _ in answers} == {200}
    assert all(answer["probabilities"] == expected for _, answer in answers)


@pytest.mark.parametrize(("reason", "age"), [("died", DIES), ("late", HANGS)])
def test_a_row_that_ends_the_process_is_answered_503_and_neighbours_notice_nothing(
    trapped: Trapped, reason: str, age: float
) -> None:
    before = trapped.ends(reason)
    neighbour: list[tuple[int, float]] = []
    stop = threading.Event()

    def ask_neighbour() -> None:
        while not stop.is_set():
            began = time.monotonic()
            neighbour.append((trapped.predict("tiny")[0], time.monotonic() - began))

    with ThreadPoolExecutor(2) as clients:
        beside = clients.submit(ask_neighbour)
        began = time.monotonic()
        status, answer = trapped.predict(age=age)
        took_s = time.monotonic() - began
        stop.set()
        beside.result()

    assert status == 503
    assert answer["error"]["code"] in {"model_unavailable", "deadline_exceeded"}
    assert took_s < 4 * DEADLINE_S
    trapped.wait_for(lambda: trapped.ends(reason) > before)
    trapped.wait_for(lambda: trapped.predict()[0] == 200)
    assert {status for status, _ in neighbour} == {200}
    assert max(seconds for _, seconds in neighbour) < DEADLINE_S / 2
    assert ask(trapped.service, "/livez", None, "GET")[0] == 200
