"""How old the source of a block is, from which age on it is stale, or what is missing.

A block never shows anything without the age of its source. The page's script keeps the ages
right in a page that stays open or is opened later.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.timestamps import SECONDS_PER_DAY

MINUTE_S = 60
HOUR_S = 3600


@dataclass(frozen=True)
class Freshness:
    """The state of a block's source.

    `changed_at` is when the source last said something; None if there is none, and then
    `missing` says what is missing and `command` what makes it. Older than `stale_after_s`
    (0: at no age) means stale, and `command` makes it fresh again.
    """

    changed_at: datetime | None = None
    stale_after_s: float = 0.0
    missing: str = ""
    command: str = ""

    def is_stale(self, now: datetime) -> bool:
        """Whether the source is older than it should be."""
        if self.changed_at is None or not self.stale_after_s:
            return False
        return (now - self.changed_at).total_seconds() > self.stale_after_s


def missing(what: str, command: str = "") -> Freshness:
    """The freshness of a block that has no source."""
    return Freshness(missing=what, command=command)


def age_text(age: timedelta) -> str:
    """An age in the largest unit that leaves a whole number of at least 2, as the script has it.

    >>> age_text(timedelta(seconds=75)), age_text(timedelta(minutes=200)), age_text(timedelta(3))
    ('75 s', '3 h', '3 d')
    """
    seconds = max(age.total_seconds(), 0.0)
    for unit_s, unit in ((SECONDS_PER_DAY, "d"), (HOUR_S, "h"), (MINUTE_S, "min")):
        if seconds >= 2 * unit_s:
            return f"{seconds // unit_s:.0f} {unit}"
    return f"{seconds:.0f} s"
