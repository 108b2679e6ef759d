"""BentoML's model store: model directories are copied into it, to be packed into a Bento.

BentoML copies a model into its store file by file, and trusts whatever it finds there. So a
copy that was killed would be served and packed forever. Here a model is built in a temporary
store and renamed into place, and what is in the store already is verified first.
"""

import shutil
from pathlib import Path

from contracts.errors import CorruptModel, Unwritable
from contracts.files import TEMPORARY_PREFIX, flush, temporary_path
from contracts.integrity import check_files
from contracts.manifest import Manifest
from contracts.names import MANIFEST_FILE
from registry.model_directory import read_manifest, sha256_of_files

MODEL_YAML = "model.yaml"
"""What BentoML itself adds to a model."""
MAX_RENAME_RETRIES = 8
"""How often another process may replace the model between two renames of ours."""


def bento_tag(name: str, version: int, digest: str) -> str:
    """The tag of a version in BentoML's model store; the digest distinguishes rebuilt ones."""
    return f"{name}:{version}-{digest[:12]}"


def import_directory(directory: Path, manifest: Manifest, version: int, digest: str) -> str:
    """Copy a verified model directory into BentoML's model store, once; returns its tag.

    A damaged model with this tag is replaced. Two processes may import at the same time: each
    builds a complete model, and accepts the other's.

    Raises:
        OSError: the store cannot be written.
        Unwritable: BentoML refuses to write it.

    """
    tag = bento_tag(manifest.name, version, digest)
    path = _store() / tag.replace(":", "/")
    if not _is_intact(path, tag, digest):
        _build(directory, path, tag, _labels(manifest, version, digest), digest)
    return tag


def leftovers() -> list[Path]:
    """Temporary folders of imports: of those that were killed, and of those still running."""
    return sorted(_temporary_folder().glob(f"{TEMPORARY_PREFIX}*"))


def _is_intact(path: Path, tag: str, digest: str) -> bool:
    """Whether the stored model is the one with that digest, and BentoML can read it."""
    import bentoml

    try:
        manifest = read_manifest(path / MANIFEST_FILE, digest)
        found = sha256_of_files(path)
        found.pop(MODEL_YAML, None)
        check_files(manifest, found, str(path))
    except (CorruptModel, FileNotFoundError):
        # Damaged, or another process is just replacing it.
        return False
    try:
        bentoml.models.get(tag)
    except Exception:  # noqa: BLE001 - a truncated model.yaml fails in PyYAML, cattrs or BentoML
        return False
    return True


def _build(directory: Path, path: Path, tag: str, labels: dict[str, str], digest: str) -> None:
    """Build the model in a temporary store, and rename it to `path`, replacing what is there."""
    import bentoml
    from bentoml._internal.models import ModelStore
    from bentoml.exceptions import BentoMLException

    temporary = temporary_path(_temporary_folder())
    temporary.mkdir(parents=True)
    built = temporary / path.parent.name / path.name
    try:
        store = ModelStore(temporary)
        with bentoml.models.create(tag, labels=labels, _model_store=store) as model:
            shutil.copytree(directory, model.path, dirs_exist_ok=True)
        for each in (*built.iterdir(), built):
            flush(each)
        path.parent.mkdir(parents=True, exist_ok=True)
        for retries in range(MAX_RENAME_RETRIES, -1, -1):
            _move_away(path, temporary / f"damaged-{retries}")
            if _rename_into_place(built, path, tag, digest, may_retry=retries > 0):
                break
        (built.parent / "latest").replace(path.parent / "latest")
    except BentoMLException as err:
        raise Unwritable(
            f"{path}: expected BentoML to store the model, got {err}",
            remedy="give the folder to this user, or set BENTOML_HOME to a different one",
        ) from err
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _move_away(path: Path, target: Path) -> None:
    try:
        path.rename(target)
    except FileNotFoundError:
        # Nothing was there, or another process was faster.
        return


def _rename_into_place(built: Path, path: Path, tag: str, digest: str, *, may_retry: bool) -> bool:
    """Whether the model is in its place now, put there by us or by another process."""
    try:
        built.rename(path)
    except OSError:
        is_intact = _is_intact(path, tag, digest)
        if not is_intact and not may_retry:
            raise
        return is_intact
    return True


def _store() -> Path:
    from bentoml._internal.configuration.containers import BentoMLContainer

    return Path(BentoMLContainer.model_store_dir.get())


def _temporary_folder() -> Path:
    """BentoML's own folder for unfinished work, on the same file system as its store."""
    from bentoml._internal.configuration.containers import BentoMLContainer

    return Path(BentoMLContainer.tmp_bento_store_dir.get())


def _labels(manifest: Manifest, version: int, digest: str) -> dict[str, str]:
    return {"run_id": manifest.run_id, "version": str(version), "digest": digest[:63]}
