"""Small changes that are grave: ends, tails and spread of numbers, rare categories and zeros.

The effects of the whole column (`monitoring.drift.rule`) ask whether many rows have moved. These
ask whether a few have moved far, or a rare thing has become less rare: by exact counts beyond the
ends of training, by odds ratios, and by the spread. Each is a test with its own smallest effect.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from monitoring.drift import statistics as st
from monitoring.drift.histograms import NumericHistogram

MIN_END_SHARE = 0.0025
"""Smallest share of rows beyond an end of training that counts."""
MIN_LOG_ODDS = {"category_odds": 0.2, "tail_odds": 0.7}
"""Smallest change of log-odds that counts: 1.22 times the odds, and twice for a tail, plus
the reference's own error."""
ODDS_ERROR = 1.5
"""Standard errors of a reference's log-odds; one is the inverse root of its rarer rows."""
MIN_SHARE_CHANGE = {"category_odds": 0.0075, "tail_odds": 0.005}
"""... with at least this change of the share, so that no rarity alarms by its ratio alone."""
MIN_LOG_SPREAD = 0.06
"""Smallest change of the spread's logarithm that counts."""
SPREAD_ERROR = 0.7
"""The standard error of a reference's log-spread, times the root of its rows."""
TAIL_SHARES = (0.002, 0.005, 1 / 32, 1 / 16)
"""A tail is the outermost bins with about this share of the reference's rows, if there are such."""
TAIL_TOLERANCE = 1.25
ATOM_FACTOR = 3
"""A bin this many times as full as an equal one holds one frequent value, such as zero."""
MIN_BINS = 16
MIN_NORMAL_ROWS = 50
"""Rows of each kind that both samples must hold for the normal approximation of their shares."""

_Bins = NDArray[np.int64]


@dataclass(frozen=True)
class Detail:
    """A detail of a column that has changed: its effect, the smallest that counts, its p-value.

    The p-value of a share whose effect does not count is 1.
    """

    effect: str
    size: float
    threshold: float
    p_value: float

    @property
    def is_large(self) -> bool:
        """Whether the effect counts."""
        return self.size >= self.threshold


def end_details(column: NumericHistogram, design_effect: float) -> list[Detail]:
    """Rows of a window beyond the ends of training."""
    n_reference, n = sum(column.reference.counts), int(column.counts.sum())
    return list(_ends(column, n_reference, n, design_effect))


def shape_details(
    column: NumericHistogram, p: st.Counts, q: _Bins, parts: list[_Bins], design_effect: float
) -> list[Detail]:
    """What has changed from `p` to `q` in tails, frequent values and spread of a numeric column.

    `parts` are the counts `q` by time.
    """
    found: list[Detail] = []
    full = np.flatnonzero(p >= ATOM_FACTOR * p.sum() / max(len(p), 1))
    groups: list[tuple[int, ...]] = [(int(i),) for i in full]
    found += _odds(p, q, groups, parts, design_effect, "category_odds")
    if len(p) >= MIN_BINS:
        found += _odds(p, q, _tails(p), parts, design_effect, "tail_odds")
        found += _spread(column, p, q, design_effect)
    return found


def _tails(p: st.Counts) -> list[tuple[int, ...]]:
    """The bins of each tail at both ends.

    >>> _tails(np.array([2, 3, 26, 31, 876, 62]))
    [(0,), (0, 1), (0, 1, 2), (0, 1, 2, 3), (5,)]
    """
    n_bins, total = len(p), float(p.sum())
    found: list[tuple[int, ...]] = []
    for bins in (range(n_bins), range(n_bins - 1, -1, -1)):
        held = np.cumsum(p[list(bins)])
        for share in TAIL_SHARES:
            # The fewest bins with the share; a bin of another size ends beyond it.
            last = int(np.searchsorted(held, share * total / TAIL_TOLERANCE))
            if last < n_bins and held[last] <= share * total * TAIL_TOLERANCE:
                found.append(tuple(sorted(bins[: last + 1])))
    return list(dict.fromkeys(found))


def categorical_details(
    p: st.Counts, q: _Bins, parts: list[_Bins], design_effect: float
) -> list[Detail]:
    """Categories that training knew and that have become more or less frequent."""
    groups: list[tuple[int, ...]] = [(int(i),) for i in np.flatnonzero(p)]
    return _odds(p, q, groups, parts, design_effect, "category_odds")


def exceedance_p_value(beyond: int, n: int, reference_n: int) -> float:
    """The chance that this many of `n` new rows lie beyond the largest of `reference_n` old ones.

    Exact for any continuous distribution, and conservative with ties: of all rows together the
    `beyond` largest are new ones (Gumbel and von Schelling 1950). Below: both of two are.

    >>> round(exceedance_p_value(2, 2, 2), 6)  # 2/4 * 1/3
    0.166667
    """
    if beyond > n:
        return 0.0
    i = np.arange(beyond)
    return float(np.exp(np.log((n - i) / (n + reference_n - i)).sum()))


def share_p_value(before: float, n: float, now: float, m: float) -> float:
    """The chance of two shares, `before` of `n` rows and `now` of `m`, at least this unlike.

    The normal approximation where both samples hold enough rows of each kind. Otherwise Fisher's
    (1935) exact test, two-sided by doubling: a normal tail is far too thin for rare rows.

    >>> round(share_p_value(150, 50_000, 7, 500), 3)  # 1.5 were expected
    0.002
    """
    pooled = (before + now) / (n + m)
    if min(n, m) * min(pooled, 1 - pooled) < MIN_NORMAL_ROWS:
        old, new = (round(before), round(n)), (round(now), round(m))
        more, fewer = st.fisher_exact_greater(*new, *old), st.fisher_exact_greater(*old, *new)
        return min(1.0, 2 * min(more, fewer))
    error = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    return float(2 * special.ndtr(-abs(now / m - before / n) / error))


def _ends(
    column: NumericHistogram, reference_n: int, n: int, design_effect: float
) -> Iterator[Detail]:
    """Rows below the smallest and above the largest value of training, by a margin."""
    if not n or not reference_n:
        return
    for effect, beyond in (("below_minimum", column.below), ("above_maximum", column.above)):
        p_value = exceedance_p_value(
            int(beyond / design_effect), int(n / design_effect), reference_n
        )
        yield Detail(effect, beyond / n, MIN_END_SHARE, p_value)


def _odds(
    p: st.Counts,
    q: _Bins,
    groups: list[tuple[int, ...]],
    parts: list[_Bins],
    design_effect: float,
    effect: str,
) -> list[Detail]:
    """The change of the log-odds of each group of bins, if it lasts through the window."""
    n, m = float(p.sum()), float(q.sum())
    found: list[Detail] = []
    if not n or not m:
        return found
    for group in map(list, groups):
        before, now = float(p[group].sum()), float(q[group].sum())
        # Half a row more of each, so that nothing is infinitely rare.
        odds = [(k + 0.5) / (total - k + 0.5) for k, total in ((before, n), (now, m))]
        size = abs(float(np.log(odds[1] / odds[0])))
        is_small = abs(now / m - before / n) < MIN_SHARE_CHANGE[effect]
        if is_small or not _lasts(p, parts, group):
            size = 0.0
        least = float(MIN_LOG_ODDS[effect] + ODDS_ERROR / np.sqrt(min(before, n - before) + 1))
        p_value = 1.0
        if size >= least:
            p_value = share_p_value(before, n, now / design_effect, m / design_effect)
        found.append(Detail(effect, size, least, p_value))
    return found


def _lasts(p: st.Counts, parts: list[_Bins], group: list[int]) -> bool:
    """Whether at least two thirds of the window show half of the change of a group's share."""
    split = [_split(part, group) for part in parts]
    return st.persistence(_split(p, group), split, ordered=False) >= st.MIN_PERSISTENCE


def _split(counts: st.Counts, group: list[int]) -> NDArray[np.float64]:
    """The rows in a group of bins, and all others."""
    inside = float(counts[group].sum())
    return np.array([inside, float(counts.sum()) - inside])


def _spread(
    column: NumericHistogram, p: st.Counts, q: _Bins, design_effect: float
) -> Iterator[Detail]:
    """The distance from the 10th to the 90th percentile, against that of the reference.

    Tested by Mood's (1954) rank test for a difference of scale.
    """
    edges = np.array(column.reference.edges)
    n, m = float(p.sum()), float(q.sum()) / design_effect
    if not n or not m:
        return
    spreads = [_decile_range(counts, edges) for counts in (p, q)]
    if min(spreads) <= 0:
        return
    total = p + q / design_effect
    rank = (np.cumsum(total) - total / 2) / total.sum() - 0.5
    squares = rank**2
    mean = float(total @ squares) / total.sum()
    variance = float(total @ (squares - mean) ** 2) / total.sum()
    if not variance:
        return
    difference = float(st.shares(q) @ squares - st.shares(p) @ squares)
    p_value = float(2 * special.ndtr(-abs(difference) / np.sqrt(variance * (1 / n + 1 / m))))
    size = abs(float(np.log(spreads[1] / spreads[0])))
    yield Detail("spread", size, MIN_LOG_SPREAD + SPREAD_ERROR / np.sqrt(n), p_value)


def _decile_range(counts: st.Counts, edges: NDArray[np.float64]) -> float:
    """The distance between the 10 % and the 90 % point, linear within bins."""
    below = np.cumsum(st.shares(counts))[:-1]
    low, high = np.interp([0.1, 0.9], below, edges)
    return float(high - low)
