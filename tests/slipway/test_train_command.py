"""`slipway train` with several recipes: all are read first, and one failure stops no other."""

import json
from pathlib import Path

import pytest

import training.recipes
from contracts.errors import InvalidData
from slipway.app import run_command_line
from tests.conftest import Workplace
from training import recipe as recipes

GOOD = "from tests import tiny\nrecipe = tiny.multiclass()\n"
FAILING = """
from tests import tiny


def load():
    return tiny.people().assign(age=-1)

recipe = tiny.binary(load=load)
"""


@pytest.fixture
def folder(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of recipes of its own, outside any repository."""
    folder = workplace.root / "own_recipes"
    folder.mkdir()
    monkeypatch.setattr(recipes, "RECIPES_FOLDER", folder)
    monkeypatch.setattr(training.recipes, "__path__", [str(folder)])
    return folder


def test_one_that_fails_stops_no_other_and_all_results_are_printed(
    folder: Path, workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in {"first_a": GOOD, "second_a": FAILING, "third_a": GOOD}.items():
        (folder / f"{name}.py").write_text(text)

    assert run_command_line(["train", "first_a", "second_a", "third_a", "--json"]) == 1
    out = capsys.readouterr().out
    first, third, second = json.loads(out)

    assert (first["name"], third["name"]) == ("first_a", "third_a")
    assert first["version"] == third["version"] == 1
    assert second["name"] == "second_a"
    assert second["error"]["code"] == "invalid_data"
    assert "age: expected a number 18..100" in second["error"]["message"]
    assert {each.name for each in workplace.store.models.all()} == {"first_a", "third_a"}


def test_all_recipes_are_read_before_the_first_is_trained(
    folder: Path, workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "first_b.py").write_text(GOOD)
    (folder / "second_b.py").write_text("x = 1 / 0\n")
    (folder / "third_b.py").write_text("recipe = 3\n")

    assert run_command_line(["train", "first_b", "second_b", "third_b"]) == 1
    err = capsys.readouterr().err

    assert "second_b.py: expected a file that runs, got ZeroDivisionError" in err
    assert "third_b.py: expected `recipe = Recipe(...)`, got 3" in err
    assert workplace.store.models.all() == []


def test_a_single_recipe_ends_with_its_own_error(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "only.py").write_text(FAILING)

    assert run_command_line(["train", "only"]) == InvalidData.exit_code
    assert capsys.readouterr().err.startswith("error: recipe 'only': 400 rows break the schema")


def test_a_run_names_the_digest_and_the_state_of_its_recipe(
    folder: Path, workplace: Workplace
) -> None:
    (folder / "tagged.py").write_text(GOOD)

    assert run_command_line(["train", "tagged"]) == 0
    tags = workplace.store.versions.get("tagged", 1).tags
    assert tags["slipway.recipe_state"] == "unknown"
    assert len(tags["slipway.recipe_sha256"]) == 64


def test_notes_are_printed_and_kept_in_the_run(
    folder: Path, workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    more = 'recipe = tiny.multiclass()\nobject.__setattr__(recipe, "load", load)\n'
    load = "def load():\n    return tiny.multiclass().load().assign(work='yes')\n"
    (folder / "noted.py").write_text(f"from tests import tiny\n{load}{more}")

    assert run_command_line(["train", "noted"]) == 0
    note = "work: no row has the category 'no'"
    run_id = workplace.store.versions.get("noted", 1).run_id
    text = workplace.store.artifacts.download(run_id, "notes.txt", workplace.root).read_text()

    assert f"noted: note: {note}" in capsys.readouterr().err
    assert text.splitlines() == [note]
