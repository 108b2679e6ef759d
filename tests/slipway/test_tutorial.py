"""A newcomer's walk: the tutorial from its first command to its last, in an empty HOME."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slipway.conftest import BIN, copy_of_the_project, free_port
from tests.slipway.shown_commands import Ran, Walk, is_shown
from tests.slipway.warm_slipway import warm_slipway

ROOT = Path(__file__).parents[2]
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text()
ELSEWHERE = {
    "make setup": ".ci/run does it in a fresh clone",
    "source .venv/bin/activate": "the tests run in that environment already",
    "rm -r data var mlflow.db mlruns/* training/recipes/delivery.py": "the how-to pages go on here",
}


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    root = copy_of_the_project(tmp_path_factory.mktemp("newcomer"))
    environ = {
        "HOME": str(tmp_path_factory.mktemp("home")),
        "PATH": f"{BIN}{os.pathsep}{os.defpath}",
        "PYTHONPATH": str(root),
        "LANG": "C.UTF-8",
        "COLUMNS": "100",
        "USER": "you",
        # Two cores are shared by several test processes: threads would wait busily.
        "OMP_NUM_THREADS": "1",
    }
    with warm_slipway(root, environ, tmp_path_factory.mktemp("warm")) as warm:
        newcomer = Walk(root, warm, tmp_path_factory.mktemp("scratch"), free_port())
        yield newcomer
        newcomer.close()


@pytest.fixture(scope="module")
def tutorial(walk: Walk) -> list[Ran]:
    return walk.follow(TUTORIAL, ELSEWHERE)


@pytest.mark.slow
def test_every_command_of_the_tutorial_succeeds(tutorial: list[Ran]) -> None:
    failed = [ran for ran in tutorial if any(ran.exit_codes)]

    assert not failed, "\n".join(f"{ran.commands}\n{ran.output}" for ran in failed)


@pytest.mark.slow
def test_the_tutorial_prints_what_the_commands_print(tutorial: list[Ran]) -> None:
    stale = [ran for ran in tutorial if ran.shown and not is_shown(ran.shown, ran.output)]

    assert not stale, "\n\n".join(
        f"{ran.commands}\nthe page:\n{ran.shown}\nreally:\n{ran.output}" for ran in stale
    )
