"""Tasks of the processes in these tests: pull, import, promote, and die at a step.

They have a file of their own, because a process imports the file that defines its task:
`tests.conftest` would move BENTOML_HOME.
"""

import shutil
import sys
from pathlib import Path

from benchmarks.lifecycle.processes import Step, die_at, ended, start

__all__ = ["Step", "ended", "start"]


def pull_command() -> None:
    """Run `python -m registry pull` in this process."""
    from registry.__main__ import main

    sys.argv = ["registry", "pull"]
    main()


def pull_and_die(step: Step) -> None:
    """Run `python -m registry pull`, and die at a step."""
    die_at(step)
    pull_command()


def copy_as_bentoml_does_and_die(directory: Path, tag: str) -> None:
    """Copy as BentoML does and die after two files: what an older Slipway left behind."""
    import bentoml

    with bentoml.models.create(tag) as model:
        shutil.copytree(directory, model.path, dirs_exist_ok=True)
        die_at(Step("shutil", "copyfile", call=3))


def import_again_and_again(directory: Path, digest: str, torn: Path) -> None:
    """Import a model four times, and damage the stored one before each."""
    from registry.bento_store import import_directory
    from registry.model_directory import verify

    manifest = verify(directory, digest)
    for _ in range(4):
        (torn / "model.onnx").unlink(missing_ok=True)
        import_directory(directory, manifest, 1, digest)


def pull_where_files_stay_small(largest: int) -> None:
    """Pull where no file may exceed `largest` bytes, as on a full disk.

    Standard error goes to `said.txt`.
    """
    import resource

    with Path("said.txt").open("w") as said:
        sys.stderr = said
        # Python would cut a module's bytecode off at the limit, and every later process reads it.
        sys.dont_write_bytecode = True
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
        pull_command()


def promote_and_die(version: int, step: Step) -> None:
    """Promote, and die at a step."""
    from registry.promote import promote
    from registry.settings import RegistrySettings
    from registry.store import Store

    store = Store.open(RegistrySettings())
    die_at(step)
    promote(store, "tiny", version, actor="ada")
