"""The process `python -m registry follow`, kept running while the service lives.

The process that starts the workers supervises it, in a thread; the follower ends with that
process.
"""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

COMMAND = (sys.executable, "-m", "registry", "follow")
MIN_RESTART_PAUSE_S = 1.0
"""The pause before the first restart; it doubles while the process keeps ending at once."""
MAX_RESTART_PAUSE_S = 60.0
STEADY_S = 60.0
"""A process that lived this long starts again after the shortest pause."""

logger = logging.getLogger("bentoml.slipway")


def start_follower() -> None:
    """Start the follower, and start it again whenever it ends before this process."""
    command = (*COMMAND, "--parent", str(os.getpid()))
    arguments = (command, threading.Event())
    threading.Thread(target=supervise, args=arguments, name="follower", daemon=True).start()


def supervise(
    command: Sequence[str],
    stop: threading.Event,
    restart_pause_s: float = MIN_RESTART_PAUSE_S,
    *,
    max_pause_s: float = MAX_RESTART_PAUSE_S,
    name: str = "follower",
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> None:
    """Run a command again and again until `stop` is set, with a pause that grows.

    `name`: what the log calls it. `environ` and `folder`: its environment and its working
    directory if those are not this process's.
    """
    pause_s = restart_pause_s
    while not stop.is_set():
        began = time.monotonic()
        try:
            # Its exit code says nothing: BentoML's process manager may collect it first.
            subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environ, cwd=folder).wait()
            reason = "it ended"
        except OSError as err:
            reason = str(err)
        if time.monotonic() - began >= STEADY_S:
            pause_s = restart_pause_s
        logger.error("%s: %s; it starts again in %g s", name, reason, pause_s)
        stop.wait(pause_s)
        pause_s = min(2 * pause_s, max_pause_s)
