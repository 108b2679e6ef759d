"""Find what killed processes leave behind, and clean it."""

import os
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from contracts.errors import CorruptModel, InvalidDocument
from contracts.manifest import Pointer
from contracts.names import (
    MANIFEST_FILE,
    MODEL_DIRECTORY,
    TAG_DIGEST,
    TAG_PROCESS,
    Layout,
)
from registry.directory import verify
from registry.pull import INCOMING
from registry.store import Store, StoredRun

FOREIGN_RUN_AGE_S = 24 * 3600
"""A run of another machine counts as dead after a day; this one's are asked by pid."""


@dataclass(frozen=True)
class Ailment:
    """Something left behind: what it is, where, and what is wrong with it."""

    kind: str
    subject: str
    detail: str


def examine(store: Store, layout: Layout) -> list[Ailment]:
    """Everything that a killed training, promotion or pull left behind."""
    return [
        *_dead_runs(store),
        *_pending_models(store),
        *_hollow_versions(store),
        *_strays(layout),
        *_broken_pointers(layout),
    ]


def repair(store: Store, layout: Layout, ailments: list[Ailment]) -> list[str]:
    """Clean what `examine` found; says what was done, one line each."""
    return [_treat(store, layout, ailment) for ailment in ailments]


def _dead_runs(store: Store) -> Iterator[Ailment]:
    for run in store.runs("RUNNING"):
        process = run.tags.get(TAG_PROCESS)
        if process is not None and _is_dead(process, run):
            yield Ailment("dead_run", run.run_id, f"RUNNING, but its process {process} is gone")


def _is_dead(process: str, run: StoredRun) -> bool:
    host, _, pid = process.rpartition(":")
    if host != socket.gethostname():
        return time.time() - run.started_ms / 1000 > FOREIGN_RUN_AGE_S
    return not process_lives(int(pid))


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
    living = {run.run_id for run in store.runs("RUNNING")}
    dead = {ailment.subject for ailment in _dead_runs(store)}
    for model_id, run_id in store.pending_models():
        if run_id in dead or run_id not in living:
            yield Ailment("pending_model", model_id, f"PENDING, but its run {run_id} is over")


def _hollow_versions(store: Store) -> Iterator[Ailment]:
    """Versions of ours whose model directory was never written; foreign ones are left alone."""
    for model in store.models():
        for stored in store.versions(model.name):
            if TAG_DIGEST not in stored.tags:
                continue
            wanted = f"{MODEL_DIRECTORY}/{MANIFEST_FILE}"
            if wanted not in store.artifacts(stored.run_id, MODEL_DIRECTORY):
                subject = f"{model.name}/{stored.version}"
                yield Ailment("hollow_version", subject, f"its run has no {wanted}")


def _strays(layout: Layout) -> Iterator[Ailment]:
    for path in sorted((layout.var / "models").glob(f"*/{INCOMING}*")):
        pid = path.name.removeprefix(INCOMING).split("-")[0]
        if not (pid.isdigit() and process_lives(int(pid))):
            yield Ailment("stray_download", str(path), "the pull that wrote it is gone")


def _broken_pointers(layout: Layout) -> Iterator[Ailment]:
    for path in sorted((layout.var / "models").glob("*/*.json")):
        if path.name.startswith(INCOMING):
            continue
        try:
            pointer = Pointer.read(path.read_bytes(), str(path))
            verify(layout.model(pointer.name, pointer.version), pointer.digest)
        except (InvalidDocument, CorruptModel) as err:
            yield Ailment("broken_pointer", str(path), err.what)


def _treat(store: Store, layout: Layout, ailment: Ailment) -> str:
    if ailment.kind == "dead_run":
        store.end_run(ailment.subject, "FAILED")
        return f"run {ailment.subject} is FAILED"
    if ailment.kind == "pending_model":
        store.fail_model(ailment.subject)
        return f"logged model {ailment.subject} is FAILED"
    if ailment.kind == "hollow_version":
        name, _, version = ailment.subject.rpartition("/")
        store.delete_version(name, int(version))
        return f"version {ailment.subject} is deleted"
    path = Path(ailment.subject)
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    return f"{path} is removed; slipway pull fetches anew below {layout.var}"
