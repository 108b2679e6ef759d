"""The lineage of a version: its run, commit, data, checks and promotion."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from contracts.decision import Check, Decision
from contracts.errors import NotRegistered
from contracts.files import unwritable
from contracts.manifest import Manifest
from registry.gate import judge_version
from registry.history import Event, history
from registry.manifests import fetch_manifest
from registry.store import Store


@dataclass(frozen=True)
class Lineage:
    """Where a version comes from, and how it came into production.

    `promoted_how` is the kind of the event that put it into production, empty for a version
    that never was (a challenger, a shadow). `decision` is the path of the decision document
    among the artifacts of its run, and `checks` are the checks in it; for a version that was
    promoted by hand, the gates and the certificate of its own manifest.
    """

    name: str
    version: int
    run_id: str
    trained_at: str
    git_commit: str
    data_source: str
    data_digest: str
    digest: str
    certificate_rows: int
    largest_difference: float
    promoted_at: str
    promoted_by: str
    because: str
    promoted_how: str = ""
    decision: str = ""
    decision_sentence: str = ""
    checks: tuple[Check, ...] = ()
    retraining_id: str = ""
    verdict_id: str = ""


def lineage(store: Store, name: str, version: int, at: str = "") -> Lineage:
    """The lineage of a version.

    `at` is a time (RFC 3339 in UTC): of several promotions, the last one before it counts.

    Raises:
        NotRegistered: no such version, or `slipway train` did not make it.
        RegistryUnreachable: the tracking server or its artifact store does not answer.

    """
    stored = store.versions.get(name, version)
    manifest = fetch_manifest(store, name, version)
    event = _promotion_of(history(store, name), version, at)
    decision = _decision(store, stored.run_id, event)
    retrained = manifest.retrained
    return Lineage(
        name=name,
        version=version,
        run_id=stored.run_id,
        trained_at=manifest.created_at,
        git_commit=manifest.git_commit,
        data_source=manifest.data.source,
        data_digest=manifest.data.digest,
        digest=stored.digest,
        certificate_rows=sum(manifest.certificate.rows.values()),
        largest_difference=manifest.certificate.max_difference,
        promoted_at=event.when if event else "",
        promoted_by=event.who if event else "",
        because=event.why if event else "",
        promoted_how=event.kind if event else "",
        decision=_decision_path(event.decision) if event and event.decision else "",
        decision_sentence=decision.sentence if decision else "",
        checks=decision.checks if decision else _own_checks(manifest),
        retraining_id=retrained.retraining_id if retrained else "",
        verdict_id=retrained.verdict_id if retrained else "",
    )


def _promotion_of(events: list[Event], version: int, at: str) -> Event | None:
    """The last event that put a version into production, before the time `at` if it is given.

    A clock may be slow: where no event is before that time, the first one counts.
    """
    mine = [event for event in events if event.to_version == version]
    before = [event for event in mine if not at or event.when <= at]
    found = before[-1:] or mine[:1]
    return found[0] if found else None


def _decision_path(decision_id: str) -> str:
    return f"decision/{decision_id}.json"


def _decision(store: Store, run_id: str, event: Event | None) -> Decision | None:
    """The document of a promotion; None if it was made by hand, or the document is deleted."""
    if event is None or not event.decision:
        return None
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = store.artifacts.download(run_id, _decision_path(event.decision), Path(folder))
            return Decision.read(path.read_bytes(), str(path))
    except NotRegistered:
        return None
    except OSError as err:
        raise unwritable(Path(tempfile.gettempdir()), err) from err


def _own_checks(manifest: Manifest) -> tuple[Check, ...]:
    """The checks of a version by itself: its certificate and its gates."""
    return tuple(check for check in judge_version(manifest, None).checks if check.judged)
