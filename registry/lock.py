"""The lock of a model: one process at a time moves its production version."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contracts.errors import PlatformError
from contracts.files import lock_file

LOCK_TIMEOUT_S = 60.0
RETRY_PAUSE_S = 0.02


@contextmanager
def model_lock(folder: Path, name: str) -> Iterator[None]:
    """Hold the lock `<folder>/<name>.lock` while the block runs.

    It excludes the threads and processes of this machine that use the same folder, so that
    reading the production state, writing the history and moving the alias are one step. The
    operating system releases it when its holder dies. It does not exclude other machines, other
    folders, `mlflow ui` or MLflow's client: the next `reconcile` sees what they moved as done by
    hand, and when two machines promote at once the later one wins. The file is never deleted:
    a process that waits for the old file would not exclude one that locks a new file.

    Raises:
        Unwritable: the file cannot be made.
        PlatformError: another process held the lock for `LOCK_TIMEOUT_S`.

    """
    path = folder / f"{name}.lock"
    with lock_file(path) as descriptor:
        _wait_for(descriptor, path)
        yield


def _wait_for(descriptor: int, path: Path) -> None:
    give_up = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            if time.monotonic() > give_up:
                raise PlatformError(
                    f"{path}: could not get the lock within {LOCK_TIMEOUT_S:g} s; "
                    "another promote or pull holds it",
                    remedy=f"find its process (fuser {path}), and end it if it hangs",
                ) from err
            time.sleep(RETRY_PAUSE_S)
        else:
            return
