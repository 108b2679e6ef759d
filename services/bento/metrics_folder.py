"""A metrics folder per service, in which the processes of the service add up their metrics.

BentoML has one folder for all services of its home, and each service that starts empties it,
including the metrics of services that run. So each service gets a folder of its own inside. The
folder is set in BentoML's private container; where that has moved, BentoML's own folder is used.
"""

import logging
import os
import shutil
from pathlib import Path
from typing import Any

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""The variable in which BentoML passes the folder to its workers."""
FOLDER = "prometheus_multiproc_dir"

logger = logging.getLogger("bentoml.slipway")


def use_own_metrics_folder() -> None:
    """Make BentoML use a folder of this process, or in a worker that of its service.

    Logs a warning if BentoML does not offer its container where it used to.
    """
    given = os.environ.get(VARIABLE)
    try:
        container = _container()
        folder = given or str(_root(container) / str(os.getpid()))
        container.prometheus_multiproc_dir.set(folder)
        if given:
            remove_gauges_of_dead_workers(Path(given))
    except (ImportError, AttributeError) as err:
        logger.warning(
            "BentoML's container has moved (%s): services that share a BENTOML_HOME "
            "share their metrics",
            err,
        )


def remove_gauges_of_dead_workers(folder: Path) -> None:
    """Remove what dead workers said of themselves: versions they served, rows that waited.

    Their counters stay, because those are sums. A worker calls this when it starts, and whenever
    it makes the page of metrics.
    """
    for path in folder.glob("gauge_live*_*.db"):
        process = path.stem.rpartition("_")[2]
        if process.isdigit() and not _is_alive(int(process)):
            path.unlink(missing_ok=True)  # another worker may remove it as well


def remove_dead_metrics_folders() -> None:
    """Remove the folders of services that have ended."""
    try:
        root = _root(_container())
    except (ImportError, AttributeError):
        return  # `use_own_metrics_folder` has logged it
    for folder in root.glob("[0-9]*"):
        if folder.name.isdigit() and not _is_alive(int(folder.name)):
            shutil.rmtree(folder, ignore_errors=True)  # another service may remove it as well


def _container() -> Any:
    from bentoml._internal.configuration.containers import BentoMLContainer

    return BentoMLContainer


def _root(container: Any) -> Path:
    return Path(container.bentoml_home.get()) / FOLDER


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
