"""A registered version that is evaluated: its manifest, its model and its held-out rows."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from contracts.decision_rule import DecisionRule
from contracts.errors import CorruptModel, NotRegistered
from contracts.manifest import Manifest
from contracts.names import MODEL_DIRECTORY, MODEL_FILE, SAMPLE_FILE, TAG_DIGEST, Layout
from registry.model_directory import verify
from registry.store import Store
from training.dataset import plain_rows
from training.evaluation.predictions import Predictions
from training.onnx_session import OnnxSession


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
    def session(self) -> OnnxSession:
        """The ONNX model, opened as the service opens it."""
        return OnnxSession((self.directory / MODEL_FILE).read_bytes())

    @cached_property
    def held_out(self) -> pd.DataFrame:
        """The rows that the version was not fitted on (at most 20,000), with their `label`."""
        return pd.read_parquet(self.directory / SAMPLE_FILE)

    @cached_property
    def size_bytes(self) -> int:
        """The size of the ONNX model."""
        return (self.directory / MODEL_FILE).stat().st_size

    def matrix(self, rows: pd.DataFrame) -> NDArray[Any]:
        """The model's input `(n_rows, n_features)` for rows, as the service would make it."""
        schema = self.manifest.schema
        applied = [schema.apply_policies(row)[0] for row in plain_rows(rows, schema)]
        return schema.matrix(applied, self.session.dtype)

    def predict(self, rows: pd.DataFrame) -> Predictions:
        """The predictions for rows, as the service would make them."""
        scores = self.session.run(self.matrix(rows)).astype(np.float64)
        return Predictions(scores, DecisionRule.of(self.manifest).threshold)

    def golden_difference(self) -> float:
        """The largest difference between the recorded scores of the golden requests and these."""
        golden = self.manifest.golden
        matrix = self.manifest.schema.matrix(
            [request.features for request in golden], self.session.dtype
        )
        recorded = np.array([request.scores for request in golden])
        return float(np.abs(self.session.run(matrix) - recorded).max())


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
    digest = registered.tags.get(TAG_DIGEST)
    if digest is None:
        raise NotRegistered(
            f"{name} version {version}: expected a version made by slipway train, got one "
            f"without the tag {TAG_DIGEST}",
            remedy=f"slipway train {name}",
        )
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
