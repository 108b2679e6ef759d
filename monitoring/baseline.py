"""The baseline of a version: the verified model directory that its traffic is held against."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NoReturn

from contracts.errors import NotFoundHere, NotRegistered
from contracts.manifest import Manifest, Pointer
from contracts.names import REFERENCE_FILE, SAMPLE_FILE, TAG_DIGEST, Layout
from contracts.reference import CategoryReference, Reference
from monitoring.reference_sample import ReferenceSample
from registry.model_directory import verify
from registry.pull import fetch_version
from registry.store import Store


@dataclass(frozen=True)
class Baseline:
    """A version's manifest, reference and directory.

    `is_served` says whether the version is the one that this machine serves.
    """

    name: str
    version: int
    digest: str
    directory: Path
    manifest: Manifest
    reference: Reference
    is_served: bool = True

    @property
    def gate_metric(self) -> str:
        """The metric by which the gate compares versions, or nothing."""
        return self.manifest.gates[0].metric if self.manifest.gates else ""

    @cached_property
    def sample(self) -> ReferenceSample:
        """The version's held-out rows with their labels and predictions."""
        return ReferenceSample(self.directory / SAMPLE_FILE, self.reference)


def find_baseline(store: Store, layout: Layout, name: str, version: int | None) -> Baseline:
    """The baseline of a version, or of the served one; fetched if it is not on this machine.

    Every file of the directory is hashed. For the number of the served version alone there is
    `served_version`.

    Raises:
        NotRegistered: no such version, or none is served here.
        CorruptModel: the model directory is not what was registered.
        Unwritable: the directory cannot be fetched into `var/`.

    """
    pointer = _pointer(layout, name)
    if version is None:
        served = pointer or _not_served(store, name)
        version, digest = served.version, served.digest
    else:
        digest = store.versions.get(name, version).tags.get(TAG_DIGEST, "")
    directory = layout.model(name, version)
    if not directory.is_dir():
        fetch_version(store, layout, name, version)
    manifest = verify(directory, digest)
    path = directory / REFERENCE_FILE
    reference = Reference.read(path.read_bytes(), str(path))
    is_served = pointer is not None and pointer.version == version
    return Baseline(name, version, digest, directory, manifest, reference, is_served)


def served_version(store: Store, layout: Layout, name: str) -> int:
    """The version of a model that this machine serves, as its pointer file says.

    Raises:
        NotRegistered: there is no such model, or none of it is served here.

    """
    pointer = _pointer(layout, name) or _not_served(store, name)
    return pointer.version


def _pointer(layout: Layout, name: str) -> Pointer | None:
    path = layout.pointer(name)
    return Pointer.read(path.read_bytes(), str(path)) if path.is_file() else None


def _not_served(store: Store, name: str) -> NoReturn:
    store.models.get(name)
    raise NotRegistered(
        f"no production version of {name!r} is served here",
        remedy="slipway pull, or name one: --version",
    )


def select_segments(baseline: Baseline, wanted: Sequence[str] | None) -> tuple[str, ...]:
    """The segment features to break results down by: `wanted`, or those of the manifest.

    Raises:
        NotFoundHere: one is not a categorical feature of the version.

    """
    if wanted is None:
        return baseline.manifest.segments
    known = [
        name
        for name, column in baseline.reference.features.items()
        if isinstance(column, CategoryReference)
    ]
    for name in wanted:
        if name not in known:
            raise NotFoundHere(
                f"segment: expected a category feature of {baseline.name!r} version "
                f"{baseline.version}, got {name!r}",
                remedy=f"one of {', '.join(known)}" if known else "this model has none",
            )
    return tuple(dict.fromkeys(wanted))
