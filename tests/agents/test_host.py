"""Agents in a thread of their own: what crosses, and what stays when it is over."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from blockbuster import BlockBuster

from lineside.agents import blame
from lineside.agents import host as host_module
from lineside.agents.demo import ORDER, Reception
from lineside.agents.host import AgentHost
from lineside.agents.reply import LIMIT, Answer, Pump
from lineside.agents.session import Mind, Session
from lineside.agents.shapes import factory_of
from lineside.events import CallEnded, CallerPressed, CallInfo, CallStarted, Cue, HangUp, Line

from .listening import Bell, Problems, fail, hear, hear_out

pytestmark = pytest.mark.realtime

CALL = CallInfo("CA1")


@asynccontextmanager
async def hosting(agent: object) -> AsyncIterator[tuple[AgentHost, Problems]]:
    problems = Problems()
    async with AgentHost(factory_of(agent), on_problem=problems) as host:
        yield host, problems
    assert agent_threads() == []


def agent_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "lineside-agents"]


async def test_a_conversation_with_the_demo() -> None:
    async with hosting(Reception) as (host, problems):
        session = host.open(CALL)
        (greeting,) = await hear(session, CallStarted())
        assert "Harbour Books" in str(greeting)
        assert await hear(session, CallerPressed("1")) == [ORDER]
        assert (await hear(session, CallerPressed("9")))[-1] == HangUp()
        assert await hear(session, CallEnded("agent")) == []
        session.close()
    assert problems.texts == []


async def test_the_agent_has_a_thread_of_its_own_and_wake_comes_on_the_media_loop() -> None:
    threads: list[threading.Thread] = []

    class Agent:
        def __init__(self) -> None:
            threads.append(threading.current_thread())

        async def reply(self, cue: Cue) -> AsyncIterator[Line]:
            threads.append(threading.current_thread())
            yield "a"

    async with hosting(Agent) as (host, _):
        woken = asyncio.get_running_loop().create_future()
        host.open(CALL).reply(CallStarted(), lambda: woken.set_result(threading.current_thread()))
        assert await woken is threading.current_thread()
    made, asked = threads
    assert made is asked
    assert made is not threading.current_thread()


async def test_a_line_given_before_the_agent_blocks_is_heard_while_it_blocks(blockbuster: BlockBuster) -> None:
    blockbuster.functions["threading.Lock.acquire"].can_block_in("agents/test_host.py", "agent")
    go_on = threading.Event()

    async def agent(cue: Cue) -> AsyncIterator[Line]:
        yield "One moment, please."
        go_on.wait()
        yield "Here we are."

    async with hosting(agent) as (host, _):
        bell = Bell()
        reply = host.open(CALL).reply(CallStarted(), bell.ring)
        await bell.wait()
        assert reply.take() == "One moment, please."
        assert not reply.done
        go_on.set()
        assert await hear_out(reply, bell) == ["Here we are."]


async def test_closing_a_blocked_agent_is_immediate(blockbuster: BlockBuster) -> None:
    blockbuster.functions["threading.Lock.acquire"].can_block_in("agents/test_host.py", "agent")
    blocked, go_on = threading.Event(), threading.Event()

    async def agent(cue: Cue) -> AsyncIterator[Line]:
        if isinstance(cue, CallStarted):
            yield "first"
            blocked.set()
            go_on.wait()
        yield "second"

    async with hosting(agent) as (host, _):
        bell, session = Bell(), host.open(CALL)
        reply = session.reply(CallStarted(), bell.ring)
        await asyncio.to_thread(blocked.wait)
        reply.close()
        assert reply.done
        times = bell.times
        go_on.set()
        assert await hear(session, CallerPressed("1")) == ["second"]
        assert bell.times == times


async def test_the_agent_runs_no_further_ahead_than_the_limit() -> None:
    n_pieces = 100_000
    reached = 0

    async def agent(cue: Cue) -> AsyncIterator[Line]:
        nonlocal reached
        for n in range(n_pieces):
            reached = n + 1
            yield str(n)

    async with hosting(agent) as (host, _):
        bell = Bell()
        reply = host.open(CALL).reply(CallStarted(), bell.ring)
        await bell.wait()
        n_taken = 0
        while not reply.done:
            while (line := reply.take()) is not None:
                assert line == str(n_taken)
                n_taken += 1
                assert reached <= n_taken + LIMIT
            if not reply.done:
                await bell.wait()
        assert n_taken == n_pieces


async def test_leaving_with_an_endless_agent_takes_no_time() -> None:
    async def agent(cue: Cue) -> AsyncIterator[Line]:
        while True:
            yield "a"

    loop = asyncio.get_running_loop()
    async with hosting(agent) as (host, problems):
        bell = Bell()
        host.open(CALL).reply(CallStarted(), bell.ring)
        await bell.wait()
        began = loop.time()
    assert loop.time() - began < 1  # far below the limits of clean-up; usually a few ms
    assert problems.texts == []


async def test_a_background_task_that_exits_does_not_silence_the_other_calls() -> None:
    tasks: set[asyncio.Task[None]] = set()

    async def leave() -> None:
        raise SystemExit("bye")

    async def agent(cue: Cue) -> AsyncIterator[Line]:
        if isinstance(cue, CallStarted):
            tasks.add(asyncio.get_running_loop().create_task(leave()))
            await asyncio.sleep(0)
        yield "still here"

    async with hosting(agent) as (host, problems):
        session = host.open(CALL)
        assert await hear(session, CallStarted()) == ["still here"]
        assert (await problems.first("SystemExit")).startswith("a task of the agent raised SystemExit: bye")
        assert await hear(session, CallerPressed("1")) == ["still here"]
    for task in tasks:
        assert isinstance(task.exception(), SystemExit)


async def test_an_exit_in_an_answer_is_an_error_of_that_answer() -> None:
    async def agent(cue: Cue) -> AsyncIterator[Line]:
        if isinstance(cue, CallStarted):
            raise SystemExit("bye")
        yield "still here"

    async with hosting(agent) as (host, _):
        session = host.open(CALL)
        assert (await fail(session, CallStarted()))[1].startswith("SystemExit: bye")
        assert await hear(session, CallerPressed("1")) == ["still here"]


async def test_a_thread_stuck_in_user_code_is_named_and_left(
    blockbuster: BlockBuster, monkeypatch: pytest.MonkeyPatch
) -> None:
    blockbuster.functions["threading.Lock.acquire"].can_block_in("agents/test_host.py", "agent")
    monkeypatch.setattr(host_module, "THREAD_END_S", 0.1)
    blocked, go_on = threading.Event(), threading.Event()

    async def agent(cue: Cue) -> AsyncIterator[Line]:
        blocked.set()
        go_on.wait()
        yield "never"

    problems = Problems()
    async with AgentHost(factory_of(agent), on_problem=problems) as host:
        host.open(CALL).reply(CallStarted(), Bell().ring)
        await asyncio.to_thread(blocked.wait)
    problem = await problems.first("did not end")
    assert "test_host.py:" in problem
    assert " in agent; left to itself" in problem
    (thread,) = agent_threads()
    assert thread.daemon, "or the process could not end either"
    go_on.set()
    await asyncio.to_thread(thread.join)


def ours() -> Iterator[object]:
    # By type: `isinstance` asks the object, and others' weak proxies of what is gone raise when they are asked.
    return (each for each in gc.get_objects() if type(each) in (Session, Mind, Answer, Pump))


async def test_a_thousand_calls_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blame.logger, "disabled", True)  # pytest keeps every record, and so the frames in it
    agents: list[weakref.ref[object]] = []

    class Agent:
        def __init__(self) -> None:
            agents.append(weakref.ref(self))

        async def __aenter__(self) -> Agent:
            return self

        async def __aexit__(self, *exc: object) -> None: ...

        async def reply(self, cue: Cue) -> AsyncIterator[Line]:
            yield "a"
            if isinstance(cue, CallerPressed) and cue.digit == "1":
                await asyncio.Event().wait()
            if isinstance(cue, CallerPressed) and cue.digit == "2":
                raise LookupError

    async def one_call(host: AgentHost, n: int) -> None:
        session = host.open(CallInfo(f"CA{n}"))
        await hear(session, CallStarted())
        bell = Bell()
        reply = session.reply(CallerPressed("1"), bell.ring)
        await bell.wait()
        reply.close()
        if n % 100 == 0:
            await fail(session, CallerPressed("2"))
        session.reply(CallEnded("caller"), Bell().ring)
        session.close()

    before = weakref.WeakSet(ours())  # what pytest keeps of other tests, in the records of what they logged
    tasks_before = asyncio.all_tasks()
    async with hosting(Agent) as (host, _):
        for first in range(0, 1000, 50):
            await asyncio.gather(*(one_call(host, n) for n in range(first, first + 50)))
        assert len(agents) == 1000
        async with asyncio.timeout(10):  # while the host still runs; its loop and ours end things in their own time
            while any(agent() for agent in agents) or any(each not in before for each in ours()):
                await asyncio.sleep(0.01)
                gc.collect()
    assert asyncio.all_tasks() == tasks_before
