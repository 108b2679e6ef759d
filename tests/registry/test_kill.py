"""`kill -9` at any step of a pull: what is pointed at is whole, and the next pull succeeds."""

import signal
from pathlib import Path

import pytest

from contracts.errors import CorruptModel
from contracts.manifest import Pointer
from registry.doctor import examine, repair
from registry.model_directory import verify
from registry.promote import promote
from registry.pull import pull_all
from tests.conftest import Workplace
from tests.registry.processes import Step, ended, pull_and_die, pull_command, start

DOWNLOAD = "registry.mlflow_store.artifacts"
IMPORT, POINT = "registry.bento_store", "registry.pull"

STEPS = {
    "before the download": Step(DOWNLOAD, "Artifacts.download"),
    "in the middle of the download": Step("shutil", "copyfile", call=3),
    "after the download": Step(DOWNLOAD, "Artifacts.download", before=False),
    "before the model directory is in its place": Step(POINT, "_rename_into_place"),
    "after the model directory is in its place": Step(POINT, "_rename_into_place", before=False),
    "while the model is copied for BentoML": Step("shutil", "copytree"),
    "while BentoML copies the model": Step("shutil", "copyfile", call=10),
    "before BentoML's model is in its place": Step(IMPORT, "_rename_into_place"),
    "after BentoML's model is in its place": Step(IMPORT, "_rename_into_place", before=False),
    "before the pointer moves": Step(POINT, "write_pointer"),
    "while the pointer is written": Step("contracts.files", "flush"),
    "after the pointer moved": Step(POINT, "write_pointer", before=False),
}


def pointed_at(workplace: Workplace) -> int:
    """The version that is served; what the pointer names is whole, here and in BentoML."""
    import bentoml

    pointer = Pointer.read(workplace.layout.pointer("tiny").read_bytes())
    verify(workplace.layout.model("tiny", pointer.version), pointer.digest)
    stored = Path(bentoml.models.get(pointer.bento_tag).path)
    for path in workplace.layout.model("tiny", pointer.version).iterdir():
        assert (stored / path.name).read_bytes() == path.read_bytes()
    return pointer.version


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS.keys())
def test_a_pull_that_is_killed_serves_the_old_or_the_new_whole_and_blocks_nothing(
    trained: Workplace, step: Step
) -> None:
    store, layout = trained.store, trained.layout
    promote(store, "tiny", 1, actor="ada")
    pull_all(store, layout)
    promote(store, "tiny", 2, actor="ada")

    assert ended(start(pull_and_die, trained.root, step)) == [-signal.SIGKILL]
    assert pointed_at(trained) in {1, 2}
    assert ended(start(pull_command, trained.root)) == [0]
    assert pointed_at(trained) == 2
    repair(store, layout, examine(store, layout))
    assert examine(store, layout) == []
    assert pointed_at(trained) == 2
    assert {path.name for path in layout.pointer("tiny").parent.iterdir()} == {
        "1",
        "2",
        "production.json",
    }


def test_a_first_pull_that_is_killed_points_at_nothing_torn(promoted: Workplace) -> None:
    step = Step(POINT, "_rename_into_place", before=False)

    assert ended(start(pull_and_die, promoted.root, step)) == [-signal.SIGKILL]
    assert not promoted.layout.pointer("tiny").exists()
    assert verify(promoted.layout.model("tiny", 1), None)
    assert ended(start(pull_command, promoted.root)) == [0]
    assert pointed_at(promoted) == 1


@pytest.mark.parametrize(
    "step",
    [
        Step(POINT, "shutil.rmtree"),
        Step(DOWNLOAD, "Artifacts.download"),
        Step(POINT, "_rename_into_place"),
    ],
    ids=["while it is set aside", "before the download", "before it is in its place"],
)
def test_a_pull_that_is_killed_while_it_replaces_a_broken_directory_shows_no_torn_one(
    promoted: Workplace, step: Step
) -> None:
    pull_all(promoted.store, promoted.layout)
    directory = promoted.layout.model("tiny", 1)
    (directory / "model.onnx").write_bytes(b"broken")
    with pytest.raises(CorruptModel):
        verify(directory, None)

    assert ended(start(pull_and_die, promoted.root, step)) == [-signal.SIGKILL]
    assert not directory.exists()
    assert ended(start(pull_command, promoted.root)) == [0]
    assert pointed_at(promoted) == 1
    repair(promoted.store, promoted.layout, examine(promoted.store, promoted.layout))
    assert examine(promoted.store, promoted.layout) == []
