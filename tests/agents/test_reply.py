"""One answer, on the test clock: its lines, and how it is closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from hypothesis import given, settings
from hypothesis import strategies as st

from lineside.agents.reply import LIMIT
from lineside.events import CallEnded, CallerPressed, CallStarted, Cue, HangUp, Line, Pause, Say
from lineside.standin.clock import ClockLoop

from .listening import CALL, Bell, hear, hear_out, hosting, now, settle


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


async def test_a_reply_closed_at_once_still_tells_the_agent_its_cue() -> None:
    asked: list[Cue] = []

    async def agent(cue: Cue) -> AsyncIterator[Line]:
        asked.append(cue)
        yield "never"

    async with hosting(agent) as (host, _):
        bell = Bell()
        host.open(CALL).reply(CallStarted(), bell.ring).close()
        await settle()
        assert asked == [CallStarted()]
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
