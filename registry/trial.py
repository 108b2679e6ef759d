"""The last check before a version is pointed at: the service itself tries it, in a process.

The registry knows no model runtime; the service's own loading code checks that the graph
loads, that its golden requests get their answers, and that it does so in time. A model that
hangs or takes all memory does it there.
"""

import subprocess
import sys
from collections.abc import Callable
from functools import partial

from contracts.errors import CorruptModel
from contracts.manifest import Pointer
from contracts.names import Layout
from contracts.process_error import read_error

Trial = Callable[[Layout, Pointer], None]
"""Raises CorruptModel for a version that may not be served."""


def service_trial(limit_s: float) -> Trial:
    """The trial by the service itself, which may take so many seconds."""
    return partial(_tried, limit_s=limit_s)


def _tried(layout: Layout, pointer: Pointer, *, limit_s: float) -> None:
    """Let the service try the version that `pointer` would name.

    Raises:
        CorruptModel: it does not load, answers otherwise than at training, or not in time.

    """
    version = f"{pointer.name} version {pointer.version}"
    words = [sys.executable, "-m", "services.trial", str(layout.var), pointer.write().decode()]
    try:
        done = subprocess.run(words, capture_output=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired as err:
        raise CorruptModel(
            f"{version}: expected it to load and answer within {limit_s:g} s, got no end",
            remedy="train the version again, smaller, or raise SLIPWAY_REGISTRY_TRIAL_S",
        ) from err
    if done.returncode < 0:
        raise CorruptModel(
            f"{version}: expected it to load and answer, got its process killed by signal "
            f"{-done.returncode}",
            remedy="train the version again; signal 9 is what a machine out of memory sends",
        )
    if done.returncode != 0:
        report = read_error(done.stderr)
        what = report.message or f"{version}: its trial ended with exit code {done.returncode}"
        raise CorruptModel(what, remedy=report.remedy)
