"""What happened to a version after its training, from the registry and the monitor's verdicts."""

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from contracts.card import Deployment, PastDecision, TrackRecord
from contracts.decision import Decision
from contracts.errors import InvalidDocument
from contracts.names import DECISION_FOLDER, PRODUCTION, Layout
from contracts.verdict import Verdict
from registry.history import Event, history
from registry.store import Store

MAX_VERDICTS = 10_000
"""The newest verdicts that a card counts: a hundred days of quarter-hours."""
MAX_DECISIONS = 20

logger = logging.getLogger("slipway.training")


def deployment_of(
    store: Store, layout: Layout, name: str, version: int, folder: Path
) -> Deployment:
    """The moves of production, the decisions and the verdicts that concern a version.

    `folder` is an empty one for downloads.

    Raises:
        NotRegistered: there is no such model or version.
        RegistryUnreachable: the tracking server or its artifact store does not answer.

    """
    stored = store.versions.get(name, version)
    events = [e for e in history(store, name) if version in {e.from_version, e.to_version}]
    return Deployment(
        version=version,
        is_production=store.models.get(name).aliases.get(PRODUCTION) == version,
        events=tuple(map(_event_text, events)),
        decisions=tuple(_decisions(store, stored.run_id, folder)),
        track_record=_track_record(layout, name, version),
    )


def _event_text(event: Event) -> str:
    why = f": {event.why}" if event.why else ""
    moved = f"from {event.from_version or 'none'} to {event.to_version or 'none'}"
    return f"{event.when} {event.kind} {moved} by {event.who}{why}"


def _decisions(store: Store, run_id: str, folder: Path) -> Iterator[PastDecision]:
    """The newest decisions among the artifacts of a run, oldest first."""
    paths = store.artifacts.paths(run_id, DECISION_FOLDER)
    for path in sorted(path for path in paths if path.endswith(".json"))[-MAX_DECISIONS:]:
        file = store.artifacts.download(run_id, path, folder)
        try:
            decision = Decision.read(file.read_bytes(), path)
        except InvalidDocument as err:
            logger.warning("card: a decision is left out: %s", err.what)
            continue
        yield PastDecision(
            decision_id=decision.decision_id,
            outcome=decision.outcome,
            made_at=decision.made_at,
            by=decision.by,
            sentence=decision.sentence,
            path=path.removesuffix(".json") + ".html",
        )


def _track_record(layout: Layout, name: str, version: int) -> TrackRecord | None:
    """The verdicts on this machine; None without any. Ids are in the order of their windows."""
    paths = sorted((layout.verdicts / name).glob(f"{name}-{version}-*.json"))[-MAX_VERDICTS:]
    alarming: Counter[str] = Counter()
    rows = windows = 0
    first: Verdict | None = None
    latest: Verdict | None = None
    for path in paths:
        try:
            latest = Verdict.read(path.read_bytes(), str(path))
        except (OSError, InvalidDocument) as err:
            logger.warning("card: a verdict is left out: %s", err)
            continue
        first = first or latest
        windows += 1
        rows += latest.window.rows
        alarming.update(condition.kind for condition in latest.alarms)
    if first is None or latest is None:
        return None
    return TrackRecord(
        windows=windows,
        rows=rows,
        first=first.window.start,
        last=latest.window.end,
        alarming=dict(sorted(alarming.items())),
        latest=latest.sentence,
        latest_id=latest.verdict_id,
    )
