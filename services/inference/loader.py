"""From a model directory to a model that is ready: verified, loaded, tested and warm."""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contracts.errors import CorruptModel, InvalidRecipe, PlatformError, first_line, preview
from contracts.integrity import FETCH_AGAIN, check_answers, check_files, trusted_manifest
from contracts.manifest import Manifest, Pointer
from contracts.names import MANIFEST_FILE, MODEL_FILE
from services.faults import Fault
from services.inference.decode import Decoder
from services.inference.external_data import external_file
from services.inference.render import Renderer
from services.inference.rows import Matrix
from services.inference.session import Session

INLINE_BUDGET_S = 0.002
"""The longest time for which one batch may block the event loop."""
MAX_INLINE_ROWS = 4096
TRAIN_AGAIN = "train the version again"


@dataclass(frozen=True)
class ServedModel:
    """A model that is ready to answer.

    `inline_rows`: the most rows that it scores within the inline budget, measured at warm-up.
    """

    pointer: Pointer
    manifest: Manifest
    session: Session
    decoder: Decoder
    renderer: Renderer
    inline_rows: int


def load_manifest(directory: Path, pointer: Pointer) -> Manifest:
    """The manifest of a model directory, which the pointer's digest proves; reads nothing else.

    Raises:
        CorruptModel: naming the file, what was expected and what came.

    """
    path = directory / MANIFEST_FILE
    if not path.is_file():
        raise CorruptModel(f"{path}: expected a file, got nothing", remedy=FETCH_AGAIN)
    return trusted_manifest(path.read_bytes(), pointer.digest, str(path))


def verified_manifest(directory: Path, pointer: Pointer) -> Manifest:
    """The manifest of a model directory in which every byte is what was registered.

    Raises:
        CorruptModel: naming the file, what was expected and what came.

    """
    manifest = load_manifest(directory, pointer)
    # BentoML adds a file of its own, model.yaml, to the models in its store.
    files = {p.name: p for p in directory.iterdir() if p.name in manifest.files}
    found = {name: hashlib.sha256(p.read_bytes()).hexdigest() for name, p in files.items()}
    check_files(manifest, found, str(directory))
    return manifest


def load_model(directory: Path, pointer: Pointer) -> ServedModel:
    """A model, verified, loaded, and warmed with requests whose answers are known.

    Raises:
        CorruptModel: the directory, the graph or an answer is not what was registered.

    """
    manifest = verified_manifest(directory, pointer)
    _check_manifest(manifest, pointer, str(directory / MANIFEST_FILE))
    path = directory / MODEL_FILE
    session = Session(_model_bytes(path), str(path))
    decoder = Decoder(manifest.schema, session.dtype)
    matrix = _golden_matrix(manifest, decoder, str(directory))
    try:
        _check_golden(session, manifest, matrix, str(directory))
        n_inline = inline_rows(session, matrix)
    except PlatformError:
        raise
    except Exception as err:
        # onnxruntime and numpy have classes of their own for what goes wrong in a graph.
        raise CorruptModel(
            f"{path}: expected scores for golden requests, got {first_line(err)}",
            remedy=TRAIN_AGAIN,
        ) from err
    return ServedModel(pointer, manifest, session, decoder, Renderer(pointer, manifest), n_inline)


def _check_manifest(manifest: Manifest, pointer: Pointer, location: str) -> None:
    """Check what a manifest says of itself; the golden requests check what it says of the graph."""
    if manifest.name != pointer.name:
        raise CorruptModel(
            f"{location}: name: expected {pointer.name!r}, got {preview(manifest.name)}",
            remedy=TRAIN_AGAIN,
        )
    check_answers(manifest, location)
    try:
        manifest.schema.check()
    except InvalidRecipe as err:
        raise CorruptModel(f"{location}: {err.what}", remedy=TRAIN_AGAIN) from err


def inline_rows(session: Session, matrix: Matrix) -> int:
    """The most rows like those of `matrix` that fit the inline budget: 0 or a power of two."""
    n_rows = 1
    while n_rows <= MAX_INLINE_ROWS:
        batch = matrix[np.arange(n_rows) % len(matrix)]
        if min(_run_time_s(session, batch) for _ in range(3)) > INLINE_BUDGET_S:
            return n_rows // 2
        n_rows *= 2
    return MAX_INLINE_ROWS


def _model_bytes(path: Path) -> bytes:
    """The graph of a file.

    Raises:
        CorruptModel: there is no file, or its graph refers to other files.

    """
    if not path.is_file():
        raise CorruptModel(f"{path}: expected a file, got nothing", remedy=FETCH_AGAIN)
    model = path.read_bytes()
    outside = external_file(model, path)
    if outside is not None:
        raise CorruptModel(
            f"{path}: expected all of the model's numbers in the file, got some of them in "
            f"{outside!r}",
            remedy="train the version again, without external data",
        )
    return model


def _run_time_s(session: Session, matrix: Matrix) -> float:
    begin = time.perf_counter()
    session.run(matrix)
    return time.perf_counter() - begin


def _golden_matrix(manifest: Manifest, decoder: Decoder, location: str) -> Matrix:
    """The golden requests as the model's input, shape `(n_golden, n_features)`."""
    if not manifest.golden:
        raise CorruptModel(f"{location}: expected golden requests, got none", remedy=FETCH_AGAIN)
    try:
        rows = [decoder.exact(golden.features).numbers[0] for golden in manifest.golden]
    except Fault as fault:
        raise CorruptModel(
            f"{location}: expected golden requests that fit the schema, got {fault.message}",
            remedy=TRAIN_AGAIN,
        ) from fault
    return np.array(rows, dtype=decoder.dtype)


def _check_golden(session: Session, manifest: Manifest, matrix: Matrix, location: str) -> None:
    expected = np.array([golden.scores for golden in manifest.golden])
    got = session.run(matrix)
    if got.shape != expected.shape:
        raise CorruptModel(
            f"{location}: expected scores of shape {expected.shape}, got {got.shape}",
            remedy=TRAIN_AGAIN,
        )
    difference = np.abs(got - expected).max(axis=1)
    # NaN is not within the tolerance either.
    if not (difference <= manifest.golden_tolerance).all():
        worst = int(np.argmax(np.nan_to_num(difference, nan=np.inf)))
        raise CorruptModel(
            f"{location}: golden request {worst}: expected {expected[worst].tolist()}, "
            f"got {got[worst].tolist()}",
            remedy="it answers differently than at training: slipway rollback, or train again",
        )
