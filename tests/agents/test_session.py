"""A call's agent from first cue to last, on the test clock."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

import pytest

from lineside.errors import LocalProtocolError
from lineside.events import CallEnded, CallerPressed, CallInfo, CallStarted, Cue, Line

from .listening import CALL, Bell, fail, hear, hear_out, hosting, now, settle


async def test_answers_of_one_call_follow_each_other() -> None:
    async def agent(cue: Cue) -> AsyncIterator[Line]:
        await asyncio.sleep(1)
        yield type(cue).__name__

    async with hosting(agent) as (host, _):
        session, began = host.open(CALL), now()
        cues: list[Cue] = [CallStarted(), CallerPressed("1"), CallerPressed("2")]
        bells = [Bell() for _ in cues]
        replies = [session.reply(cue, bell.ring) for cue, bell in zip(cues, bells, strict=True)]
        replies[1].close()
        assert await hear_out(replies[2], bells[2]) == ["CallerPressed"]
        assert now() == began + 2, "the third waits for the first, though the second was closed"
        assert replies[0].take() == "CallStarted"


async def test_two_calls_do_not_wait_for_each_other() -> None:
    async def agent(cue: Cue) -> AsyncIterator[Line]:
        await asyncio.sleep(1)
        yield "a"

    async with hosting(agent) as (host, _):
        began = now()
        await asyncio.gather(*(hear(host.open(CallInfo(f"CA{n}")), CallStarted()) for n in range(50)))
        assert now() == began + 1


async def test_the_agent_is_made_with_the_first_cue_and_left_after_the_last_answer() -> None:
    seen: list[str] = []

    class Agent:
        async def __aenter__(self) -> Self:
            self.task = asyncio.current_task()
            seen.append("entered")
            return self

        async def __aexit__(
            self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
        ) -> None:
            assert kind is None
            assert asyncio.current_task() is self.task
            seen.append("left")

        async def reply(self, cue: Cue) -> AsyncIterator[Line]:
            await asyncio.sleep(1)
            seen.append(type(cue).__name__)
            yield "a"

    async with hosting(Agent) as (host, problems):
        session = host.open(CALL)
        await settle()
        assert seen == []
        await hear(session, CallStarted())
        await hear(session, CallerPressed("1"))
        session.reply(CallEnded("caller"), Bell().ring)
        session.close()
    assert seen == ["entered", "CallStarted", "CallerPressed", "CallEnded", "left"]
    assert problems.texts == []


async def test_a_call_that_was_never_answered_makes_no_agent() -> None:
    made: list[CallInfo] = []

    def make(call: CallInfo) -> object:
        made.append(call)
        return None

    async with hosting(make) as (host, _):
        session = host.open(CALL)
        session.close()
        session.close()
        await settle()
    assert made == []


async def test_closing_the_session_closes_the_answer() -> None:
    async def agent(cue: Cue) -> AsyncIterator[Line]:
        while True:
            yield "a"
            await asyncio.sleep(1)

    async with hosting(agent) as (host, _):
        bell = Bell()
        session = host.open(CALL)
        reply = session.reply(CallStarted(), bell.ring)
        await asyncio.sleep(0.5)
        session.close()
        assert reply.done
        await asyncio.sleep(5)
        assert bell.times == 1
        with pytest.raises(LocalProtocolError):
            session.reply(CallerPressed("1"), bell.ring)


async def test_an_agent_that_is_slow_to_leave_is_cut_and_reported() -> None:
    @asynccontextmanager
    async def make(call: CallInfo) -> AsyncIterator[object]:
        class Agent:
            async def reply(self, cue: Cue) -> AsyncIterator[Line]:
                yield "a"

        yield Agent()
        await asyncio.sleep(60)

    async with hosting(make) as (host, problems):
        session = host.open(CALL)
        await hear(session, CallStarted())
        began = now()
        session.close()
        problem = await problems.first("the end of an agent took more than 5.5 s and was cancelled")
        assert now() == began + 5.5
    assert problems.texts == [problem]


async def test_a_background_task_that_fails_ends_the_agent() -> None:
    """A task group in the agent's context cancels what waits in it; later answers fail instead of hanging."""

    @asynccontextmanager
    async def make(call: CallInfo) -> AsyncIterator[object]:
        async def background() -> None:
            await asyncio.sleep(1)
            raise LookupError("lost")

        class Agent:
            async def reply(self, cue: Cue) -> AsyncIterator[Line]:
                yield "a"

        async with asyncio.TaskGroup() as group:
            group.create_task(background())
            yield Agent()

    async with hosting(make) as (host, problems):
        session = host.open(CALL)
        assert await hear(session, CallStarted()) == ["a"]
        await problems.first("the end of an agent raised ExceptionGroup")
        assert (await fail(session, CallerPressed("1")))[1].startswith("ExceptionGroup")


async def test_the_answer_to_the_end_runs_to_its_end_and_is_not_heard() -> None:
    seen: list[str] = []

    async def agent(cue: Cue) -> AsyncIterator[Line]:
        if isinstance(cue, CallEnded):
            for n in range(100):
                yield str(n)
            await asyncio.sleep(4)
            seen.append(cue.reason)

    async with hosting(agent) as (host, problems):
        bell, session = Bell(), host.open(CALL)
        reply = session.reply(CallEnded("caller"), bell.ring)
        assert await hear_out(reply, bell) == []
        assert reply.error is None
        session.reply(CallEnded("agent"), Bell().ring).close()
        session.close()
        await asyncio.sleep(6)
    assert seen == ["caller", "agent"], "closing does not end it: there was nobody to hear it anyway"
    assert problems.texts == []


@pytest.mark.parametrize("busy", [True, False])
async def test_the_answer_to_the_end_has_five_seconds(busy: bool) -> None:
    async def agent(cue: Cue) -> AsyncIterator[Line]:
        while True:
            yield "a"
            await asyncio.sleep(0.01 if busy else 60)

    async with hosting(agent) as (host, problems):
        began, session = now(), host.open(CALL)
        session.reply(CallEnded("caller"), Bell().ring)
        session.close()
        await problems.first("the answer to CallEnded")
        assert now() == pytest.approx(began + 5)
        await settle()
    (problem,) = problems.texts
    assert " in agent) took more than 5 s and was cancelled" in problem


async def test_the_end_closes_what_still_runs() -> None:
    seen: list[str] = []

    async def agent(cue: Cue) -> AsyncIterator[Line]:
        try:
            while not isinstance(cue, CallEnded):
                yield "a"
        finally:
            seen.append(type(cue).__name__)

    async with hosting(agent) as (host, _):
        session = host.open(CALL)
        reply = session.reply(CallStarted(), Bell().ring)
        await settle()
        await hear(session, CallEnded("caller"))
        assert reply.done
    assert seen == ["CallStarted", "CallEnded"]


async def test_leaving_the_host_lets_the_last_words_run() -> None:
    seen: list[float] = []

    async def agent(cue: Cue) -> AsyncIterator[Line]:
        await asyncio.sleep(3)
        seen.append(now())
        yield "not heard"

    async with hosting(agent) as (host, problems):
        began, session = now(), host.open(CALL)
        session.reply(CallEnded("shutdown"), Bell().ring)
    assert seen == [began + 3]
    assert now() == began + 3
    assert problems.texts == []
    with pytest.raises(LocalProtocolError):
        host.open(CALL)


async def test_leaving_the_host_cancels_what_takes_too_long() -> None:
    @asynccontextmanager
    async def make(call: CallInfo) -> AsyncIterator[object]:
        class Agent:
            async def reply(self, cue: Cue) -> AsyncIterator[Line]:
                yield "a"

        yield Agent()
        await asyncio.sleep(60)

    async with hosting(make) as (host, problems):
        await hear(host.open(CALL), CallStarted())
        began = now()
    assert now() == began + 5
    assert problems.texts == []


async def test_leaving_the_host_has_a_limit() -> None:
    let_go = asyncio.Event()

    async def agent(cue: Cue) -> AsyncIterator[Line]:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue
        yield "never"

    began = now()
    async with hosting(agent) as (host, problems):
        host.open(CALL).reply(CallStarted(), Bell().ring)
        await settle()
    assert now() <= began + 5.25
    await problems.first("tasks of agents go on although they were cancelled")
    let_go.set()
    await settle()


place = contextvars.ContextVar("place", default="nowhere")


async def test_each_call_has_context_variables_of_its_own() -> None:
    async def agent(call: CallInfo, cue: Cue) -> AsyncIterator[Line]:
        yield place.get()
        token = place.set(call.call_id)
        try:
            yield place.get()
        finally:
            if isinstance(cue, CallStarted):
                place.reset(token)

    async with hosting(agent) as (host, problems):
        place.set("at the media loop")
        one, two = host.open(CallInfo("CA1")), host.open(CallInfo("CA2"))
        reply = one.reply(CallStarted(), Bell().ring)
        await settle()
        reply.close()  # resets its token in another step than the one that set it
        assert await hear(one, CallerPressed("1")) == ["at the media loop", "CA1"]
        assert await hear(one, CallerPressed("2")) == ["CA1", "CA1"], "kept from cue to cue"
        assert await hear(two, CallerPressed("1")) == ["at the media loop", "CA2"]
        assert place.get() == "at the media loop"
    assert problems.texts == []


async def test_what_making_the_agent_sets_its_answers_see() -> None:
    class Agent:
        def __init__(self) -> None:
            place.set("made")

        async def reply(self, cue: Cue) -> AsyncIterator[Line]:
            yield place.get()

    async with hosting(Agent) as (host, _):
        assert await hear(host.open(CALL), CallStarted()) == ["made"]


async def test_wake_runs_in_the_context_it_was_given_in() -> None:
    async def agent(cue: Cue) -> AsyncIterator[Line]:
        place.set("at the agent")
        yield "a"

    seen: list[str] = []
    ringing: Callable[[], None] = lambda: seen.append(place.get())  # noqa: E731
    async with hosting(agent) as (host, _):
        session = host.open(CALL)
        place.set("at the call")
        session.reply(CallStarted(), ringing)
        await settle()
    assert seen == ["at the call"]
