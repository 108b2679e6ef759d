"""Production versions become verified model directories, and a pointer names each.

Downloaded beside, verified, renamed into place; the pointer moves last. Whoever reads
`var/models` while this runs, or after it was killed, sees whole directories only.
"""

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from contracts.errors import (
    CorruptModel,
    InvalidDocument,
    NotRegistered,
    PlatformError,
    RegistryUnreachable,
)
from contracts.files import flush, temporary_path, unwritable, write_whole
from contracts.manifest import Manifest, Pointer, Refusal
from contracts.names import MODEL_DIRECTORY, PRODUCTION, TAG_DIGEST, Layout
from contracts.pull import PullResult
from registry.bento_store import import_directory
from registry.mlflow_store.versions import StoredVersion
from registry.model_directory import verify
from registry.production import is_ours, reconcile
from registry.store import Store
from registry.trial import Trial

TAG_REFUSED = "slipway.refused"
REASON = 4000
"""So many characters of a reason are kept: MLflow takes no more than 5000 in a tag."""


def pull_all(store: Store, layout: Layout, trial: Trial | None = None) -> PullResult:
    """Pull the Production version of every model of ours that has one, if `trial` lets it pass.

    A version that fails verification is refused: its old pointer stays, and the version gets
    the tag `slipway.refused` until it verifies. Where its artifact store is away, the old
    pointer stays, too. Models of others on the same server are left alone.

    Raises:
        NotRegistered: nothing is in production.
        CorruptModel: everything that is in production was refused.
        RegistryUnreachable: the tracking server, or every artifact store, does not answer.
        Unwritable: a disk of this machine is full, or a folder is someone else's.

    """
    pulled: list[Pointer] = []
    failures: list[PlatformError] = []
    refused: list[str] = []
    removed: list[str] = []
    for model in store.models.all():
        version = reconcile(store, model.name) if is_ours(store, model.name) else None
        if version is None:
            removed += remove_pointer(layout, model.name)
            continue
        try:
            pulled.append(bring(store, layout, model.name, version, trial))
        except (CorruptModel, RegistryUnreachable) as err:
            # Only bytes that are wrong brand a version; a store that is away may come back.
            if isinstance(err, CorruptModel):
                refuse(store, layout, model.name, version, err)
            refused.append(f"{model.name} version {version}: {err.what}")
            failures.append(err)
    if not pulled and failures:
        raise _of_all(failures[0], refused[0])
    if not pulled:
        raise NotRegistered(
            "production: expected a model with the alias 'production', got none",
            remedy="slipway train --all, then slipway promote MODEL",
        )
    return PullResult(pulled=tuple(pulled), refused=tuple(refused), removed=tuple(removed))


def _of_all(failure: PlatformError, told: str) -> PlatformError:
    if isinstance(failure, CorruptModel):
        return CorruptModel(told, remedy="slipway rollback, or train the model again")
    return RegistryUnreachable(told, remedy=failure.remedy)


def pull(store: Store, layout: Layout, name: str) -> Pointer:
    """Pull the Production version of one model.

    Raises:
        NotRegistered: no such model, or no version of it is in production.
        CorruptModel: it is not what was registered.
        RegistryUnreachable: the tracking server or its artifact store does not answer.
        Unwritable: a disk of this machine is full, or a folder is someone else's.

    """
    version = reconcile(store, name)
    if version is None:
        raise NotRegistered(f"no production version of {name!r}", remedy=f"slipway promote {name}")
    return pull_version(store, layout, name, version)


def bring(
    store: Store,
    layout: Layout,
    name: str,
    version: int,
    trial: Trial | None = None,
    alias: str = PRODUCTION,
) -> Pointer:
    """Bring one version here, let it be tried, and point at it.

    Raises:
        The errors of `pull`.

    """
    pointer = replace(pull_version(store, layout, name, version, point=False), alias=alias)
    if trial is not None and not _says_the_same(pointer_of(layout, name, alias), pointer):
        trial(layout, pointer)
    try:
        moved = _moved(layout, pointer)
        layout.refusal(name).unlink(missing_ok=True)
    except OSError as err:
        raise unwritable(layout.pointer(name, alias), err) from err
    return moved


def refuse(store: Store, layout: Layout, name: str, version: int, err: PlatformError) -> None:
    """Tell the service and the registry that a version was refused, and why.

    Raises:
        RegistryUnreachable: the tracking server does not answer; the service is told.
        Unwritable: a disk of this machine is full, or a folder is someone else's.

    """
    told = Refusal(name=name, version=version, reason=err.what[:REASON], refused_at=_now())
    path = layout.refusal(name)
    write_whole(path, told.write_pretty())
    store.versions.set_tag(name, version, TAG_REFUSED, told.reason)


def pointer_of(layout: Layout, name: str, alias: str = PRODUCTION) -> Pointer | None:
    """What is pointed at here; None for nothing, or for what cannot be read."""
    path = layout.pointer(name, alias)
    try:
        return Pointer.read(path.read_bytes(), str(path))
    except (FileNotFoundError, InvalidDocument):
        return None


def pull_version(
    store: Store, layout: Layout, name: str, version: int, *, point: bool = True
) -> Pointer:
    """Bring one version's model directory here, verified, and (unless not) point at it.

    Raises:
        The errors of `pull`.

    """
    stored = store.versions.get(name, version)
    digest = stored.tags.get(TAG_DIGEST)
    if digest is None:
        raise CorruptModel(
            f"{name} version {version}: expected the tag {TAG_DIGEST}, got none",
            remedy=f"it was not made by slipway; train it: slipway train {name}",
        )
    directory = layout.model(name, version)
    try:
        manifest = _present(directory, digest) or _fetch(store, stored, directory, digest)
        tag = import_directory(directory, manifest, version, digest)
        pointer = Pointer(
            name=name,
            version=version,
            run_id=stored.run_id,
            digest=digest,
            bento_tag=tag,
            moved_at=_now(),
        )
        return _moved(layout, pointer) if point else pointer
    except OSError as err:
        # The errors of a whole copied tree come as a list, without a name or a number.
        place = Path(os.fsdecode(err.filename or layout.var))
        raise unwritable(place, err) from err


def _present(directory: Path, digest: str) -> Manifest | None:
    """The manifest of a directory that is there already and whole; a broken one is set aside."""
    if not directory.exists():
        return None
    try:
        return verify(directory, digest)
    except (CorruptModel, FileNotFoundError):
        aside = temporary_path(directory.parent)
        try:
            directory.rename(aside)
        except FileNotFoundError:
            # Another pull set it aside first.
            return None
        shutil.rmtree(aside)
        return None


def _fetch(store: Store, stored: StoredVersion, directory: Path, digest: str) -> Manifest:
    """Download beside, verify, rename; what was refused before is so no longer."""
    _check_size(store, stored)
    beside = temporary_path(directory.parent)
    beside.mkdir(parents=True)
    try:
        try:
            downloaded = store.artifacts.download(stored.run_id, MODEL_DIRECTORY, beside)
        except NotRegistered as err:
            raise CorruptModel(err.what, remedy=err.remedy) from err
        manifest = verify(downloaded, digest)
        if TAG_REFUSED in stored.tags:
            store.versions.delete_tag(stored.name, stored.version, TAG_REFUSED)
        for path in (*downloaded.iterdir(), downloaded):
            flush(path)
        _rename(downloaded, directory, digest)
        return manifest
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _check_size(store: Store, stored: StoredVersion) -> None:
    size = store.artifacts.size_bytes(stored.run_id, MODEL_DIRECTORY)
    if size > store.max_model_bytes:
        raise CorruptModel(
            f"{stored.name} version {stored.version}: expected a model directory of at most "
            f"{store.max_model_bytes} bytes, got {size}",
            remedy="train a smaller model, or raise SLIPWAY_REGISTRY_MODEL_BYTES",
        )


def _rename(source: Path, directory: Path, digest: str) -> None:
    try:
        source.rename(directory)
    except OSError as err:
        # Another pull was quicker, and left the same directory; else the disk is at fault,
        # not the version.
        try:
            verify(directory, digest)
        except CorruptModel:
            raise err from None


def _moved(layout: Layout, pointer: Pointer) -> Pointer:
    """Move the pointer, unless it says the same already."""
    there = pointer_of(layout, pointer.name, pointer.alias)
    if there is not None and _says_the_same(there, pointer):
        return there
    write_whole(layout.pointer(pointer.name, pointer.alias), pointer.write_pretty())
    return pointer


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _says_the_same(there: Pointer | None, pointer: Pointer) -> bool:
    return there is not None and (there.version, there.digest, there.bento_tag) == (
        pointer.version,
        pointer.digest,
        pointer.bento_tag,
    )


def remove_pointer(layout: Layout, name: str, alias: str = PRODUCTION) -> list[str]:
    """Point at no version of a model any more; gives its name if one was pointed at."""
    path = layout.pointer(name, alias)
    if not path.is_file():
        return []
    path.unlink()
    return [name]
