"""Where the loop closes: a verdict is answered by a challenger, the gate and a promotion."""

import logging
import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from contracts import settings
from contracts.errors import NotJustified, PlatformError
from contracts.retraining import Retraining
from contracts.verdict import Verdict
from slipway import context

if TYPE_CHECKING:
    from registry.promote import Promotion

logger = logging.getLogger("slipway.monitor")


def retrain(model: str, because: str, *, promote_wanted: bool, force: bool) -> Retraining:
    """Train a challenger on labelled traffic, and if wished let the gate promote it."""
    from monitoring.retraining.job import retrain as train_anew
    from monitoring.settings import MonitoringSettings

    def promote(version: int, why: str) -> "Promotion":
        return context.promote(model, version, because=why, force=False)

    return train_anew(
        context.store(),
        context.layout(),
        model,
        because=because,
        settings=settings.load(MonitoringSettings, os.environ),
        now=datetime.now(UTC),
        actor=context.actor(),
        force=force,
        promote=promote if promote_wanted else None,
    )


class Retrainer:
    """Answers the verdicts of one model, a process each, one at a time; judging goes on."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._process: subprocess.Popen[str] | None = None

    def consider(self, verdict: Verdict) -> None:
        """Start `slipway retrain --promote`, if this verdict calls for it; never waits.

        What it came to is in `var/retrainings/<model>/<id>/retraining.json`, and in the log.
        """
        if self._is_busy() or verdict.decision not in {"performance", "drift"}:
            return
        try:
            self._check(verdict)
        except NotJustified as err:
            logger.info("%s: not trained anew: %s", self._model, err.what)
            return
        except PlatformError as err:
            logger.error("%s: not trained anew: %s", self._model, err)  # noqa: TRY400 - the place is in the text
            return
        words = ["retrain", self._model, "--because", verdict.verdict_id, "--promote"]
        logger.info("%s: slipway %s", self._model, " ".join(words))
        # What it says belongs to the log, since standard output may be read as JSON.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "slipway", *words],
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr.fileno(),
            text=True,
        )

    def _check(self, verdict: Verdict) -> None:
        from monitoring.retraining.job import require_justified
        from monitoring.settings import MonitoringSettings

        require_justified(
            context.store(),
            context.layout(),
            self._model,
            verdict.verdict_id,
            settings=settings.load(MonitoringSettings, os.environ),
            now=datetime.now(UTC),
        )

    def _is_busy(self) -> bool:
        """Whether the last one is under way; the end of one is told once."""
        if self._process is None:
            return False
        code = self._process.poll()
        if code is None:
            return True
        logger.info("%s: retraining ended with exit code %d", self._model, code)
        self._process = None
        return False
