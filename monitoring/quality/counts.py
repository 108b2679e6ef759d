"""What is counted of a window besides its histograms: repeated ids, unknown features, flags."""

from collections import Counter, defaultdict

from monitoring.quality.duplicates import DuplicateCount
from monitoring.quality.timestamps import TimestampCounts
from monitoring.traffic.batch import TrafficBatch


class QualityCounts:
    """Counts of a window that show faults of the data, in memory that does not grow.

    `unknown_features` counts the values of features that training did not know, by name;
    `flags` counts the flags that the service has set, such as `clipped:income`. `timestamps` are
    counted as a whole: their parts are in the histograms.
    """

    def __init__(self) -> None:
        self.duplicates = DuplicateCount()
        self.unknown_features: Counter[str] = Counter()
        self.flags: Counter[str] = Counter()
        self.timestamps: defaultdict[str, TimestampCounts] = defaultdict(TimestampCounts)

    def add(self, batch: TrafficBatch) -> None:
        """Count more rows."""
        self.duplicates.add(batch.ids)
        self.unknown_features.update(batch.unknown_features)
        self.flags.update(batch.flags)
        for name, seconds in batch.timestamps.items():
            self.timestamps[name].add(seconds, batch.mistyped.get(name, 0))
