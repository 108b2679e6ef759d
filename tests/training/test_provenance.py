"""A run says which recipe it was made from, and whether git has it."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from training import recipe as recipes
from training.provenance import recipe_source


def git(folder: Path, *command: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run(["git", *who, *command], cwd=folder, check=True, capture_output=True)


def test_a_recipe_is_committed_modified_or_untracked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipes, "RECIPES_FOLDER", tmp_path)
    path = tmp_path / "shop.py"
    path.write_text("recipe = 1\n")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert recipe_source("shop").state == "unknown"

    git(tmp_path, "init")
    untracked = recipe_source("shop")
    git(tmp_path, "add", "shop.py")
    git(tmp_path, "commit", "-m", "Add a recipe")
    committed = recipe_source("shop")
    path.write_text("recipe = 2\n")
    modified = recipe_source("shop")

    assert (untracked.state, committed.state, modified.state) == (
        "untracked",
        "committed",
        "modified",
    )
    assert untracked.digest == committed.digest == digest != modified.digest
    assert untracked.marked("abc") == modified.marked("abc") == "abc-dirty"
    assert committed.marked("abc") == "abc"
    assert committed.marked("abc-dirty") == modified.marked("abc-dirty") == "abc-dirty"
    assert committed.tags == {
        "slipway.recipe_sha256": digest,
        "slipway.recipe_state": "committed",
    }


def test_a_recipe_without_a_file_has_no_tags() -> None:
    assert recipe_source("no_such_recipe").tags == {}
