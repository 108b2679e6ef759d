"""What the README prints is what happens."""

import json
import re
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tests.slipway.conftest import Checkout, free_port
from tests.slipway.shown_commands import at_port, commands_of, is_server, server
from training.dataset import plain_rows
from training.fitting import fit
from training.pipeline import scores_of
from training.recipe import load_recipe
from training.reference import predictions

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
COMMANDS = commands_of(README)
ELSEWHERE = {
    "make demo": "the fixture runs it, and .ci/run in a fresh environment",
    "source .venv/bin/activate": "the tests run in that environment already",
    "bentoml containerize predictor:latest": "tests/deploy runs it with podman",
    "slipway train diabetes && slipway promote diabetes && slipway serve": "see below",
}


def test_the_recipe_in_the_readme_is_the_file() -> None:
    shown = re.search(r"<!-- recipe -->\n```python\n(.*?)```", README, re.DOTALL)
    assert shown is not None

    assert shown[1] == (ROOT / "training" / "recipes" / "diabetes.py").read_text()


def test_files_named_in_the_architecture_exist() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    packages = "contracts|metrics|pages|training|registry|services|monitoring|slipway"
    named = re.findall(rf"`((?:{packages})/[\w/]*(?:\.py)?)`", text)
    assert named

    for name in named:
        assert (ROOT / name).exists(), name
    for name in re.findall(r"`(?:tests/[\w/]*/)?(test_\w+\.py)`", text):
        assert list((ROOT / "tests").rglob(name)), name


@pytest.fixture(scope="module")
def served(demoed: Checkout) -> Iterator[str]:
    with started(demoed, "bentoml serve") as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def started(demoed: Checkout, command: str) -> Iterator[int]:
    """A server of the README on a free port."""
    port = free_port()
    log = demoed.root / "var" / f"{command.replace(' ', '-')}.log"
    with server(command, port, demoed.root, demoed.environ, log):
        yield port


@pytest.mark.slow
def test_commands_of_the_readme_run_as_printed(demoed: Checkout) -> None:
    plain = [c for c in COMMANDS if not is_server(c) and c not in ELSEWHERE]
    loan = load_recipe("loan")
    customers = loan.load()[list(loan.schema.names)].head(100)
    customers.to_parquet(demoed.root / "customers.parquet")
    with started(demoed, "bentoml serve") as port:
        for command in plain:
            done = demoed.run("bash", "-c", at_port(command, port))
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
            check_answer(command, done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["loan", "iris", "diabetes"])
def test_a_thousand_held_out_rows_get_the_pipelines_answers(served: str, name: str) -> None:
    """Over HTTP, against scikit-learn fitted again from the recipe, which is deterministic."""
    recipe = load_recipe(name)
    fitted = fit(recipe)
    holdout = fitted.data.split.holdout.iloc[:1000]
    rows = plain_rows(holdout, recipe.schema)
    request = urllib.request.Request(
        f"{served}/models/{name}/predict/batch",
        json.dumps({"rows": rows}).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        results = json.load(answer)["results"]
    scores = scores_of(fitted.pipeline, holdout, recipe)
    got = np.array([[*(r.get("probabilities") or r["values"]).values()] for r in results])
    scale = 1.0 if recipe.is_classifier else float(np.std(fitted.target))

    assert np.abs(got - scores).max() / scale <= fitted.certificate.tolerance
    if recipe.is_classifier:
        assert [r["prediction"] for r in results] == list(predictions(recipe, scores))


def check_answer(command: str, output: str) -> None:
    if "curl" in command and "-1" in command:
        paths = [v["path"] for v in json.loads(output)["error"]["violations"]]
        assert paths == ["sepal_length", "sepal_width", "petal_width"]
    elif "curl" in command:
        assert json.loads(output)["prediction"] == "virginica"


@pytest.mark.slow
def test_plain_mlflow_ui_shows_the_runs(demoed: Checkout) -> None:
    with started(demoed, "mlflow ui") as port:
        url = f"http://127.0.0.1:{port}/api/2.0/mlflow/registered-models/search"
        with urllib.request.urlopen(url, timeout=30) as answer:
            names = {model["name"] for model in json.load(answer)["registered_models"]}

    assert names == {"iris", "loan", "diabetes"}


def test_every_command_of_the_readme_is_run_somewhere() -> None:
    tools = {"make", "source", "mlflow", "bentoml", "curl", "slipway"}

    assert {command.split()[0] for command in COMMANDS} == tools


@pytest.mark.slow
def test_the_demo_prints_the_tables_of_the_readme(demoed: Checkout) -> None:
    """All but the measured numbers, and which columns of few rows drift."""
    block = re.search(r"```text\n(.*?)```", README, re.DOTALL)
    assert block is not None
    shown = [cells(line) for line in block[1].splitlines() if " 1  " in line]
    printed = [cells(line) for line in demoed.output.splitlines()]

    assert {row[0] for row in shown} == {"iris 1", "loan 1"}
    for row in shown:
        assert any(stable(row) == stable(each) for each in printed), row


def cells(line: str) -> list[str]:
    return re.split(r"\s{2,}", line.strip())


def stable(row: list[str]) -> list[str]:
    """What is the same on every machine: all but measured numbers, and the columns that drift."""
    return row[:3] if "onnx" in row else row[:4]
