"""Does a distribution depend on the hour of the week? An analysis of variance of histograms."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

EXCESS_ALPHA = 0.05
"""Below this p-value weeks differ from each other by more than their rows explain."""
TAIL = 0.0005
"""The tail at which an estimated variance is made up for: that of an alarm in ten columns."""


@dataclass(frozen=True)
class Seasonality:
    """How far the slots of a week differ from each other, and the same slots of different weeks.

    `p_value` is that of equal slots, `share` the part of the variance of a slot's distribution
    that is between slots, 0 to 1, `effect` the root mean square of that part. `excess` is the
    variance from week to week, in variances of one row: n rows of one week are worth
    `n / (1 + excess * n)`. `is_weekly` says that no other period fits better.
    """

    p_value: float
    share: float
    effect: float
    excess: float
    is_weekly: bool


NO_SEASON = Seasonality(p_value=1.0, share=0.0, effect=0.0, excess=0.0, is_weekly=False)


def weekly_seasonality(counts: NDArray[np.int64], *, ordered: bool) -> Seasonality:
    """The seasonality of counts of shape `(n_weeks, n_slots, n_bins)`; empty windows are gaps.

    The distance-based F ratio of a one-way layout (Anderson 2001, "A new method for
    non-parametric multivariate analysis of variance", Austral Ecology 26), of distribution
    functions if the bins are `ordered`, else of shares, weighted by rows. Its p-value is that of
    Fisher's F for one bin, which is conservative: several bins vary less. Rows that resemble
    their neighbours in time make slots differ by chance; then other periods than a week fit as
    well. So each week is also moved by further slots than the previous one, up to a week: a
    season of a week, or of a day, fits best unmoved.
    """
    rows = counts.sum(axis=2).astype(np.float64)
    n_windows, n_slots = int((rows > 0).sum()), int((rows.sum(axis=0) > 0).sum())
    spare = n_windows - n_slots
    if n_slots < 2 or spare < 2 or counts.shape[2] < 2:  # noqa: PLR2004 - nothing to compare
        return NO_SEASON
    values = counts / np.maximum(rows, 1.0)[:, :, None]
    shares = _weighted(values, rows)
    covariance = np.diag(shares) - np.outer(shares, shares)
    excess = 0.0
    if ordered:
        # A shift moves the mean rank by more than it moves the average bin.
        rank = np.cumsum(shares) - shares / 2
        spread = np.array([[rank @ covariance @ rank]])
        excess = _excess(_within(values @ rank[:, None], rows) / spare, spread, spare)
        values = np.cumsum(values, axis=2)[:, :, :-1]
        covariance = covariance.cumsum(axis=0).cumsum(axis=1)[:-1, :-1]
    between = _between(values, rows)
    if between <= 0:
        return NO_SEASON
    mean_between, mean_within = between / (n_slots - 1), _within(values, rows) / spare
    ratio = mean_between / mean_within if mean_within > 0 else np.inf
    per_window = rows.sum() / n_windows
    per_slot = (rows.sum() - float((rows.sum(axis=0) ** 2).sum()) / rows.sum()) / (n_slots - 1)
    variance = max(mean_between - mean_within, 0.0) / per_slot
    width = values.shape[2] if ordered else 1
    return Seasonality(
        p_value=float(special.fdtrc(n_slots - 1, spare, ratio)) if np.isfinite(ratio) else 0.0,
        share=float(variance / (variance + mean_within / per_window)) if variance else 0.0,
        effect=float(np.sqrt(variance / width)),
        excess=max(excess, _excess(mean_within, covariance, spare)) / float(per_window),
        is_weekly=all(
            _between(*_moved(values, rows, by)) <= between for by in _other_periods(rows.shape[1])
        ),
    )


def _weighted(values: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over all windows, shape `(n_bins,)`."""
    return np.einsum("wsb,ws->b", values, rows) / rows.sum()


def _between(values: NDArray[np.float64], rows: NDArray[np.float64]) -> float:
    """The weighted sum of squares of the slots' means about the mean of all."""
    sizes = rows.sum(axis=0)
    means = np.einsum("wsb,ws->sb", values, rows) / np.maximum(sizes, 1.0)[:, None]
    return float((sizes[:, None] * (means - _weighted(values, rows)) ** 2).sum())


def _within(values: NDArray[np.float64], rows: NDArray[np.float64]) -> float:
    """The weighted sum of squares of windows about the means of their slots."""
    total = float((rows[:, :, None] * (values - _weighted(values, rows)) ** 2).sum())
    return max(total - _between(values, rows), 0.0)


def _moved(
    values: NDArray[np.float64], rows: NDArray[np.float64], by: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Each week moved by `by` slots more than the previous one."""
    weeks = range(len(rows))
    moved = [np.stack([np.roll(x[w], w * by, axis=0) for w in weeks]) for x in (values, rows)]
    return moved[0], moved[1]


def _other_periods(n_slots: int) -> list[int]:
    """By how many slots weeks are moved: not by about a day, by which a season of days fits too."""
    per_day = n_slots // 7
    near = per_day // 12
    if per_day <= 1:
        return list(range(1, n_slots))
    return [k for k in range(1, n_slots) if near < k % per_day < per_day - near]


def _excess(mean_within: float, covariance: NDArray[np.float64], spare: int) -> float:
    """By how much weeks differ more than their rows explain, in variances of a window.

    `covariance` is that of one row. 0 if the difference may be chance (chi-square with Welch
    and Satterthwaite's degrees of freedom); otherwise made up for the error of the estimate, as
    Student's t does.
    """
    trace, squares = float(np.trace(covariance)), float((covariance**2).sum())
    if trace <= 0:
        return 0.0
    freedom = spare * trace**2 / squares
    ratio = mean_within / trace
    if special.chdtrc(freedom, ratio * freedom) >= EXCESS_ALPHA:
        return 0.0
    made_up = float((stats.t.isf(TAIL, freedom) / stats.norm.isf(TAIL)) ** 2)
    return max(ratio * made_up - 1.0, 0.0)
