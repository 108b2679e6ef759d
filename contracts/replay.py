"""The replay of logged traffic through a version: what it would have answered instead."""

import msgspec

from contracts.documents import Document
from contracts.manifest import Task
from contracts.schema import Value
from contracts.verdict import Window


class RefusedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row that the version does not answer, by its place in the request, and why."""

    row: int
    reasons: tuple[str, ...]


class Scored(Document, frozen=True, kw_only=True):
    """A line of `python -m services.replay`: the scores of a request's rows.

    `scores` holds one list of numbers, in the manifest's order, for each row that is not
    among `refused`, in the order of the request.
    """

    scores: tuple[tuple[float, ...], ...]
    refused: tuple[RefusedRow, ...] = ()


class Flips(msgspec.Struct, frozen=True, kw_only=True):
    """Rows whose decision is another, and their share with Wilson's interval (1927)."""

    rows: int
    flips: int
    share: float
    low: float
    high: float


class SegmentFlips(msgspec.Struct, frozen=True, kw_only=True):
    """The same for the rows that have `value` in the feature `segment`.

    The intervals of all segments together hold with 95 % (Bonferroni). `mean_shift` is that
    of the score.
    """

    segment: str
    value: str
    flips: Flips
    mean_shift: float


class GroupFlips(msgspec.Struct, frozen=True, kw_only=True):
    """The same for the rows that one version answered as one variant."""

    version: int
    variant: str
    flips: Flips
    mean_shift: float


class Reproduction(msgspec.Struct, frozen=True, kw_only=True):
    """How the version reproduces the answers that it gave itself.

    `identical` are the rows with the same decision and the same bits in every score; of these
    `alone` are identical only when scored alone, as they were when they were asked.
    `largest` is the largest difference of any score among the others.
    """

    rows: int
    identical: int
    alone: int
    largest: float


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """By how much the score changes: replayed minus answered.

    `quantiles` are named by their per cent and taken from `sampled` rows (every row while
    there are no more than are kept). `largest` is the largest change with its sign.
    """

    mean: float
    mean_absolute: float
    deviation: float
    largest: float
    quantiles: dict[str, float]
    sampled: int


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """Rows by score in equal cells from `low` to `high`; what lies beyond is in the end cells."""

    low: float
    high: float
    answered: tuple[int, ...]
    replayed: tuple[int, ...]


class ScoredPrediction(msgspec.Struct, frozen=True, kw_only=True):
    """What was, or would be, answered."""

    prediction: str | float
    score: float


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """A prediction with both answers; those with the largest shift are kept."""

    prediction_id: str
    time: str
    version: int
    variant: str
    features: dict[str, Value]
    answered: ScoredPrediction
    replayed: ScoredPrediction


class RefusedReason(msgspec.Struct, frozen=True, kw_only=True):
    """A reason for which rows are not answered; `example` is the id of one of them."""

    reason: str
    rows: int
    example: str


class Replay(Document, frozen=True, kw_only=True):
    """What a version would have answered to the traffic of a window.

    `window.rows` are the records that were read, of which `replayed` were answered and
    `refused` were not, for the `refusals` (a row may have several). `answered_by` is the
    version whose traffic was replayed, None for all of them. `limited` says that the replay
    ended at a limit of rows, before the end of the window. `transitions` counts flips by
    `before -> after`. A regression decides nothing: it has shifts and no flips.
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
