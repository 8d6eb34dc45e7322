"""A call's agent, on the test clock: agents share the loop, so that time is exact."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineside.agents.host import AgentHost
from lineside.agents.reply import LIMIT
from lineside.agents.shapes import factory_of
from lineside.errors import LocalProtocolError
from lineside.events import CallEnded, CallerPressed, CallInfo, CallStarted, Cue, HangUp, Line, Pause, Say
from lineside.standin.clock import ClockLoop

from .listening import Bell, Problems, fail, hear, hear_out

CALL = CallInfo("CA1")


@asynccontextmanager
async def hosting(agent: object) -> AsyncIterator[tuple[AgentHost, Problems]]:
    problems = Problems()
    async with AgentHost(factory_of(agent), own_thread=False, on_problem=problems) as host:
        yield host, problems


def now() -> float:
    return asyncio.get_running_loop().time()


async def settle() -> None:
    """Let everything that is ready run."""
    for _ in range(10):
        await asyncio.sleep(0)


# -- lines ------------------------------------------------------------------------------------------------------------


async def test_every_kind_of_line_arrives_in_order_and_the_answer_ends() -> None:
    given_lines: list[Line] = ["a ", "b", Say("c", interruptible=False), Pause(1.5), HangUp()]

    async def agent(cue: Cue) -> AsyncIterator[Line]:
        for line in given_lines:
            yield line

    async with hosting(agent) as (host, _):
        assert await hear(host.open(CALL), CallStarted()) == given_lines


async def test_a_burst_of_lines_wakes_once() -> None:
    async def agent(cue: Cue) -> AsyncIterator[Line]:
        for n in range(20):
            yield str(n)

    async with hosting(agent) as (host, _):
        bell = Bell()
        reply = host.open(CALL).reply(CallStarted(), bell.ring)
        assert bell.times == 0, "wake never comes from within reply()"
        assert len(await hear_out(reply, bell)) == 20
        assert bell.times == 1


async def test_a_slow_agents_lines_come_when_they_are_given() -> None:
    async def agent(cue: Cue) -> AsyncIterator[Line]:
        for n in range(3):
            yield str(n)
            await asyncio.sleep(2)

    async with hosting(agent) as (host, _):
        bell, began = Bell(), now()
        reply = host.open(CALL).reply(CallStarted(), bell.ring)
        for n in range(3):
            await bell.wait()
            assert now() == began + 2 * n
            assert reply.take() == str(n)
            assert reply.take() is None
            assert not reply.done
        await bell.wait()
        assert reply.done
        assert reply.error is None


async def test_an_agent_that_says_nothing_is_done() -> None:
    async def agent(cue: Cue) -> AsyncIterator[Line]:
        if isinstance(cue, CallEnded):
            yield "never"

    async with hosting(agent) as (host, _):
        assert await hear(host.open(CALL), CallStarted()) == []


async def test_empty_pieces_are_skipped() -> None:
    async def agent(cue: Cue) -> AsyncIterator[Line | None]:
        for piece in ("a", None, "", "b", None):
            yield piece

    async with hosting(agent) as (host, _):
        assert await hear(host.open(CALL), CallStarted()) == ["a", "b"]


async def test_an_endless_generator_of_nothing_does_not_stop_the_loop() -> None:
    n_given = 0

    async def agent(cue: Cue) -> AsyncIterator[Line | None]:
        nonlocal n_given
        while n_given < 10_000:  # all but endless: a loop that is stopped stops the test's time limit too
            n_given += 1
            yield None

    async with hosting(agent) as (host, _):
        reply = host.open(CALL).reply(CallStarted(), Bell().ring)
        await settle()
        assert 0 < n_given < 100
        reply.close()
        await settle()
        assert n_given < 100


async def test_ten_thousand_characters_in_one_piece_are_one_line() -> None:
    async def agent(cue: Cue) -> AsyncIterator[Line]:
        yield "x" * 10_000

    async with hosting(agent) as (host, _):
        assert await hear(host.open(CALL), CallStarted()) == ["x" * 10_000]


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
        await asyncio.sleep(60)
        assert reached == LIMIT, "nothing was taken yet"
        n_taken = 0
        while not reply.done:
            while (line := reply.take()) is not None:
                assert line == str(n_taken)
                n_taken += 1
                assert reached <= n_taken + LIMIT
            if not reply.done:
                await bell.wait()
        assert n_taken == n_pieces


async def test_a_call_that_takes_one_line_now_and_then_gets_all() -> None:
    async def agent(cue: Cue) -> AsyncIterator[Line]:
        for n in range(100):
            yield str(n)

    async with hosting(agent) as (host, _):
        reply = host.open(CALL).reply(CallStarted(), Bell().ring)
        for n in range(100):
            await asyncio.sleep(1)
            assert reply.take() == str(n)
        await asyncio.sleep(1)
        assert reply.done


PIECES = st.lists(st.sampled_from(["a", "bb", "", None, HangUp(), "wait"]), max_size=150)


@settings(max_examples=60, deadline=None)
@given(pieces=PIECES, appetites=st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_no_line_is_lost_doubled_or_moved_however_it_is_given_and_taken(
    pieces: list[Line | None], appetites: list[int]
) -> None:
    async def agent(cue: Cue) -> AsyncIterator[Line | None]:
        for piece in pieces:
            if piece == "wait":
                await asyncio.sleep(1)
            else:
                yield piece

    async def call() -> list[Line]:
        taken: list[Line] = []
        async with hosting(agent) as (host, _):
            reply = host.open(CALL).reply(CallStarted(), Bell().ring)
            turn = 0
            while not reply.done:
                lines = [reply.take() for _ in range(appetites[turn % len(appetites)])]
                taken.extend(line for line in lines if line is not None)
                turn += 1
                await asyncio.sleep(0.4)
        return taken

    with asyncio.Runner(loop_factory=ClockLoop) as runner:
        assert runner.run(call()) == [piece for piece in pieces if piece not in (None, "", "wait")]


# -- errors -----------------------------------------------------------------------------------------------------------


async def test_an_agent_that_raises_at_once(caplog: pytest.LogCaptureFixture) -> None:
    async def agent(cue: Cue) -> AsyncIterator[Line]:
        if isinstance(cue, CallStarted):
            raise LookupError("no such customer")
        yield "never"

    async with hosting(agent) as (host, _):
        lines, error = await fail(host.open(CALL), CallStarted())
    assert lines == []
    assert error.startswith("LookupError: no such customer (")
    assert "test_session.py:" in error
    assert error.endswith(" in agent)")
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info
    assert isinstance(record.exc_info[1], LookupError)


async def test_an_agent_that_raises_after_a_line_keeps_the_line() -> None:
    async def agent(cue: Cue) -> AsyncIterator[Line]:
        yield "One moment."
        raise ZeroDivisionError

    async with hosting(agent) as (host, _):
        lines, error = await fail(host.open(CALL), CallStarted())
    assert lines == ["One moment."]
    assert error.startswith("ZeroDivisionError (")


async def test_an_answer_that_failed_is_followed_by_the_next() -> None:
    async def agent(cue: Cue) -> AsyncIterator[Line]:
        if isinstance(cue, CallStarted):
            raise LookupError
        yield "Better."

    async with hosting(agent) as (host, _):
        session = host.open(CALL)
        await fail(session, CallStarted())
        assert await hear(session, CallerPressed("1")) == ["Better."]


async def test_an_unknown_line_names_its_type_and_what_is_allowed() -> None:
    async def agent(cue: Cue) -> AsyncIterator[Any]:
        yield "before"
        yield b"bytes"

    async with hosting(agent) as (host, _):
        lines, error = await fail(host.open(CALL), CallStarted())
    assert lines == ["before"]
    assert error == "the agent gave a bytes; a line is one of str, Say, Pause, HangUp"


async def test_a_clean_up_after_an_unknown_line_does_not_delay_the_error() -> None:
    async def agent(cue: Cue) -> AsyncIterator[Any]:
        try:
            yield 3
        finally:
            await asyncio.sleep(60)

    async with hosting(agent) as (host, problems):
        began = now()
        await fail(host.open(CALL), CallStarted())
        assert now() == began
        await problems.first("the clean-up of an answer to CallStarted")
        assert now() == began + 0.25


@pytest.mark.parametrize("leave", [SystemExit, asyncio.CancelledError])
async def test_an_agent_cannot_end_more_than_its_answer(leave: type[BaseException]) -> None:
    async def agent(cue: Cue) -> AsyncIterator[Line]:
        yield "a"
        raise leave

    async with hosting(agent) as (host, _):
        lines, error = await fail(host.open(CALL), CallStarted())
        assert (lines, error.split()[0]) == (["a"], leave.__name__)


async def test_an_agent_that_cannot_be_made_fails_each_answer_and_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Agent:
        def __init__(self) -> None:
            raise OSError("no database")

        async def reply(self, cue: Cue) -> AsyncIterator[Line]:
            yield "never"

    async with hosting(Agent) as (host, _):
        session = host.open(CALL)
        for cue in (CallStarted(), CallEnded("error")):
            lines, error = await fail(session, cue)
            assert lines == []
            assert error.startswith("OSError: no database (")
    assert len(caplog.records) == 1


async def test_a_factory_that_is_cancelled_from_within_fails_the_answer() -> None:
    async def make() -> object:
        raise asyncio.CancelledError

    async with hosting(make) as (host, _):
        assert (await fail(host.open(CALL), CallStarted()))[1].startswith("CancelledError")


# -- closing ----------------------------------------------------------------------------------------------------------


async def test_a_hanging_agent_is_cancelled_where_it_waits() -> None:
    seen: list[str] = []

    async def agent(cue: Cue) -> AsyncIterator[Line]:
        try:
            await asyncio.Event().wait()
            yield "never"
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    async with hosting(agent) as (host, problems):
        reply = host.open(CALL).reply(CallStarted(), Bell().ring)
        await settle()
        reply.close()
        assert reply.done
        await settle()
        assert seen == ["cancelled"]
    assert problems.texts == []


async def test_an_endless_agent_is_closed_at_its_yield() -> None:
    seen: list[str] = []

    async def agent(cue: Cue) -> AsyncIterator[Line]:
        try:
            while True:
                yield "and so on, "
        except GeneratorExit:
            seen.append("closed")
            raise

    async with hosting(agent) as (host, problems):
        reply = host.open(CALL).reply(CallStarted(), Bell().ring)
        await settle()
        assert reply.take() == "and so on, "
        reply.close()
        await settle()
        assert seen == ["closed"]
    assert problems.texts == []


async def test_nothing_arrives_after_close() -> None:
    async def agent(cue: Cue) -> AsyncIterator[Line]:
        for n in range(100):
            yield str(n)
            await asyncio.sleep(1)

    async with hosting(agent) as (host, _):
        bell = Bell()
        reply = host.open(CALL).reply(CallStarted(), bell.ring)
        await asyncio.sleep(2.5)
        assert bell.times == 3
        reply.close()
        reply.close()
        assert reply.take() is None
        await asyncio.sleep(10)
        assert (bell.times, reply.take(), reply.done, reply.error) == (3, None, True, None)


async def test_a_reply_closed_at_once_never_reaches_the_agent() -> None:
    asked: list[Cue] = []

    async def agent(cue: Cue) -> AsyncIterator[Line]:
        asked.append(cue)
        yield "never"

    async with hosting(agent) as (host, _):
        bell = Bell()
        host.open(CALL).reply(CallStarted(), bell.ring).close()
        await settle()
        assert asked == []
        assert bell.times == 0


async def test_a_slow_clean_up_is_cut_and_reported_and_holds_up_nobody() -> None:
    outcomes: list[str] = []

    async def agent(cue: Cue) -> AsyncIterator[Line]:
        try:
            yield "first" if isinstance(cue, CallStarted) else "second"
            await asyncio.sleep(0.1)
        finally:
            if isinstance(cue, CallStarted):
                try:
                    await asyncio.sleep(60)
                    outcomes.append("finished")
                except asyncio.CancelledError:
                    outcomes.append("cut")
                    raise

    async with hosting(agent) as (host, problems):
        session, began = host.open(CALL), now()
        reply = session.reply(CallStarted(), Bell().ring)
        await settle()
        reply.close()
        assert await hear(session, CallerPressed("1")) == ["second"]
        assert now() == began + 0.1
        problem = await problems.first("clean-up")
        assert now() == began + 0.25
        await settle()
    assert outcomes == ["cut"]
    assert problem.startswith("the clean-up of an answer to CallStarted (")
    assert " in agent) took more than 0.25 s and was cancelled" in problem
    assert problems.texts == [problem]


async def test_an_agent_that_swallows_cancellation_is_left_to_itself_and_reported() -> None:
    let_go = asyncio.Event()

    async def agent(cue: Cue) -> AsyncIterator[Line]:
        while isinstance(cue, CallStarted) and not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue
        yield "second"

    async with hosting(agent) as (host, problems):
        session, began = host.open(CALL), now()
        reply = session.reply(CallStarted(), Bell().ring)
        await settle()
        reply.close()
        assert await hear(session, CallerPressed("1")) == ["second"]
        assert now() == began
        await problems.first("goes on although it was cancelled; it is left to itself")
        assert now() == began + 0.5
        let_go.set()


async def test_what_comes_after_a_swallowed_cancellation_is_not_heard() -> None:
    went_on: list[int] = []

    async def agent(cue: Cue) -> AsyncIterator[Line]:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            for n in range(1000):
                went_on.append(n)
                yield str(n)

    async with hosting(agent) as (host, problems):
        bell = Bell()
        reply = host.open(CALL).reply(CallStarted(), bell.ring)
        await settle()
        reply.close()
        await asyncio.sleep(1)
        assert went_on == [0]
        assert bell.times == 0
    assert problems.texts == []


async def test_a_clean_up_that_raises_is_reported() -> None:
    async def agent(cue: Cue) -> AsyncIterator[Line]:
        try:
            while True:
                yield "a"
        finally:
            raise LookupError("lost")

    async with hosting(agent) as (host, problems):
        reply = host.open(CALL).reply(CallStarted(), Bell().ring)
        await settle()
        reply.close()
        assert (await problems.first("clean-up")).startswith("the clean-up of an answer raised LookupError: lost")


async def test_a_timeout_in_the_agent_is_left_in_the_task_that_entered_it() -> None:
    async def agent(cue: Cue) -> AsyncIterator[Line]:
        async with asyncio.timeout(3600), asyncio.TaskGroup():
            yield "a"
            yield "b"

    async with hosting(agent) as (host, problems):
        session = host.open(CALL)
        assert await hear(session, CallStarted()) == ["a", "b"]
        reply = session.reply(CallStarted(), Bell().ring)
        await settle()
        reply.close()
        await settle()
    assert problems.texts == []


# -- one call after the other -----------------------------------------------------------------------------------------


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


# -- the end of the call ----------------------------------------------------------------------------------------------


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


# -- context variables ------------------------------------------------------------------------------------------------

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
