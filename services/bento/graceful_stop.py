"""The graceful stop of a worker: first not ready, then no new connections, then the end.

BentoML and uvicorn close the port at once, while a load balancer still sends requests. So SIGTERM
first only turns `/readyz` to no, and reaches uvicorn a little later; what has been received by
then is answered.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from threading import Thread
from types import FrameType

PARENT_POLL_S = 0.5
_PARENT = "_SLIPWAY_SERVE_PID"
"""The environment variable that names the process which starts the workers."""


def delay_stop(drain: Callable[[], None], delay_s: float) -> None:
    """Make SIGTERM call `drain`, and after `delay_s` seconds the handler that it had before."""
    loop = asyncio.get_running_loop()
    stop = signal.getsignal(signal.SIGTERM)
    if delay_s <= 0 or not callable(stop):
        return

    def begin(number: int, _: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, stop)
        drain()
        loop.call_soon_threadsafe(loop.call_later, delay_s, stop, number, None)

    signal.signal(signal.SIGTERM, begin)


def name_parent() -> None:
    """Name this process as the parent of the workers that it will start."""
    os.environ[_PARENT] = str(os.getpid())


def stop_with_parent(poll_s: float = PARENT_POLL_S) -> None:
    """Stop this worker as by SIGTERM when the process that started it has gone.

    A killed `bentoml serve` cannot stop its workers, which would hold the port for ever. It may
    have been killed before this call, so its process id comes from `name_parent`.
    """
    parent = int(os.environ.get(_PARENT, os.getppid()))

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(poll_s)
        os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=watch, name="parent-watcher", daemon=True).start()
