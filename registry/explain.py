"""Where a version comes from."""

from dataclasses import dataclass

from contracts.names import TAG_DIGEST
from registry.history import history
from registry.promote import manifest_of
from registry.store import Store


@dataclass(frozen=True)
class Lineage:
    """A version's way from its data to production."""

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
    retraining_id: str = ""
    verdict_id: str = ""


def lineage(store: Store, name: str, version: int) -> Lineage:
    """Run, commit, data and promotion of a version.

    Raises:
        NotRegistered: no such version, or one that `slipway train` did not make.

    """
    stored = store.version(name, version)
    manifest = manifest_of(store, name, version)
    events = [event for event in history(store, name) if event.to_version == version]
    last = events[-1] if events else None
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
        largest_difference=manifest.certificate.largest_difference,
        promoted_at=last.when if last else "",
        promoted_by=last.who if last else "",
        because=last.why if last else "",
        retraining_id=retrained.retraining_id if retrained else "",
        verdict_id=retrained.verdict_id if retrained else "",
    )
