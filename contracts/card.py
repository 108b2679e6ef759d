"""The model card: what people must know of a version before they rely on it.

Mitchell et al. (2019), "Model Cards for Model Reporting", FAT* '19. Everything but `notes` is
taken from documents that exist anyway, which `sources` names.
"""

import msgspec

from contracts.documents import Document
from contracts.manifest import (
    CardNotes,
    Certificate,
    DataIdentity,
    GateResult,
    Metric,
    Retrained,
    Runtime,
    Task,
)


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """A number on some rows with its 95 % interval."""

    value: float
    low: float
    high: float


class SegmentFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of a segment, or of the crossing of two: `segment` has a value per feature.

    A figure of fewer than `contracts.card.MIN_COUNT` rows is None.
    """

    segment: dict[str, str]
    rows: int
    figures: dict[str, Figure | None]


class FeatureFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A feature: what is accepted, and what the training rows held.

    `seen` is the range or the categories of the training rows in words; `missing_share` is
    between 0 and 1, and so is `importance`, the feature's share in the model's skill.
    """

    name: str
    expected: str
    description: str
    seen: str
    missing_share: float
    importance: float


class PastDecision(msgspec.Struct, frozen=True, kw_only=True):
    """A decision on the version's promotion; `path` is that of its page in the run's artifacts."""

    decision_id: str
    outcome: str
    made_at: str
    by: str
    sentence: str
    path: str


class TrackRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the monitor found in the version's traffic, from `first` to `last` (UTC).

    `alarming` counts the windows by condition. `latest` is the last window's verdict in a
    sentence, and `latest_id` its id.
    """

    windows: int
    rows: int
    first: str
    last: str
    alarming: dict[str, int]
    latest: str
    latest_id: str


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to a version after its training: moves of production, decisions, traffic."""

    version: int
    is_production: bool
    events: tuple[str, ...]
    decisions: tuple[PastDecision, ...]
    track_record: TrackRecord | None


MIN_COUNT = 50
"""Rates of fewer rows are not shown: they say more about the sample than about the model."""


class ModelCard(Document, frozen=True, kw_only=True):
    """The card of a version; `card/card.json` in its run's artifacts.

    `segments` are figures on the held-out rows, of which the card's sample has `sample_rows`.
    `deployment` is None in the card that is made at registration. `sources` names the document
    that each part was taken from.
    """

    name: str
    task: Task
    description: str
    digest: str
    run_id: str
    recipe: str
    git_commit: str
    trained_at: str
    made_at: str
    notes: CardNotes
    runtime: Runtime
    data: DataIdentity
    retrained: Retrained | None
    classes: tuple[str, ...]
    outputs: tuple[str, ...]
    output_unit: str
    threshold: float | None
    label_delay_s: float
    features: tuple[FeatureFacts, ...]
    metrics: dict[str, Metric]
    gates: tuple[GateResult, ...]
    segments: tuple[SegmentFigures, ...]
    sample_rows: int
    certificate: Certificate
    libraries: dict[str, str]
    deployment: Deployment | None = None
    sources: dict[str, str]
