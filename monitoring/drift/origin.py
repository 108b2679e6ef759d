"""Where a drift comes from: since when a column has drifted, and which segment drives it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from contracts.times import utc_text
from contracts.verdict import Verdict
from monitoring.drift.attribution import SegmentCounts
from monitoring.reference_sample import ReferenceSample
from monitoring.traffic.window import TimeWindow, is_same_length, window_seconds


@dataclass(frozen=True)
class DriftOrigin:
    """The unbroken run of windows in which a column has drifted, and its main segment.

    `since` is the start of the run's first window. `windows` counts those of the length of the
    newest one, which is included. `segment` (as `feature = value`) holds `segment_share` of
    the difference; it is empty where no segment holds most of it.
    """

    since: str
    windows: int
    segment: str = ""
    segment_share: float = 0.0


class DriftOrigins:
    """Finds the origins of drift in a window, from earlier verdicts and segment counts.

    The `sample` of the reference is read only if a column has drifted.
    """

    def __init__(
        self,
        window: TimeWindow,
        earlier: Sequence[Verdict],
        segments: SegmentCounts,
        sample: ReferenceSample,
    ) -> None:
        self._window = window
        self._earlier = earlier
        self._segments = segments
        self._sample = sample

    @cached_property
    def _reference(self) -> SegmentCounts:
        sample, features = self._sample, self._segments.features
        return SegmentCounts.of_sample(sample.rows, sample.reference, features)

    def of(self, column: str) -> DriftOrigin:
        """The origin of the drift of a column."""
        start = utc_text(self._window.start)
        since = drifted_since(column, start, self._earlier)
        windows = drifted_windows(column, self._window, self._earlier)
        if not self._segments.counts:
            return DriftOrigin(since, windows)
        main = self._segments.main_segment(column, self._reference)
        return DriftOrigin(since, windows, str(main or ""), main.share if main else 0.0)


def drifted_since(column: str, start: str, earlier: Sequence[Verdict]) -> str:
    """The start of the unbroken run of drifted windows that ends with the one from `start`."""
    return min((v.window.start for v in _unbroken(column, earlier)), default=start)


def drifted_windows(column: str, window: TimeWindow, earlier: Sequence[Verdict]) -> int:
    """How many windows of this length the unbroken run has, this one included."""
    length_s = (window.end - window.start).total_seconds()
    run = _unbroken(column, earlier)
    return 1 + sum(is_same_length(window_seconds(v.window), length_s) for v in run)


def _unbroken(column: str, earlier: Sequence[Verdict]) -> Iterator[Verdict]:
    for verdict in reversed(earlier):
        if not verdict.findings:
            # A window that could not be judged neither shows nor ends a drift.
            continue
        if not any(f.column == column and f.drifted for f in verdict.findings):
            return
        yield verdict
