"""`python -m services.trial VAR POINTER`: try a version as a worker would load it.

A version that cannot be served ends the process with the error's exit code, and with a
`contracts.process_error.ProcessError` as the last line of standard error.
"""

import contextlib
import os
import resource
import sys
from pathlib import Path

from contracts.errors import PlatformError
from contracts.manifest import Pointer
from contracts.names import MODEL_FILE, Layout
from contracts.process_error import report_error
from services.inference.loader import find_directory, load

NICENESS = 10
"""Workers that answer come first; a trial takes what they leave."""
ROOM_BYTES = 2 * 1024**3
"""Address space for Python, onnxruntime and the scores of a batch; the model's own comes on top."""
COPIES = 4
"""As often onnxruntime may hold a model while it loads it."""


def main() -> None:
    """Load, verify and warm the version; report the error if it cannot be served."""
    var, pointer = sys.argv[1:]
    try:
        _try(Layout(Path(var)), Pointer.read(pointer.encode(), "argument"))
    except PlatformError as err:
        report_error(err)
        sys.exit(err.exit_code)


def _try(layout: Layout, pointer: Pointer) -> None:
    os.nice(NICENESS)
    model = find_directory(layout, pointer) / MODEL_FILE
    _bound_memory(model.stat().st_size if model.is_file() else 0)
    load(layout, pointer)


def _bound_memory(model_bytes: int) -> None:
    """Let a graph that asks for all memory fail here, and before anything that serves.

    A file of some bytes may ask for gigabytes when it runs, so what the file weighs decides.
    """
    limit = ROOM_BYTES + COPIES * model_bytes
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or limit < hard:
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    with contextlib.suppress(OSError):
        # Only Linux has it; where it is, the system ends this process first.
        Path("/proc/self/oom_score_adj").write_text("1000")


if __name__ == "__main__":
    main()
