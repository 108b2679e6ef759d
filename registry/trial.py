"""The last check before a version is served: a process of the service loads and asks it.

The registry knows no model runtime. The service's own loading code checks that the graph
loads, that its golden requests get their answers, and that this does not take too long. A model
that hangs or uses all memory does so in that process.
"""

import subprocess
import sys
from functools import partial
from typing import Protocol

from contracts.errors import CorruptModel
from contracts.manifest import Pointer
from contracts.names import Layout
from contracts.process_error import read_error

SELF_END_MARGIN_S = 5.0
"""A trial that outlives its time by this much ends itself: its starter was killed."""


class VersionTrial(Protocol):
    """Checks that a version can be served."""

    def __call__(self, layout: Layout, pointer: Pointer, /) -> None:
        """Raise CorruptModel if the version that `pointer` names cannot be served."""


def service_trial(timeout_s: float) -> VersionTrial:
    """The trial by the service itself; it may take `timeout_s` seconds."""
    return partial(_run_trial, timeout_s=timeout_s)


def _run_trial(layout: Layout, pointer: Pointer, *, timeout_s: float) -> None:
    """Run `python -m services.trial` for the version that `pointer` names.

    Raises:
        CorruptModel: it does not load, its answers differ from training's, or it takes too long.

    """
    version = f"{pointer.name} version {pointer.version}"
    arguments = [str(layout.var), pointer.write().decode(), str(timeout_s + SELF_END_MARGIN_S)]
    command = [sys.executable, "-m", "services.trial", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired as err:
        raise CorruptModel(
            f"{version}: it did not load and answer within {timeout_s:g} s",
            remedy="train a smaller version, or raise SLIPWAY_REGISTRY_TRIAL_S",
        ) from err
    if done.returncode < 0:
        raise CorruptModel(
            f"{version}: its trial process was killed by signal {-done.returncode}",
            remedy="train the version again; the system sends signal 9 when memory runs out",
        )
    if done.returncode != 0:
        report = read_error(done.stderr)
        what = report.message or f"{version}: its trial ended with exit code {done.returncode}"
        raise CorruptModel(what, remedy=report.remedy)
