"""The analysis of an A/B experiment: whether the challenger is better, judged by labels."""

from typing import Literal

import msgspec

from contracts.documents import Document
from contracts.verdict import Window

ExperimentOutcome = Literal["better", "worse", "undecided", "invalid"]


class Stratum(msgspec.Struct, frozen=True, kw_only=True):
    """A weight of the split, and the units that were first seen under it, by variant."""

    weight: float
    production: int
    challenger: int


class RatioCheck(msgspec.Struct, frozen=True, kw_only=True):
    """Whether units were divided according to the weights (Pearson's chi-square test).

    `checked` is False if there is no weight, or too few units for the test. The check fails
    below `threshold`: then something other than chance decided which variant a unit got.
    """

    strata: tuple[Stratum, ...]
    checked: bool
    chi_square: float = 0.0
    dof: int = msgspec.field(default=0, name="freedom")
    p_value: float = 1.0
    threshold: float = 0.001

    @property
    def failed(self) -> bool:
        """Whether the units were almost certainly not divided according to the weights."""
        return self.checked and self.p_value < self.threshold


class VariantResult(msgspec.Struct, frozen=True, kw_only=True):
    """One version as one variant: its mature rows, and the metric on the labelled ones.

    `low` and `high` are a 95 % interval for a single look, with units as clusters. The metric
    is None where it is not defined, such as an AUC of one class.
    """

    version: int
    variant: str
    rows: int
    units: int
    labels: int
    value: float | None = None
    low: float | None = None
    high: float | None = None


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """The difference and its bounds, from the rows before `time` only."""

    time: str
    units: int
    difference: float
    low: float
    high: float


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """The metric of the challenger minus that of production.

    `low` and `high` are the ends of a confidence sequence: they hold at all looks at once with
    probability `1 - alpha`, however often you look and whenever you stop. `p_value` is the
    matching always-valid p-value. `events` is the number of rare events (errors, say) that the
    difference rests on in the variant with fewer of them. `standard_error` treats units as
    clusters. The sequence is narrowest at `planned_units`.
    """

    metric: str
    greater_is_better: bool
    difference: float
    standard_error: float = msgspec.field(name="error")
    low: float
    high: float
    p_value: float
    alpha: float
    units: int
    labels: int
    planned_units: int
    events: float | None = None


class Experiment(Document, frozen=True, kw_only=True):
    """What the traffic log and the labels say about a challenger against production.

    The experiment started at `started_at`, when units were first divided between these two
    versions, and is judged on the predictions before `mature_until`, whose labels are due.
    `immature` counts later rows, `unlabelled` mature rows without a label, `other` rows of
    other versions or without a split. `mixed_units` got both variants under one weight.
    """

    experiment_id: str
    model: str
    production_version: int | None
    challenger_version: int | None
    made_at: str
    window: Window
    started_at: str = ""
    mature_until: str = ""
    outcome: ExperimentOutcome
    sentence: str
    ratio: RatioCheck
    labelled_ratio: RatioCheck
    results: tuple[VariantResult, ...] = ()
    effect: Effect | None = None
    looks: tuple[Look, ...] = ()
    rows: int = 0
    units: int = 0
    immature: int = 0
    unlabelled: int = 0
    other: int = 0
    mixed_units: int = 0
    notes: tuple[str, ...] = ()
