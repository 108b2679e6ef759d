"""Where the processes of one service add up their metrics: a folder for each service.

BentoML has one folder for all services of its home, and each that starts empties it, also of
the metrics of a service that runs. So each service gets a folder of its own inside.
"""

import os
import shutil
from pathlib import Path

from bentoml._internal.configuration.containers import BentoMLContainer

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""How BentoML tells its workers where the folder is."""


def use_own_metrics_folder() -> None:
    """Let BentoML use a folder of this process, or in a worker that of its service."""
    given = os.environ.get(VARIABLE)
    BentoMLContainer.prometheus_multiproc_dir.set(given or str(_root() / str(os.getpid())))


def remove_metrics_of_the_dead() -> None:
    """Remove the folders of services that ended."""
    for folder in _root().glob("[0-9]*"):
        if folder.name.isdigit() and not _is_alive(int(folder.name)):
            shutil.rmtree(folder, ignore_errors=True)  # another service may be at it as well


def _root() -> Path:
    return Path(BentoMLContainer.bentoml_home.get()) / "prometheus_multiproc_dir"


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
