"""Names that more than one package uses: aliases, files, tags, and the paths below `var/`."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from contracts.errors import InvalidRecipe

PRODUCTION = "production"
"""The alias of the version in production; MLflow's stage `Production` is its synonym."""
PRODUCTION_STAGE = "Production"
CHALLENGER = "challenger"
"""The alias of the version that answers a share of the requests."""
SHADOW = "shadow"
"""The alias of the version that scores requests in the background and answers none."""
ROLES = (PRODUCTION, CHALLENGER, SHADOW)

MODEL_FILE = "model.onnx"
PIPELINE_FILE = "pipeline.skops"
"""The fitted pipeline of a version with the runtime `sklearn`, stored by skops."""
FEATURE_CODE_PACKAGE = "training.features"
"""The package of a team's own feature code; a model directory holds `features.<module>.py`."""
FEATURE_CODE_PREFIX = "features."
MANIFEST_FILE = "manifest.json"
REFERENCE_FILE = "reference.json"
SAMPLE_FILE = "reference.parquet"
MODEL_DIRECTORY = "model_directory"
"""The path of the model directory within a run's artifacts."""
DECISION_FOLDER = "decision"
"""The folder within a run's artifacts that holds the decisions on its version."""

CARD_FOLDER = "card"
"""The folder within a run's artifacts that holds the model card of its version."""

TAG_DIGEST = "slipway.digest"
"""On a model version: sha256 of its manifest, which holds the sha256 of every other file."""
TAG_SIGNATURE = "slipway.signature"
"""On a model version: the signature of its name and digest, as `ssh-keygen -Y sign` makes it."""
TAG_RECIPE = "slipway.recipe"
TAG_RUNTIME = "slipway.runtime"
"""On a model version: what scores it, `onnx` or `sklearn`; absent means `onnx`."""
TAG_RECIPE_DIGEST = "slipway.recipe_sha256"
"""On a run and its version: the sha256 of the recipe's file."""
TAG_RECIPE_STATE = "slipway.recipe_state"
"""On a run and its version: whether git has the recipe's file so: `committed`, `modified`,
`untracked`, or `unknown` where there is no git."""
TAG_PROCESS = "slipway.process"
"""On a run: `<host>:<pid>` of the training process, so that its death can be detected."""
TAG_RETRAINING = "slipway.retraining"
"""On a run and its version: the id of the retraining that started it."""
TAG_VERDICT = "slipway.verdict"
"""On a run and its version: the id of the verdict that caused the retraining."""
TAG_EXAMINED = "slipway.examined"
"""On a version that was fitted on all rows: the number of the version that was examined for it."""
TAG_PRODUCTION = "slipway.production"
"""On a registered model: the last version on which alias and stage agreed."""
TAG_CHALLENGER_SPLIT = "slipway.challenger"
"""On a registered model: the challenger's share as a person wrote it: `10%`, `canary`, `off`."""
TAG_CANARY = "slipway.canary"
"""On a registered model: the state of its canary, with the last decision."""
TAG_HISTORY = "slipway.history."
"""On a registered model: one tag per event, `slipway.history.<time>-<random>`."""

MODEL_INPUT = "features"
"""The ONNX graph's only input: shape `(n_rows, n_features)`, as `Schema.matrix` gives; float32,
or float64 where the certificate needs it."""
MODEL_OUTPUT = "scores"
"""The ONNX graph's only output: float32, shape `(n_rows, n_outputs)`; for a classifier one
probability per class in the manifest's order, for a regression one value per output."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def check_model_name(name: str) -> str:
    """`name`, if it can name a file, a URL path, a metric label and a Python module.

    Raises:
        InvalidRecipe: it has other characters than lower-case letters, digits and underscores,
            does not start with a letter, or is longer than 63 characters.

    """
    if not _NAME.fullmatch(name):
        raise InvalidRecipe(
            f"model name: expected lower-case letters, digits and _, got {name!r}",
            remedy="rename the recipe's file",
        )
    return name


def feature_code_file(module: str) -> str:
    """The file of a model directory with the source of a module of feature code.

    >>> feature_code_file("training.features.calendar")
    'features.calendar.py'
    """
    return f"{FEATURE_CODE_PREFIX}{module.removeprefix(f'{FEATURE_CODE_PACKAGE}.')}.py"


def feature_module(file: str) -> str:
    """The module whose source a file of a model directory holds; empty for any other file.

    >>> feature_module("features.calendar.py"), feature_module("reference.json")
    ('training.features.calendar', '')
    """
    if not file.startswith(FEATURE_CODE_PREFIX) or not file.endswith(".py"):
        return ""
    return f"{FEATURE_CODE_PACKAGE}.{file[len(FEATURE_CODE_PREFIX) : -len('.py')]}"


def window_id(name: str, version: int, start: datetime, end: datetime) -> str:
    """The id of a verdict, replay or experiment: one for each window of a version.

    Times are in UTC, with milliseconds.

    >>> window_id("loan", 7, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC))
    'loan-7-20260101T000000.000Z-20260102T000000.000Z'
    """
    ends = [f"{t.astimezone(UTC):%Y%m%dT%H%M%S.%f}"[:-3] + "Z" for t in (start, end)]
    return f"{name}-{version}-{ends[0]}-{ends[1]}"


@dataclass(frozen=True)
class _ServiceLayout:
    """The paths that the service and the registry use."""

    var: Path

    @property
    def all_models(self) -> Path:
        """The folder with a folder for each model."""
        return self.var / "models"

    def model(self, name: str, version: int) -> Path:
        """The verified model directory of a version."""
        return self.all_models / name / str(version)

    def pointer(self, name: str, alias: str = PRODUCTION) -> Path:
        """The file that names the version of a model that is served in a role."""
        return self.all_models / name / f"{alias}.json"

    def split(self, name: str) -> Path:
        """The file that says which share of a model's requests the challenger answers."""
        return self.all_models / name / "split.json"

    @property
    def all_refusals(self) -> Path:
        """The folder with a folder of refusals for each model."""
        return self.var / "refused"

    def refusals(self, name: str) -> Path:
        """The folder of a model's refused versions."""
        return self.all_refusals / name

    def refusal(self, name: str, role: str, version: int) -> Path:
        """The file that says why a version is not served in a role."""
        return self.refusals(name) / f"{role}-{version}.json"

    @property
    def all_traffic(self) -> Path:
        """The folder with a folder of traffic for each model."""
        return self.var / "traffic"

    def traffic(self, name: str) -> Path:
        """The folder of a model's traffic log: `<UTC date>/<log file>.jsonl`."""
        return self.all_traffic / name

    def labels(self, name: str) -> Path:
        """The folder of a model's labels: `<file>.jsonl`."""
        return self.var / "labels" / name

    def shadow(self, name: str) -> Path:
        """The folder of what a second version would have answered to a model's traffic."""
        return self.var / "shadow" / name

    def canaries(self, name: str) -> Path:
        """The folder of a model's canaries: `<start time>.json`, and the evidence."""
        return self.var / "canaries" / name

    def evidence(self, name: str) -> Path:
        """The counts of the running canary."""
        return self.canaries(name) / "evidence.json"

    @property
    def locks(self) -> Path:
        """The folder of lock files."""
        return self.var / "locks"

    @property
    def model_locks(self) -> Path:
        """The folder of the models' locks, apart from those of processes: `<model>.lock`."""
        return self.locks / "models"


@dataclass(frozen=True)
class _JobLayout:
    """The paths of jobs."""

    var: Path

    @property
    def jobs(self) -> Path:
        """The database of jobs: what was accepted, and the results."""
        return self.var / "jobs" / "jobs.db"


@dataclass(frozen=True)
class _MonitoringLayout:
    """The paths that monitoring writes."""

    var: Path

    @property
    def verdicts(self) -> Path:
        """Verdicts: `<model>/<verdict id>.json`."""
        return self.var / "verdicts"

    @property
    def reports(self) -> Path:
        """Drift reports: `<model>/<verdict id>.html`."""
        return self.var / "reports"

    @property
    def evidently(self) -> Path:
        """The workspace that `evidently ui --workspace` shows."""
        return self.var / "evidently"

    @property
    def metrics(self) -> Path:
        """Metrics for node_exporter's textfile collector: `<model>.prom`."""
        return self.var / "metrics"

    def alerts(self, name: str) -> Path:
        """The file of a model's alarms and of the messages that are not delivered yet."""
        return self.var / "alerts" / f"{name}.json"

    def seasons(self, name: str) -> Path:
        """Seasons of a model: `<version>-<seconds>.json`, `counts/<window id>.json`."""
        return self.var / "seasons" / name

    def retrainings(self, name: str) -> Path:
        """The folder of a model's retrainings: `<id>/order.json`, `retraining.json`."""
        return self.var / "retrainings" / name

    def card(self, name: str, version: int) -> Path:
        """The folder of a version's model card: `card.json` and `card.html`."""
        return self.var / "cards" / name / str(version)

    @property
    def replays(self) -> Path:
        """Replays: `<model>/<replay id>.json` and `.html`."""
        return self.var / "replays"

    @property
    def experiments(self) -> Path:
        """A/B analyses: `<model>/<experiment id>.json` and `.html`."""
        return self.var / "experiments"


@dataclass(frozen=True)
class Layout(_ServiceLayout, _JobLayout, _MonitoringLayout):
    """Where files are below `var/`: paths only, nothing is read or written."""
