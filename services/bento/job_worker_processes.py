"""The processes `python -m services.job_worker`, kept running while the service lives."""

import os
import sys
import threading

from services.bento.bento_context import code_folder
from services.bento.follower_process import supervise
from services.bento.metrics_folder import VARIABLE

MAX_WORKER_PAUSE_S = 5.0
"""The longest pause before a restart: accepted jobs wait for it."""
COMMAND_OF_WORKER = (sys.executable, "-m", "services.job_worker")


def start_job_workers(n_workers: int) -> None:
    """Start that many workers, and start each again whenever it ends before this process."""
    command = (*COMMAND_OF_WORKER, "--parent", str(os.getpid()))
    # A worker's requests are chunks: in the service's own metrics they would be slow requests.
    environ = {name: value for name, value in os.environ.items() if name != VARIABLE}
    for index in range(n_workers):
        threading.Thread(
            target=supervise,
            args=(command, threading.Event()),
            kwargs={
                "max_pause_s": MAX_WORKER_PAUSE_S,
                "name": f"job worker {index + 1}",
                "environ": environ,
                "folder": code_folder(),
            },
            name=f"job-worker-{index + 1}",
            daemon=True,
        ).start()
