"""Find what killed processes leave behind, and clean it."""

import os
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from contracts.errors import CorruptModel, InvalidDocument, NotRegistered, PlatformError
from contracts.files import TEMPORARY_PREFIX
from contracts.manifest import Pointer
from contracts.names import (
    MODEL_DIRECTORY,
    ROLES,
    TAG_DIGEST,
    TAG_PROCESS,
    TAG_PRODUCTION,
    Layout,
)
from registry import bento_store
from registry.history import history
from registry.mlflow_store.models import StoredModel
from registry.mlflow_store.runs import StoredRun
from registry.mlflow_store.versions import StoredVersion
from registry.model_directory import verify
from registry.production import is_ours, is_unfinished, reconcile_in_turn
from registry.promote import MANIFEST
from registry.store import Store

FOREIGN_RUN_AGE_S = 24 * 3600
"""A run of another machine counts as dead after a day; this one's are asked by pid."""


@dataclass(frozen=True)
class Ailment:
    """Something left behind: what it is, where, and what is wrong with it.

    A `missing_model` is for a person: nothing is certain but that its files are not seen.
    """

    kind: str
    subject: str
    detail: str


def examine(store: Store, layout: Layout) -> list[Ailment]:
    """Everything that a killed training, promotion or pull left behind."""
    return [
        *_dead_runs(store),
        *_pending_models(store),
        *_hollow_versions(store),
        *_unfinished_moves(store),
        *_strays(layout),
        *_broken_pointers(layout),
    ]


def repair(store: Store, layout: Layout, ailments: list[Ailment]) -> list[str]:
    """Clean what `examine` found; says what was done, one line each.

    What a person must look at stays as it is, and so does a version that is no leftover
    any more.
    """
    treated = (_treat(store, layout, ailment) for ailment in ailments)
    return [line for line in treated if line]


def _dead_runs(store: Store) -> Iterator[Ailment]:
    for run in store.runs.with_status("RUNNING"):
        process = run.tags.get(TAG_PROCESS)
        if process is not None and _is_dead(process, run):
            yield Ailment("dead_run", run.run_id, f"RUNNING, but its process {process} is gone")


def _is_dead(process: str, run: StoredRun) -> bool:
    host, _, pid = process.rpartition(":")
    if host != socket.gethostname():
        return time.time() - run.started_ms / 1000 > FOREIGN_RUN_AGE_S
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


def _pending_models(store: Store) -> Iterator[Ailment]:
    """Logged models of our runs that nobody will finish; foreign ones are left alone."""
    for model_id, run_id in store.runs.pending_models():
        try:
            run = store.runs.get(run_id)
        except NotRegistered:
            # A model logged outside a run, or by a run that was deleted, is not ours to judge.
            continue
        if TAG_PROCESS in run.tags and (_has_died(run) or run.status == "FINISHED"):
            yield Ailment("pending_model", model_id, f"PENDING, but its run {run_id} is over")


def _hollow_versions(store: Store) -> Iterator[Ailment]:
    """Versions of ours without a manifest: leftovers, and those that a person must look at."""
    for model in store.models.all():
        for stored in store.versions.of(model.name):
            if TAG_DIGEST not in stored.tags:
                continue
            subject = f"{model.name}/{stored.version}"
            try:
                if MANIFEST in store.artifacts.paths(stored.run_id, MODEL_DIRECTORY):
                    continue
                doubts = _doubts(store, model, stored)
            except PlatformError as err:
                doubts = [f"its artifacts cannot be listed: {err.what}"]
            if doubts:
                detail = f"no {MANIFEST} is found; a person must look, because {_and(doubts)}"
                yield Ailment("missing_model", subject, detail)
            else:
                detail = f"no {MANIFEST}: its run died before it was written"
                yield Ailment("hollow_version", subject, detail)


def _doubts(store: Store, model: StoredModel, stored: StoredVersion) -> list[str]:
    """Why a version without files may be more than the leftover of a killed training.

    Deleting cannot be undone, and a folder that is not mounted looks like one that never
    was: only what died, never served, and lies where others are seen, is a leftover.
    """
    run = store.runs.get(stored.run_id)
    doubts = []
    if not _has_died(run):
        doubts.append(f"its run is {run.status}")
    doubts += [f"it has the alias {a}" for a, v in model.aliases.items() if v == stored.version]
    if stored.stage:
        doubts.append(f"it is in the stage {stored.stage}")
    if _was_production(store, model, stored.version):
        doubts.append("it was production")
    if not store.artifacts.has_any(run.experiment_id):
        doubts.append(
            "no artifact of any run beside it is found either: is the artifact store "
            "(by default mlruns/) moved, or not mounted?"
        )
    return doubts


def _has_died(run: StoredRun) -> bool:
    if run.status == "RUNNING":
        process = run.tags.get(TAG_PROCESS)
        return process is not None and _is_dead(process, run)
    return run.status in {"FAILED", "KILLED"}


def _was_production(store: Store, model: StoredModel, version: int) -> bool:
    named = {
        v for event in history(store, model.name) for v in (event.from_version, event.to_version)
    }
    return version in named or model.tags.get(TAG_PRODUCTION) == str(version)


def _and(reasons: list[str]) -> str:
    return ", and ".join(reasons)


def _unfinished_moves(store: Store) -> Iterator[Ailment]:
    for model in store.models.all():
        if is_ours(store, model.name) and is_unfinished(store, model.name):
            detail = (
                "its history tells a move that is not done; who made it was killed, or is at it"
            )
            yield Ailment("unfinished_move", model.name, detail)


def _strays(layout: Layout) -> Iterator[Ailment]:
    ours = sorted(layout.var.rglob(f"{TEMPORARY_PREFIX}*"))
    for path in (*ours, *bento_store.strays()):
        pid = path.name.removeprefix(TEMPORARY_PREFIX).split("-")[0]
        if not (pid.isdigit() and process_lives(int(pid))):
            yield Ailment("stray_file", str(path), "the process that wrote it is gone")


def _broken_pointers(layout: Layout) -> Iterator[Ailment]:
    files = (path for role in ROLES for path in (layout.var / "models").glob(f"*/{role}.json"))
    for path in sorted(files):
        try:
            pointer = Pointer.read(path.read_bytes(), str(path))
            verify(layout.model(pointer.name, pointer.version), pointer.digest)
        except (InvalidDocument, CorruptModel) as err:
            yield Ailment("broken_pointer", str(path), err.what)


def _treat(store: Store, layout: Layout, ailment: Ailment) -> str:
    """Cure one ailment; says what was done, nothing if nothing was."""
    if ailment.kind == "dead_run":
        store.runs.end(ailment.subject, "FAILED")
        return f"run {ailment.subject} is FAILED"
    if ailment.kind == "pending_model":
        store.runs.fail_model(ailment.subject)
        return f"logged model {ailment.subject} is FAILED"
    if ailment.kind == "hollow_version":
        return _delete_leftover(store, ailment.subject)
    if ailment.kind == "missing_model":
        return ""
    if ailment.kind == "unfinished_move":
        with store.lock(ailment.subject):
            now = reconcile_in_turn(store, ailment.subject)
        return f"{ailment.subject}: production is {now or 'none'}, and its history says so"
    path = Path(ailment.subject)
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    return f"{path} is removed; slipway pull fetches anew below {layout.var}"


def _delete_leftover(store: Store, subject: str) -> str:
    """Delete a hollow version, unless it became something else since it was examined."""
    name, _, version = subject.rpartition("/")
    stored = store.versions.get(name, int(version))
    if MANIFEST in store.artifacts.paths(stored.run_id, MODEL_DIRECTORY) or _doubts(
        store, store.models.get(name), stored
    ):
        return ""
    store.versions.delete(name, int(version))
    return f"version {subject} is deleted"
