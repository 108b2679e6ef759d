"""The last seven days against the reference: what no season explains.

A season averages out over its week. So the rows of seven days are compared with the reference:
a seasonal column whose hours are as they always were here may still be unlike the training data,
and in the first weeks, before a season is known, a drift that no week can average out is none.
"""

from dataclasses import dataclass
from dataclasses import replace as replace_detail

import numpy as np
from msgspec.structs import replace

from contracts.verdict import Finding
from monitoring.drift import statistics as st
from monitoring.drift.details import Detail, categorical_details, shape_details
from monitoring.drift.histograms import Histogram, NumericHistogram
from monitoring.drift.seasons import Seasons, n_bins
from monitoring.drift.surest_detail import drifted_in, surest_detail
from monitoring.drift.thresholds import DriftThresholds

WEEK_PREFIX = "week_"
"""Effects of the last seven days are called as those of a window, after this."""
MAX_UNSEEN = 0.5
"""How far hours that no window has covered yet may differ from the reference, the other way: as
far as a shift of 1.35 standard deviations. A weekend 2 deviations off is less, seen from Friday."""
NEVER_SEASONAL = frozenset({"below_minimum", "above_maximum"})


@dataclass(frozen=True)
class WeekRule:
    """What a finding becomes by the last seven days; `chance` is that of a false alarm."""

    seasons: Seasons
    thresholds: DriftThresholds
    chance: float

    def applied(self, finding: Finding, column: Histogram) -> Finding:
        """A drift of the week added to a seasonal column; a drift that may be a season marked."""
        if finding.season:
            if finding.drifted or not self.seasons.has_week(finding.column):
                return finding
            return self._with_week(finding, column)
        may_learn = finding.drifted and finding.effect not in NEVER_SEASONAL
        if may_learn and self.seasons.is_learning(finding.column, column):
            return replace(finding, learning=self._may_average_out(finding, column))
        return finding

    def _with_week(self, finding: Finding, column: Histogram) -> Finding:
        detail = self._unlike_reference(finding, column)
        return finding if detail is None else drifted_in(finding, detail)

    def _may_average_out(self, finding: Finding, column: Histogram) -> bool:
        """Whether the rest of the week can make up for what was seen of it."""
        seen = self.seasons.seen
        if seen >= 1:
            return self._unlike_reference(finding, column) is None
        whole = self._details(finding, column)[0]
        return seen * whole.size <= (1 - seen) * MAX_UNSEEN + seen * whole.threshold

    def _unlike_reference(self, finding: Finding, column: Histogram) -> Detail | None:
        """What differs most surely between seven days and the reference.

        Its p-value is corrected for the number of details.
        """
        details = self._details(finding, column)
        return surest_detail(finding.column, details, self.chance, self.thresholds)

    def _details(self, finding: Finding, column: Histogram) -> list[Detail]:
        """The difference of the whole column, then those of its details."""
        name, q = finding.column, self.seasons.last_days(finding.column, column)
        n = int(q.sum())
        own = finding.n / max(finding.rows_effective, 1.0)
        design_effect = max(self.seasons.days_design_effect(name, n), own)
        if isinstance(column, NumericHistogram):
            p = np.array(column.reference.counts)
            size, p_value = st.kolmogorov_smirnov(p, q, design_effect)
            effect, details = "ks", shape_details(column, p, q, [q], design_effect)
        else:
            p = np.zeros(n_bins(column.reference), dtype=np.int64)
            p[:-1] = list(column.reference.counts.values())
            size = st.total_variation(p, q)
            _, p_value = st.chi_square(p, q, design_effect)
            effect, details = "total_variation", categorical_details(p, q, [q], design_effect)
        limit = self.thresholds.least(effect, int(p.sum()))
        found = [Detail(effect, size, limit, p_value), *details]
        return [replace_detail(d, effect=WEEK_PREFIX + d.effect) for d in found]
