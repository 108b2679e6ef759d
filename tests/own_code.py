"""Own feature code for tests: modules of `training.features` in a folder of the test's own."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import training.features

TRAPS = '''
"""Does to the process what a model should not, where a row asks for it."""

import os
import signal
import time

KEPT = []


def trap(frame):
    """The frame, unless one of its ages is a trap."""
    ages = set(frame["age"].tolist())
    if 66 in ages:
        raise RuntimeError("expected another age")
    if 77 in ages:
        os.kill(os.getpid(), signal.SIGKILL)
    if 88 in ages:
        time.sleep(3600)
    if 99 in ages:
        KEPT.append(bytearray(os.urandom(1)) * (200 * 1024 * 1024))
    if 55 in ages:
        time.sleep(0.3)
    return frame
'''
FAILS, DIES, HANGS, LEAKS, SLOW = 66, 77, 88, 99, 55
"""Ages on which `trap` acts."""


@contextmanager
def own_code(folder: Path, **sources: str) -> Iterator[None]:
    """Let `training.features` have modules with these sources until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(source)
    training.features.__path__.append(str(folder))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        training.features.__path__.remove(str(folder))
        for name in sources:
            sys.modules.pop(f"training.features.{name}", None)
            vars(training.features).pop(name, None)
