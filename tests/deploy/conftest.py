"""A Bento built from a copy of the checkout, with one true model in it."""

import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from registry.promote import promote
from registry.pull import pull_all
from tests import tiny
from tests.conftest import working_in
from tests.slipway.conftest import BIN, Checkout, copy_of_the_project
from training.run import train_recipe

MODEL = "iris"


@dataclass(frozen=True)
class Built:
    """A Bento in its store, and the checkout that it was built in."""

    checkout: Checkout
    path: Path

    @property
    def files(self) -> set[str]:
        """What lies in the Bento, relative to it."""
        return {str(p.relative_to(self.path)) for p in self.path.rglob("*") if p.is_file()}


def checkout_with_state(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy of the project in which somebody has worked: secrets and traffic lie about."""
    root = copy_of_the_project(tmp_path_factory.mktemp("checkout"))
    (root / ".env").write_text(f"TOKEN={secrets.token_hex()}\n")
    (root / "services" / ".env").write_text(f"TOKEN={secrets.token_hex()}\n")
    traffic = root / "var" / "traffic" / MODEL / "2026-01-01"
    traffic.mkdir(parents=True)
    (traffic / "000000-1-a.jsonl").write_text("{}\n")
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("SLIPWAY_", "MLFLOW_T"))}
    environ |= {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "BENTOML_HOME": str(tmp_path_factory.mktemp("bentoml")),
        "PYTHONPATH": str(root),
        # BentoML folds what it prints, a path too.
        "COLUMNS": "1000",
    }
    return Checkout(root, environ, "")


def done(checkout: Checkout, *words: str, timeout_s: float = 300) -> str:
    """What a command printed, which has to succeed."""
    result = checkout.run(*words, timeout_s=timeout_s)
    assert result.returncode == 0, f"{' '.join(words)}\n{result.stdout}\n{result.stderr}"
    return result.stdout


@pytest.fixture(scope="session")
def bento(tmp_path_factory: pytest.TempPathFactory) -> Built:
    checkout = checkout_with_state(tmp_path_factory)
    for words in (["train", MODEL], ["promote", MODEL], ["pull"]):
        done(checkout, "slipway", *words)
    done(checkout, "bentoml", "build")
    path = done(checkout, "bentoml", "get", "predictor:latest", "--output", "path")
    return Built(checkout, Path(path.strip()))


@pytest.fixture(scope="session")
def models(fresh_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `var/` with one promoted and pulled model, `tiny`."""
    root = tmp_path_factory.mktemp("models")
    shutil.copy(fresh_database, root / "mlflow.db")
    with working_in(root) as workplace:
        train_recipe(tiny.binary(), workplace.store)
        promote(workplace.store, "tiny", actor="ada")
        pull_all(workplace.store, workplace.layout)
    return root / "var"
