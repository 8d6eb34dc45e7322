"""From one loop to another: how the media loop and the agent's loop call each other."""

from __future__ import annotations

import contextlib
from asyncio import AbstractEventLoop
from collections.abc import Callable
from contextvars import Context
from typing import TypeVarTuple

Arguments = TypeVarTuple("Arguments")


class Crossing:
    """The two loops of an agent host; `media` and `agent` may be the same loop.

    What crosses first arrives first. A call to a loop that has closed is dropped: nobody there is left to be told.
    """

    def __init__(self, media: AbstractEventLoop, agent: AbstractEventLoop) -> None:
        self.media = media
        self.agent = agent

    def to_media(
        self, callback: Callable[[*Arguments], object], *args: *Arguments, context: Context | None = None
    ) -> None:
        self._call(self.media, callback, *args, context=context)

    def to_agent(
        self, callback: Callable[[*Arguments], object], *args: *Arguments, context: Context | None = None
    ) -> None:
        self._call(self.agent, callback, *args, context=context)

    def _call(
        self,
        loop: AbstractEventLoop,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: Context | None,
    ) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed
            if self.media is self.agent:
                loop.call_soon(callback, *args, context=context)
            else:
                loop.call_soon_threadsafe(callback, *args, context=context)
