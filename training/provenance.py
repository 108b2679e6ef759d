"""Which recipe a run was made from: the digest of its file, and whether git has it so."""

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from contracts.names import TAG_RECIPE_DIGEST, TAG_RECIPE_STATE
from training import recipe as recipes

RecipeState = Literal["committed", "modified", "untracked", "unknown"]
DIRTY = "-dirty"


@dataclass(frozen=True)
class RecipeSource:
    """The file of a recipe; `digest` is its sha256, empty for a recipe without a file."""

    digest: str
    state: RecipeState

    @property
    def tags(self) -> dict[str, str]:
        """The tags of the run and its version."""
        if not self.digest:
            return {}
        return {TAG_RECIPE_DIGEST: self.digest, TAG_RECIPE_STATE: self.state}

    def marked(self, commit: str) -> str:
        """A commit, marked as dirty if it does not hold the recipe as it is."""
        is_other = self.digest and self.state in {"modified", "untracked"}
        return commit + DIRTY if commit and is_other and not commit.endswith(DIRTY) else commit


def recipe_source(name: str) -> RecipeSource:
    """The source of the recipe of that name."""
    path = recipes.RECIPES_FOLDER / f"{name}.py"
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return RecipeSource("", "unknown")
    return RecipeSource(digest, _state(path))


def _state(path: Path) -> RecipeState:
    """The state by git; an ignored file is untracked too."""
    tracked = _git(path, "ls-files", "--error-unmatch")
    if tracked is None:
        return "unknown"
    if tracked.returncode:
        # 128: no repository, or one that git does not trust.
        return "untracked" if tracked.returncode == 1 else "unknown"
    changed = _git(path, "diff", "--quiet", "HEAD")
    return "modified" if changed is not None and changed.returncode else "committed"


def _git(path: Path, *command: str) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(
            ["git", *command, "--", path.name],
            cwd=path.parent,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return None
