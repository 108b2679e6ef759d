"""The list of registered versions, as people see it."""

from dataclasses import dataclass
from datetime import UTC, datetime

from contracts.names import TAG_RUNTIME
from contracts.times import utc_text
from registry.production import reconcile
from registry.store import Store


@dataclass(frozen=True)
class VersionInfo:
    """One registered version; `created_at` in RFC 3339."""

    name: str
    version: int
    is_production: bool
    aliases: tuple[str, ...]
    stage: str
    created_at: str
    run_id: str
    digest: str
    status: str
    runtime: str = "onnx"


def list_versions(store: Store, name: str | None = None) -> list[VersionInfo]:
    """The versions of one model, or of every model, by name and newest first.

    Changes made by hand to a model of ours are brought into line first (`reconcile`).
    """
    names = [model.name for model in store.models.all()] if name is None else [name]
    return [info for each in names for info in _versions_of(store, each)]


def _versions_of(store: Store, name: str) -> list[VersionInfo]:
    production = reconcile(store, name)
    aliases = store.models.get(name).aliases
    return [
        VersionInfo(
            name=name,
            version=stored.version,
            is_production=stored.version == production,
            aliases=tuple(sorted(a for a, v in aliases.items() if v == stored.version)),
            stage=stored.stage,
            created_at=utc_text(datetime.fromtimestamp(stored.created_ms / 1000, UTC), "seconds"),
            run_id=stored.run_id,
            digest=stored.digest,
            status=stored.status,
            runtime=stored.tags.get(TAG_RUNTIME, "onnx"),
        )
        for stored in reversed(store.versions.of(name))
    ]
