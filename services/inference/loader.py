"""Which models are served: pointer, verified directory, warmed session."""

import hashlib
import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from contracts.documents import Document
from contracts.errors import CorruptModel, InvalidDocument, PlatformError
from contracts.integrity import FETCH_AGAIN, check_files, trusted_manifest
from contracts.manifest import Manifest, Pointer
from contracts.names import MANIFEST_FILE, MODEL_FILE, PRODUCTION, Layout
from contracts.split import TrafficSplit
from services.faults import Fault
from services.inference.decode import Decoder
from services.inference.external_data import external_file
from services.inference.session import Session, first_line
from services.settings import ServiceSettings

D = TypeVar("D", bound=Document)

logger = logging.getLogger("bentoml.slipway")

INLINE_BUDGET_S = 0.002
"""So long the event loop may stand still for one batch; nobody notices."""
MAX_INLINE_ROWS = 4096


_CODE = Path(__file__).resolve().parents[2]
"""The checkout, or the `src` folder of a Bento."""


@dataclass(frozen=True)
class ServedModel:
    """A model that is ready to answer.

    `inline_rows`: as many rows it scores in a moment, as measured when it was warmed.
    """

    pointer: Pointer
    manifest: Manifest
    session: Session
    decoder: Decoder
    inline_rows: int


def is_in_bento() -> bool:
    """Whether this code was packed by `bentoml build`, with the models it shall serve."""
    return (_CODE.parent / "bento.yaml").is_file()


def models_layout(settings: ServiceSettings) -> Layout:
    """Where pointers lie: below `var`; for a Bento that does not follow, in the Bento itself."""
    frozen = is_in_bento() and settings.follow != "on"
    return Layout(_CODE / "var") if frozen else Layout(settings.var)


def find_pointers(layout: Layout) -> list[Pointer]:
    """The pointers to production below `var/models`, by name of the model.

    Raises:
        InvalidDocument: one cannot be read.

    """
    return [Pointer.read(data, place) for data, place in _files(layout, f"{PRODUCTION}.json")]


def find_role_pointers(layout: Layout, role: str) -> list[Pointer]:
    """The pointers of another role; one that cannot be read is told, and disturbs nobody."""
    return list(_readable(Pointer, layout, f"{role}.json"))


def find_splits(layout: Layout) -> dict[str, TrafficSplit]:
    """How the requests of models are divided, by name of the model; the same."""
    return {split.model: split for split in _readable(TrafficSplit, layout, "split.json")}


def _readable(kind: type[D], layout: Layout, name: str) -> Iterator[D]:
    for data, place in _files(layout, name):
        try:
            yield kind.read(data, place)
        except InvalidDocument as err:
            logger.error("%s; it is as if it were not there", err.what)  # noqa: TRY400 - the place is in the text


def _files(layout: Layout, name: str) -> Iterator[tuple[bytes, str]]:
    """What stands in the files of that name, and where; one that goes meanwhile is not there."""
    for path in sorted(layout.all_models.glob(f"*/{name}")):
        with suppress(FileNotFoundError):
            yield path.read_bytes(), str(path)


def find_directory(layout: Layout, pointer: Pointer) -> Path:
    """Where a pointer's model directory lies: in `var/models`, or in BentoML's model store.

    Raises:
        CorruptModel: in neither.

    """
    local = layout.model(pointer.name, pointer.version)
    if local.is_dir():
        return local
    from services.inference.bento_store import stored_path

    stored = stored_path(pointer)
    if stored is None:
        raise CorruptModel(
            f"{pointer.name} version {pointer.version}: expected {local} or the model "
            f"{pointer.bento_tag} in BentoML's store, got neither",
            remedy=FETCH_AGAIN,
        )
    return stored


def verified_manifest(directory: Path, pointer: Pointer) -> Manifest:
    """The manifest of a directory of which every byte is what the pointer means.

    Raises:
        CorruptModel: naming the file, what was expected and what came.

    """
    path = directory / MANIFEST_FILE
    if not path.is_file():
        raise CorruptModel(f"{path}: expected a file, got nothing", remedy=FETCH_AGAIN)
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
    session = Session(_model_bytes(place), str(place))
    decoder = Decoder(manifest.schema)
    matrix = _golden_matrix(manifest, decoder, str(directory))
    try:
        _check_golden(session, manifest, matrix, str(directory))
        return ServedModel(pointer, manifest, session, decoder, inline_rows(session, matrix))
    except PlatformError:
        raise
    except Exception as err:
        # What a graph does wrong when it runs, onnxruntime and numpy tell in classes of their own.
        raise CorruptModel(
            f"{place}: expected scores for golden requests, got {first_line(err)}",
            remedy="train the version again",
        ) from err


def _model_bytes(place: Path) -> bytes:
    """The graph, if it holds all of itself.

    Raises:
        CorruptModel: there is no file, or it names files beside it.

    """
    if not place.is_file():
        raise CorruptModel(f"{place}: expected a file, got nothing", remedy=FETCH_AGAIN)
    model = place.read_bytes()
    outside = external_file(model, place)
    if outside is not None:
        raise CorruptModel(
            f"{place}: expected all of the model's numbers in the file, got some of them in "
            f"{outside!r}",
            remedy="train the version again, without external data",
        )
    return model


def inline_rows(session: Session, matrix: NDArray[np.float32]) -> int:
    """The most rows like those of `matrix` that are scored in a moment, in powers of two."""
    n_rows = 1
    while n_rows <= MAX_INLINE_ROWS:
        batch = np.resize(matrix, (n_rows, matrix.shape[1]))
        if min(_timed(session, batch) for _ in range(3)) > INLINE_BUDGET_S:
            return n_rows // 2
        n_rows *= 2
    return MAX_INLINE_ROWS


def _timed(session: Session, matrix: NDArray[np.float32]) -> float:
    begin = time.perf_counter()
    session.run(matrix)
    return time.perf_counter() - begin


def _golden_matrix(manifest: Manifest, decoder: Decoder, place: str) -> NDArray[np.float32]:
    """The golden requests as the model's input, shape `(n_golden, n_features)`."""
    if not manifest.golden:
        raise CorruptModel(f"{place}: expected golden requests, got none", remedy=FETCH_AGAIN)
    try:
        rows = [decoder.exact(golden.features).numbers[0] for golden in manifest.golden]
    except Fault as fault:
        raise CorruptModel(
            f"{place}: expected golden requests that fit the schema, got {fault.message}",
            remedy="train the version again",
        ) from fault
    return np.array(rows, dtype=np.float32)


def _check_golden(
    session: Session, manifest: Manifest, matrix: NDArray[np.float32], place: str
) -> None:
    expected = np.array([golden.scores for golden in manifest.golden])
    got = session.run(matrix)
    if got.shape != expected.shape:
        raise CorruptModel(
            f"{place}: expected scores of shape {expected.shape}, got {got.shape}",
            remedy="train the version again",
        )
    difference = np.abs(got - expected).max(axis=1)
    # NaN is not within the tolerance either.
    if not (difference <= manifest.golden_tolerance).all():
        worst = int(np.argmax(np.nan_to_num(difference, nan=np.inf)))
        raise CorruptModel(
            f"{place}: golden request {worst}: expected {expected[worst].tolist()}, "
            f"got {got[worst].tolist()}",
            remedy="it answers otherwise than at training: slipway rollback, or train again",
        )
