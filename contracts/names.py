"""The names that two rooms must spell alike."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from contracts.errors import InvalidRecipe

PRODUCTION = "production"
"""The alias that is Production; MLflow's stage `Production` is its synonym."""
PRODUCTION_STAGE = "Production"
CHALLENGER = "challenger"
"""The alias of the version that answers a share of the requests."""
SHADOW = "shadow"
"""The alias of the version that scores what others answer, and answers nothing."""
ROLES = (PRODUCTION, CHALLENGER, SHADOW)

MODEL_FILE = "model.onnx"
MANIFEST_FILE = "manifest.json"
REFERENCE_FILE = "reference.json"
SAMPLE_FILE = "reference.parquet"
MODEL_DIRECTORY = "model_directory"
"""The path, within a run's artifacts, of the model directory."""

TAG_DIGEST = "slipway.digest"
"""On a model version: sha256 of its manifest, which holds the sha256 of every other file."""
TAG_RECIPE = "slipway.recipe"
TAG_PROCESS = "slipway.process"
"""On a run: `<host>:<pid>` of the process that trains, so that its death can be noticed."""
TAG_RETRAINING = "slipway.retraining"
"""On a run and its version: the id of the retraining that ordered it."""
TAG_VERDICT = "slipway.verdict"
"""On a run and its version: the id of the verdict that it answers."""
TAG_PRODUCTION = "slipway.production"
"""On a registered model: the version that alias and stage last agreed on."""
TAG_CHALLENGER_SPLIT = "slipway.challenger"
"""On a registered model: the challenger's share, as a person says it: `10%`, `canary`, `off`."""
TAG_CANARY = "slipway.canary"
"""On a registered model: how far its canary has come, and what was decided last."""
TAG_HISTORY = "slipway.history."
"""On a registered model: one tag an event, `slipway.history.<time>-<random>`."""

MODEL_INPUT = "features"
"""The ONNX graph's only input: float32, shape `(n_rows, n_features)`, see `Schema.matrix`."""
MODEL_OUTPUT = "scores"
"""The ONNX graph's only output: float32, shape `(n_rows, n_outputs)`; for a classifier one
probability per class in the manifest's order, for a regression one value per output."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def check_model_name(name: str) -> str:
    """`name`, if a file, a URL, a metric label and a Python module can all bear it.

    Raises:
        InvalidRecipe: it holds anything but lower-case letters, digits and underscores.

    """
    if not _NAME.fullmatch(name):
        raise InvalidRecipe(
            f"model name: expected lower-case letters, digits and _, got {name!r}",
            remedy="rename the recipe's file",
        )
    return name


def window_id(name: str, version: int, start: datetime, end: datetime) -> str:
    """The id of a verdict, replay or experiment: one for each window of a version.

    Times are in UTC, with milliseconds.

    >>> window_id("loan", 7, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
    'loan-7-20260101T000000.000Z-20260102T000000.000Z'
    """
    ends = [f"{t.astimezone(UTC):%Y%m%dT%H%M%S.%f}"[:-3] + "Z" for t in (start, end)]
    return f"{name}-{version}-{ends[0]}-{ends[1]}"


@dataclass(frozen=True)
class Layout:
    """Where things lie below `var/`; paths only, nothing is touched."""

    var: Path

    def model(self, name: str, version: int) -> Path:
        """The verified model directory of a version."""
        return self.var / "models" / name / str(version)

    def pointer(self, name: str, alias: str = PRODUCTION) -> Path:
        """The file that says which version of a model is served."""
        return self.var / "models" / name / f"{alias}.json"

    def split(self, name: str) -> Path:
        """The file that says which share of a model's requests the challenger answers."""
        return self.var / "models" / name / "split.json"

    def shadow(self, name: str) -> Path:
        """The folder of what a second version says of a model's traffic."""
        return self.var / "shadow" / name

    def canaries(self, name: str) -> Path:
        """The folder of a model's canaries: `<moment it began>.json`, and the evidence."""
        return self.var / "canaries" / name

    def evidence(self, name: str) -> Path:
        """What was counted of the canary that runs."""
        return self.canaries(name) / "evidence.json"

    def refusal(self, name: str) -> Path:
        """The file that says which version of a model was refused last, and why."""
        return self.var / "refused" / f"{name}.json"

    def traffic(self, name: str) -> Path:
        """The folder of a model's traffic: `<UTC date>/<segment>.jsonl`."""
        return self.var / "traffic" / name

    def labels(self, name: str) -> Path:
        """The folder of a model's labels: `<segment>.jsonl`."""
        return self.var / "labels" / name

    def retrainings(self, name: str) -> Path:
        """The folder of a model's retrainings: `<id>/order.json`, `retraining.json`."""
        return self.var / "retrainings" / name

    def alerts(self, name: str) -> Path:
        """The file of a model's alarms and of the messages that are not delivered yet."""
        return self.var / "alerts" / f"{name}.json"

    @property
    def metrics(self) -> Path:
        """Metrics for node_exporter's textfile collector: `<model>.prom`."""
        return self.var / "metrics"

    @property
    def replays(self) -> Path:
        """Replays: `<model>/<replay id>.json` and `.html`."""
        return self.var / "replays"

    @property
    def experiments(self) -> Path:
        """A/B analyses: `<model>/<experiment id>.json` and `.html`."""
        return self.var / "experiments"

    @property
    def reports(self) -> Path:
        """Drift reports: `<model>/<verdict id>.html`."""
        return self.var / "reports"

    @property
    def evidently(self) -> Path:
        """The workspace that `evidently ui --workspace` shows."""
        return self.var / "evidently"

    @property
    def verdicts(self) -> Path:
        """Verdicts: `<model>/<verdict id>.json`."""
        return self.var / "verdicts"
