"""Which models are served: pointer, verified directory, warmed session."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contracts.errors import CorruptModel
from contracts.integrity import AGAIN, check_files, trusted_manifest
from contracts.manifest import Manifest, Pointer
from contracts.names import MANIFEST_FILE, MODEL_FILE, Layout
from services.decode import Decoder
from services.session import Session

GOLDEN_MARGIN = 10.0
"""Golden answers may differ by this many times the certificate's tolerance: another processor
rounds otherwise, another model differs by far more."""


_CODE = Path(__file__).resolve().parents[1]
"""The checkout, or the `src` folder of a Bento."""


@dataclass(frozen=True)
class ServedModel:
    """A model that is ready to answer."""

    pointer: Pointer
    manifest: Manifest
    session: Session
    decoder: Decoder


def is_in_bento() -> bool:
    """Whether this code was packed by `bentoml build`, with the models it shall serve."""
    return (_CODE.parent / "bento.yaml").is_file()


def models_layout(var: Path) -> Layout:
    """Where pointers lie: in the Bento itself, wherever it is served, else below `var`."""
    return Layout(_CODE / "var") if is_in_bento() else Layout(var)


def find_pointers(layout: Layout) -> list[Pointer]:
    """The pointers below `var/models`, by name of the model."""
    paths = sorted((layout.var / "models").glob("*/production.json"))
    return [Pointer.read(path.read_bytes(), str(path)) for path in paths]


def find_directory(layout: Layout, pointer: Pointer) -> Path:
    """Where a pointer's model directory lies: in `var/models`, or in BentoML's model store.

    Raises:
        CorruptModel: in neither.

    """
    local = layout.model(pointer.name, pointer.version)
    if local.is_dir():
        return local
    import bentoml
    from bentoml.exceptions import BentoMLException

    try:
        return Path(bentoml.models.get(pointer.bento_tag).path)
    except BentoMLException as err:
        raise CorruptModel(
            f"{pointer.name} version {pointer.version}: expected {local} or the model "
            f"{pointer.bento_tag} in BentoML's store, got neither",
            remedy=AGAIN,
        ) from err


def verified_manifest(directory: Path, pointer: Pointer) -> Manifest:
    """The manifest of a directory of which every byte is what the pointer means.

    Raises:
        CorruptModel: naming the file, what was expected and what came.

    """
    path = directory / MANIFEST_FILE
    if not path.is_file():
        raise CorruptModel(f"{path}: expected a file, got nothing", remedy=AGAIN)
    manifest = trusted_manifest(path.read_bytes(), pointer.digest, str(path))
    # BentoML keeps a note of its own, model.yaml, beside the files of a stored model.
    files = {p.name: p for p in directory.iterdir() if p.name in manifest.files}
    found = {name: hashlib.sha256(p.read_bytes()).hexdigest() for name, p in files.items()}
    check_files(manifest, found, str(directory))
    return manifest


def load(layout: Layout, pointer: Pointer) -> ServedModel:
    """A model, verified, loaded, and warmed with requests whose answers are known.

    Raises:
        CorruptModel: the directory, the graph or an answer is not what was registered.

    """
    directory = find_directory(layout, pointer)
    manifest = verified_manifest(directory, pointer)
    place = directory / MODEL_FILE
    served = ServedModel(
        pointer,
        manifest,
        Session(place.read_bytes(), str(place)),
        Decoder(manifest.schema),
    )
    _check_golden(served, str(directory))
    return served


def _check_golden(served: ServedModel, place: str) -> None:
    manifest = served.manifest
    rows = [served.decoder.exact(golden.features) for golden in manifest.golden]
    matrix = np.array([row.numbers for row in rows], dtype=np.float32)
    expected = np.array([golden.scores for golden in manifest.golden])
    got = served.session.run(matrix)
    scale = 1.0 if manifest.classes else max(float(np.abs(expected).max(initial=0)), 1.0)
    margin = GOLDEN_MARGIN * manifest.certificate.tolerance * scale
    if got.shape != expected.shape or not np.allclose(got, expected, rtol=0, atol=margin):
        worst = int(np.nanargmax(np.abs(got - expected).max(axis=1))) if len(got) else 0
        raise CorruptModel(
            f"{place}: golden request {worst}: expected {expected[worst].tolist()}, "
            f"got {got[worst].tolist()}",
            remedy="it answers otherwise than at training: slipway rollback, or train again",
        )
