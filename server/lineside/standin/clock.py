"""An event loop whose time jumps forward when nothing is ready, so that an hour of calls takes seconds.

Time stands still while anything runs: a computation takes no time, a wait takes exactly as long as it says. Sockets are
real, but only peers that live in the same loop may take part, since nobody else's time jumps.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

STUCK_S = 5.0  # real seconds without a timer or an event before we call it a deadlock


class _JumpingSelector(selectors.DefaultSelector):
    """Reports what is ready now; when nothing is, moves `now` instead of waiting."""

    now = 0.0
    foreign_jobs = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        # Twice: loopback delivers within the sender's system call, but not always before the first look.
        ready = super().select(0) or super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self.foreign_jobs:
            return super().select(STUCK_S)
        if timeout is None:
            if ready := super().select(STUCK_S):
                return ready
            raise RuntimeError("deadlock on the test clock: no timer is set and nothing can happen")
        self.now += timeout
        return []


class ClockLoop(asyncio.SelectorEventLoop):
    """The test clock's loop. `time()` starts at 1000.0 so that no test mistakes it for the epoch or for zero."""

    def __init__(self) -> None:
        self._clock = _JumpingSelector()
        self._clock.now = 1000.0
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """As ever, but time does not jump while the job runs."""
        future = super().run_in_executor(executor, func, *args)
        self._clock.foreign_jobs += 1
        future.add_done_callback(self._job_done)
        return future

    def _job_done(self, _: asyncio.Future[Any]) -> None:
        self._clock.foreign_jobs -= 1

    async def shutdown_default_executor(self, *args: Any, **kwargs: Any) -> None:
        """As ever, but time does not jump while the threads are joined."""
        self._clock.foreign_jobs += 1
        try:
            await super().shutdown_default_executor(*args, **kwargs)
        finally:
            self._clock.foreign_jobs -= 1
