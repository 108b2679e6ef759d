"""BentoML's model store: model directories are copied into it, to be packed into a Bento.

BentoML copies a model into its store file by file, and trusts whatever it finds there. So a
copy that was killed would be served and packed forever. Here a model is built in a temporary
store and renamed into place, and what is in the store already is verified first.
"""

import inspect
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from contracts.errors import CorruptModel, Unwritable
from contracts.files import TEMPORARY_PREFIX, flush, temporary_path
from contracts.integrity import check_files
from contracts.manifest import Manifest
from contracts.names import MANIFEST_FILE
from registry.model_directory import read_manifest, sha256_of_files

logger = logging.getLogger("slipway.registry")

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
    labels = {"run_id": manifest.run_id, "version": str(version), "digest": digest[:63]}
    internals = _internals()
    if internals is None:
        _import_publicly(directory, tag, labels, digest)
        return tag
    path = internals.store / tag.replace(":", "/")
    if not _is_intact(path, tag, digest):
        _build(internals, directory, path, tag, labels, digest)
    return tag


def leftovers() -> list[Path]:
    """Temporary folders of imports: of those that were killed, and of those still running."""
    internals = _internals()
    if internals is None:
        return []
    return sorted(internals.temporary.glob(f"{TEMPORARY_PREFIX}*"))


@dataclass(frozen=True)
class _Internals:
    """What we need of BentoML's private modules.

    `temporary` is its own folder for unfinished work, on the file system of `store`;
    `open_store` opens a model store in a folder.
    """

    store: Path
    temporary: Path
    open_store: Callable[[Path], object]


@lru_cache
def _warn_once(reason: str) -> None:
    logger.warning("a kill may now leave a damaged model in BentoML's store: %s", reason)


def _internals() -> _Internals | None:
    """BentoML's private parts; None, with one warning, in a version that has moved them."""
    import bentoml

    if "_model_store" not in inspect.signature(bentoml.models.create).parameters:
        _warn_once("bentoml.models.create has no _model_store")
        return None
    try:
        from bentoml._internal.configuration.containers import BentoMLContainer
        from bentoml._internal.models import ModelStore

        return _Internals(
            store=Path(BentoMLContainer.model_store_dir.get()),
            temporary=Path(BentoMLContainer.tmp_bento_store_dir.get()),
            open_store=ModelStore,
        )
    except (ImportError, AttributeError) as err:
        _warn_once(str(err))
        return None


def _import_publicly(directory: Path, tag: str, labels: dict[str, str], digest: str) -> None:
    """Import with BentoML's public functions; one that is killed leaves a damaged model."""
    import bentoml
    from bentoml.exceptions import BentoMLException, NotFound

    try:
        try:
            path = Path(bentoml.models.get(tag).path)
        except NotFound:
            path = None
        if path is not None and _is_intact(path, tag, digest):
            return
        if path is not None:
            bentoml.models.delete(tag)
        with bentoml.models.create(tag, labels=labels) as model:
            shutil.copytree(directory, model.path, dirs_exist_ok=True)
    except BentoMLException as err:
        raise _refused(tag, err) from err


def _refused(target: str | Path, err: Exception) -> Unwritable:
    return Unwritable(
        f"{target}: expected BentoML to store the model, got {err}",
        remedy="give the folder to this user, or set BENTOML_HOME to a different one",
    )


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


def _build(
    internals: _Internals,
    directory: Path,
    path: Path,
    tag: str,
    labels: dict[str, str],
    digest: str,
) -> None:
    """Build the model in a temporary store, and rename it to `path`, replacing what is there."""
    import bentoml
    from bentoml.exceptions import BentoMLException

    temporary = temporary_path(internals.temporary)
    temporary.mkdir(parents=True)
    built = temporary / path.parent.name / path.name
    try:
        store = internals.open_store(temporary)
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
        raise _refused(path, err) from err
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
