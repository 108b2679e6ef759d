"""How much smaller a model of trees may be made, and how much that may cost."""

from collections.abc import Iterator
from dataclasses import dataclass

MIN_LEAVES = 2


@dataclass(frozen=True)
class Compression:
    """The fewest leaves per tree with which the model loses at most `max_loss`.

    Attributes:
        max_leaf_nodes: The numbers of leaves that are tried.
        max_loss: How much worse the metric of the first gate may be on validation rows, in its
            own unit: 0.005 are half a percentage point of accuracy.
    """

    max_leaf_nodes: tuple[int, ...] = (16, 32, 64, 128, 256)
    max_loss: float = 0.005

    def faults(self) -> Iterator[str]:
        """What is wrong with it."""
        if not self.max_leaf_nodes or min(self.max_leaf_nodes) < MIN_LEAVES:
            yield f"compression: expected max_leaf_nodes of {MIN_LEAVES} or more, got {self}"
        if not self.max_loss >= 0:
            yield f"compression: expected a max_loss of 0 or more, got {self.max_loss}"
