"""What is in production: which version, since when, by whom, why, and on which decision."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from contracts.errors import PlatformError
from contracts.files import unwritable, write_whole
from contracts.names import DECISION_FOLDER, Layout
from registry.history import Event, history
from registry.mlflow_store.models import StoredModel
from registry.rollback import previous_version
from registry.store import Store

_DECISION_ID = re.compile(r"[0-9A-Za-z]{1,60}")
"""An id that may name a file: it comes from a tag, which anybody may have written."""


@dataclass(frozen=True)
class ProductionChange:
    """The version in production, and the event that made it so.

    `event` is None if the history has none. `previous` is the version to which a rollback
    returns; None if there is none. `decision_file` is the decision's page or document next to
    the reports, empty if there is none; `decision_missing` says why.
    """

    version: int
    run_id: str
    event: Event | None
    previous: int | None
    decision_file: str = ""
    decision_missing: str = ""


def production_change(
    store: Store, layout: Layout, model: StoredModel, version: int
) -> ProductionChange:
    """How a version came into production.

    Raises:
        RegistryUnreachable: the tracking server does not answer.

    """
    versions = store.versions.of(model.name)
    events = history(store, model.name)
    event = _event_of(events, version)
    previous = None if event is None else previous_version(events, versions, version)
    run_id = next((v.run_id for v in versions if v.version == version), "")
    file, reason = "", ""
    if event is not None and event.decision:
        try:
            file = _decision_file(store, layout, model.name, run_id, event.decision)
        except PlatformError as err:
            reason = err.what
    return ProductionChange(version, run_id, event, previous, file, reason)


def _event_of(events: Sequence[Event], version: int) -> Event | None:
    """The last event, if it is the one that put the version into production."""
    return events[-1] if events and events[-1].to_version == version else None


def _decision_file(store: Store, layout: Layout, name: str, run_id: str, decision: str) -> str:
    """The name of the decision's page in the folder of the model's reports; fetched if needed.

    A canary's decision has a document only.

    Raises:
        PlatformError: it is not among the run's artifacts, or cannot be fetched.

    """
    if not _DECISION_ID.fullmatch(decision):
        raise PlatformError(f"expected the id of a decision, got {decision[:60]!r}")
    folder = layout.reports / name
    names = [f"decision-{decision}{suffix}" for suffix in (".html", ".json")]
    for file in names:
        if (folder / file).is_file():
            return file
    stored = set(store.artifacts.paths(run_id, DECISION_FOLDER))
    for file in names:
        path = f"{DECISION_FOLDER}/{file.removeprefix('decision-')}"
        if path in stored:
            _fetch(store, run_id, path, folder / file)
            return file
    raise PlatformError(f"run {run_id} has no artifact {DECISION_FOLDER}/{decision}.html")


def _fetch(store: Store, run_id: str, path: str, target: Path) -> None:
    try:
        with TemporaryDirectory() as temporary:
            fetched = store.artifacts.download(run_id, path, Path(temporary))
            write_whole(target, fetched.read_bytes())
    except OSError as err:
        raise unwritable(target, err) from err
