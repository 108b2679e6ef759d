"""`python -m services.trial VAR POINTER SECONDS`: load a version as a worker would.

It runs before a worker loads the version. A trial that takes longer than `SECONDS` ends itself, so
that one whose starter was killed does not run forever.

If the version cannot be served, the process ends with the error's exit code, and with a
`contracts.process_error.ProcessError` as the last line of standard error.
"""

import contextlib
import os
import resource
import signal
import sys
from pathlib import Path

from contracts.errors import PlatformError
from contracts.manifest import Pointer
from contracts.names import MODEL_FILE, PIPELINE_FILE, Layout
from contracts.process_error import report_error
from services.inference.loader import load_model
from services.inference.model_source import ModelSource
from services.scoring_process.process import ScoringLimits

TRIAL_NICENESS = 10
"""Below the workers, which answer requests meanwhile."""
LIMITS = ScoringLimits(deadline_s=3600.0)
"""Whoever started the trial ends it in time."""
BASE_MEMORY_BYTES = 2 * 1024**3
"""Address space for Python, onnxruntime and the scores of a batch, without the model itself."""
MAX_MODEL_COPIES = 4
"""Copies of the model that onnxruntime may hold while loading it."""


def main() -> None:
    """Load, verify and warm the version; report the error if it cannot be served."""
    var, pointer, seconds = sys.argv[1:]
    # The default action of SIGALRM ends the process, even inside onnxruntime.
    signal.setitimer(signal.ITIMER_REAL, float(seconds))
    try:
        _try(Layout(Path(var)), Pointer.read(pointer.encode(), "argument"))
    except PlatformError as err:
        report_error(err)
        sys.exit(err.exit_code)


def _try(layout: Layout, pointer: Pointer) -> None:
    os.nice(TRIAL_NICENESS)
    directory = ModelSource(layout).directory(pointer)
    models = (directory / name for name in (MODEL_FILE, PIPELINE_FILE))
    _bound_memory(sum(model.stat().st_size for model in models if model.is_file()))
    load_model(directory, pointer, LIMITS).session.close()


def _bound_memory(model_bytes: int) -> None:
    """Limit the address space, so that a graph that allocates too much fails here.

    A small file may allocate gigabytes when it runs, so the limit follows the file's size.
    """
    limit = BASE_MEMORY_BYTES + MAX_MODEL_COPIES * model_bytes
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or limit < hard:
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    with contextlib.suppress(OSError):
        # Linux only: when memory runs out, the kernel ends this process first.
        Path("/proc/self/oom_score_adj").write_text("1000")


if __name__ == "__main__":
    main()
