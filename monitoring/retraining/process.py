"""Training as a process of its own: monitoring starts it and imports nothing of training."""

import subprocess
import sys
from pathlib import Path
from typing import Protocol

import msgspec

from contracts.errors import PlatformError
from contracts.files import open_new
from contracts.process_error import read_error
from monitoring.retraining.records import REQUEST_FILE

LOG_FILE = "training.log"
"""The log of the training of `order.json`; that of `refit.json` is `refit.log`."""


class Trained(msgspec.Struct, frozen=True):
    """The challenger that the training process registered."""

    version: int
    run_id: str


class Train(Protocol):
    """What trains for a request, as `run_training` does."""

    def __call__(self, request: Path, timeout_s: float, lock: int, /) -> Trained:
        """Train what the file `request` asks for, in time, holding a lock (a descriptor)."""


def run_training(request: Path, timeout_s: float, lock: int) -> Trained:
    """Train what a request asks for in a process, which holds the lock as long as it lives.

    Raises:
        PlatformError: the process failed, took too long, or printed something unexpected.

    """
    log = request.with_name(LOG_FILE if request.name == REQUEST_FILE else f"{request.stem}.log")
    command = [sys.executable, "-m", "training", "--request", str(request)]
    try:
        with open_new(log) as sink:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=sink,
                timeout=timeout_s,
                pass_fds=(lock,),
                check=False,
            )
    except subprocess.TimeoutExpired as err:
        raise PlatformError(
            f"{request}: training did not end within {timeout_s:g} s and was killed",
            remedy="make it faster, or raise SLIPWAY_MONITORING_RETRAIN_TIMEOUT_S",
        ) from err
    if done.returncode:
        report = read_error(log.read_bytes())
        raise PlatformError(
            f"{request}: training failed with exit code {done.returncode}: {report.message}",
            remedy=f"{report.remedy}; see {log}" if report.remedy else f"see {log}",
        )
    try:
        return msgspec.json.decode(done.stdout.splitlines()[-1], type=Trained)
    except (msgspec.DecodeError, IndexError) as err:
        raise PlatformError(
            f"{request}: expected training to print the new version as JSON, got "
            f"{done.stdout[-200:]!r}",
            remedy=f"see {log}",
        ) from err
