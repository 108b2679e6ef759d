"""What is written of scored rows, as record batches: predictions, rejected rows, traffic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts.decision_rule import DecisionRule
from contracts.flags import joined_flag_texts
from contracts.manifest import Manifest
from contracts.schema import Violation
from services.inference.loader import ServedModel
from services.inference.number_columns import RowMask

REJECTED_SCHEMA = pa.schema(
    [
        ("file", pa.string()),
        ("row", pa.int64()),
        ("path", pa.string()),
        ("expected", pa.string()),
        ("got", pa.string()),
    ]
)
"""A violation of a row; a row with several has several records."""
OUTPUT_UNIT = "output_unit"
"""The column with the unit of a regression's values."""


@dataclass(frozen=True)
class ScoredRows:
    """Rows with their scores.

    `ids`: a string array of prediction ids. `scores`: float64, shape `(n_rows, n_outputs)`.
    `class_indices`: int64, shape `(n_rows,)`. `flags`: by flag, the rows that have it.
    """

    ids: Any
    scores: NDArray[np.float64]
    class_indices: NDArray[np.int64]
    flags: Mapping[str, RowMask]

    def __len__(self) -> int:
        return len(self.scores)


def prediction_names(manifest: Manifest) -> list[str]:
    """The names of the columns of a prediction, without the columns that are kept."""
    scores = [f"{manifest.scores_name}.{n}" for n in manifest.classes or manifest.outputs]
    unit = [OUTPUT_UNIT] if manifest.output_unit else []
    return ["prediction_id", "prediction", *scores, "flags", "version", *unit]


def predictions_batch(served: ServedModel, scored: ScoredRows, kept: Mapping[str, Any]) -> Any:
    """The predictions of rows, behind the columns that are kept of the input."""
    manifest = served.manifest
    columns = {
        "prediction_id": scored.ids,
        "prediction": _predictions(manifest, scored),
        **_scores(manifest, scored, manifest.scores_name),
        "flags": _flag_lists(scored),
        "version": _constant(served.pointer.version, pa.int64(), len(scored)),
    }
    if manifest.output_unit:
        columns[OUTPUT_UNIT] = _constant(manifest.output_unit, pa.string(), len(scored))
    return pa.RecordBatch.from_pydict({**kept, **columns})


def rejected_batch(path: str, rejected: Sequence[tuple[int, Violation]]) -> Any:
    """Violations of rows of a file, by the number of the row."""
    columns = [
        [path] * len(rejected),
        [row for row, _ in rejected],
        [violation.path for _, violation in rejected],
        [violation.expected for _, violation in rejected],
        [violation.got for _, violation in rejected],
    ]
    arrays = [
        pa.array(values, field.type) for values, field in zip(columns, REJECTED_SCHEMA, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=REJECTED_SCHEMA)


def traffic_batch(
    served: ServedModel, scored: ScoredRows, features: Mapping[str, Any], time: str
) -> Any:
    """Records of traffic in their compacted form (`monitoring.traffic.parquet`)."""
    manifest, n_rows = served.manifest, len(scored)
    moment = datetime.fromisoformat(time)
    monitored = DecisionRule.of(manifest).monitored_scores(scored.scores)
    return pa.RecordBatch.from_pydict(
        {
            "prediction_id": scored.ids,
            "time": _constant(moment, pa.timestamp("us", tz="UTC"), n_rows),
            "version": _constant(served.pointer.version, pa.int64(), n_rows),
            "variant": _constant(served.pointer.alias, pa.string(), n_rows),
            "prediction": _predictions(manifest, scored),
            "score": pa.array(monitored),
            "flags": _joined_flags(scored),
            "latency_ms": _constant(0.0, pa.float64(), n_rows),
            "request_id": _constant("", pa.string(), n_rows),
            "model": _constant(manifest.name, pa.string(), n_rows),
            **_scores(manifest, scored, "scores"),
            **{f"features.{name}": column for name, column in features.items()},
        }
    )


def _scores(manifest: Manifest, scored: ScoredRows, prefix: str) -> dict[str, Any]:
    names = manifest.classes or manifest.outputs
    return {
        f"{prefix}.{name}": pa.array(np.ascontiguousarray(scored.scores[:, i]))
        for i, name in enumerate(names)
    }


def _predictions(manifest: Manifest, scored: ScoredRows) -> Any:
    if not manifest.classes:
        return pa.array(np.ascontiguousarray(scored.scores[:, 0]))
    indices = pa.array(scored.class_indices.astype(np.int32))
    return pa.DictionaryArray.from_arrays(indices, pa.array(manifest.classes))


def _flag_lists(scored: ScoredRows) -> Any:
    """A list of flags per row, in the order of the schema."""
    if not scored.flags:
        offsets = np.zeros(len(scored) + 1, dtype=np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), pa.array([], pa.string()))
    has = np.column_stack(list(scored.flags.values()))
    offsets = np.concatenate([[0], has.sum(axis=1).cumsum()]).astype(np.int32)
    texts = pa.array(list(scored.flags)).take(pa.array(np.nonzero(has)[1]))
    return pa.ListArray.from_arrays(pa.array(offsets), texts)


def _joined_flags(scored: ScoredRows) -> Any:
    """The flags of each row as the traffic log has them in Parquet."""
    if not scored.flags:
        return pa.nulls(len(scored), pa.string()).dictionary_encode()
    has = np.column_stack(list(scored.flags.values()))
    kinds, places = np.unique(has, axis=0, return_inverse=True)
    names = list(scored.flags)
    texts = joined_flag_texts([names[i] for i in np.flatnonzero(kind)] for kind in kinds)
    return pa.array(texts, pa.string()).take(pa.array(places.reshape(-1))).dictionary_encode()


def _constant(value: Any, kind: Any, n_rows: int) -> Any:
    """An array of `n_rows` times a value; text is a dictionary of one entry."""
    if pa.types.is_string(kind):
        indices = pa.array(np.zeros(n_rows, dtype=np.int32))
        return pa.DictionaryArray.from_arrays(indices, pa.array([value], kind))
    return pa.repeat(pa.scalar(value, kind), n_rows)
