"""What reaches the service is what was registered, whole, or nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import CorruptModel, NotRegistered, Unwritable
from contracts.manifest import Pointer
from registry.lineage import lineage
from registry.model_directory import verify
from registry.pull import pull, pull_all
from tests.conftest import Workplace
from tests.registry.processes import ended, pull_command, start


def artifacts(workplace: Workplace, name: str) -> Path:
    """The model directory of a model's newest version in the artifact store."""
    run_id = workplace.store.versions.of(name)[-1].run_id
    return next((workplace.root / "mlruns").glob(f"*/{run_id}/artifacts/model_directory"))


def test_a_pulled_version_is_whole_pointed_at_and_in_bentomls_store(promoted: Workplace) -> None:
    import bentoml

    pointer = pull(promoted.store, promoted.layout, "tiny")
    directory = promoted.layout.model("tiny", 1)
    stored = bentoml.models.get(pointer.bento_tag)

    assert verify(directory, pointer.digest).name == "tiny"
    assert Pointer.read(promoted.layout.pointer("tiny").read_bytes()) == pointer
    assert stored.info.labels["run_id"] == pointer.run_id
    assert (Path(stored.path) / "model.onnx").read_bytes() == (
        directory / "model.onnx"
    ).read_bytes()


def test_pulling_again_changes_nothing(promoted: Workplace) -> None:
    first = pull_all(promoted.store, promoted.layout)
    before = promoted.layout.pointer("tiny").stat()
    second = pull_all(promoted.store, promoted.layout)

    assert first == second
    assert promoted.layout.pointer("tiny").stat().st_mtime_ns == before.st_mtime_ns


def flip_a_byte(folder: Path) -> None:
    data = bytearray((folder / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "model.onnx").write_bytes(data)


def rename_in_manifest(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["files"]["../../evil"] = manifest["files"].pop("model.onnx")
    (folder / "manifest.json").write_text(json.dumps(manifest))


BROKEN: dict[str, tuple[Any, str]] = {
    "flipped byte": (flip_a_byte, "model.onnx: expected sha256"),
    "missing file": (lambda f: (f / "reference.json").unlink(), "got nothing"),
    "extra file": (lambda f: (f / "evil.py").write_text("x"), "evil.py: expected only files"),
    "no manifest": (lambda f: (f / "manifest.json").unlink(), "manifest.json: expected a file"),
    "other manifest": (rename_in_manifest, "manifest.json: expected sha256"),
    "empty model": (lambda f: (f / "model.onnx").write_bytes(b""), "model.onnx: expected sha256"),
}


@pytest.mark.parametrize(("break_it", "reason"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_version_is_refused_and_the_old_one_stays(
    both: Workplace, break_it: Any, reason: str
) -> None:
    store, layout = both.store, both.layout
    break_it(artifacts(both, "other"))
    result = pull_all(store, layout)

    assert [pointer.name for pointer in result.pulled] == ["tiny"]
    assert reason in result.refused[0]
    assert reason in store.versions.get("other", 1).tags["slipway.refused"]
    assert not layout.pointer("other").exists()
    assert list((layout.var / "models" / "other").glob("*")) == []


def test_a_folder_inside_a_model_directory_is_not_downloaded(
    promoted: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its size is in no listing of the directory, so the limit would not hold for it."""
    inside = artifacts(promoted, "tiny") / "sub"
    inside.mkdir()
    (inside / "huge").write_bytes(b"x" * 1000)
    monkeypatch.setattr(type(promoted.store.artifacts), "download", None)
    with pytest.raises(CorruptModel, match="expected a model directory of files, got the folder"):
        pull(promoted.store, promoted.layout, "tiny")


def test_a_local_directory_that_was_changed_is_fetched_again(promoted: Workplace) -> None:
    pointer = pull(promoted.store, promoted.layout, "tiny")
    directory = promoted.layout.model("tiny", 1)
    flip_a_byte(directory)
    pull(promoted.store, promoted.layout, "tiny")

    assert verify(directory, pointer.digest)
    assert {p.name for p in directory.parent.iterdir()} == {"1", "production.json"}


def test_a_manifest_that_names_a_path_is_refused(promoted: Workplace) -> None:
    pull(promoted.store, promoted.layout, "tiny")
    directory = promoted.layout.model("tiny", 1)
    rename_in_manifest(directory)
    with pytest.raises(CorruptModel, match=r"expected plain file names, got '\.\./\.\./evil'"):
        verify(directory, None)


def test_nothing_in_production_is_reported_with_what_to_do(trained: Workplace) -> None:
    with pytest.raises(NotRegistered, match="got none") as caught:
        pull_all(trained.store, trained.layout)
    with pytest.raises(NotRegistered, match="no production version of 'tiny'"):
        pull(trained.store, trained.layout, "tiny")

    assert "slipway promote" in caught.value.remedy


def test_what_is_no_longer_production_is_no_longer_pointed_at(both: Workplace) -> None:
    store, layout = both.store, both.layout
    pull_all(store, layout)
    store.models.delete_alias("other")
    result = pull_all(store, layout)

    assert result.removed == ("other",)
    assert not layout.pointer("other").exists()


def test_a_var_that_cannot_be_written_is_reported(promoted: Workplace) -> None:
    promoted.layout.var.rename(promoted.root / "away")
    promoted.layout.var.write_text("a file where a folder should be")
    with pytest.raises(Unwritable, match="expected a writable path") as caught:
        pull(promoted.store, promoted.layout, "tiny")

    assert "SLIPWAY_VAR" in caught.value.remedy


def test_pulls_at_once_leave_one_whole_directory(promoted: Workplace) -> None:
    rivals = [start(pull_command, promoted.root) for _ in range(4)]

    assert ended(*rivals) == [0, 0, 0, 0]
    assert verify(promoted.layout.model("tiny", 1), None)
    assert {p.name for p in (promoted.root / "var/models/tiny").iterdir()} == {
        "1",
        "production.json",
    }


def test_the_deployment_hook_pulls_as_a_process_of_its_own(promoted: Workplace) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "registry", "pull"],
        cwd=promoted.root,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )

    assert done.stdout.startswith("pulled tiny version 1 (")
    assert promoted.layout.pointer("tiny").exists()


def test_a_version_is_walked_back_to_its_data(promoted: Workplace) -> None:
    origin = lineage(promoted.store, "tiny", 1)

    assert len(origin.data_digest) == 64
    assert (origin.promoted_by, origin.because) == ("ada", "first")
    assert origin.certificate_rows > 100
