"""The replay of logged traffic through a version: what it would have answered instead."""

import msgspec

from contracts.documents import Document
from contracts.manifest import Task
from contracts.schema import Value
from contracts.verdict import Window


class RefusedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row that the version does not answer, by its index in the request, and why."""

    row: int
    reasons: tuple[str, ...]


class Scored(Document, frozen=True, kw_only=True):
    """A line of `python -m services.replay`: the scores of a request's rows.

    `scores` holds one list of numbers, in the manifest's order, for each row that is not in
    `refused`, in the order of the request.
    """

    scores: tuple[tuple[float, ...], ...]
    refused: tuple[RefusedRow, ...] = ()


class Flips(msgspec.Struct, frozen=True, kw_only=True):
    """Rows whose decision changes, and their share with Wilson's 95 % interval (1927)."""

    rows: int
    flips: int
    share: float
    low: float
    high: float


class SegmentFlips(msgspec.Struct, frozen=True, kw_only=True):
    """Flips among the rows that have `value` in the feature `segment`.

    The intervals of all segments hold together with 95 % (Bonferroni). `mean_shift` is the mean
    change of the score.
    """

    segment: str
    value: str
    flips: Flips
    mean_shift: float


class GroupFlips(msgspec.Struct, frozen=True, kw_only=True):
    """Flips among the rows that one version answered as one variant."""

    version: int
    variant: str
    flips: Flips
    mean_shift: float


class Reproduction(msgspec.Struct, frozen=True, kw_only=True):
    """How well the version reproduces the predictions that it made itself.

    `identical` counts the rows with the same decision and the same bits in every score. Of
    these, `identical_unbatched` are identical only if scored one by one, as they were when they
    were requested. `max_difference` is the largest difference of any score among the others.
    """

    rows: int
    identical: int
    identical_unbatched: int = msgspec.field(name="alone")
    max_difference: float = msgspec.field(name="largest")


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """How far the score changes: replayed minus logged.

    `quantiles` are named by their per cent and computed from `sampled` rows (all rows, up to a
    limit). `extreme` is the change with the largest size, with its sign. `std` is the standard
    deviation.
    """

    mean: float
    mean_absolute: float
    std: float = msgspec.field(name="deviation")
    extreme: float = msgspec.field(name="largest")
    quantiles: dict[str, float]
    sampled: int


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """Rows by score in equal bins from `low` to `high`; the end bins hold what lies beyond."""

    low: float
    high: float
    answered: tuple[int, ...]
    replayed: tuple[int, ...]


class ScoredPrediction(msgspec.Struct, frozen=True, kw_only=True):
    """A prediction and its monitored score."""

    prediction: str | float
    score: float


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """A logged prediction and the replayed one; the examples with the largest shift are kept."""

    prediction_id: str
    time: str
    version: int
    variant: str
    features: dict[str, Value]
    answered: ScoredPrediction
    replayed: ScoredPrediction


class RefusedReason(msgspec.Struct, frozen=True, kw_only=True):
    """A reason for which rows are not answered; `example` is the prediction id of one."""

    reason: str
    rows: int
    example: str


class Replay(Document, frozen=True, kw_only=True):
    """What a version would have answered to the traffic of a window.

    `window.rows` records were read; `replayed` of them were answered and `refused` were not,
    for the reasons in `refusals` (a row may have several). `answered_by` is the version whose
    traffic was replayed, None for all versions. `limited` says that the replay stopped at a
    limit of rows, before the end of the window. `transitions` counts flips by
    `before -> after`. A regression makes no decisions: it has shifts and no flips.
    """

    replay_id: str
    model: str
    version: int
    digest: str
    task: Task
    made_at: str
    window: Window
    answered_by: int | None = None
    limited: bool = False
    replayed: int
    refused: int
    sentence: str
    flips: Flips
    transitions: dict[str, int]
    shift: Shift
    distribution: Distribution
    segments: tuple[SegmentFlips, ...] = ()
    groups: tuple[GroupFlips, ...] = ()
    reproduction: Reproduction | None = None
    examples: tuple[Example, ...] = ()
    refusals: tuple[RefusedReason, ...] = ()
    torn_files: tuple[str, ...] = ()
    seconds: float = 0.0
