"""The reference: what the training data looked like, small enough to travel with the model.

It is `reference.json` in the model directory. Numeric columns are histograms of at most 68
bins, whose inner edges are quantiles of the training rows; categorical columns are counts.
"""

import msgspec

from contracts.documents import Document

_BOOLEANS = frozenset({"true", "false"})


class NumberReference(msgspec.Struct, frozen=True, kw_only=True, tag="number"):
    """A numeric column.

    `edges` are the inner edges, strictly rising, of `len(edges) + 1` bins; bin i holds
    `edges[i-1] < x <= edges[i]` (the first and the last are open). `counts` has one entry per
    bin. Values that are not finite count as `missing`. `std` is the standard deviation.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    missing: int
    minimum: float
    maximum: float
    mean: float
    std: float = msgspec.field(name="deviation")


class CategoryReference(msgspec.Struct, frozen=True, kw_only=True, tag="category"):
    """A categorical column: rows by category (booleans are `true` and `false`).

    `other` counts the rows whose category is none of the schema's, which are unseen to the model:
    those of a `string` that are too rare.
    """

    counts: dict[str, int]
    missing: int
    other: int = 0

    @property
    def is_boolean(self) -> bool:
        """Whether the column held booleans; one without any value may be of either type."""
        return bool(self.counts) and self.counts.keys() <= _BOOLEANS


class TimestampReference(msgspec.Struct, frozen=True, kw_only=True):
    """A timestamp: how many are missing, and the ends in seconds since 1970 in UTC.

    Time goes on, so it has no distribution to compare; `parts` are the numeric columns that the
    model gets of it, by name.
    """

    parts: tuple[str, ...]
    missing: int
    minimum: float
    maximum: float


ColumnReference = NumberReference | CategoryReference


class Reference(Document, frozen=True, kw_only=True):
    """A sketch of the training rows, and of the model's predictions on held-out rows.

    `features` has one entry per feature, and per part of a timestamp instead of the timestamp,
    which is in `timestamps`. `predictions` has `score`, the monitored score (see
    `contracts.decision_rule`), and for a classifier `prediction`, the class.
    """

    n_rows: int
    n_predictions: int
    features: dict[str, ColumnReference]
    predictions: dict[str, ColumnReference]
    timestamps: dict[str, TimestampReference] = msgspec.field(default_factory=dict)
