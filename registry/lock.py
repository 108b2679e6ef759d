"""One at a time: the lock under which a model's Production moves."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contracts.errors import PlatformError
from contracts.files import lock_file

LONGEST_WAIT_S = 60.0
PAUSE_S = 0.02


@contextmanager
def turn(folder: Path, name: str) -> Iterator[None]:
    """Hold the lock `<folder>/<name>.lock` while the block runs.

    It keeps apart threads and processes of this machine that use the same folder, so that
    reading the switches, writing the history and moving the switches are one act; the
    operating system frees it when its holder dies. It does not keep apart other machines,
    other folders, `mlflow ui` or MLflow's client: what they move in between is seen as done
    by hand by the next `reconcile`, and of two machines that promote at once the later wins.
    The file stays: who deleted it could hold another lock than who waits for it.

    Raises:
        Unwritable: the file cannot be made.
        PlatformError: somebody else holds the lock for a minute.

    """
    path = folder / f"{name}.lock"
    with lock_file(path) as descriptor:
        _wait_for(descriptor, path)
        yield


def _wait_for(descriptor: int, path: Path) -> None:
    give_up = time.monotonic() + LONGEST_WAIT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            if time.monotonic() > give_up:
                raise PlatformError(
                    f"{path}: expected its holder to be done within {LONGEST_WAIT_S:g} s, "
                    "got no turn",
                    remedy=f"see who promotes or pulls (fuser {path}), and end what hangs",
                ) from err
            time.sleep(PAUSE_S)
        else:
            return
