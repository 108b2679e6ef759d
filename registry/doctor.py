"""Find what killed processes left behind, and clean it up."""

import os
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from contracts.errors import (
    CorruptModel,
    InvalidDocument,
    NotRegistered,
    PlatformError,
    RegistryUnreachable,
)
from contracts.files import TEMPORARY_PREFIX
from contracts.manifest import Pointer
from contracts.names import MODEL_DIRECTORY, ROLES, TAG_PROCESS, TAG_PRODUCTION, Layout
from contracts.sqlite_file import damage_of
from registry import bento_store
from registry.history import history
from registry.manifests import MANIFEST_PATH
from registry.mlflow_store.database import without_password
from registry.mlflow_store.models import StoredModel
from registry.mlflow_store.runs import StoredRun
from registry.mlflow_store.versions import StoredVersion
from registry.model_directory import verify
from registry.production import is_managed, is_unfinished, reconcile_locked
from registry.pull import fetch_version
from registry.store import Store

FOREIGN_RUN_MAX_AGE_S = 24 * 3600
"""A run of a different machine counts as dead after a day; on this machine, its pid decides."""


@dataclass(frozen=True)
class Problem:
    """Something left behind: its kind, where it is, and what is wrong with it.

    A `missing_model` is for a person: all that is certain is that its files are not visible. So
    is an `artifact_store` that does not answer, and a database of `damaged_jobs`.
    """

    kind: str
    subject: str
    detail: str


def examine(store: Store, layout: Layout) -> list[Problem]:
    """Everything that a killed training, promotion or pull left behind."""
    return [
        *_artifact_store(store),
        *_dead_runs(store),
        *_pending_models(store),
        *_hollow_versions(store),
        *_unfinished_moves(store),
        *_stray_files(layout),
        *_broken_pointers(layout),
        *_damaged_jobs(layout),
    ]


def repair(store: Store, layout: Layout, problems: list[Problem]) -> list[str]:
    """Fix what `examine` found; returns what was done, one line for each fix.

    What a person must look at stays as it is, and so does a version that is no longer a
    leftover.
    """
    done = (_fix(store, layout, problem) for problem in problems)
    return [line for line in done if line]


def _artifact_store(store: Store) -> Iterator[Problem]:
    """Whether the artifact store answers; the connection itself has been checked before."""
    try:
        store.artifacts.check()
    except PlatformError as err:
        yield Problem("artifact_store", without_password(store.tracking_uri), err.what)


def _dead_runs(store: Store) -> Iterator[Problem]:
    for run in store.runs.with_status("RUNNING"):
        process = run.tags.get(TAG_PROCESS)
        if process is not None and _is_dead(process, run):
            yield Problem("dead_run", run.run_id, f"RUNNING, but its process {process} is gone")


def _is_dead(process: str, run: StoredRun) -> bool:
    host, _, pid = process.rpartition(":")
    if host != socket.gethostname():
        return time.time() - run.started_ms / 1000 > FOREIGN_RUN_MAX_AGE_S
    return pid.isdigit() and not process_lives(int(pid))


def process_lives(pid: int) -> bool:
    """Whether a process of this machine has that number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _pending_models(store: Store) -> Iterator[Problem]:
    """Logged models of our runs that will never be finished; those of others are left alone."""
    for model_id, run_id in store.runs.pending_models():
        try:
            run = store.runs.get(run_id)
        except NotRegistered:
            # It was logged outside a run, or its run was deleted: it may not be ours.
            continue
        if TAG_PROCESS in run.tags and (_has_died(run) or run.status == "FINISHED"):
            yield Problem("pending_model", model_id, f"PENDING, but its run {run_id} is over")


def _hollow_versions(store: Store) -> Iterator[Problem]:
    """Versions of ours without a manifest: leftovers, and those that a person must look at."""
    for model in store.models.all():
        for stored in store.versions.of(model.name):
            if not stored.digest:
                continue
            try:
                if MANIFEST_PATH in store.artifacts.paths(stored.run_id, MODEL_DIRECTORY):
                    continue
                reasons = _reasons_to_keep(store, model, stored)
            except PlatformError as err:
                reasons = [f"its artifacts cannot be listed: {err.what}"]
            yield _hollow_version(f"{model.name}/{stored.version}", reasons)


def _hollow_version(subject: str, reasons: list[str]) -> Problem:
    if reasons:
        because = ", and ".join(reasons)
        detail = f"{MANIFEST_PATH} is not found; a person must look, because {because}"
        return Problem("missing_model", subject, detail)
    detail = f"{MANIFEST_PATH} is missing: its run died before writing it"
    return Problem("hollow_version", subject, detail)


def _reasons_to_keep(store: Store, model: StoredModel, stored: StoredVersion) -> list[str]:
    """Why a version without files may be more than the leftover of a killed training.

    A deletion cannot be undone, and a folder that is not mounted looks like one that never
    existed. Only a version whose run died, that never served, and whose artifact store shows
    other artifacts is a leftover.
    """
    run = store.runs.get(stored.run_id)
    reasons = []
    if not _has_died(run):
        reasons.append(f"its run is {run.status}")
    reasons += [f"it has the alias {a}" for a, v in model.aliases.items() if v == stored.version]
    if stored.stage:
        reasons.append(f"it is in the stage {stored.stage}")
    if _was_production(store, model, stored.version):
        reasons.append("it was production")
    if not store.artifacts.has_any(run.experiment_id):
        reasons.append(
            "no artifact of any run of its experiment is found either: is the artifact store "
            "(by default mlruns/) moved, or not mounted?"
        )
    return reasons


def _has_died(run: StoredRun) -> bool:
    if run.status == "RUNNING":
        process = run.tags.get(TAG_PROCESS)
        return process is not None and _is_dead(process, run)
    return run.status in {"FAILED", "KILLED"}


def _was_production(store: Store, model: StoredModel, version: int) -> bool:
    events = history(store, model.name)
    named = {v for event in events for v in (event.from_version, event.to_version)}
    return version in named or model.tags.get(TAG_PRODUCTION) == str(version)


def _unfinished_moves(store: Store) -> Iterator[Problem]:
    for model in store.models.all():
        if is_managed(store, model.name) and is_unfinished(store, model.name):
            detail = (
                "its history records a move that is not done; the process was killed, or is at it"
            )
            yield Problem("unfinished_move", model.name, detail)


def _stray_files(layout: Layout) -> Iterator[Problem]:
    ours = sorted(layout.var.rglob(f"{TEMPORARY_PREFIX}*"))
    for path in (*ours, *bento_store.leftovers()):
        pid = path.name.removeprefix(TEMPORARY_PREFIX).split("-")[0]
        if not (pid.isdigit() and process_lives(int(pid))):
            yield Problem("stray_file", str(path), "the process that wrote it is gone")


def _broken_pointers(layout: Layout) -> Iterator[Problem]:
    files = (path for role in ROLES for path in layout.all_models.glob(f"*/{role}.json"))
    for path in sorted(files):
        try:
            pointer = Pointer.read(path.read_bytes(), str(path))
            verify(layout.model(pointer.name, pointer.version), pointer.digest)
        except (InvalidDocument, CorruptModel) as err:
            yield Problem("broken_pointer", str(path), err.what)


def _damaged_jobs(layout: Layout) -> Iterator[Problem]:
    """Whether the database of jobs is sound; what can be saved of it, only a person can say."""
    path = layout.jobs
    damage = damage_of(path) if path.is_file() else ""
    if damage:
        detail = (
            f"{damage}; stop the service, save what can be read (sqlite3 {path.name} .recover), "
            "and move its folder away: the service makes a new database"
        )
        yield Problem("damaged_jobs", str(path), detail)


def _fix(store: Store, layout: Layout, problem: Problem) -> str:
    """Fix one problem; returns what was done, empty if nothing was."""
    if problem.kind == "dead_run":
        store.runs.end(problem.subject, "FAILED")
        return f"run {problem.subject} is FAILED"
    if problem.kind == "pending_model":
        store.runs.fail_model(problem.subject)
        return f"logged model {problem.subject} is FAILED"
    if problem.kind == "hollow_version":
        return _delete_leftover(store, problem.subject)
    if problem.kind in {"missing_model", "artifact_store", "damaged_jobs"}:
        return ""
    if problem.kind == "unfinished_move":
        with store.lock(problem.subject):
            current = reconcile_locked(store, problem.subject)
        return f"{problem.subject}: production is {current or 'none'}, and its history agrees"
    path = Path(problem.subject)
    return (
        _repair_pointer(store, layout, path) if problem.kind == "broken_pointer" else _remove(path)
    )


def _remove(path: Path) -> str:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    return f"{path} is removed"


def _repair_pointer(store: Store, layout: Layout, path: Path) -> str:
    """Fetch again what a pointer names; returns what was done, empty if nothing could be.

    The pointer stays: a service may hold its version in memory, and without the pointer it would
    unload that. Only a pointer that cannot be read is removed.
    """
    try:
        pointer = Pointer.read(path.read_bytes(), str(path))
        fetch_version(store, layout, pointer.name, pointer.version)
    except FileNotFoundError:
        return ""
    except InvalidDocument:
        path.unlink(missing_ok=True)
        return f"{path} is removed; slipway pull writes it again"
    except (CorruptModel, NotRegistered, RegistryUnreachable):
        # The problem stays in the doctor's list, with its reason.
        return ""
    return f"{pointer.name} version {pointer.version} is fetched again"


def _delete_leftover(store: Store, subject: str) -> str:
    """Delete a hollow version, unless that has changed since it was examined."""
    name, _, version = subject.rpartition("/")
    stored = store.versions.get(name, int(version))
    if MANIFEST_PATH in store.artifacts.paths(stored.run_id, MODEL_DIRECTORY) or _reasons_to_keep(
        store, store.models.get(name), stored
    ):
        return ""
    store.versions.delete(name, int(version))
    return f"version {subject} is deleted"
