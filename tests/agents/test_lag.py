"""Who blocks the agent's loop, and where."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from blockbuster import BlockBuster

from lineside.agents.host import AgentHost
from lineside.agents.shapes import factory_of
from lineside.events import CallerPressed, CallInfo, CallStarted, Cue, Line

from .listening import Bell, Problems, hear, hear_out

pytestmark = pytest.mark.realtime

SOURCE = Path(__file__).read_text().splitlines()
WAITING_LINE = next(n for n, line in enumerate(SOURCE, 1) if line.endswith("# the one to be named"))


def look_up(answered: threading.Event) -> str:
    answered.wait()  # the one to be named
    return "Monday"


async def test_a_block_is_named_once_and_its_end_is_told(blockbuster: BlockBuster) -> None:
    blockbuster.functions["threading.Lock.acquire"].can_block_in("agents/test_lag.py", "look_up")
    answered = threading.Event()

    async def agent(cue: Cue) -> AsyncIterator[Line]:
        yield look_up(answered) if isinstance(cue, CallStarted) else "at once"

    problems = Problems()
    loop = asyncio.get_running_loop()
    async with AgentHost(factory_of(agent), on_problem=problems) as host:
        bell, began = Bell(), loop.time()
        reply = host.open(CallInfo("CA1")).reply(CallStarted(), bell.ring)
        problem = await problems.first("blocked")
        assert problem.startswith(f"the agent's loop is blocked at {__file__}:{WAITING_LINE} in look_up")
        assert loop.time() - began > 0.2  # a period of 0.25 s passed first
        other = asyncio.ensure_future(hear(host.open(CallInfo("CA2")), CallerPressed("1")))
        await asyncio.sleep(0.6)  # the media loop goes on, and says nothing twice
        assert len(problems.texts) == 1
        assert not other.done(), "agents share their thread: the other's words wait too"
        answered.set()
        assert await hear_out(reply, bell) == ["Monday"]
        assert await other == ["at once"]
        problem = await problems.first("free again after at least ")
        assert f"{__file__}:{WAITING_LINE} in look_up" in problem
        told_s = float(problem.partition("at least ")[2].partition(" s")[0])
        assert 0.6 <= told_s <= loop.time() - began + 0.1
    assert len(problems.texts) == 2


async def test_an_agent_that_waits_is_not_blocked() -> None:
    async def agent(cue: Cue) -> AsyncIterator[Line]:
        await asyncio.sleep(0.7)
        yield "a"

    problems = Problems()
    async with AgentHost(factory_of(agent), on_problem=problems) as host:
        assert await hear(host.open(CallInfo("CA1")), CallStarted()) == ["a"]
    assert problems.texts == []
