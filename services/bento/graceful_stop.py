"""The graceful stop of a worker: first not ready, then no new connections, then the end.

BentoML and uvicorn close the port at once, while a load balancer still sends requests. So SIGTERM
first only turns `/readyz` to no, and reaches uvicorn a little later; what has been received by
then is answered.
"""

import asyncio
import signal
from collections.abc import Callable
from types import FrameType


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
