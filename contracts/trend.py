"""The trend of a column over windows: the state of its CUSUM chart."""

import msgspec


class Trend(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a column's effect has moved since the first windows of a version.

    The first `windows` windows are the baseline: `mean` of their values, and `squares`, the sum of
    squared deviations. `rise` and `fall` are the sums of a two-sided CUSUM chart of later
    windows, in standard deviations; `since` is the start of the window in which the larger one
    left zero. `is_alarming` says that it is above its limit: the column drifts slowly. `seasonal`
    says that the effects are differences from the column's season.
    """

    windows: int = 0
    mean: float = 0.0
    squares: float = 0.0
    rise: float = 0.0
    fall: float = 0.0
    rise_since: str = ""
    fall_since: str = ""
    is_alarming: bool = False
    seasonal: bool = False

    @property
    def since(self) -> str:
        """The start of the window in which the larger sum left zero."""
        return self.rise_since if self.rise >= self.fall else self.fall_since
