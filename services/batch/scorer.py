"""`RecordBatchScorer`: a pyarrow record batch in, predictions and rejected rows out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.decision_rule import DecisionRule
from contracts.manifest import Pointer
from contracts.schema import Violation
from services.batch.decode import DecodedBatch, RecordBatchDecoder
from services.batch.file_batches import kept_column
from services.batch.row_ids import RowSource, row_ids
from services.batch.tables import ScoredRows, predictions_batch, rejected_batch, traffic_batch
from services.faults import Fault
from services.inference.loader import ServedModel, load_model
from services.inference.rows import ModelInput
from services.inference.scores import RunModel, failure_text, never_alone
from services.scoring_process.process import ScoringLimits

MODEL_CALL_TIMEOUT_S = 600.0
"""A batch of a file has more rows than a request; a model that takes longer hangs."""
GROWTH_BYTES = 512 * 1024**2
"""Memory that a scoring process may add before another takes its place."""
NO_FINITE_SCORE = "a finite score"


@dataclass(frozen=True)
class ScoredBatch:
    """Record batches: the predictions, the rejected rows, and the traffic if it is wanted.

    `rows` has the number of each row of the predictions in its file.
    """

    rows: NDArray[np.int64]
    predictions: Any
    rejected: Any
    traffic: Any = None


@dataclass
class RecordBatchScorer:
    """Scores record batches with one version; it opens the model once, when it is first used.

    It can be pickled at any time: what is pickled are its arguments, not the opened model.

    Args:
        directory: the model directory, as every process that scores finds it.
        pointer: the version, with the digest that the directory is verified against.
        keep: names of input columns that are in the output as well.
        time: when this scoring began, RFC 3339 in UTC; all records of traffic have it.
        with_traffic: also make records of traffic.
        n_processes: scoring processes, for a model that is not scored in this process.

    """

    directory: Path
    pointer: Pointer
    keep: Sequence[str] = ()
    time: str = ""
    with_traffic: bool = False
    n_processes: int = 1
    _opened: "_OpenModel | None" = field(default=None, init=False, repr=False, compare=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_opened": None}

    @property
    def served(self) -> ServedModel:
        """The opened model.

        Raises:
            CorruptModel: the directory, the graph or an answer is not what was registered.

        """
        return self._open().served

    def close(self) -> None:
        """Release the model; the next batch opens it again."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.served.session.close()

    def score(
        self, batch: Any, source: RowSource, rows: NDArray[np.int64], known: Mapping[int, Violation]
    ) -> ScoredBatch:
        """The predictions of a `pyarrow.RecordBatch`.

        Args:
            batch: a column per feature, in any order; further columns are ignored or kept.
            source: the file that the batch comes from.
            rows: the number of each row in that file, from 0; shape `(n_rows,)`.
            known: rows of the file that could not be read, by number; they are not in `batch`.

        Raises:
            InvalidData: a feature has no column.
            CorruptModel: as `served`.

        """
        model = self._open()
        decoded = model.decoder.decode(batch)
        rejected = [(row, violation) for row, violation in known.items()]
        for place, fault in decoded.refused.items():
            rejected += [(int(rows[place]), v) for v in _violations_of(fault)]
        scores, failures = model.scores(decoded)
        for index, failure in failures.items():
            place = int(decoded.rows[index])
            rejected.append((int(rows[place]), Violation("", NO_FINITE_SCORE, failure)))
        is_scored = np.ones(len(decoded.rows), dtype=bool)
        is_scored[list(failures)] = False
        places = decoded.rows[is_scored]
        scored = ScoredRows(
            ids=row_ids(self.pointer.digest, source, rows[places]),
            scores=scores[is_scored],
            class_indices=model.rule.class_indices(scores[is_scored]),
            flags={flag: mask[is_scored] for flag, mask in decoded.flags.items()},
        )
        kept = {name: kept_column(batch, name).take(pa.array(places)) for name in self.keep}
        traffic = None
        if self.with_traffic:
            features = decoded.columns()
            if failures:
                features = {n: c.filter(pa.array(is_scored)) for n, c in features.items()}
            traffic = traffic_batch(model.served, scored, features, self.time)
        return ScoredBatch(
            rows[places],
            predictions_batch(model.served, scored, kept),
            rejected_batch(source.path, sorted(rejected, key=lambda each: each[0])),
            traffic,
        )

    def _open(self) -> "_OpenModel":
        if self._opened is None:
            limits = ScoringLimits(self.n_processes, MODEL_CALL_TIMEOUT_S, GROWTH_BYTES)
            self._opened = _OpenModel(load_model(self.directory, self.pointer, limits))
        return self._opened


class _OpenModel:
    """A served model with what scores batches of it."""

    def __init__(self, served: ServedModel) -> None:
        self.served = served
        self.decoder = RecordBatchDecoder(served.manifest.schema, served.decoder)
        self.rule = DecisionRule.of(served.manifest)
        self._n_outputs = len(served.manifest.classes or served.manifest.outputs)

    def scores(self, decoded: DecodedBatch) -> tuple[NDArray[np.float64], dict[int, str]]:
        """The scores `(n_valid, n_outputs)` of valid rows, and by row why one has none."""
        if not len(decoded.rows):
            return np.empty((0, self._n_outputs)), {}
        session = self.served.session
        rows: ModelInput = decoded.matrix
        if session.dtype is None:
            rows = self.decoder.texts(decoded)
        return scores_by_bisection(session.run, rows, self._n_outputs)


def scores_by_bisection(
    run: RunModel, rows: ModelInput, n_outputs: int
) -> tuple[NDArray[np.float64], dict[int, str]]:
    """The scores of rows, shape `(n_rows, n_outputs)`, and by row why it has none.

    Rows are scored together. Where the model raises, each half is tried, down to the rows at
    fault. A single row is scored twice in one call: onnxruntime has another kernel for one row
    than for several, and a row of a file must not depend on how the file is cut into batches.
    """
    try:
        # In float64: a decision compares them as the service does.
        scores = np.asarray(never_alone(run)(rows), dtype=np.float64)
    except Exception as err:  # noqa: BLE001 - a model may fail in any way; the row is reported
        n_rows = len(rows)
        if n_rows == 1:
            return np.full((1, n_outputs), np.nan), {0: failure_text(err)}
        half = n_rows // 2
        first, failed = scores_by_bisection(run, rows[:half], n_outputs)
        second, others = scores_by_bisection(run, rows[half:], n_outputs)
        return np.concatenate([first, second]), failed | {half + i: f for i, f in others.items()}
    unscored = np.flatnonzero(~np.isfinite(scores).all(axis=1)).tolist()
    return scores, dict.fromkeys(unscored, "NaN or infinity")


def _violations_of(fault: Fault) -> Sequence[Violation]:
    return fault.violations or (Violation("", "a valid row", fault.message),)
