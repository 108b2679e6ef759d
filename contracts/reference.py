"""The reference: what the training data looked like, small enough to travel with the model.

`reference.json` in the model directory. Numbers are counted in at most 64 bins whose inner
edges are quantiles of the training rows; categories by name.
"""

import msgspec

from contracts.documents import Document

_BOOLEANS = frozenset({"true", "false"})


class NumberReference(msgspec.Struct, frozen=True, kw_only=True, tag="number"):
    """A numeric column.

    `edges` are the inner edges, strictly rising, of `len(edges) + 1` bins; bin i holds
    `edges[i-1] < x <= edges[i]` (the first and the last are open). `counts` has one entry a
    bin. Values that are not finite count as `missing`.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    missing: int
    minimum: float
    maximum: float
    mean: float
    deviation: float


class CategoryReference(msgspec.Struct, frozen=True, kw_only=True, tag="category"):
    """A categorical column: rows by category (booleans are `true` and `false`)."""

    counts: dict[str, int]
    missing: int

    @property
    def is_boolean(self) -> bool:
        """Whether the column held booleans; one without any value may be of either type."""
        return bool(self.counts) and self.counts.keys() <= _BOOLEANS


ColumnReference = NumberReference | CategoryReference


class Reference(Document, frozen=True, kw_only=True):
    """The sketch of the training rows and of the model's answers on held-out rows.

    `features` has one entry a feature. `predictions` has `score` (the probability of the
    positive class of a binary model, the highest probability of a multiclass one, the value
    of a regression) and, for a classifier, `prediction` (the class).
    """

    n_rows: int
    n_predictions: int
    features: dict[str, ColumnReference]
    predictions: dict[str, ColumnReference]
