"""Bring production versions to this machine as verified model directories, and point at them.

A version is downloaded to a temporary folder, verified, and renamed into place; the pointer
moves last. A process that reads `var/models` while this runs, or after it was killed, sees
complete directories only.
"""

import logging
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from contracts.errors import (
    CorruptModel,
    NothingInProduction,
    NotRegistered,
    PlatformError,
    RegistryUnreachable,
    Unwritable,
    preview,
)
from contracts.files import flush, make_folder, temporary_path, unwritable
from contracts.integrity import check_answers
from contracts.manifest import Manifest, Pointer
from contracts.names import MODEL_DIRECTORY, PRODUCTION, TAG_DIGEST, Layout
from contracts.printable import printable
from contracts.pull import PullResult
from contracts.times import utc_text
from registry.bento_store import import_directory
from registry.mlflow_store.versions import StoredVersion
from registry.model_directory import verify
from registry.pointers import read_pointer, remove_pointer, same_target, write_pointer
from registry.production import is_managed, reconcile
from registry.refusals import refuse, take_back
from registry.signing import require_signature
from registry.store import Store
from registry.trial import VersionTrial

logger = logging.getLogger("slipway.registry")


def pull_all(store: Store, layout: Layout, trial: VersionTrial | None = None) -> PullResult:
    """Pull the production version of every model of ours, if it passes the `trial`.

    A version that fails is refused (`registry.refusals`): the old pointer stays. Versions that
    were refused before are tried again. The old pointer also stays where the artifact store
    does not answer. Models of others on the same server are left alone.

    Raises:
        NothingInProduction: no model has a production version.
        CorruptModel: everything that is in production was refused.
        RegistryUnreachable: the tracking server, or every artifact store, does not answer.
        Unwritable: a disk of this machine is full, or a folder belongs to another user.

    """
    pulled: list[Pointer] = []
    failures: list[_Failure] = []
    removed: list[str] = []
    for model in store.models.all():
        found = _pull_model(store, layout, model.name, trial)
        if isinstance(found, Pointer):
            pulled.append(found)
        elif found is not None:
            failures.append(found)
        elif remove_pointer(layout, model.name):
            removed.append(model.name)
    refused = tuple(failure.sentence for failure in failures)
    if not pulled and failures:
        raise _total_failure(failures[0].error, refused[0])
    if not pulled:
        raise NothingInProduction(
            "production: expected a model with the alias 'production', got none",
            remedy="slipway train --all, then slipway promote MODEL",
        )
    return PullResult(pulled=tuple(pulled), refused=refused, removed=tuple(removed))


@dataclass(frozen=True)
class _Failure:
    """Why a model was not pulled: in a sentence that names it, and as an error."""

    sentence: str
    error: PlatformError


def _pull_model(
    store: Store, layout: Layout, name: str, trial: VersionTrial | None
) -> Pointer | _Failure | None:
    """The pointer to a model's production version, None if it has none, or why it is not pulled.

    What concerns every model is raised: a server that does not answer, a folder that cannot be
    written.
    """
    version = None
    try:
        version = reconcile(store, name) if is_managed(store, name) else None
        return None if version is None else install_version(store, layout, name, version, trial)
    except Unwritable:
        raise
    except PlatformError as err:
        if version is None and isinstance(err, RegistryUnreachable):
            raise
        # Only wrong bytes are the version's fault; a store that is away may come back.
        if isinstance(err, CorruptModel) and version is not None:
            refuse(store, layout, name, PRODUCTION, version, err)
        error = err
    except Exception as err:
        # However one model is odd, the others are pulled.
        logger.exception("pull: %s: an unexpected error", printable(name))
        error = PlatformError(repr(err))
    return _Failure(printable(f"{name} version {version}: {error.what}"), error)


def _total_failure(first: PlatformError, what: str) -> PlatformError:
    if isinstance(first, CorruptModel):
        return CorruptModel(what, remedy="slipway rollback, or train the model again")
    kind = RegistryUnreachable if isinstance(first, RegistryUnreachable) else PlatformError
    return kind(what, remedy=first.remedy)


def pull(store: Store, layout: Layout, name: str) -> Pointer:
    """Pull the production version of one model, without a trial.

    Raises:
        NotRegistered: no such model, or no version of it is in production.
        CorruptModel: the version is not what was registered.
        RegistryUnreachable: the tracking server or its artifact store does not answer.
        Unwritable: a disk of this machine is full, or a folder belongs to another user.

    """
    version = reconcile(store, name)
    if version is None:
        raise NotRegistered(f"no production version of {name!r}", remedy=f"slipway promote {name}")
    return write_pointer(layout, fetch_version(store, layout, name, version))


def install_version(
    store: Store, layout: Layout, name: str, version: int, trial: VersionTrial | None = None
) -> Pointer:
    """Fetch a version, try it, and point at it as production; an earlier refusal ends.

    Raises:
        CorruptModel: the version is not what was registered, or does not pass the trial.
        RegistryUnreachable: the tracking server or its artifact store does not answer.
        Unwritable: a disk of this machine is full, or a folder belongs to another user.

    """
    pointer = fetch_version(store, layout, name, version)
    if trial is not None and not same_target(read_pointer(layout, name), pointer):
        trial(layout, pointer)
    installed = write_pointer(layout, pointer)
    take_back(store, layout, name, PRODUCTION, version)
    return installed


def fetch_version(store: Store, layout: Layout, name: str, version: int) -> Pointer:
    """Bring a version's model directory here, verified; returns the pointer to it, unwritten.

    Raises:
        NotRegistered: no such model or version.
        CorruptModel: the version is not what was registered.
        RegistryUnreachable: the tracking server or its artifact store does not answer.
        Unwritable: a disk of this machine is full, or a folder belongs to another user.

    """
    stored = store.versions.get(name, version)
    if not stored.digest:
        raise CorruptModel(
            f"{name} version {version}: expected the tag {TAG_DIGEST}, got none",
            remedy=f"slipway did not make this version; train one: slipway train {name}",
        )
    require_signature(store, stored)
    directory = layout.model(name, version)
    try:
        manifest = _present(directory, stored.digest) or _download(store, stored, directory)
        if manifest.name != name:
            raise CorruptModel(
                f"{name} version {version}: expected a manifest of {name!r}, "
                f"got one of {preview(manifest.name)}",
                remedy=f"train a version under this name: slipway train {name}",
            )
        check_answers(manifest, f"{name} version {version}")
        tag = import_directory(directory, manifest, version, stored.digest)
    except OSError as err:
        # Errors of a whole copied tree come as a list, without a file name or number.
        path = Path(os.fsdecode(err.filename or layout.var))
        raise unwritable(path, err) from err
    return Pointer(
        name=name,
        version=version,
        run_id=stored.run_id,
        digest=stored.digest,
        bento_tag=tag,
        moved_at=utc_text(datetime.now(UTC), "seconds"),
    )


def _present(directory: Path, digest: str) -> Manifest | None:
    """The manifest of a directory that is here and intact; a damaged directory is deleted."""
    if not directory.exists():
        return None
    try:
        return verify(directory, digest)
    except (CorruptModel, FileNotFoundError):
        # Renamed first, so that nobody sees half of it.
        damaged = temporary_path(directory.parent)
        try:
            directory.rename(damaged)
        except FileNotFoundError:
            # Another pull moved it first.
            return None
        shutil.rmtree(damaged)
        return None


def _download(store: Store, stored: StoredVersion, directory: Path) -> Manifest:
    """Download to a temporary folder, verify, rename."""
    _check_size(store, stored)
    temporary = temporary_path(directory.parent)
    make_folder(temporary)
    try:
        try:
            downloaded = store.artifacts.download(stored.run_id, MODEL_DIRECTORY, temporary)
        except NotRegistered as err:
            raise CorruptModel(err.what, remedy=err.remedy) from err
        manifest = verify(downloaded, stored.digest)
        for path in (*downloaded.iterdir(), downloaded):
            flush(path)
        _rename_into_place(downloaded, directory, stored.digest)
        return manifest
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _check_size(store: Store, stored: StoredVersion) -> None:
    """Refuse what is too large before it is downloaded; a folder inside may have any size."""
    sizes = store.artifacts.sizes_bytes(stored.run_id, MODEL_DIRECTORY)
    version = f"{stored.name} version {stored.version}"
    folders = sorted(path for path, size in sizes.items() if size is None)
    if folders:
        raise CorruptModel(
            f"{version}: expected a model directory of files, got the folder {preview(folders[0])}",
            remedy=f"train the version again: slipway train {stored.name}",
        )
    size = sum(size for size in sizes.values() if size is not None)
    if size > store.max_model_bytes:
        raise CorruptModel(
            f"{version}: expected a model directory of at most "
            f"{store.max_model_bytes} bytes, got {size}",
            remedy="train a smaller model, or raise SLIPWAY_REGISTRY_MODEL_BYTES",
        )


def _rename_into_place(source: Path, directory: Path, digest: str) -> None:
    try:
        source.rename(directory)
    except OSError as err:
        # If another pull was faster, it left the same directory. If not, the disk is at fault,
        # and not the version.
        try:
            verify(directory, digest)
        except CorruptModel:
            raise err from None
