"""A timeout that many tasks share: one timer for all of them.

`asyncio.timeout` sets a timer per task, which costs as much as scoring a row.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

T = TypeVar("T")

SWEEPS = 8
"""Sweeps per timeout: each looks for tasks that are late."""


class SharedTimeout:
    """Waits for an awaitable for at most `limit_s` seconds, or an eighth longer."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._loop = asyncio.get_running_loop()
        self._since: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._is_sweeping = False

    async def wait(self, awaitable: Awaitable[T]) -> T:
        """The result of an awaitable.

        Raises:
            TimeoutError: it took too long.

        """
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("expected to wait in a task, got none")
        self._since[task] = self._loop.time()
        if not self._is_sweeping:
            self._is_sweeping = True
            self._loop.call_later(self._limit_s / SWEEPS, self._sweep)
        try:
            return await awaitable
        except asyncio.CancelledError:
            if task not in self._late:
                raise
            task.uncancel()
            raise TimeoutError from None
        finally:
            self._late.discard(task)
            del self._since[task]

    def _sweep(self) -> None:
        oldest = self._loop.time() - self._limit_s
        for task, since in self._since.items():
            if since > oldest:
                break
            if task not in self._late:
                self._late.add(task)
                task.cancel()
        self._is_sweeping = bool(self._since)
        if self._is_sweeping:
            self._loop.call_later(self._limit_s / SWEEPS, self._sweep)
