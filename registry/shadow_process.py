"""The process `python -m services.shadow`, kept running while a model has a shadow or a canary.

The registry knows no model runtime and reads no traffic; the service's own code does, in this
process, which ends with its parent.
"""

import logging
import os
import subprocess
import sys
import time
from dataclasses import dataclass

from contracts.names import SHADOW, Layout
from registry.pointers import read_split

logger = logging.getLogger("slipway.follow")

SHADOW_RESTART_PAUSE_S = 5.0
"""Minimum time between two starts of the process."""


@dataclass
class ShadowProcess:
    """Supervises the shadow process of one data folder."""

    layout: Layout
    _process: "subprocess.Popen[bytes] | None" = None
    _next_start: float = 0.0

    def ensure(self) -> None:
        """Start the process if it is needed and not running; end it if it is not needed."""
        is_running = self._process is not None and self._process.poll() is None
        if self._is_needed() == is_running:
            return
        if self._process is not None and is_running:
            self._process.terminate()
            self._process.wait()
            self._process = None
        elif time.monotonic() >= self._next_start:
            self._next_start = time.monotonic() + SHADOW_RESTART_PAUSE_S
            command = [sys.executable, "-m", "services.shadow", "--parent", str(os.getpid())]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def _is_needed(self) -> bool:
        models = self.layout.all_models
        names = [path.parent.name for path in models.glob("*/split.json")]
        splits = [split for name in names if (split := read_split(self.layout, name))]
        return any(split.canary for split in splits) or any(models.glob(f"*/{SHADOW}.json"))
