"""A fault of the version, of the store or of this machine: each has its own consequence."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from contracts.errors import CorruptModel, RegistryUnreachable, Unwritable
from registry.follow import Follower
from registry.manifests import fetch_manifest
from registry.model_directory import verify
from registry.promote import promote
from registry.pull import pull, pull_all
from registry.rollout import Rollout
from slipway.app import app
from tests.conftest import Workplace
from tests.registry.processes import ended, pull_where_files_stay_small, start


def artifacts(workplace: Workplace, name: str, version: int = 1) -> Path:
    run_id = workplace.store.versions.get(name, version).run_id
    return next((workplace.root / "mlruns").glob(f"*/{run_id}/artifacts/model_directory"))


def tags(workplace: Workplace, name: str = "tiny", version: int = 1) -> set[str]:
    return set(workplace.store.versions.get(name, version).tags)


def test_a_full_disk_is_not_the_versions_fault(promoted: Workplace) -> None:
    full = start(pull_where_files_stay_small, promoted.root, 3000)

    assert ended(full) == [Unwritable.exit_code]
    said = (promoted.root / "said.txt").read_text()
    assert "expected a writable path, got [Errno 27] File too large" in said
    assert "free space" in said
    assert "slipway.refused" not in tags(promoted)
    assert list((promoted.layout.var / "models" / "tiny").iterdir()) == []
    assert verify(
        promoted.layout.model("tiny", 1),
        pull(promoted.store, promoted.layout, "tiny").digest,
    )


def test_a_bento_store_that_cannot_be_written_is_not_the_versions_fault(
    promoted: Workplace,
) -> None:
    workshop = Path(os.environ["BENTOML_HOME"]) / "tmp"
    workshop.mkdir(exist_ok=True)
    workshop.rename(workshop.with_name("away"))
    workshop.write_text("a file where a folder should be")
    try:
        with pytest.raises(Unwritable, match="expected a writable path, got Not a directory"):
            pull_all(promoted.store, promoted.layout)
    finally:
        workshop.unlink()
        workshop.with_name("away").rename(workshop)

    assert "slipway.refused" not in tags(promoted)
    assert not promoted.layout.pointer("tiny").exists()
    assert pull(promoted.store, promoted.layout, "tiny").version == 1


def taken_away(store: Path) -> None:
    store.rename(store.with_name("away"))


def replaced_by_a_file(store: Path) -> None:
    taken_away(store)
    store.write_text("not mounted")


def emptied(store: Path) -> None:
    taken_away(store)
    store.mkdir()


@pytest.mark.parametrize("lose", [taken_away, replaced_by_a_file, emptied])
def test_an_artifact_store_that_is_away_is_not_the_versions_fault(
    trained: Workplace, lose: Callable[[Path], None]
) -> None:
    store, layout = trained.store, trained.layout
    promote(store, "tiny", 1, actor="ada")
    before = pull(store, layout, "tiny")
    promote(store, "tiny", 2, actor="ada")
    lose(trained.root / "mlruns")
    with pytest.raises(RegistryUnreachable, match="artifact store: expected an answer") as caught:
        pull_all(store, layout)
    with pytest.raises(RegistryUnreachable, match="artifact store: expected an answer"):
        promote(store, "tiny", 3, actor="ada")

    assert "mount it" in caught.value.remedy
    assert "slipway.refused" not in tags(trained, version=2)
    assert verify(layout.model("tiny", 1), before.digest)
    assert before.write_pretty() == layout.pointer("tiny").read_bytes()


def test_one_artifact_store_that_is_away_does_not_hold_up_the_others(both: Workplace) -> None:
    experiment = artifacts(both, "other").parents[2]
    experiment.rename(both.root / "away")
    result = pull_all(both.store, both.layout)

    assert [pointer.name for pointer in result.pulled] == ["tiny"]
    assert "artifact store: expected an answer" in result.refused[0]
    assert "slipway.refused" not in tags(both, "other")


def test_one_artifact_store_that_is_away_does_not_keep_others_from_being_followed(
    both: Workplace,
) -> None:
    artifacts(both, "other").parents[2].rename(both.root / "away")
    rollout = Rollout(both.layout, hold_s=1.0)
    follower = Follower(lambda: both.store, both.layout, lambda *_: None, 1.0, rollout)

    assert not follower.settle()
    give_up = time.monotonic() + 30
    while not both.layout.pointer("tiny").exists():
        assert time.monotonic() < give_up
        follower.poll()
        time.sleep(0.1)
    assert not both.layout.pointer("other").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read what nobody may read")
def test_an_artifact_that_may_not_be_read_is_not_the_versions_fault(promoted: Workplace) -> None:
    (artifacts(promoted, "tiny") / "model.onnx").chmod(0)
    with pytest.raises(RegistryUnreachable, match="Permission denied"):
        pull_all(promoted.store, promoted.layout)

    assert "slipway.refused" not in tags(promoted)


def test_an_artifact_that_is_gone_where_others_are_is_the_versions_fault(
    trained: Workplace,
) -> None:
    promote(trained.store, "tiny", 1, actor="ada")
    shutil.rmtree(artifacts(trained, "tiny"))
    with pytest.raises(CorruptModel, match="expected the artifact model_directory"):
        pull_all(trained.store, trained.layout)
    with pytest.raises(CorruptModel, match=r"expected the artifact model_directory/manifest\.json"):
        fetch_manifest(trained.store, "tiny", 1)

    assert "slipway.refused" in tags(trained)


def test_a_version_that_verifies_again_is_refused_no_longer(promoted: Workplace) -> None:
    path = artifacts(promoted, "tiny") / "reference.json"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(CorruptModel, match=r"reference\.json: expected sha256"):
        pull_all(promoted.store, promoted.layout)
    assert "slipway.refused" in tags(promoted)

    path.write_bytes(whole)
    assert [pointer.version for pointer in pull_all(promoted.store, promoted.layout).pulled] == [1]
    assert "slipway.refused" not in tags(promoted)


def test_slipway_follow_outlives_the_shell_that_started_it(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command has no service above it, and a shell with `&` ends before its commands."""
    del workplace
    followed: list[int | None] = []
    monkeypatch.setattr(Follower, "follow", lambda _self, parent: followed.append(parent))
    done = CliRunner().invoke(app, ["follow"])

    assert (done.exit_code, followed) == (0, [None])
