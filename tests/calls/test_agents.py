"""What agents may do to a call: fail, hang, flood, block. The caller is never left without an answer or an end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any

import pytest
from blockbuster import BlockBuster

from calls.scenes import prose
from calls.stage import Answer, Memory, saying, settings
from lineside.events import CallEnded, CallerPressed, CallStarted, Cue, HangUp, Line, Pause, Say
from lineside.standin.phone import PhoneCall, PhoneSettings
from lineside.testing import Simulation, simulation

APOLOGY = files("lineside").joinpath("assets/apology.ulaw").read_bytes()
SILENCE = b"\xff"
FIRST, SECOND = "This is what I say first.", "And then there is a second thing."


def now() -> float:
    return asyncio.get_running_loop().time()


def played(call: PhoneCall) -> list[tuple[float, bytes]]:
    """What was played without a break: when it began, and the audio."""
    found = [span for stream in call.streams for span in stream.queue.spans(stream.until(now()))]
    return [(span.at, span.audio) for span in found]


def spoken(sim: Simulation) -> bytes:
    assert sim.provider is not None
    return b"".join(each.audio for each in sim.provider.record.spoken)


def texts(sim: Simulation) -> list[str]:
    assert sim.provider is not None
    return [each.text.strip() for each in sim.provider.record.spoken]


def digits(cues: list[Cue]) -> str:
    return "".join(cue.digit for cue in cues if isinstance(cue, CallerPressed))


# -- failing -----------------------------------------------------------------------------------------------------------


async def raises_at_once(cue: Cue) -> AsyncIterator[Line]:
    if isinstance(cue, CallStarted):
        raise RuntimeError("no model")
    yield SECOND


async def raises_later(cue: Cue) -> AsyncIterator[Line]:
    if isinstance(cue, CallStarted):
        yield FIRST
        raise RuntimeError("no model")
    yield SECOND


async def gives_nonsense(cue: Cue) -> AsyncIterator[Any]:
    yield 42 if isinstance(cue, CallStarted) else SECOND


async def hangs(cue: Cue) -> AsyncIterator[Line]:
    if isinstance(cue, CallStarted):
        await asyncio.sleep(3600)
    yield SECOND


async def needs_what_was_cancelled(cue: Cue) -> AsyncIterator[Line]:
    if isinstance(cue, CallStarted):
        lost = asyncio.get_running_loop().create_future()
        lost.cancel()
        await lost
    yield SECOND


@pytest.mark.parametrize("answer", [raises_at_once, gives_nonsense, hangs, needs_what_was_cancelled])
async def test_an_agent_that_fails_before_its_first_line_is_apologised_for_and_the_call_goes_on(answer: Answer) -> None:
    memory = Memory(answer)
    async with simulation(memory.agent, settings=settings(agent_timeout_s=5)) as sim:
        call = await sim.phone.dial()
        await sim.turn_over(call)
        ((_, heard),) = played(call)
        assert heard.startswith(APOLOGY)
        assert len(heard) - len(APOLOGY) < 160
        assert len(sim.of(call, "agent_failed")) == 1
        call.press("1")
        await sim.turn_over(call, 2)
        assert texts(sim) == [SECOND]
        assert not call.over
        await call.hang_up()
        await sim.idle()
        assert memory.ends(call.call_sid) == ["caller"]


async def test_an_agent_has_time_for_its_next_line_while_what_it_said_is_still_being_heard() -> None:
    long = prose(28)

    async def takes_its_time(cue: Cue) -> AsyncIterator[Line]:
        yield long
        await asyncio.sleep(12)  # more than the agent's time, and a little more than the line lasts
        yield SECOND

    async with simulation(Memory(takes_its_time).agent, settings=settings(agent_timeout_s=5)) as sim:
        call = await sim.phone.dial()
        await sim.turn_over(call)
        assert sim.of(call, "agent_failed") == []
        assert " ".join(texts(sim)) == f"{long} {SECOND}"


async def test_what_an_agent_said_before_it_failed_is_heard_and_not_apologised_for() -> None:
    async with simulation(Memory(raises_later).agent) as sim:
        call = await sim.phone.dial()
        await sim.turn_over(call)
        ((_, heard),) = played(call)
        assert heard.startswith(spoken(sim))
        assert texts(sim) == [FIRST]
        assert len(sim.of(call, "agent_failed")) == 1
        call.press("1")
        await sim.turn_over(call, 2)
        assert texts(sim) == [FIRST, SECOND]


async def test_an_agent_that_cannot_be_made_is_apologised_for() -> None:
    class Broken:
        def __init__(self) -> None:
            raise RuntimeError("no database")

        async def reply(self, cue: Cue) -> AsyncIterator[Line]:
            yield SECOND

    async with simulation(Broken) as sim:
        call = await sim.phone.dial()
        await sim.turn_over(call)
        assert played(call)[0][1].startswith(APOLOGY)
        await call.hang_up()
        await sim.idle()


async def test_an_agent_that_fails_at_the_end_of_the_call_harms_nothing() -> None:
    async def fails_last(cue: Cue) -> AsyncIterator[Line]:
        if isinstance(cue, CallEnded):
            raise RuntimeError("no database")
        yield FIRST

    async with simulation(fails_last) as sim:
        call = await sim.phone.dial()
        await sim.turn_over(call)
        await call.hang_up()
        await sim.idle()
        assert [note.kind for note in sim.notes[call.call_sid]][-2:] == ["call_ended", "agent_failed"]


async def test_an_agent_may_have_nothing_to_say() -> None:
    async def silent(cue: Cue) -> AsyncIterator[Line]:
        if isinstance(cue, CallerPressed):
            yield SECOND

    async with simulation(silent) as sim:
        call = await sim.phone.dial()
        await sim.turn_over(call)
        await asyncio.sleep(5)
        assert played(call) == []
        call.press("1")
        await sim.turn_over(call, 2)
        assert texts(sim) == [SECOND]
        assert not sim.of(call, "agent_failed")


# -- much and little ---------------------------------------------------------------------------------------------------


async def test_ten_thousand_characters_at_once_are_all_spoken_without_a_gap_or_a_breach() -> None:
    text = "The ferry leaves the old pier at noon and returns before the evening tide comes in. " * 119
    async with simulation(saying(text)) as sim:
        call = await sim.phone.dial()
        await sim.turn_over(call, timeout=1200)
        assert len(text) > 9_900
        assert " ".join(texts(sim)).split() == text.split()
        ((_, heard),) = played(call)
        assert heard.startswith(spoken(sim))
        assert sim.provider is not None
        assert not sim.provider.record.breaches


async def test_a_hundred_thousand_pieces_are_taken_as_they_are_needed() -> None:
    n_given = 0

    async def tokens(cue: Cue) -> AsyncIterator[Line]:
        nonlocal n_given
        if isinstance(cue, CallStarted):
            for n in range(100_000):
                n_given = n
                yield "word. " if n % 12 == 11 else "and "

    async with simulation(tokens) as sim:
        call = await sim.phone.dial()
        await sim.turn_begun(call)
        await asyncio.sleep(10)
        assert n_given < 5_000  # what is said takes its time, and the rest is not even asked for
        call.press("1")
        await sim.turn_over(call)
        assert n_given < 5_000
        cut = sim.of(call, "turn_cut")[0].details["cut_off"]
        assert cut.heard_ms == pytest.approx(10_000, abs=200)


async def test_a_hundred_thousand_pieces_of_nothing_are_passed_over() -> None:
    async def empty(cue: Cue) -> AsyncIterator[Line]:
        if isinstance(cue, CallStarted):
            for _ in range(100_000):
                yield ""
            yield FIRST

    async with simulation(empty) as sim:
        call = await sim.phone.dial()
        await sim.turn_over(call)
        assert texts(sim) == [FIRST]


@pytest.mark.parametrize("text", ["", " ", "\n\n", "...", "\N{SMILING FACE WITH OPEN MOUTH}", "**", "`"])
async def test_text_with_nothing_to_speak_in_it_is_a_turn_without_sound(text: str) -> None:
    async with simulation(saying(text)) as sim:
        call = await sim.phone.dial()
        await sim.turn_over(call)
        call.press("1")
        await sim.turn_over(call, 2)
        assert not sim.of(call, "agent_failed")
        assert not sim.of(call, "provider_lost")
        assert sim.provider is not None
        assert not sim.provider.record.breaches


# -- pauses and ends in odd places -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([HangUp()], []),
        ([HangUp(), HangUp()], []),
        ([FIRST, HangUp(), SECOND], [FIRST]),
        ([FIRST, Pause(0), SECOND, HangUp()], [FIRST, SECOND]),
        ([Pause(0), Pause(0), FIRST, HangUp(), HangUp()], [FIRST]),
        ([FIRST, Pause(-1), SECOND, HangUp()], [FIRST, SECOND]),
        ([Pause(1), HangUp()], []),
        (["", HangUp(), FIRST], []),
        ([Say("", interruptible=False), Say(FIRST, interruptible=False), Pause(1), HangUp()], [FIRST]),
        (["This is what I say", Pause(1), "first.", HangUp()], ["This is what I say", "first."]),
    ],
)
async def test_what_precedes_a_hang_up_is_heard_and_what_follows_is_not(lines: list[Line], said: list[str]) -> None:
    memory = Memory(saying(*lines))
    async with simulation(memory.agent) as sim:
        call = await sim.phone.dial()
        await call.ended(60)
        await sim.idle()
        assert texts(sim) == said
        heard = b"".join(audio for _, audio in played(call))
        assert heard.replace(SILENCE, b"") == spoken(sim).replace(SILENCE, b"")  # padding aside
        assert call.ended_by in ("rest", "twiml")
        assert memory.ends(call.call_sid) == ["agent"]
        assert not call.warnings


async def test_a_pause_is_as_long_as_it_says_after_what_precedes_it_was_played() -> None:
    async with simulation(saying(FIRST, Pause(2.5), SECOND), phone=PhoneSettings("", round_trip_s=0.1)) as sim:
        call = await sim.phone.dial()
        await sim.turn_over(call)
        (first_at, first), (second_at, _) = played(call)
        assert second_at - (first_at + len(first) / 8000) == pytest.approx(2.5, abs=0.25)


async def test_a_pause_can_be_cut_short() -> None:
    async with simulation(Memory(pausing).agent) as sim:
        call = await sim.phone.dial()
        await sim.until(lambda: len(played(call)) == 1)
        await asyncio.sleep(10)
        pressed_at = now()
        call.press("1")
        await sim.turn_over(call)
        assert played(call)[1][0] - pressed_at < 0.2
        assert texts(sim) == [FIRST, "Yes."]


async def pausing(cue: Cue) -> AsyncIterator[Line]:
    if isinstance(cue, CallStarted):
        yield FIRST
        yield Pause(3600)
        yield SECOND
    else:
        yield "Yes."


async def test_an_agent_that_hangs_up_before_the_stream_has_come_ends_the_call() -> None:
    memory = Memory(saying(HangUp()))
    async with simulation(memory.agent, phone=PhoneSettings("", upgrade_signature="bad")) as sim:
        call = await sim.phone.dial()
        await call.ended(60)
        await sim.idle()
        assert memory.ends(call.call_sid) == ["agent"]


# -- keys --------------------------------------------------------------------------------------------------------------


async def test_three_keys_in_one_breath_are_all_told_in_order() -> None:
    memory = Memory(saying("Please hold the line while I look that up for you."))
    async with simulation(memory.agent) as sim:
        call = await sim.phone.dial()
        await sim.turn_begun(call)
        await asyncio.sleep(1)
        for digit in "739":
            call.press(digit)
        await sim.turn_over(call)
        assert digits(memory.of(call.call_sid)) == "739"
        first = memory.of(call.call_sid)[1]
        assert first.cut_off is not None  # the greeting
        assert first.cut_off.heard_ms == pytest.approx(1000, abs=120)
        await call.hang_up()
        await sim.idle()
        assert digits(memory.of(call.call_sid)) == "739"


async def test_keys_during_a_line_that_may_not_be_interrupted_are_answered_after_it() -> None:
    notice = "This call may be recorded for the training of our staff."

    async def strict(cue: Cue) -> AsyncIterator[Line]:
        if isinstance(cue, CallStarted):
            yield Say(notice, interruptible=False)
            yield "How can I help you today?"
        else:
            yield f"You pressed {cue.digit}." if isinstance(cue, CallerPressed) else ""

    memory = Memory(strict)
    async with simulation(memory.agent) as sim:
        call = await sim.phone.dial()
        await sim.turn_begun(call)
        await asyncio.sleep(0.5)
        call.press("4")
        await asyncio.sleep(0.2)
        call.press("2")
        await sim.turn_over(call)
        assert digits(memory.of(call.call_sid)) == "42"
        assert sim.provider is not None
        spoken_notice = next(each.audio for each in sim.provider.record.spoken if each.text.strip() == notice)
        assert played(call)[0][1].startswith(spoken_notice)
        assert texts(sim)[-1] == "You pressed 2."
        cut = memory.of(call.call_sid)[1].cut_off
        assert cut is not None
        assert cut.heard.startswith(notice)


async def test_keys_kept_while_a_last_line_may_not_be_interrupted_do_not_outlive_the_call() -> None:
    memory = Memory(saying(Say("Goodbye, and thank you for calling.", interruptible=False), HangUp()))
    async with simulation(memory.agent) as sim:
        call = await sim.phone.dial()
        await sim.turn_begun(call)
        for digit in "123":
            call.press(digit)
        await call.ended(60)
        await sim.idle()
        await asyncio.sleep(1)
        assert digits(memory.of(call.call_sid)) == ""
        assert memory.ends(call.call_sid) == ["agent"]


async def test_every_key_of_a_hundred_in_a_second_is_told_or_counted() -> None:
    memory = Memory(saying(FIRST))
    async with simulation(memory.agent) as sim:
        call = await sim.phone.dial()
        await sim.turn_begun(call)
        for n in range(100):
            call.press(str(n % 10))
            await asyncio.sleep(0.01)
        await sim.turn_over(call)
        assert digits(memory.of(call.call_sid)) == "0123456789" * 10


# -- the end is told ---------------------------------------------------------------------------------------------------


async def test_the_end_is_told_once_and_after_everything_else() -> None:
    memory = Memory(saying(FIRST))
    async with simulation(memory.agent) as sim:
        call = await sim.phone.dial()
        await sim.turn_over(call)
        call.press("1")
        await sim.turn_begun(call, 2)
        await call.hang_up()
        await sim.idle()
        await asyncio.sleep(30)
        cues = memory.of(call.call_sid)
        assert [type(cue) for cue in cues] == [CallStarted, CallerPressed, CallEnded]


async def test_a_fault_of_ours_ends_the_call_and_the_agent_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    memory = Memory(saying(FIRST))
    async with simulation(memory.agent) as sim:
        call = await sim.phone.dial()
        await sim.turn_over(call)
        monkeypatch.setattr("lineside.conversation.Turn", None)
        call.press("1")
        await call.ended(60)
        await sim.idle()
        assert call.transcript == ["ConnectStream", "Hangup"]
        assert memory.ends(call.call_sid) == ["error"]
        assert [note.details["reason"] for note in sim.of(call, "call_ended")] == ["error"]
        assert f"call {call.call_sid} failed" in caplog.text


# -- another thread ----------------------------------------------------------------------------------------------------


@pytest.mark.realtime
async def test_an_agent_that_blocks_its_thread_for_two_seconds_costs_no_other_call_a_gap(
    caplog: pytest.LogCaptureFixture, blockbuster: BlockBuster
) -> None:
    blockbuster.functions["time.sleep"].can_block_in("calls/test_agents.py", "agent")
    began = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def agent(cue: Cue) -> AsyncIterator[Line]:
        if isinstance(cue, CallStarted):
            yield "One two three four five six seven."
        elif isinstance(cue, CallerPressed):
            loop.call_soon_threadsafe(began.set)
            time.sleep(2)  # noqa: ASYNC251  what this test is about
            yield "Done."

    async with simulation(agent, settings=settings(agent_loop="thread")) as sim:
        other = await sim.phone.dial()
        blocking = await sim.phone.dial()
        await sim.turn_begun(other)
        await sim.turn_begun(blocking)
        blocking.press("1")
        await asyncio.wait_for(began.wait(), 5)
        blocked_at = now()
        await asyncio.sleep(1.5)
        assert len(played(other)[0][1]) > 12_000  # it went on in the meantime
        await sim.turn_over(other)
        await sim.turn_begun(blocking, 2)
        assert now() - blocked_at > 1.9
        await sim.turn_over(blocking)
        assert not other.queue.gaps
        assert any(text == "Done." for text in texts(sim))
        assert "test_agents.py" in caplog.text  # the lag meter names the line
