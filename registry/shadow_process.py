"""The process that looks on beside the service, started while there is something to look at.

The registry knows no model runtime and reads no traffic; the service's own code does, in a
process of its own (`python -m services.shadow`), which ends with its parent.
"""

import logging
import subprocess
import sys
import time
from dataclasses import dataclass

from contracts.names import SHADOW, Layout
from registry.alias_pointers import split_of

logger = logging.getLogger("slipway.follow")

AGAIN_S = 5.0
"""So long is waited before one that has ended is started anew."""


@dataclass
class Beside:
    """Keeps the process running as long as a model has a shadow or a canary."""

    layout: Layout
    _process: "subprocess.Popen[bytes] | None" = None
    _again: float = 0.0

    def see_to_it(self) -> None:
        """Start it or end it, as is needed now."""
        is_running = self._process is not None and self._process.poll() is None
        if self._is_needed() == is_running:
            return
        if self._process is not None and is_running:
            self._process.terminate()
            self._process.wait()
            self._process = None
        elif time.monotonic() >= self._again:
            self._again = time.monotonic() + AGAIN_S
            self._process = subprocess.Popen(
                [sys.executable, "-m", "services.shadow"], stdin=subprocess.DEVNULL
            )

    def _is_needed(self) -> bool:
        models = self.layout.var / "models"
        names = [path.parent.name for path in models.glob("*/split.json")]
        splits = [split for name in names if (split := split_of(self.layout, name))]
        return any(split.canary for split in splits) or any(models.glob(f"*/{SHADOW}.json"))
