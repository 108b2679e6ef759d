"""What can be left out of the edge to know its price."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Parts:
    """Which parts of the edge there are."""

    validates: bool = True
    counts: bool = True
    logs: bool = True


WHOLE, BARE = "whole", "without all three"
VARIANTS = {
    WHOLE: Parts(),
    "without validation": Parts(validates=False),
    "without metrics": Parts(counts=False),
    "without traffic log": Parts(logs=False),
    BARE: Parts(validates=False, counts=False, logs=False),
}
