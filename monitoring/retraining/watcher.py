"""Starts a retraining process for each verdict that calls for one, while monitoring goes on."""

import logging
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

from contracts.errors import NotJustified, PlatformError
from contracts.names import Layout
from contracts.verdict import Verdict
from monitoring.retraining.job import require_justified
from monitoring.settings import MonitoringSettings
from registry.store import Store

logger = logging.getLogger("slipway.monitor")


class RetrainCommand(Protocol):
    """The command line of a process that retrains a model and promotes the challenger."""

    def __call__(self, model: str, verdict_id: str) -> Sequence[str]:
        """The arguments of the process, the program first."""


class RetrainingWatcher:
    """Retrains one model when its verdicts call for it: one process at a time."""

    def __init__(
        self,
        store: Store,
        layout: Layout,
        model: str,
        settings: MonitoringSettings,
        command: RetrainCommand,
    ) -> None:
        self._store = store
        self._layout = layout
        self._model = model
        self._settings = settings
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def consider(self, verdict: Verdict) -> None:
        """Start a retraining if this verdict calls for one and none is running; never waits.

        Its outcome is in `var/retrainings/<model>/<id>/retraining.json`, and in the log.
        """
        alarming = {condition.kind for condition in verdict.alarms}
        if self._is_busy() or not alarming & {"performance", "drift"}:
            return
        try:
            require_justified(
                self._store,
                self._layout,
                self._model,
                verdict.verdict_id,
                settings=self._settings,
                now=datetime.now(UTC),
            )
        except NotJustified as err:
            logger.info("%s: not retrained: %s", self._model, err.what)
            return
        except PlatformError as err:
            logger.error("%s: not retrained: %s", self._model, err)  # noqa: TRY400 - the text says where
            return
        command = self._command(self._model, verdict.verdict_id)
        logger.info("%s: retraining because of %s", self._model, verdict.verdict_id)
        # Its output goes to the log, since standard output may be read as JSON.
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno()
        )

    def _is_busy(self) -> bool:
        """Whether the last retraining is still running; logs its end once."""
        if self._process is None:
            return False
        code = self._process.poll()
        if code is None:
            return True
        logger.info("%s: retraining ended with exit code %d", self._model, code)
        self._process = None
        return False
