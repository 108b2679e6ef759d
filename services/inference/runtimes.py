"""Opens what scores a version: an ONNX session in this process, or scoring processes."""

import logging
from pathlib import Path

from contracts.errors import CorruptModel
from contracts.integrity import FETCH_AGAIN
from contracts.manifest import Manifest
from contracts.names import MODEL_FILE
from contracts.scoring import load_request
from services.inference.external_data_check import external_file
from services.inference.light_graph import reason_not_light
from services.inference.scores import ModelRuntime
from services.onnx_session import Session
from services.scoring_process.pool import ScoringPool
from services.scoring_process.process import ScoringLimits

logger = logging.getLogger("bentoml.slipway")


def open_runtime(directory: Path, manifest: Manifest, limits: ScoringLimits) -> ModelRuntime:
    """What scores the version of a verified model directory.

    Raises:
        CorruptModel: it cannot be loaded, in this process or in another one.

    """
    if manifest.runtime == "sklearn":
        return ScoringPool(manifest.name, load_request(manifest, directory), limits)
    path = directory / MODEL_FILE
    model = _model_bytes(path)
    try:
        reason = reason_not_light(model)
    except (IndexError, ValueError):
        reason = ""  # the session says what is wrong with the file
    if not reason:
        return Session(model, str(path))
    logger.warning("%s: scored in a process of its own, since %s", path, reason)
    return ScoringPool(manifest.name, load_request(manifest, directory), limits)


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
