"""The analysis of an A/B experiment: whether the challenger is better, as far as labels tell."""

from typing import Literal

import msgspec

from contracts.documents import Document
from contracts.verdict import Window

ExperimentOutcome = Literal["better", "worse", "undecided", "invalid"]


class Stratum(msgspec.Struct, frozen=True, kw_only=True):
    """A weight that was in force, and the units that were first met under it, by variant."""

    weight: float
    production: int
    challenger: int


class RatioCheck(msgspec.Struct, frozen=True, kw_only=True):
    """Whether units were divided as the weights say (Pearson's chi-square).

    `checked` is False where there is no weight, or too few units for the test. It fails below
    `threshold`: then something other than chance decided who is in which variant.
    """

    strata: tuple[Stratum, ...]
    checked: bool
    chi_square: float = 0.0
    freedom: int = 0
    p_value: float = 1.0
    threshold: float = 0.001

    @property
    def failed(self) -> bool:
        """Whether the division is surely not that of the weights."""
        return self.checked and self.p_value < self.threshold


class VariantResult(msgspec.Struct, frozen=True, kw_only=True):
    """One version as one variant: its mature rows, and the metric on those that have a label.

    `low` and `high` are a 95 % interval for a single look; units are clusters. The metric is
    None where it cannot be had, as an AUC of one class.
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
    """What was known of the difference when only the rows before `time` had been answered."""

    time: str
    units: int
    difference: float
    low: float
    high: float


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """The metric of the challenger minus that of production.

    `low` and `high` are ends of a confidence sequence: they hold at all looks at once with
    probability `1 - alpha`, however often one looks and whenever one stops. `p_value` is the
    always-valid one that belongs to it. `error` is the standard error with units as clusters.
    The sequence is narrowest at `planned_units`.
    """

    metric: str
    greater_is_better: bool
    difference: float
    error: float
    low: float
    high: float
    p_value: float
    alpha: float
    units: int
    labels: int
    planned_units: int


class Experiment(Document, frozen=True, kw_only=True):
    """What the log and the labels say of a challenger against production.

    The experiment began at `started_at`, when units were first divided between these two
    versions, and is judged by the answers before `mature_until`, whose labels are due.
    `immature` are rows after that, `unlabelled` mature rows without a label, `other` rows of
    other versions or without a split. `mixed_units` were met as both variants under one weight.
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
