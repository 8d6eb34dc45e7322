"""A wait that ends at a time or when somebody rings, whichever comes first."""

from __future__ import annotations

import asyncio


class Alarm:
    """One waiter, any number of ringers, all on one loop. A ring while nobody waits ends the next wait at once."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._rung = False
        self._waiter: asyncio.Future[None] | None = None

    def ring(self) -> None:
        self._rung = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self, until: float | None) -> None:
        """Wait for a ring, at most until the loop's clock shows `until`. Cancelling loses no ring."""
        if not self._rung:
            self._waiter = self._loop.create_future()
            timer = None if until is None else self._loop.call_at(until, self._expire, self._waiter)
            try:
                await self._waiter
            finally:
                self._waiter = None
                if timer is not None:
                    timer.cancel()
        self._rung = False

    @staticmethod
    def _expire(waiter: asyncio.Future[None]) -> None:
        if not waiter.done():
            waiter.set_result(None)
