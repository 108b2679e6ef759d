"""Production versions become verified model directories, and a pointer names each.

Downloaded beside, verified, renamed into place; the pointer moves last. Whoever reads
`var/models` while this runs, or after it was killed, sees whole directories only.
"""

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from contracts.errors import CorruptModel, NotRegistered, PlatformError, Unwritable
from contracts.manifest import Manifest, Pointer
from contracts.names import MODEL_DIRECTORY, TAG_DIGEST, Layout
from registry.bento import import_directory
from registry.directory import flush, incoming, verify
from registry.production import is_ours, reconcile
from registry.store import Store

TAG_REFUSED = "slipway.refused"


@dataclass(frozen=True)
class PullResult:
    """What is served from now on, what was refused and why, what is served no longer."""

    pulled: tuple[Pointer, ...]
    refused: tuple[str, ...]
    removed: tuple[str, ...]


def pull_all(store: Store, layout: Layout) -> PullResult:
    """Pull the Production version of every model of ours that has one.

    A version that fails verification is refused: its old pointer stays, and the version gets
    the tag `slipway.refused`. Models of others on the same server are left alone.

    Raises:
        NotRegistered: nothing is in production.
        CorruptModel: everything that is in production was refused.

    """
    pulled: list[Pointer] = []
    refused: list[str] = []
    removed: list[str] = []
    for model in store.models():
        version = reconcile(store, model.name) if is_ours(store, model.name) else None
        if version is None:
            removed += _remove_pointer(layout, model.name)
            continue
        try:
            pulled.append(pull_version(store, layout, model.name, version))
        except CorruptModel as err:
            store.set_version_tag(model.name, version, TAG_REFUSED, err.what[:4000])
            refused.append(f"{model.name} version {version}: {err.what}")
    if not pulled and refused:
        raise CorruptModel(refused[0], remedy="slipway rollback, or train the model again")
    if not pulled:
        raise NotRegistered(
            "production: expected a model with the alias 'production', got none",
            remedy="slipway train --all, then slipway promote MODEL",
        )
    return PullResult(tuple(pulled), tuple(refused), tuple(removed))


def pull(store: Store, layout: Layout, name: str) -> Pointer:
    """Pull the Production version of one model.

    Raises:
        NotRegistered: no such model, or no version of it is in production.
        CorruptModel: it is not what was registered.

    """
    version = reconcile(store, name)
    if version is None:
        raise NotRegistered(f"no production version of {name!r}", remedy=f"slipway promote {name}")
    return pull_version(store, layout, name, version)


def pull_version(
    store: Store, layout: Layout, name: str, version: int, *, point: bool = True
) -> Pointer:
    """Bring one version's model directory here, verified, and (unless not) point at it."""
    stored = store.version(name, version)
    digest = stored.tags.get(TAG_DIGEST)
    if digest is None:
        raise CorruptModel(
            f"{name} version {version}: expected the tag {TAG_DIGEST}, got none",
            remedy=f"it was not made by slipway; train it: slipway train {name}",
        )
    directory = layout.model(name, version)
    try:
        manifest = _present(directory, digest) or _fetch(store, stored.run_id, directory, digest)
        tag = import_directory(directory, manifest, version, digest)
        pointer = Pointer(
            name=name,
            version=version,
            run_id=stored.run_id,
            digest=digest,
            bento_tag=tag,
            moved_at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        )
        return _moved(layout.pointer(name), pointer) if point else pointer
    except OSError as err:
        raise Unwritable(
            f"{err.filename or layout.var}: expected a folder to write to, got {err.strerror}",
            remedy="give it to this user, free space, or set SLIPWAY_VAR to another folder",
        ) from err


def _present(directory: Path, digest: str) -> Manifest | None:
    """The manifest of a directory that is there already and whole; a broken one is set aside."""
    if not directory.exists():
        return None
    try:
        return verify(directory, digest)
    except (CorruptModel, FileNotFoundError):
        aside = incoming(directory.parent)
        try:
            directory.rename(aside)
        except FileNotFoundError:
            # Another pull set it aside first.
            return None
        shutil.rmtree(aside)
        return None


def _fetch(store: Store, run_id: str, directory: Path, digest: str) -> Manifest:
    beside = incoming(directory.parent)
    beside.mkdir(parents=True)
    try:
        try:
            downloaded = store.download(run_id, MODEL_DIRECTORY, beside)
        except PlatformError as err:
            raise CorruptModel(
                f"run {run_id}: expected the artifact {MODEL_DIRECTORY}, got {err.what}",
                remedy="slipway doctor",
            ) from err
        manifest = verify(downloaded, digest)
        for path in (*downloaded.iterdir(), downloaded):
            flush(path)
        _rename(downloaded, directory, digest)
        return manifest
    finally:
        shutil.rmtree(beside, ignore_errors=True)


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


def _moved(path: Path, pointer: Pointer) -> Pointer:
    """Move the pointer, unless it says the same already."""
    if path.is_file():
        there = Pointer.read(path.read_bytes(), str(path))
        if (there.version, there.digest, there.bento_tag) == (
            pointer.version,
            pointer.digest,
            pointer.bento_tag,
        ):
            return there
    beside = incoming(path.parent)
    beside.write_bytes(pointer.write_pretty())
    flush(beside)
    beside.replace(path)
    return pointer


def _remove_pointer(layout: Layout, name: str) -> list[str]:
    path = layout.pointer(name)
    if not path.is_file():
        return []
    path.unlink()
    return [name]
