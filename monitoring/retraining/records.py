"""The records of a model's retrainings, and the lock that allows one at a time.

Each lies in `var/retrainings/<model>/<id>/`: the request in `order.json`, the rows that it names,
the request to fit what was promoted on all of them in `refit.json`, and `retraining.json`, which
holds the state and is replaced as a whole at each step. What a model's next retraining waits for is
in `var/retrainings/<model>/waiting.json`.
"""

import contextlib
import os
import socket
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from msgspec.structs import replace

from contracts.errors import NotJustified
from contracts.files import try_lock, write_whole
from contracts.names import TAG_RETRAINING, Layout
from contracts.retraining import Retraining, RetrainingRequest, RetrainingWait
from contracts.times import utc_text
from registry.mlflow_store.versions import StoredVersion

RECORD_FILE = "retraining.json"
REQUEST_FILE = "order.json"
REFIT_FILE = "refit.json"
WAIT_FILE = "waiting.json"
LOCK_FILE = ".lock"


@contextlib.contextmanager
def retraining_lock(layout: Layout, name: str) -> Iterator[int]:
    """Hold the lock for retraining a model on this machine; gives its descriptor.

    A process that inherits the descriptor holds the lock as well: a training process keeps it
    even if its starter is killed. The lock is free when the last of them is gone.

    Raises:
        NotJustified: another process is retraining the model.
        Unwritable: the lock cannot be made.

    """
    path = layout.retrainings(name) / LOCK_FILE
    with try_lock(path) as descriptor:
        if descriptor is None:
            holder = path.read_text(errors="replace").strip()
            raise NotJustified(
                f"another retraining of {name!r} is running ({holder})",
                remedy=f"wait for it; {path} is unlocked when its process ends",
            )
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, owner().encode(), 0)
        yield descriptor


def owner() -> str:
    """This process as `<host>:<pid>`."""
    return f"{socket.gethostname()}:{os.getpid()}"


def write_retraining(layout: Layout, retraining: Retraining) -> None:
    """Write the record of a retraining.

    Raises:
        Unwritable: the folder cannot be written.

    """
    path = retraining_folder(layout, retraining.request) / RECORD_FILE
    write_whole(path, retraining.write_pretty())


def retraining_folder(layout: Layout, request: RetrainingRequest) -> Path:
    """The folder of a retraining's files."""
    return layout.retrainings(request.model) / request.retraining_id


def read_retrainings(layout: Layout, name: str) -> list[Retraining]:
    """A model's retrainings, oldest first.

    Raises:
        InvalidDocument: a record was cut or edited, so attempts could not be counted.

    """
    paths = sorted(layout.retrainings(name).glob(f"*/{RECORD_FILE}"))
    return [Retraining.read(path.read_bytes(), str(path)) for path in paths]


def write_wait(layout: Layout, wait: RetrainingWait) -> None:
    """Record that a model's retraining waits for labelled rows.

    Raises:
        Unwritable: the folder cannot be written.

    """
    write_whole(layout.retrainings(wait.model) / WAIT_FILE, wait.write_pretty())


def read_wait(layout: Layout, name: str) -> RetrainingWait | None:
    """What a model's next retraining waits for; None if it does not wait.

    Raises:
        InvalidDocument: the record was cut or edited.

    """
    path = layout.retrainings(name) / WAIT_FILE
    try:
        return RetrainingWait.read(path.read_bytes(), str(path))
    except FileNotFoundError:
        return None


def remove_wait(layout: Layout, name: str) -> None:
    """Remove the record of a model's wait, if there is one."""
    (layout.retrainings(name) / WAIT_FILE).unlink(missing_ok=True)


def close_abandoned(
    layout: Layout, name: str, versions: Sequence[StoredVersion], *, now: datetime
) -> None:
    """Close the records of retrainings whose owners died; the caller holds the lock.

    Training goes on without its owner. If it registered one of `versions`, the retraining is
    `trained`, else `abandoned`.
    """
    by_retraining = {v.tags[TAG_RETRAINING]: v for v in versions if TAG_RETRAINING in v.tags}
    for dead in read_retrainings(layout, name):
        if dead.state != "started":
            continue
        sentence = f"its process ({dead.owner}) ended before it was done"
        closed = replace(dead, state="abandoned", sentence=sentence, changed_at=utc_text(now))
        version = by_retraining.get(dead.request.retraining_id)
        if version is not None:
            closed = replace(
                closed,
                state="trained",
                version=version.version,
                run_id=version.run_id,
                sentence=f"{sentence}, but training finished; to promote its version: slipway "
                f"promote {name} --version {version.version}",
            )
        write_retraining(layout, closed)
