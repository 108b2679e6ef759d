"""Where a version comes from."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from contracts.decision import Check, Decision
from contracts.errors import NotRegistered
from contracts.files import unwritable
from contracts.manifest import Manifest
from contracts.names import TAG_DIGEST
from registry.gate import decide
from registry.history import Event, history
from registry.promote import manifest_of
from registry.store import Store


@dataclass(frozen=True)
class Lineage:
    """A version's way from its data to production.

    `promoted_how` is the kind of the event that made it Production, empty if nothing did (a
    challenger, a shadow). `decision` names the document of that promotion among the artifacts
    of the run, and `checks` is what the version was held against there; for one that was
    promoted by hand, what its own manifest says of gates and certificate.
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
    """Run, commit, data, checks and promotion of a version.

    `at` is a moment (RFC 3339 in UTC): of several promotions the last one before it counts.

    Raises:
        NotRegistered: no such version, or one that `slipway train` did not make.
        RegistryUnreachable: the tracking server or its artifact store does not answer.

    """
    stored = store.versions.get(name, version)
    manifest = manifest_of(store, name, version)
    event = _made_production(history(store, name), version, at)
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
        digest=stored.tags[TAG_DIGEST],
        certificate_rows=sum(manifest.certificate.rows.values()),
        largest_difference=manifest.certificate.max_difference,
        promoted_at=event.when if event else "",
        promoted_by=event.who if event else "",
        because=event.why if event else "",
        promoted_how=event.kind if event else "",
        decision=_place(event.decision) if event and event.decision else "",
        decision_sentence=decision.sentence if decision else "",
        checks=decision.checks if decision else _own_checks(manifest),
        retraining_id=retrained.retraining_id if retrained else "",
        verdict_id=retrained.verdict_id if retrained else "",
    )


def _made_production(events: list[Event], version: int, at: str) -> Event | None:
    """The event that made a version Production last, before the moment `at` if there is one.

    A clock may be behind: where no event is before the moment, the first one counts.
    """
    mine = [event for event in events if event.to_version == version]
    before = [event for event in mine if not at or event.when <= at]
    found = before[-1:] or mine[:1]
    return found[0] if found else None


def _place(decision_id: str) -> str:
    return f"decision/{decision_id}.json"


def _decision(store: Store, run_id: str, event: Event | None) -> Decision | None:
    """The document of a promotion; None for one by hand, or where the artifact was deleted."""
    if event is None or not event.decision:
        return None
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = store.artifacts.download(run_id, _place(event.decision), Path(folder))
            return Decision.read(path.read_bytes(), str(path))
    except NotRegistered:
        return None
    except OSError as err:
        raise unwritable(Path(tempfile.gettempdir()), err) from err


def _own_checks(manifest: Manifest) -> tuple[Check, ...]:
    """What a version says of itself: its certificate and its gates."""
    return tuple(check for check in decide(manifest, None).checks if check.judged)
