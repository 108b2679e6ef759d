"""What is registered."""

from dataclasses import dataclass
from datetime import UTC, datetime

from contracts.names import TAG_DIGEST
from registry.production import reconcile
from registry.store import Store


@dataclass(frozen=True)
class VersionInfo:
    """A registered version, as a list shows it."""

    name: str
    version: int
    is_production: bool
    aliases: tuple[str, ...]
    stage: str
    created_at: str
    run_id: str
    digest: str
    status: str


def versions(store: Store, name: str | None = None) -> list[VersionInfo]:
    """The versions of one model, or of every model, by name and newest first."""
    names = [model.name for model in store.models.all()] if name is None else [name]
    return [info for each in names for info in _of_model(store, each)]


def _of_model(store: Store, name: str) -> list[VersionInfo]:
    production = reconcile(store, name)
    aliases = store.models.get(name).aliases
    return [
        VersionInfo(
            name=name,
            version=stored.version,
            is_production=stored.version == production,
            aliases=tuple(sorted(a for a, v in aliases.items() if v == stored.version)),
            stage=stored.stage,
            created_at=_utc(stored.created_ms),
            run_id=stored.run_id,
            digest=stored.tags.get(TAG_DIGEST, ""),
            status=stored.status,
        )
        for stored in reversed(store.versions.of(name))
    ]


def _utc(milliseconds: int) -> str:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
