"""What is known of a model's retrainings: one at a time, not too soon, not too often.

Each lies in `var/retrainings/<model>/<id>/`: `order.json`, the rows that it names, and
`retraining.json`, which says where it stands and is replaced whole at each step.
"""

import contextlib
import os
import socket
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from msgspec.structs import replace

from contracts.errors import InvalidDocument, NotJustified
from contracts.files import try_lock, write_whole
from contracts.names import TAG_RETRAINING, Layout
from contracts.retraining import Retraining, RetrainingRequest
from contracts.times import parse_utc, utc_text
from contracts.verdict import Verdict
from registry.mlflow_store.versions import StoredVersion

DOCUMENT = "retraining.json"
ORDER = "order.json"
LOCK = ".lock"


@contextlib.contextmanager
def only_one(layout: Layout, name: str) -> Iterator[int]:
    """Be the only one that retrains a model on this machine; gives the lock's descriptor.

    Who is given the descriptor holds the lock as well: a training process keeps it though
    whoever started it was killed. It is free when the last of them is gone.

    Raises:
        NotJustified: somebody else retrains the model.
        Unwritable: the lock cannot be made.

    """
    path = layout.retrainings(name) / LOCK
    with try_lock(path) as descriptor:
        if descriptor is None:
            holder = path.read_text(errors="replace").strip()
            raise NotJustified(
                f"{path}: expected no other retraining of {name!r}, got one by {holder}",
                remedy="wait until it is done; it is freed if its process ends",
            )
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, owner().encode(), 0)
        yield descriptor


def owner() -> str:
    """Who retrains: `<host>:<pid>` of this process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def keep(layout: Layout, retraining: Retraining) -> Path:
    """Write where a retraining stands; where that lies.

    Raises:
        Unwritable: the place cannot be written.

    """
    path = folder_of(layout, retraining.request) / DOCUMENT
    write_whole(path, retraining.write_pretty())
    return path


def folder_of(layout: Layout, order: RetrainingRequest) -> Path:
    """Where a retraining's files lie."""
    return layout.retrainings(order.model) / order.retraining_id


def past(layout: Layout, name: str) -> list[Retraining]:
    """A model's retrainings, oldest first; what cannot be read is told by an error.

    Raises:
        InvalidDocument: a document was cut or edited: attempts could not be counted.

    """
    paths = sorted(layout.retrainings(name).glob(f"*/{DOCUMENT}"))
    return [Retraining.read(path.read_bytes(), str(path)) for path in paths]


def settle_dead(
    layout: Layout, name: str, versions: Sequence[StoredVersion], *, now: datetime
) -> None:
    """Note of retrainings under way that their owners died; called by who holds the lock.

    Training goes on without its owner: if a version came of it, that is said, else the
    retraining is abandoned.
    """
    came_of = {v.tags[TAG_RETRAINING]: v for v in versions if TAG_RETRAINING in v.tags}
    for dead in past(layout, name):
        if dead.state != "started":
            continue
        sentence = f"its process ({dead.owner}) ended before it was done"
        settled = replace(dead, state="abandoned", sentence=sentence, changed_at=utc_text(now))
        version = came_of.get(dead.request.retraining_id)
        if version is not None:
            settled = replace(
                settled,
                state="trained",
                version=version.version,
                run_id=version.run_id,
                sentence=f"{sentence}; to promote what came of it: slipway promote {name} "
                f"--version {version.version}",
            )
        keep(layout, settled)


def too_soon(before: Sequence[Retraining], pause_s: float, *, now: datetime) -> str:
    """Why a retraining would come too soon after the last, or nothing."""
    if not before:
        return ""
    last = parse_utc(before[-1].request.made_at)
    free = last + timedelta(seconds=pause_s)
    if now >= free:
        return ""
    return (
        f"retraining: expected a pause of {pause_s:g} s since the last, which began at "
        f"{utc_text(last)}, got one to be made before {utc_text(free)}"
    )


def too_often(before: Sequence[Retraining], episode: str, version: int, most: int) -> str:
    """Why an alarm was answered often enough, or nothing."""
    answers = [
        r
        for r in before
        if r.request.episode == episode and r.request.production_version == version
    ]
    if len(answers) < most:
        return ""
    states = ", ".join(r.state for r in answers)
    return (
        f"retraining: expected at most {most} for the alarm since {episode}, got {len(answers)} "
        f"already ({states})"
    )


def exam_of(before: Sequence[Retraining], production_digest: str, exam_start: str) -> str:
    """The name of a series of exams: the last one's, if this exam shares rows with one of it."""
    same = [r.request for r in before if r.request.production_digest == production_digest]
    if same and exam_start <= max(order.evaluation_end for order in same):
        return same[-1].evaluation_series
    return f"{production_digest[:12]}-{exam_start}"


def verdict_at(layout: Layout, name: str, path: Path) -> Verdict:
    """The verdict in a file.

    Raises:
        InvalidDocument: there is none, it was cut or edited, or it is another model's.

    """
    try:
        verdict = Verdict.read(path.read_bytes(), str(path))
    except OSError as err:
        raise InvalidDocument(
            f"{path}: expected a verdict, got {err.strerror}",
            remedy=f"see {layout.verdicts / name}",
        ) from err
    if verdict.model != name:
        raise InvalidDocument(
            f"{path}: expected a verdict on {name!r}, got one on {verdict.model!r}",
            remedy=f"slipway retrain {verdict.model}",
        )
    return verdict
