"""Thresholds of drift: those of the settings, and those learned from undrifted windows."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
from scipy import stats

from contracts.times import parse_utc
from contracts.verdict import Finding, Verdict
from monitoring.settings import MonitoringSettings
from monitoring.traffic.window import TimeWindow, is_same_length, window_seconds

EFFECTS = ("ks", "wasserstein_normed", "total_variation")
"""The effects that have a limit, as `Finding.statistics` names them."""
REFERENCE_ERROR = {"ks": 0.83, "wasserstein_normed": 1.0, "total_variation": 0.5}
"""How far a reference of m rows is off by itself, times sqrt(m): the median of Kolmogorov's
distribution, the standard error of a mean in standard deviations, and of a share at most."""
MIN_WINDOWS = 20
"""Undrifted windows from which limits are learned."""
LEARNING_WINDOWS = 63
"""Limits are learned from the first windows without drift and never from later ones, which a slow
drift may have moved: nine weeks of days."""
MAX_GROWTH = 3.0
"""A learned limit is at most this many times that of the settings."""
ACCEPTED_GROWTH = 1.25
"""An effect is still usual at this many times its size in an accepted window."""
MIN_WINDOWS_OF_WEEKDAY = 8
"""Undrifted windows of the same weekday that are preferred to all."""
EXCEEDANCE_RATE = 0.02
"""Share of undrifted windows in which a learned limit may be exceeded, over all columns."""


@dataclass(frozen=True)
class Limit:
    """The size from which an effect counts, and where that comes from."""

    size: float
    source: str


@dataclass(frozen=True)
class DriftThresholds:
    """When a difference counts as drift; by column and effect.

    `calibrated` holds limits learned from undrifted windows, `accepted` those that accepted
    windows need.
    """

    settings: MonitoringSettings
    calibrated: Mapping[tuple[str, str], Limit] = field(default_factory=dict)
    accepted: Mapping[tuple[str, str], Limit] = field(default_factory=dict)

    def limit(self, column: str, effect: str, reference_rows: int) -> Limit:
        """The limit of an effect of a column, given the number of rows of its reference.

        A learned limit counts only above that of the settings, and up to three times that: it
        must not grow into a drift. What a person accepted has no such ceiling.
        """
        least = self.least(effect, reference_rows)
        own = self.calibrated.get((column, effect))
        usual = self.accepted.get((column, effect))
        limit = Limit(least, "settings")
        if own is not None and own.size > least:
            limit = Limit(min(own.size, MAX_GROWTH * least), own.source)
        return usual if usual is not None and usual.size > limit.size else limit

    def least(self, effect: str, reference_rows: int) -> float:
        """The limit of the settings, plus the error of a reference of that many rows."""
        least = self.settings.wasserstein if effect.startswith("w") else self.settings.distance
        return least + REFERENCE_ERROR[effect] / math.sqrt(max(reference_rows, 1))

    def is_accepted(self, column: str, effect: str, size: float) -> bool:
        """Whether a person accepted an effect of about this size."""
        usual = self.accepted.get((column, effect))
        return usual is not None and size < usual.size


def calibrated_limits(
    earlier: Sequence[Verdict],
    window: TimeWindow,
    accepted: frozenset[str] = frozenset(),
    seasonal: frozenset[str] = frozenset(),
) -> Mapping[tuple[str, str], Limit]:
    """Limits by column and effect, from undrifted windows of the version of the same length.

    The limit is the upper prediction limit of the next value of a log-normal effect (Hahn and
    Meeker 1991): with `k` windows, `exp(mean + t s sqrt(1 + 1/k))`. Where there are 8 windows
    of the same weekday, only these are used, since a Sunday is like other Sundays.

    Args:
        earlier: verdicts on earlier windows of the version.
        window: the window to be judged.
        accepted: ids of verdicts that a person called usual; they count as undrifted.
        seasonal: columns that are compared with their season now; only what was found so counts.

    Returns:
        Nothing where fewer than 20 windows are undrifted: the limits of the settings hold.

    """
    length_s = (window.end - window.start).total_seconds()
    alike = [v for v in earlier if is_same_length(window_seconds(v.window), length_s)]
    baseline = [v for v in alike if _is_undrifted(v)][:LEARNING_WINDOWS]
    usual = [v for v in alike if v.verdict_id in accepted and v not in baseline]
    undrifted = sorted([*baseline, *usual], key=lambda v: v.window.start)
    if len(undrifted) < MIN_WINDOWS:
        return {}
    basis, source = _basis(undrifted, window)
    sizes: dict[tuple[str, str], list[float]] = {}
    for verdict in basis:
        for finding in verdict.findings:
            for effect in EFFECTS:
                if effect in finding.statistics and _is_alike(finding, seasonal):
                    size = finding.statistics[effect]
                    sizes.setdefault((finding.column, effect), []).append(size)
    n_columns = len({column for column, _ in sizes})
    return {
        key: Limit(_prediction_limit(found, EXCEEDANCE_RATE / max(n_columns, 1)), source)
        for key, found in sizes.items()
        if len(found) >= MIN_WINDOWS_OF_WEEKDAY
    }


def accepted_limits(
    earlier: Sequence[Verdict],
    accepted: frozenset[str],
    seasonal: frozenset[str] = frozenset(),
) -> Mapping[tuple[str, str], Limit]:
    """Limits by column and effect below which no window is larger than an accepted one.

    Of columns that are `seasonal` now, only what was found against their season counts.
    """
    found: dict[tuple[str, str], Limit] = {}
    for verdict in earlier:
        if verdict.verdict_id not in accepted:
            continue
        for finding in verdict.findings:
            for effect in {*EFFECTS, finding.effect}:
                size = ACCEPTED_GROWTH * finding.statistics.get(effect, 0.0)
                key = finding.column, effect
                if not _is_alike(finding, seasonal):
                    continue
                if finding.drifted and size > (found[key].size if key in found else 0.0):
                    found[key] = Limit(size, f"accepted in {verdict.verdict_id}")
    return found


def _is_alike(finding: Finding, seasonal: frozenset[str]) -> bool:
    """Whether a column was compared with what it is compared with now."""
    return bool(finding.season) is (finding.column in seasonal)


def _is_undrifted(verdict: Verdict) -> bool:
    """Whether limits may be learned from a window: nothing has drifted, and the data is sound."""
    return (
        verdict.condition("drift").state == "clear"
        and not verdict.condition("quality").is_alarming
        and not verdict.condition("delivery").is_alarming
    )


def _basis(undrifted: Sequence[Verdict], window: TimeWindow) -> tuple[Sequence[Verdict], str]:
    """The windows to learn from, and how a report names them."""
    weekday = window.start.weekday()
    same_day = [v for v in undrifted if parse_utc(v.window.start).weekday() == weekday]
    is_short = window.end - window.start < timedelta(days=2)
    if is_short and len(same_day) >= MIN_WINDOWS_OF_WEEKDAY:
        return same_day, f"{len(same_day)} undrifted windows of a {window.start:%A}"
    return undrifted, f"{len(undrifted)} undrifted windows"


def _prediction_limit(sizes: Sequence[float], chance: float) -> float:
    logs = np.log(np.maximum(sizes, 1e-6))
    k = len(logs)
    t = float(stats.t.ppf(1 - chance, k - 1))
    return float(np.exp(logs.mean() + t * logs.std(ddof=1) * math.sqrt(1 + 1 / k)))
