"""The verdict on a window of traffic: the source of every report, gauge and message about it."""

from typing import ClassVar, Literal, Self

import msgspec
from msgspec.structs import replace

from contracts.documents import Document
from contracts.trend import Trend

VerdictKind = Literal[
    "stable",
    "drift",
    "quality",
    "performance",
    "too_few_rows",
    "no_traffic",
    "unreadable",
    "failed",
]
ConditionKind = Literal["delivery", "quality", "performance", "drift"]
"""What is judged of a window, each apart from the others: whether its traffic arrived and can be
read, whether the data is sound, whether the model is right, whether the data is like training's."""
ConditionState = Literal["alarming", "accepted", "clear", "unknown"]
DELIVERY_FAULTS = frozenset({"torn_files", "torn_lines", "time_gap"})
DataFault = Literal[
    "missing",
    "unseen",
    "out_of_range",
    "unit",
    "constant",
    "constant_at_training",
    "vanished",
    "new_column",
    "type_change",
    "duplicates",
    "time_gap",
    "torn_lines",
    "torn_files",
]


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One column compared with its reference.

    `column` is a feature's name, `prediction` or `score`. `p_value` is corrected for the
    number of columns (Holm). `statistics` holds the effect sizes by name: `ks`, `psi`,
    `jensen_shannon`, `total_variation`, `wasserstein_normed`, `chi_square`. `drifted` means
    significance AND effect AND persistence, or a `trend` over windows; `effect` names the effect
    size that decided, and `effect_threshold` its threshold.

    `rows_effective` is the number of independent rows that the window's rows are worth.
    `persistence` is the share of the window's thirds in which the difference shows.
    `threshold_from` says where the threshold comes from. `since` is the start of the first
    window in the unbroken run of drifted windows, `windows` the number of windows of this
    length in it. `segment` is the segment that holds `segment_share` of the difference, if one
    holds most of it.

    `season` names what a seasonal column is compared with instead of the whole reference, such
    as `Saturdays`. A drift that is `learning` may be a season: the first weeks will say.
    """

    column: str
    kind: Literal["number", "category"]
    n: int
    p_value: float
    test: str
    statistics: dict[str, float]
    effect: str
    effect_size: float
    effect_threshold: float
    drifted: bool
    rows_effective: float = 0.0
    persistence: float = 1.0
    threshold_from: str = "settings"
    since: str = ""
    windows: int = 1
    segment: str = ""
    segment_share: float = 0.0
    trend: Trend | None = None
    season: str = ""
    learning: bool = False


class QualityFinding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A fault of the data itself.

    `share` is the share of rows concerned, `reference_share` that share in the training data;
    `detail` says it in words. A fault that is not `alarming` is reported and does not change
    the decision; `accepted_in` is the verdict in which a person called it usual, if that is why.
    `values` are the categories that training never saw, for `unseen`. `segment` is the segment
    that holds `segment_share` of the faulty values, if one holds most of them.
    """

    column: str
    fault: DataFault
    share: float
    reference_share: float
    p_value: float
    detail: str
    alarming: bool = True
    accepted_in: str = ""
    values: tuple[str, ...] = ()
    segment: str = ""
    segment_share: float = 0.0


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """The traffic that was judged: `start <= time < end`, both UTC in RFC 3339."""

    start: str
    end: str
    rows: int
    files: int
    torn_lines: int
    other_versions: int = 0


class RealizedMetric(msgspec.Struct, frozen=True, kw_only=True):
    """A metric from labels with its 95 % interval, and its baseline from the held-out rows.

    `worse` means worse than the baseline significantly (`p_value`, corrected for the number of
    metrics) AND by at least `effect_threshold`.
    """

    metric: str
    value: float
    low: float
    high: float
    baseline: float
    baseline_low: float
    baseline_high: float
    greater_is_better: bool
    p_value: float
    effect_threshold: float
    worse: bool


class GroupPerformance(msgspec.Struct, frozen=True, kw_only=True):
    """The first metric of the task, for one version and variant in the window."""

    version: int
    variant: str
    labels: int
    metric: str
    value: float
    low: float
    high: float


class SegmentPerformance(msgspec.Struct, frozen=True, kw_only=True):
    """The first metric of the task in one segment, compared with held-out rows of the segment.

    `segment` names the categorical feature and `value` its value. `p_value` is corrected for
    the number of segments (Holm); `worse` means significantly AND by at least
    `effect_threshold`. It is reported and does not change the decision.
    """

    segment: str
    value: str
    labels: int
    metric: str
    now: float
    low: float
    high: float
    baseline: float
    baseline_labels: int
    p_value: float
    effect_threshold: float
    worse: bool


class Performance(msgspec.Struct, frozen=True, kw_only=True):
    """Realized performance: how right the model was from `start` to `end`, judged by labels.

    That is the verdict's window or, until its labels are all due (`mature_at`), the window of
    the same length that ended one label delay ago. `coverage` is the share of its predictions
    that have a label. `selection` says how these differ from the others, if they do: they are
    then compared with held-out rows like them, or, as `selected`, not judged. `orphans` counts
    labels of that time that match no prediction, `replaced` labels that a later one of the same
    prediction replaced, and `unusable` labels whose truth is neither a class nor a number.
    `segments` are those with enough labels, the worst first.
    """

    status: Literal["judged", "immature", "no_labels", "too_few_labels", "selected"]
    mature_at: str
    start: str = ""
    end: str = ""
    labels: int = 0
    coverage: float = 0.0
    selection: str = ""
    orphans: int = 0
    replaced: int = 0
    torn_lines: int = 0
    unusable: int = 0
    metrics: tuple[RealizedMetric, ...] = ()
    groups: tuple[GroupPerformance, ...] = ()
    segments: tuple[SegmentPerformance, ...] = msgspec.field(default=(), name="slices")


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """Estimated performance: without labels, assuming that scores still mean what they meant.

    `missing` says why there is no estimate. `windows_compared` earlier windows had both an
    estimate and labels; `mean_error` is the mean absolute difference between the two.
    """

    metric: str = ""
    value: float = 0.0
    baseline: float = 0.0
    method: str = ""
    assumes: str = ""
    missing: str = ""
    windows_compared: int = 0
    mean_error: float = 0.0


class Condition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One aspect of a window, judged apart from the others.

    `unknown` means that it could not be judged, `accepted` that what was found is what a person
    called usual. `sentence` says what was found. An alarming condition has alarmed since `since`,
    for `windows` windows in a row; `confirmed` means that it has lasted long enough, or is so
    clear, that people are alerted and a retraining may answer it.
    """

    kind: ConditionKind
    state: ConditionState
    sentence: str = ""
    since: str = ""
    windows: int = 0
    confirmed: bool = False

    @property
    def is_alarming(self) -> bool:
        """Whether something is wrong that nobody has accepted."""
        return self.state == "alarming"


class Acceptance(Document, frozen=True, kw_only=True):
    """A person accepts an alarming window as normal: limits are calibrated on it as well."""

    verdict_id: str
    model: str
    who: str
    why: str
    accepted_at: str


class Verdict(Document, frozen=True, kw_only=True):
    """What was found in a window of one version's traffic, and what it means.

    `verdict_id` is derived from model, version and window, so judging the same window again
    replaces the same files. `conditions` are what was judged, each apart from the others;
    `decision` sums them up in one word. `sentence` is the verdict in one sentence. `evidently` is
    the path of Evidently's page on this window, or empty. `profile` has the number of rows in each
    of 24 equal parts of the window. `torn_files` could not be read at all. `failure` is why the
    window could not be judged, if it could not.
    """

    VERSION: ClassVar[int] = 2
    document_version: int = 2

    verdict_id: str
    model: str
    version: int
    run_id: str
    made_at: str
    window: Window
    decision: VerdictKind
    sentence: str
    findings: tuple[Finding, ...] = ()
    quality: tuple[QualityFinding, ...] = ()
    manifest_digest: str
    report: str = ""
    evidently: str = ""
    profile: tuple[int, ...] = ()
    torn_files: tuple[str, ...] = ()
    failure: str = ""
    performance: Performance | None = None
    estimate: Estimate | None = None
    conditions: tuple[Condition, ...] = ()

    @classmethod
    def read(cls, data: bytes, source: str = "") -> Self:
        """The verdict in `data`; one of version 1 gets the conditions that its findings show.

        Raises:
            InvalidDocument: as `Document.read`.

        """
        verdict = super().read(data, source)
        if verdict.document_version < cls.VERSION:
            conditions = derived_conditions(verdict)
            return replace(verdict, conditions=conditions, document_version=cls.VERSION)
        return verdict

    def condition(self, kind: ConditionKind) -> Condition:
        """The condition of that kind; `unknown` if it was not judged."""
        return next(
            (c for c in self.conditions if c.kind == kind), Condition(kind=kind, state="unknown")
        )

    @property
    def alarms(self) -> tuple[Condition, ...]:
        """The alarming conditions, in their order."""
        return tuple(c for c in self.conditions if c.is_alarming)


def derived_conditions(verdict: Verdict) -> tuple[Condition, ...]:
    """The conditions that the decision and the findings of a verdict of version 1 show.

    Its decision hid what came after: after `quality` both performance and drift, of which its
    metrics and findings are still there.
    """
    decision, performance = verdict.decision, verdict.performance
    faults = {q.fault in DELIVERY_FAULTS for q in verdict.quality if q.alarming}
    is_judged = decision in {"stable", "drift", "quality", "performance"}
    worse = performance is not None and any(m.worse for m in performance.metrics)
    found: dict[ConditionKind, bool | None] = {
        "delivery": decision in {"no_traffic", "unreadable", "failed"} or True in faults,
        "quality": (False in faults or (decision == "quality" and not faults))
        if is_judged
        else None,
        "performance": worse or decision == "performance"
        if decision == "performance" or (performance is not None and performance.metrics)
        else None,
        "drift": any(f.drifted for f in verdict.findings) or decision == "drift"
        if is_judged
        else None,
    }
    states: dict[bool | None, ConditionState] = {True: "alarming", False: "clear", None: "unknown"}
    return tuple(
        Condition(
            kind=kind,
            state=states[alarming],
            sentence=verdict.sentence if alarming else "",
            since=verdict.window.start if alarming else "",
            windows=int(alarming or False),
            confirmed=bool(alarming),
        )
        for kind, alarming in found.items()
    )
