"""From a model directory to a model that is ready: verified, loaded, tested and warm."""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contracts.errors import CorruptModel, InvalidRecipe, PlatformError, first_line, preview
from contracts.integrity import FETCH_AGAIN, check_answers, check_files, trusted_manifest
from contracts.manifest import Manifest, Pointer
from contracts.names import MANIFEST_FILE
from contracts.onnx_session import FLOAT64
from contracts.schema import FLOAT32_MAX, Feature, Schema, Value
from contracts.scoring import load_request
from contracts.timestamps import timestamp_text
from services.faults import Fault
from services.inference.decode import Decoder
from services.inference.render import Renderer
from services.inference.rows import Matrix, Rows, join_rows, model_input
from services.inference.runtimes import open_runtime
from services.inference.scores import ModelRuntime
from services.scoring_process.pool import ScoringPool
from services.scoring_process.process import ScoringLimits
from services.scoring_process.requirements import check_requirements

DEFAULT_LIMITS = ScoringLimits()
UNSEEN = "\0unseen"
"""A category that no schema has."""
INLINE_BUDGET_S = 0.002
"""The longest time for which one batch may block the event loop."""
MAX_INLINE_ROWS = 4096
TRAIN_AGAIN = "train the version again"


@dataclass(frozen=True)
class ServedModel:
    """A model that is ready to answer.

    `session` scores it, in this process or in others. `inline_rows`: the most rows that it
    scores within the inline budget, measured at warm-up; 0 for a model in other processes.
    `concurrency`: how many batches it scores at the same time.
    """

    pointer: Pointer
    manifest: Manifest
    session: ModelRuntime
    decoder: Decoder
    renderer: Renderer
    inline_rows: int
    concurrency: int = 1

    @property
    def pool(self) -> ScoringPool | None:
        """The scoring processes of the model; None if this process scores it."""
        return self.session if isinstance(self.session, ScoringPool) else None


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


def load_model(
    directory: Path, pointer: Pointer, limits: ScoringLimits = DEFAULT_LIMITS
) -> ServedModel:
    """A model, verified, loaded, and warmed with requests whose answers are known.

    `limits` are those of its scoring processes, if it needs any. Close its `session` at the end.

    Raises:
        CorruptModel: the directory, the graph or an answer is not what was registered.

    """
    manifest = verified_manifest(directory, pointer)
    _check_manifest(manifest, pointer, str(directory / MANIFEST_FILE))
    session = open_runtime(directory, manifest, limits)
    try:
        decoder = Decoder(manifest.schema, FLOAT64 if session.dtype is None else session.dtype)
        golden = _golden_rows(manifest, decoder, str(directory))
        _check_golden(session, manifest, golden, str(directory))
        is_here = not isinstance(session, ScoringPool)
        return ServedModel(
            pointer,
            manifest,
            session,
            decoder,
            Renderer(pointer, manifest),
            inline_rows(session, _warm_up(session, golden, decoder, manifest.schema))
            if is_here
            else 0,
            1 if is_here else limits.n_processes,
        )
    except PlatformError:
        session.close()
        raise
    except Exception as err:
        session.close()
        # onnxruntime and numpy have classes of their own for what goes wrong in a graph.
        raise CorruptModel(
            f"{directory}: expected scores for golden requests, got {first_line(err)}",
            remedy=TRAIN_AGAIN,
        ) from err


def check_model(directory: Path, pointer: Pointer) -> None:
    """Load a model once and release it, to know whether it can be served.

    Of a fitted pipeline only files and libraries are checked: its process takes seconds to start,
    and each worker starts its own.

    Raises:
        CorruptModel: as `load_model`.

    """
    manifest = verified_manifest(directory, pointer)
    if manifest.runtime == "sklearn":
        _check_manifest(manifest, pointer, str(directory / MANIFEST_FILE))
        check_requirements(load_request(manifest, directory))
        return
    load_model(directory, pointer).session.close()


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


def inline_rows(session: ModelRuntime, matrix: Matrix) -> int:
    """The most rows like those of `matrix` that fit the inline budget: 0 or a power of two."""
    n_rows = 1
    while n_rows <= MAX_INLINE_ROWS:
        batch = matrix[np.arange(n_rows) % len(matrix)]
        if min(_run_time_s(session, batch) for _ in range(3)) > INLINE_BUDGET_S:
            return n_rows // 2
        n_rows *= 2
    return MAX_INLINE_ROWS


def _warm_up(session: ModelRuntime, golden: Rows, decoder: Decoder, schema: Schema) -> Matrix:
    """The golden requests, and the ends of the input range as far as the model scores them.

    Shape `(n_rows, n_features)`.
    """
    numbers = np.asarray(golden.numbers, dtype=decoder.dtype)
    ends = schema.matrix(_boundary_rows(schema), decoder.dtype)
    scored = [_is_scored(session, ends[end : end + 1]) for end in range(len(ends))]
    return np.concatenate([numbers, ends[scored]])


def _is_scored(session: ModelRuntime, matrix: Matrix) -> bool:
    try:
        session.run(matrix)
    except Exception:  # noqa: BLE001 - a model may refuse what no training row had
        return False
    return True


def _boundary_rows(schema: Schema) -> list[dict[str, Value]]:
    """Rows at the ends of what the schema allows: lowest, highest, missing, unseen."""
    return [{f.name: _ends(f)[end] for f in schema.features} for end in range(4)]


def _ends(feature: Feature) -> tuple[Value, Value, Value, Value]:
    """The lowest and the highest value of a feature, and one that is missing or unseen, if any."""
    low: Value
    high: Value
    if feature.is_category:
        low, high = feature.categories[0], feature.categories[-1]
    elif feature.is_timestamp:
        low, high = timestamp_text(feature.low), timestamp_text(feature.high)
    elif feature.type == "bool":
        low, high = False, True
    elif feature.policy == "flag":
        low, high = -FLOAT32_MAX, FLOAT32_MAX
    else:
        low, high = feature.low, feature.high
    unseen = UNSEEN if feature.is_category and feature.policy != "reject" else high
    return low, high, None if feature.nullable else low, unseen


def _run_time_s(session: ModelRuntime, matrix: Matrix) -> float:
    begin = time.perf_counter()
    session.run(matrix)
    return time.perf_counter() - begin


def _golden_rows(manifest: Manifest, decoder: Decoder, location: str) -> Rows:
    """The golden requests, decoded."""
    if not manifest.golden:
        raise CorruptModel(f"{location}: expected golden requests, got none", remedy=FETCH_AGAIN)
    try:
        return join_rows([decoder.exact(golden.features) for golden in manifest.golden])
    except Fault as fault:
        raise CorruptModel(
            f"{location}: expected golden requests that fit the schema, got {fault.message}",
            remedy=TRAIN_AGAIN,
        ) from fault


def _check_golden(session: ModelRuntime, manifest: Manifest, rows: Rows, location: str) -> None:
    """Check the scores of all golden requests together, and that other numbers of rows get any.

    A graph with a fixed batch size scores one number of rows only, and onnxruntime raises.
    """
    expected = np.array([golden.scores for golden in manifest.golden])
    for others in ([rows.split()[0]], [rows, rows]):
        session.run(model_input(others, session.dtype))
    got = session.run(model_input([rows], session.dtype))
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
