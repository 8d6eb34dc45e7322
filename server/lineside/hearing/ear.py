"""A recogniser that has a socket of its own for each call, whichever it is."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable

from lineside.events import HearingEvent
from lineside.hearing.listening import Habits, Listening, Wire
from lineside.ports import Hearing
from lineside.wire.arrived import Arrived


class SocketEar:
    """See `lineside.ports.Ear`.

    Args:
        habits: what is the same for every call.
        wire: makes a call's protocol.
    """

    def __init__(self, name: str, habits: Habits, wire: Callable[[Arrived], Wire]) -> None:
        self.name = name
        self.habits = habits
        self._wire = wire

    @contextlib.asynccontextmanager
    async def connect(self, listener: Callable[[HearingEvent], None]) -> AsyncIterator[Hearing]:
        hearing = Listening(self.habits, self._wire, listener)
        try:
            yield hearing
        finally:
            await hearing.close()
