"""Training as a process: monitoring starts it, and imports nothing of it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from contracts.errors import PlatformError


class Trained(msgspec.Struct, frozen=True):
    """What the training process says of the challenger."""

    version: int
    run_id: str


Train = Callable[[Path, float, int], Trained]
"""Trains what an order names, within seconds, holding a lock (a descriptor)."""


def run_training(order: Path, timeout_s: float, lock: int) -> Trained:
    """Train what an order names in a process, which holds the lock as long as it lives.

    Raises:
        PlatformError: it failed, took too long, or said something else than expected.

    """
    log = order.with_name("training.log")
    words = [sys.executable, "-m", "training", "--order", str(order)]
    try:
        with log.open("wb") as sink:
            done = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=sink,
                timeout=timeout_s,
                pass_fds=(lock,),
                check=False,
            )
    except subprocess.TimeoutExpired as err:
        raise PlatformError(
            f"{order}: expected training to end within {timeout_s:g} s, got no end",
            remedy="make it faster, or raise SLIPWAY_MONITORING_RETRAIN_TIMEOUT_S",
        ) from err
    if done.returncode:
        tail = log.read_text(errors="replace").strip().splitlines()[-3:]
        raise PlatformError(
            f"{order}: expected a trained challenger, got exit code {done.returncode}: "
            f"{' '.join(tail)}",
            remedy=f"see {log}",
        )
    try:
        return msgspec.json.decode(done.stdout.splitlines()[-1], type=Trained)
    except (msgspec.DecodeError, IndexError) as err:
        raise PlatformError(
            f"{order}: expected the version that was trained, got {done.stdout[-200:]!r}",
            remedy=f"see {log}",
        ) from err
