"""All calls in progress, by the carrier's call id. Starts them, finds them, and sees each one to its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from types import TracebackType
from typing import Self

from lineside.call import SHUTDOWN, Call
from lineside.errors import LinesideError

log = logging.getLogger(__name__)

STOP_TIMEOUT = 10.0  # s for all calls to end once they were told to


class TooManyCalls(LinesideError):
    """No room for another call."""


class Calls:
    """The calls of one process.

    Args:
        most: calls at a time.
        most_waiting: calls at a time whose leg has not come yet; each costs a provider socket and an agent.
    """

    def __init__(self, *, most: int = 1000, most_waiting: int = 100) -> None:
        self._most = most
        self._most_waiting = most_waiting
        self._calls: dict[str, Call] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stopping = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.end_all()

    async def end_all(self, reason: str = SHUTDOWN) -> None:
        """End every call and wait for them, for STOP_TIMEOUT seconds at the most. No call is started from now on."""
        self._stopping = True
        for call in list(self._calls.values()):
            call.end(reason)
        tasks = list(self._tasks.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=STOP_TIMEOUT)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    def __len__(self) -> int:
        return len(self._calls)

    def get(self, call_id: str) -> Call | None:
        return self._calls.get(call_id)

    def start(self, call_id: str, make: Callable[[], Call]) -> Call:
        """The call of this id, made and started if there is none.

        Raises:
            TooManyCalls: there is no room for it.
        """
        if (known := self._calls.get(call_id)) is not None:
            return known
        if self._stopping:
            raise TooManyCalls("the server is stopping")
        waiting = sum(not call.connected and not call.over for call in self._calls.values())
        if len(self._calls) >= self._most or waiting >= self._most_waiting:
            raise TooManyCalls(f"{len(self._calls)} calls in progress, {waiting} of them not connected yet")
        call = self._calls[call_id] = make()
        self._tasks[call_id] = asyncio.get_running_loop().create_task(self._live(call_id, call), name=call_id)
        return call

    async def _live(self, call_id: str, call: Call) -> None:
        try:
            await call.run()
        except Exception:  # a fault of ours ends this call, and no other
            log.exception("call %s failed", call_id)
        finally:
            del self._calls[call_id]
            del self._tasks[call_id]
