"""The manifest of a model directory, and the pointer to the one that is served."""

from typing import Any, Literal

import msgspec

from contracts.documents import Document
from contracts.schema import Schema

GOLDEN_MARGIN = 10.0
"""How many tolerances of the certificate a golden request may be off: another processor rounds
differently, and another model differs by far more."""

MIN_GOLDEN_TOLERANCE = 1e-9
"""The certificate of a stored pipeline allows no difference; another processor needs a little."""

Task = Literal["binary", "multiclass", "regression"]
Runtime = Literal["onnx", "sklearn"]
"""What scores a version: ONNX Runtime, or the fitted pipeline itself in a scoring process."""
Form = Literal["float32", "float64", "pipeline"]
"""How a model is served: as a graph in float32 or float64, or as the pipeline itself."""
ScoreKind = Literal["probability", "margin", "decision", "value"]
"""What the scores of a model are. A classifier without probabilities has margins, of which the
positive class has the one that decides, or decisions: 1.0 for its class and 0.0 for the others.
A regression has values."""


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """A metric on the held-out rows with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float
    greater_is_better: bool


class GateResult(msgspec.Struct, frozen=True, kw_only=True):
    """A bound that the recipe sets for a metric, and whether the held-out rows met it."""

    metric: str
    value: float
    minimum: float | None = None
    maximum: float | None = None
    passed: bool


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """The proof that the served model answers like the fitted scikit-learn pipeline.

    `max_difference` is the largest difference of any score: absolute for probabilities, else
    relative to the larger of the score and the standard deviation of the target.
    `class_differences` is the number of rows whose class differs. `rows` counts the compared
    rows by origin (`holdout`, `thresholds`, `edges`, ...), and `meaningless_rows` those of them
    for which the pipeline itself has no finite score. `form` is the form that passed, and
    `other_forms` says of each faster one why it was not taken (docs/certificate.md).
    """

    rows: dict[str, int]
    tolerance: float
    max_difference: float = msgspec.field(name="largest_difference")
    class_differences: int
    passed: bool
    form: Form = "float32"
    other_forms: dict[str, str] = msgspec.field(default_factory=dict)
    meaningless_rows: int = 0


class GoldenRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request and the scores of the fitted pipeline for it, in the order of the manifest."""

    features: dict[str, Any]
    scores: tuple[float, ...]


class DataIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """The data that the model was trained on."""

    source: str
    digest: str
    n_train: int
    n_holdout: int


class Retrained(msgspec.Struct, frozen=True, kw_only=True):
    """Why a version was retrained, and on what; from the `RetrainingRequest`.

    It was trained on `rows_old` rows of the recipe's data and of earlier traffic, a share of
    `old_share`, and on `rows_recent` labelled predictions from before `learned_until` (UTC); or,
    with `newest_rows`, on that number of the newest of these rows. Its held-out rows are labelled
    predictions from then on; `evaluation_series` names the series of evaluations that they belong
    to. `candidates` has the gate's metric, on validation rows, of every choice of rows that was
    tried. `sought` is the improvement that its evaluation must be able to see.

    A version with `examined_version` has learned its held-out rows: it is that version's choice
    of rows, fitted on all of them. Its metrics and the scores of its sample are the examined
    version's.
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
    newest_rows: int = 0
    candidates: dict[str, float] = msgspec.field(default_factory=dict)
    sought: float = 0.0
    examined_version: int = 0
    examined_digest: str = ""


class CardNotes(msgspec.Struct, frozen=True, kw_only=True):
    """What only a person knows of a model, for its card; empty where nobody has said it.

    `intended_use` says for what and for whom it was made, `not_for` what it must not be used for,
    `limitations` where it is known to fail, and `owner` who answers questions.
    """

    intended_use: str = ""
    not_for: str = ""
    limitations: str = ""
    owner: str = ""


class Manifest(Document, frozen=True, kw_only=True):
    """Everything that serving and monitoring must know about a model; `manifest.json`.

    `classes` are a classifier's classes in the order of its scores; for `binary` the second is
    the positive one, predicted if its score is at least `threshold`. `outputs` are the names of
    a regression's values and `output_unit` their unit, for people. `importance` is the share of
    each feature in the model's skill, adding up to one, and `importance_std` its standard
    deviation between shuffles (empty in older manifests). `files` maps every other file
    of the model directory to its sha256. `segments` are the categorical features that the
    monitor uses to break drift and performance down by value. `retrained` is set for a version
    that `slipway retrain` made. `score_kind` says what a classifier's scores are. `runtime` is
    what scores the version, and `requirements` the libraries that this takes in addition to
    those of the service, with the versions that fitted it. `card` is what a person says about the
    model on its card.
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
    score_kind: ScoreKind = "probability"
    runtime: Runtime = "onnx"
    requirements: dict[str, str] = msgspec.field(default_factory=dict)
    card: CardNotes = CardNotes()

    @property
    def scores_name(self) -> str:
        """The scores in the plural: the name of their field in answers, and a word for people."""
        if not self.classes:
            return "values"
        names = {"probability": "probabilities", "margin": "margins", "decision": "decisions"}
        return names.get(self.score_kind, "scores")

    @property
    def golden_tolerance(self) -> float:
        """How far the scores of a golden request may be from the recorded ones.

        In probability, or relative to the largest value or margin.
        """
        largest = max(
            (abs(score) for request in self.golden for score in request.scores), default=1
        )
        is_bounded = self.classes and self.score_kind in {"probability", "decision"}
        scale = 1.0 if is_bounded else max(1.0, largest)
        tolerance = max(self.certificate.tolerance, MIN_GOLDEN_TOLERANCE)
        return GOLDEN_MARGIN * tolerance * scale


class Pointer(Document, frozen=True, kw_only=True):
    """The version of a model that is served; `var/models/<name>/production.json`.

    `digest` is the sha256 of the manifest. `bento_tag` names the same model directory in
    BentoML's model store, from which a Bento is built.
    """

    name: str
    version: int
    run_id: str
    digest: str
    bento_tag: str
    alias: str = "production"
    moved_at: str


class Refusal(Document, frozen=True, kw_only=True):
    """A version that this machine refuses to serve; `var/refused/<name>/<role>-<version>.json`.

    The file stays until the version passes, or the role names another one. The service, which
    cannot ask the registry, counts it in its metrics. `reason` says what was expected and what
    was found, in printable characters; `attempts` how often in a row. `digest` is that of the
    version. `against` names what else the refusal depends on, such as the version in production;
    empty if the version itself is at fault.
    """

    name: str
    role: str = "production"
    version: int
    digest: str = ""
    against: str = ""
    reason: str
    attempts: int = 1
    refused_at: str
