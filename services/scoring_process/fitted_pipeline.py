"""The only import of scikit-learn, pandas and skops in the service: a fitted pipeline that scores.

It runs in the scoring process. The pipeline gets the DataFrame that it was fitted on
(`Feature.frame_dtype`): a column per feature in the order of the schema, and after a timestamp
its parts.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from contracts.errors import CorruptModel
from contracts.names import PIPELINE_FILE
from contracts.schema import Schema, normalized, timestamp_columns
from contracts.scoring import FrameError, FrameKind, LoadModel
from contracts.timestamps import parse_timestamps
from contracts.trusted_types import untrusted
from services.scoring_process import feature_code
from services.scoring_process.model_files import verified_files
from services.scoring_process.requirements import check_requirements


class FittedPipeline:
    """A fitted scikit-learn pipeline, stored by skops."""

    def __init__(self, load: LoadModel) -> None:
        check_requirements(load)
        files = verified_files(load)
        # Only now: the import takes seconds, and what is damaged is refused at once.
        import skops.io

        own = feature_code.install(files).modules
        needed = skops.io.get_untrusted_types(data=files[PIPELINE_FILE])
        foreign = untrusted(needed, own)
        if foreign:
            raise CorruptModel(
                f"{load.directory}/{PIPELINE_FILE}: expected types that Slipway trusts, "
                f"got {', '.join(foreign)}",
                remedy="train the version again with this release (docs/runtimes.md)",
            )
        self._pipeline = skops.io.loads(files[PIPELINE_FILE], trusted=needed)
        self._schema = load.schema
        self.dtype: str | None = None
        self._kind = load.score_kind
        self._classes = load.classes

    def score(self, kind: FrameKind, payload: bytes, /) -> NDArray[np.float64]:
        """The scores of rows, `(n_rows, n_outputs)`: in the order of the manifest's classes."""
        if kind is not FrameKind.ROWS:
            raise FrameError(f"expected rows, got {kind.name}")
        from joblib import parallel_config

        frame = natural_frame(msgspec.json.decode(payload, type=list[dict[str, Any]]), self._schema)
        # One thread, whatever `n_jobs` is, so that sums are added in the same order every time.
        with parallel_config(backend="sequential"):
            if self._kind == "value":
                values = np.asarray(self._pipeline.predict(frame), dtype=np.float64)
                return values.reshape(len(frame), -1)
            return self._class_scores(frame)

    def _class_scores(self, frame: Any) -> NDArray[np.float64]:
        """Probabilities, margins, or 1.0 for the class that was decided and 0.0 for the others."""
        classes = [str(name) for name in self._pipeline.classes_]
        if self._kind == "probability":
            scores = np.asarray(self._pipeline.predict_proba(frame), dtype=np.float64)
        elif self._kind == "margin":
            scores = np.asarray(self._pipeline.decision_function(frame), dtype=np.float64)
            if scores.ndim == 1:
                scores = np.column_stack([-scores, scores])
        else:
            decided = np.asarray(self._pipeline.predict(frame)).astype(str)
            scores = (decided[:, None] == np.array(classes)).astype(np.float64)
        return scores[:, [classes.index(name) for name in self._classes]]


def natural_frame(rows: Sequence[dict[str, Any]], schema: Schema) -> Any:
    """Valid rows as the DataFrame that the pipeline was fitted on; a missing value is NaN."""
    import pandas as pd

    columns: dict[str, Any] = {}
    for feature in schema.features:
        values = [row.get(feature.name) for row in rows]
        if feature.is_category:
            texts = [None if value is None else normalized(value) for value in values]
            columns[feature.name] = pd.array(texts, dtype=feature.frame_dtype)
        elif feature.is_timestamp:
            columns |= timestamp_columns(feature, parse_timestamps(values)[0])
        else:
            columns[feature.name] = np.array(values, dtype=feature.frame_dtype)
    return pd.DataFrame(columns, copy=False)
