"""The manifest of a model directory, and the pointer to the one that is served."""

from typing import Any, Literal

import msgspec

from contracts.documents import Document
from contracts.schema import Schema

Task = Literal["binary", "multiclass", "regression"]


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """A metric on the holdout rows with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float
    greater_is_better: bool


class GateResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the recipe demanded of a metric, and whether the holdout rows gave it."""

    metric: str
    value: float
    minimum: float | None = None
    maximum: float | None = None
    passed: bool


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """The proof that the ONNX model answers like the fitted scikit-learn pipeline.

    `largest_difference` is the largest absolute difference of any score (for a regression
    relative to the spread of the target), `class_differences` the rows whose class differs.
    `rows` counts the rows by where they came from (`holdout`, `thresholds`, `edges`, ...).
    """

    rows: dict[str, int]
    tolerance: float
    largest_difference: float
    class_differences: int
    passed: bool


class GoldenRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request and the scores that the fitted pipeline gave for it, in manifest order."""

    features: dict[str, Any]
    scores: tuple[float, ...]


class DataIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows trained the model."""

    source: str
    digest: str
    n_train: int
    n_holdout: int


class Retrained(msgspec.Struct, frozen=True, kw_only=True):
    """Why a version was trained anew, and on what; see `contracts.retraining.Order`.

    It learned `rows_old` rows of the recipe's data and of earlier traffic, which is
    `old_share` of them, and `rows_recent` labelled predictions from before `learned_until`
    (UTC); its held-out rows are labelled predictions from then on. `exam` names the series
    of exams that they belong to.
    """

    retraining_id: str
    reason: str
    because: str
    verdict_id: str
    learned_until: str
    evaluation_series: str = msgspec.field(name="exam")
    old_share: float
    rows_old: int
    rows_recent: int


class Manifest(Document, frozen=True, kw_only=True):
    """Everything that serving and monitoring must know of a model; `manifest.json`.

    `classes` are the answers of a classifier in the order of its scores (for `binary` the
    second is the positive one, given when its score is at least `threshold`); `outputs`
    are the names of a regression's values. `importance` is the share of each feature in
    the model's skill, adding up to one, and `importance_std` its standard deviation between
    shuffles (empty in older manifests). `files` maps every other file of the model directory
    to its sha256. `output_unit` is for people. `segments` are the category features
    by whose values the monitor takes a drift apart. `retrained` is there for a version that
    `slipway retrain` made.
    """

    name: str
    task: Task
    schema: Schema
    classes: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    output_unit: str = ""
    threshold: float | None = None
    description: str = ""
    run_id: str
    recipe: str
    created_at: str
    git_commit: str = ""
    data: DataIdentity
    libraries: dict[str, str]
    metrics: dict[str, Metric]
    gates: tuple[GateResult, ...] = ()
    importance: dict[str, float] = msgspec.field(default_factory=dict)
    importance_std: dict[str, float] = msgspec.field(default_factory=dict)
    certificate: Certificate
    golden: tuple[GoldenRequest, ...]
    label_delay_s: float = 0.0
    segments: tuple[str, ...] = ()
    files: dict[str, str]
    retrained: Retrained | None = None


class Pointer(Document, frozen=True, kw_only=True):
    """Which version of a model is served; `var/models/<name>/production.json`.

    `digest` is the sha256 of the manifest; `bento_tag` names the same directory in the
    BentoML model store, where a Bento finds it.
    """

    name: str
    version: int
    run_id: str
    digest: str
    bento_tag: str
    alias: str = "production"
    moved_at: str


class Refusal(Document, frozen=True, kw_only=True):
    """The version of a model that was refused last; `var/refused/<name>.json`.

    It stands until a version of the model is pointed at. The service, which knows no registry,
    counts it in its metrics. `reason` says what was expected and what came.
    """

    name: str
    version: int
    reason: str
    refused_at: str
