"""What a call does with its agent, for tests: wait for `wake`, take what is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from lineside.agents.host import AgentHost
from lineside.agents.shapes import factory_of
from lineside.events import CallInfo, Cue, Line
from lineside.ports import AgentSession, Reply

CALL = CallInfo("CA1")


class Bell:
    """Counts how often it was rung."""

    def __init__(self) -> None:
        self.times = 0
        self._rung = asyncio.Event()

    def ring(self) -> None:
        self.times += 1
        self._rung.set()

    async def wait(self) -> None:
        await self._rung.wait()
        self._rung.clear()


class Problems:
    """Gathers what a host reports."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._bell = Bell()

    def __call__(self, problem: str) -> None:
        self.texts.append(problem)
        self._bell.ring()

    async def first(self, words: str) -> str:
        """The first one, now or later, that has these words in it."""
        while True:
            for text in self.texts:
                if words in text:
                    return text
            await self._bell.wait()


async def hear_out(reply: Reply, bell: Bell) -> list[Line]:
    """All lines to the end of the answer."""
    lines: list[Line] = []
    while True:
        while (line := reply.take()) is not None:
            lines.append(line)
        if reply.done:
            return lines
        await bell.wait()


async def hear(session: AgentSession, cue: Cue) -> list[Line]:
    """All lines of an answer that must not fail."""
    bell = Bell()
    reply = session.reply(cue, bell.ring)
    lines = await hear_out(reply, bell)
    assert reply.error is None
    return lines


async def fail(session: AgentSession, cue: Cue) -> tuple[list[Line], str]:
    """The lines of an answer that must fail, and the error's text."""
    bell = Bell()
    reply = session.reply(cue, bell.ring)
    lines = await hear_out(reply, bell)
    assert reply.error is not None
    return lines, str(reply.error)


@asynccontextmanager
async def hosting(agent: object) -> AsyncIterator[tuple[AgentHost, Problems]]:
    """A host on the test's own loop, where time is exact."""
    problems = Problems()
    async with AgentHost(factory_of(agent), own_thread=False, on_problem=problems) as host:
        yield host, problems


def now() -> float:
    return asyncio.get_running_loop().time()


async def settle() -> None:
    """Let everything that is ready run."""
    for _ in range(10):
        await asyncio.sleep(0)
