"""A registered version that is evaluated: its manifest, its model and its held-out rows."""

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contracts.decision_rule import DecisionRule, Scores
from contracts.errors import CorruptModel, NotRegistered
from contracts.manifest import Manifest
from contracts.names import (
    MODEL_DIRECTORY,
    MODEL_FILE,
    PIPELINE_FILE,
    REFERENCE_FILE,
    SAMPLE_FILE,
    Layout,
)
from contracts.scoring import load_request
from registry.manifests import require_digest
from registry.model_directory import verify
from registry.signing import require_signature
from registry.store import Store
from training.dataset import plain_rows
from training.evaluation.predictions import Predictions
from training.onnx_session import OnnxSession
from training.pipeline_process import PipelineProcess

PlainRows = Sequence[Mapping[str, Any]]
"""Rows as `Schema.apply_policies` gives them."""


@dataclass(frozen=True)
class ModelVersion:
    """A version with its verified model directory; each file is read once, when it is needed.

    `digest` is the sha256 of the manifest.
    """

    version: int
    manifest: Manifest
    digest: str
    directory: Path

    @cached_property
    def session(self) -> "ScoredVersion":
        """What scores the version, opened as the service opens it."""
        if self.manifest.runtime == "sklearn":
            return StoredPipeline(self)
        return ExportedModel(self)

    @property
    def scored_file(self) -> str:
        """The file of the model directory that is scored."""
        return PIPELINE_FILE if self.manifest.runtime == "sklearn" else MODEL_FILE

    @property
    def reference_file(self) -> Path:
        """The sketch of its training rows."""
        return self.directory / REFERENCE_FILE

    @cached_property
    def held_out(self) -> pd.DataFrame:
        """The rows that the version was not fitted on (at most 20,000), with their `label`."""
        return pd.read_parquet(self.directory / SAMPLE_FILE)

    @cached_property
    def size_bytes(self) -> int:
        """The size of the model."""
        return (self.directory / self.scored_file).stat().st_size

    def predict(self, rows: pd.DataFrame) -> Predictions:
        """The predictions for rows, as the service would make them."""
        scores = self.session.scores(self._applied(rows))
        threshold = DecisionRule.of(self.manifest).threshold
        return Predictions(scores, threshold, self.manifest.score_kind)

    def call_with(self, rows: pd.DataFrame, n_rows: int) -> Callable[[], object]:
        """A call that scores `n_rows` of these rows, which are repeated if there are fewer."""
        chosen = rows.iloc[np.arange(n_rows) % len(rows)]
        return self.session.prepared_call(self._applied(chosen))

    def golden_difference(self) -> float:
        """The largest difference between the recorded scores of the golden requests and these."""
        golden = self.manifest.golden
        recorded = np.array([request.scores for request in golden])
        scores = self.session.scores([request.features for request in golden])
        return float(np.abs(scores - recorded).max())

    def _applied(self, rows: pd.DataFrame) -> PlainRows:
        schema = self.manifest.schema
        return [schema.apply_policies(row)[0] for row in plain_rows(rows, schema)]


class ScoredVersion(Protocol):
    """Scores rows of plain values to which the schema's policies have been applied."""

    def scores(self, rows: PlainRows, /) -> Scores:
        """The scores, shape `(n_rows, n_outputs)`."""

    def prepared_call(self, rows: PlainRows, /) -> Callable[[], object]:
        """A call that scores the rows, which are already in the form that the model takes."""


class ExportedModel:
    """The ONNX model of a version, in this process."""

    def __init__(self, version: ModelVersion) -> None:
        self._schema = version.manifest.schema
        self._session = OnnxSession((version.directory / MODEL_FILE).read_bytes())

    def scores(self, rows: PlainRows, /) -> Scores:
        """The scores, shape `(n_rows, n_outputs)`."""
        return self._session.run(self._matrix(rows)).astype(np.float64)

    def prepared_call(self, rows: PlainRows, /) -> Callable[[], object]:
        """A call of ONNX Runtime with the matrix of these rows."""
        return partial(self._session.run, self._matrix(rows))

    def _matrix(self, rows: PlainRows) -> NDArray[Any]:
        return self._schema.matrix(rows, self._session.dtype)


class StoredPipeline:
    """The fitted pipeline of a version, in a scoring process that ends with this object."""

    def __init__(self, version: ModelVersion) -> None:
        self._process = PipelineProcess(load_request(version.manifest, version.directory))
        weakref.finalize(self, self._process.close)

    def scores(self, rows: PlainRows, /) -> Scores:
        """The scores, shape `(n_rows, n_outputs)`."""
        return self._process.scores_of_rows(rows)

    def prepared_call(self, rows: PlainRows, /) -> Callable[[], object]:
        """A call of the scoring process with the JSON of these rows."""
        return partial(self._process.score_json, msgspec.json.encode(rows))


def load_model_version(
    store: Store, layout: Layout, name: str, version: int, folder: Path
) -> ModelVersion:
    """A registered version with a verified model directory.

    The directory is the one under `layout` if that is intact, else a download into `folder`.

    Raises:
        NotRegistered: there is no such version, or `slipway train` did not make it.
        CorruptModel: the registered files are lost, cut or edited.
        RegistryUnreachable: the tracking server or the artifact store does not answer.

    """
    registered = store.versions.get(name, version)
    digest = require_digest(registered)
    require_signature(store, registered)
    local = layout.model(name, version)
    try:
        return ModelVersion(version, verify(local, digest), digest, local)
    except CorruptModel:
        # Absent or damaged here; the registered files decide.
        folder.mkdir()
    try:
        downloaded = store.artifacts.download(registered.run_id, MODEL_DIRECTORY, folder)
    except NotRegistered as err:
        raise CorruptModel(err.what, remedy=err.remedy) from err
    return ModelVersion(version, verify(downloaded, digest), digest, downloaded)
