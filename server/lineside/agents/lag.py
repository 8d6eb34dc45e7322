"""Notices that user code blocks the agent's loop, and says where."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from lineside.agents import blame
from lineside.agents.crossing import Crossing

PERIOD_S = 0.25  # one question a period; a loop that has not answered by the next is blocked


class LagMeter:
    """Asks the agent's loop for a sign of life. The media loop runs it: a blocked loop cannot report itself.

    A block is reported when it is noticed, one to two periods after it began, and again when it ends.
    """

    def __init__(self, crossing: Crossing, thread_id: int, report: Callable[[str], None]) -> None:
        """Both loops must not be the same one.

        Args:
            thread_id: `Thread.ident` of the thread that runs the agent's loop.
            report: called on the media loop.
        """
        self._crossing = crossing
        self._thread_id = thread_id
        self._report = report
        self._answered = True
        self._asked_at = 0.0
        self._due = 0.0
        self._place: str | None = None  # where the loop is blocked, once reported
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._due = self._crossing.media.time()
        self._tick()

    def stop(self) -> None:
        if self._timer:
            self._timer.cancel()

    def _tick(self) -> None:
        now = self._crossing.media.time()
        late = now - self._due > PERIOD_S  # we were held up ourselves, perhaps by what also held up the agent's thread
        if self._answered:
            self._free()
            self._answered = False
            self._asked_at = now
            self._crossing.to_agent(self._answer)
        elif self._place is None and not late and (place := blame.in_thread(self._thread_id)):
            # When it is nowhere in the agents' code, the machine is busy, or the loop is, and nobody blocks.
            self._place = place
            self._report(f"the agent's loop is blocked at {place}: every call's agent waits")
        self._due = now + PERIOD_S
        self._timer = self._crossing.media.call_at(self._due, self._tick)

    def _answer(self) -> None:
        """Runs on the agent's loop. The media loop need not wake for it unless a block has ended."""
        self._answered = True
        if self._place is not None:
            self._crossing.to_media(self._free)

    def _free(self) -> None:
        if self._place is not None:
            blocked_s = self._crossing.media.time() - self._asked_at
            self._report(f"the agent's loop is free again after at least {blocked_s:.1f} s at {self._place}")
            self._place = None
