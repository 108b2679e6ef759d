"""The door to BentoML's model store: the same model directory under a Bento's roof.

BentoML copies a model into its store file by file, and takes whatever lies there for whole;
so a copy that was killed would be served and packed for good. Here a model is built in a
store of its own, beside, and renamed into place; what is there is verified first.
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
RIVALS = 8
"""How often another process may come between two renames of ours before we give up."""


def bento_tag(name: str, version: int, digest: str) -> str:
    """The tag of a version in BentoML's model store; the digest keeps rebuilt ones apart."""
    return f"{name}:{version}-{digest[:12]}"


def import_directory(directory: Path, manifest: Manifest, version: int, digest: str) -> str:
    """Copy a verified model directory into BentoML's model store, once; gives its tag.

    A torn model under the tag is replaced. Two processes may do so at once: each puts a
    whole model there, and takes the other's for its own.

    Raises:
        OSError: the store cannot be written.
        Unwritable: BentoML refuses to write it.

    """
    tag = bento_tag(manifest.name, version, digest)
    place = _store() / tag.replace(":", "/")
    if not _is_whole(place, tag, digest):
        _put(directory, place, tag, _labels(manifest, version, digest), digest)
    return tag


def strays() -> list[Path]:
    """What imports that were killed may have left behind; the living ones' work, too."""
    return sorted(_workshop().glob(f"{TEMPORARY_PREFIX}*"))


def _is_whole(place: Path, tag: str, digest: str) -> bool:
    """Whether the stored model is the one with that digest, and BentoML can read it."""
    import bentoml

    try:
        manifest = read_manifest(place / MANIFEST_FILE, digest)
        found = sha256_of_files(place)
        found.pop(MODEL_YAML, None)
        check_files(manifest, found, str(place))
    except (CorruptModel, FileNotFoundError):
        # Torn, or just being replaced by another process.
        return False
    try:
        bentoml.models.get(tag)
    except Exception:  # noqa: BLE001 - a cut model.yaml fails in PyYAML, cattrs or BentoML
        return False
    return True


def _put(directory: Path, place: Path, tag: str, labels: dict[str, str], digest: str) -> None:
    """Build the model beside, and let it take the place of whatever is there."""
    import bentoml
    from bentoml._internal.models import ModelStore
    from bentoml.exceptions import BentoMLException

    beside = temporary_path(_workshop())
    beside.mkdir(parents=True)
    built = beside / place.parent.name / place.name
    try:
        with bentoml.models.create(tag, labels=labels, _model_store=ModelStore(beside)) as model:
            shutil.copytree(directory, model.path, dirs_exist_ok=True)
        for path in (*built.iterdir(), built):
            flush(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(RIVALS, -1, -1):
            _set_aside(place, beside / f"torn-{attempt}")
            if _renamed(built, place, tag, digest, again=attempt > 0):
                break
        (built.parent / "latest").replace(place.parent / "latest")
    except BentoMLException as err:
        raise Unwritable(
            f"{place}: expected BentoML to store the model, got {err}",
            remedy="give the folder to this user, or set BENTOML_HOME to another one",
        ) from err
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _set_aside(torn: Path, aside: Path) -> None:
    try:
        torn.rename(aside)
    except FileNotFoundError:
        # Nothing was there, or another process was quicker.
        return


def _renamed(built: Path, place: Path, tag: str, digest: str, *, again: bool) -> bool:
    """Whether the model is in its place now, put there by us or by another process."""
    try:
        built.rename(place)
    except OSError:
        whole = _is_whole(place, tag, digest)
        if not whole and not again:
            raise
        return whole
    return True


def _store() -> Path:
    from bentoml._internal.configuration.containers import BentoMLContainer

    return Path(BentoMLContainer.model_store_dir.get())


def _workshop() -> Path:
    """BentoML's own folder for what is not finished, on the file system of its store."""
    from bentoml._internal.configuration.containers import BentoMLContainer

    return Path(BentoMLContainer.tmp_bento_store_dir.get())


def _labels(manifest: Manifest, version: int, digest: str) -> dict[str, str]:
    return {"run_id": manifest.run_id, "version": str(version), "digest": digest[:63]}
