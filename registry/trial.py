"""The last check before a version is pointed at: the service itself tries it, in a process.

The registry knows no model runtime; the service's own loading code checks that the graph
loads, that its golden requests get their answers, and that it does so in time. A model that
hangs or takes all memory does it there.
"""

import subprocess
import sys
from collections.abc import Callable

from contracts.errors import CorruptModel
from contracts.manifest import Pointer
from contracts.names import Layout

Trial = Callable[[Layout, Pointer], None]
"""Raises CorruptModel for a version that may not be served."""
LIMIT_S = 60.0


def service_trial(layout: Layout, pointer: Pointer) -> None:
    """Let the service try the version that `pointer` would name.

    Raises:
        CorruptModel: it does not load, answers otherwise than at training, or not in time.

    """
    words = [sys.executable, "-m", "services.trial", str(layout.var), pointer.write().decode()]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    except subprocess.TimeoutExpired as err:
        raise CorruptModel(
            f"{pointer.name} version {pointer.version}: expected it to load within {LIMIT_S:g} s, "
            "got no end",
            remedy="train the version again, smaller",
        ) from err
    if done.returncode != 0:
        what, _, remedy = done.stderr.strip().partition("\nhelp: ")
        raise CorruptModel(what[-1000:] or f"trial: ended with {done.returncode}", remedy=remedy)
