"""BentoML's model store holds complete models, whichever process was killed at it."""

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from contracts.manifest import Pointer
from registry.bento_store import leftovers
from registry.pull import fetch_version, pull
from tests.conftest import Workplace
from tests.registry.processes import (
    copy_as_bentoml_does_and_die,
    ended,
    import_again_and_again,
    pull_command,
    start,
)


def stored(pointer: Pointer) -> Path:
    import bentoml

    return Path(bentoml.models.get(pointer.bento_tag).path)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def cut(name: str) -> Callable[[Path], None]:
    def cut_in_half(folder: Path) -> None:
        path = folder / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return cut_in_half


def emptied(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


TORN: dict[str, Callable[[Path], object]] = {
    "empty folder": emptied,
    "model cut": cut("model.onnx"),
    "manifest missing": lambda f: (f / "manifest.json").unlink(),
    "model.yaml missing": lambda f: (f / "model.yaml").unlink(),
    "model.yaml cut": cut("model.yaml"),
    "model.yaml empty": lambda f: (f / "model.yaml").write_bytes(b""),
    "something else": lambda f: (f / "evil.py").write_bytes(b"x"),
}


@pytest.mark.parametrize("tear", TORN.values(), ids=TORN.keys())
def test_a_torn_model_in_bentomls_store_is_replaced_by_the_next_pull(
    promoted: Workplace, tear: Callable[[Path], object]
) -> None:
    pointer = pull(promoted.store, promoted.layout, "tiny")
    folder = stored(pointer)
    tear(folder)

    assert pull(promoted.store, promoted.layout, "tiny") == pointer
    model = files(stored(pointer))
    assert model.pop("model.yaml")
    assert model == files(promoted.layout.model("tiny", 1))


def test_a_whole_model_is_not_written_again(promoted: Workplace) -> None:
    pointer = pull(promoted.store, promoted.layout, "tiny")
    before = {path: path.stat().st_ino for path in stored(pointer).iterdir()}
    pull(promoted.store, promoted.layout, "tiny")

    assert {path: path.stat().st_ino for path in stored(pointer).iterdir()} == before


def test_what_bentomls_own_killed_copy_leaves_does_not_block_its_version_nor_the_next(
    trained: Workplace,
) -> None:
    import bentoml

    store, layout = trained.store, trained.layout
    pointers = [fetch_version(store, layout, "tiny", n) for n in (1, 2)]
    first, second = (stored(pointer) for pointer in pointers)
    shutil.rmtree(first.parent)
    killed = start(
        copy_as_bentoml_does_and_die, trained.root, layout.model("tiny", 1), pointers[0].bento_tag
    )

    assert ended(killed) == [-signal.SIGKILL]
    assert 0 < len(files(first)) < 5
    for number, folder in ((2, second), (1, first)):
        fetch_version(store, layout, "tiny", number)
        assert (folder / "model.onnx").read_bytes() == (
            layout.model("tiny", number) / "model.onnx"
        ).read_bytes()
    assert str(bentoml.models.get("tiny:latest").path) == str(first)


def test_imports_at_once_into_a_torn_model_all_end_well(promoted: Workplace) -> None:
    pointer = pull(promoted.store, promoted.layout, "tiny")
    directory, folder = promoted.layout.model("tiny", 1), stored(pointer)
    rivals = [
        start(import_again_and_again, promoted.root, directory, pointer.digest, folder)
        for _ in range(3)
    ]

    assert ended(*rivals) == [0, 0, 0]
    assert ended(start(pull_command, promoted.root)) == [0]
    assert (folder / "model.onnx").read_bytes() == (directory / "model.onnx").read_bytes()
    assert leftovers() == []


def test_without_bentomls_private_parts_the_public_ones_import_with_one_warning(
    promoted: Workplace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from bentoml._internal.configuration.containers import BentoMLContainer

    monkeypatch.delattr(type(BentoMLContainer), "tmp_bento_store_dir", raising=False)
    monkeypatch.delattr(BentoMLContainer, "tmp_bento_store_dir", raising=False)
    pointer = pull(promoted.store, promoted.layout, "tiny")
    for tear in (lambda _: None, cut("model.onnx")):
        tear(stored(pointer))
        assert pull(promoted.store, promoted.layout, "tiny") == pointer
        model = files(stored(pointer))
        assert model.pop("model.yaml")
        assert model == files(promoted.layout.model("tiny", 1))

    assert leftovers() == []
    assert len([r for r in caplog.records if "a kill may now leave" in r.message]) == 1
