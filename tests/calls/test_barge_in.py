"""Whole calls in which the caller takes the turn: what is heard after the cut, and what the agent is told of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from calls.scenes import (
    RATE,
    UNSURE_MS,
    Script,
    beset,
    is_whole,
    listen,
    prose,
    record,
    settings,
    spans,
    spoken,
    whole_ms,
    words_of,
)
from lineside.events import CallerPressed, CutOff
from lineside.standin.phone import PhoneCall
from lineside.standin.tone import ToneVoice
from lineside.testing import PhoneSettings, Simulation, simulation

LONG, NEXT, THIRD, FOURTH = prose(35), prose(9, first=35), prose(9, first=49), prose(9, first=63)
SHORT = prose(7, first=77)  # less than four seconds: all of it is with the carrier early
SLOW = {"speed_up": 2.0}  # the provider still sends when the caller has heard a few seconds
EVERYTHING = [word for text in (LONG, NEXT, THIRD, FOURTH, SHORT) for word in words_of(text)]


def cut_offs(script: Script) -> list[CutOff | None]:
    """What the agent was told with each key."""
    return [cue.cut_off for cue in script.cues if isinstance(cue, CallerPressed)]


def assert_clean_cut(sim: Simulation, call: PhoneCall, cut: str, following: str) -> None:
    """The caller heard the beginning of `cut`, then the whole of `following`, and nothing else.

    By the byte, and by ear: no word of the old text sounds after the clear.
    """
    first, *between, last = spans(call)
    assert spoken(sim.provider, cut).startswith(first.audio)
    assert between == []
    assert is_whole(last.audio, spoken(sim.provider, following))
    assert {heard.word for heard in listen(last.audio, EVERYTHING)} == set(words_of(following))
    assert dict(record(sim).breaches) == {}


async def interrupt(sim: Simulation, after: float, key: str = "1") -> PhoneCall:
    call = await sim.phone.dial()
    await sim.turn_begun(call)
    await asyncio.sleep(after)
    call.press(key)
    return call


# -- the old turn ends at once -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("lead", [0.2, 1.0, 5.0])
@pytest.mark.parametrize(
    "faults",
    [
        pytest.param(SLOW, id="the provider still sends"),
        pytest.param({"burst": True}, id="all audio is here already"),
        pytest.param(SLOW | {"late_frames_after_clear": 5}, id="late frames"),
        pytest.param(SLOW | {"late_frames_after_clear": 3, "cleared_delay_s": 0.5}, id="late frames, late Cleared"),
        pytest.param(SLOW | {"cleared_delay_s": 0.5}, id="late Cleared"),
        pytest.param(SLOW | {"owed_flushed_after_clear": "before"}, id="owed Flushed before Cleared"),
        pytest.param(SLOW | {"owed_flushed_after_clear": "after"}, id="owed Flushed after Cleared"),
        pytest.param(SLOW | {"sequence_scheme": "each", "owed_flushed_after_clear": "after"}, id="numbered answers"),
    ],
)
async def test_after_the_cut_nothing_of_the_old_turn_is_heard_and_the_next_is_whole(
    faults: dict[str, Any], lead: float
) -> None:
    script = Script(LONG, NEXT)
    async with simulation(script.agent, settings=settings(lead=lead)) as sim:
        beset(sim, **faults)
        call = await interrupt(sim, 2.5)
        await sim.turn_over(call)
        assert_clean_cut(sim, call, LONG, NEXT)
        assert not sim.of(call, "provider_lost")


@pytest.mark.parametrize("after", [0.01, 1.0, 3.6, 3.8, 10.0, 18.0])
async def test_a_cut_is_clean_wherever_it_falls(after: float) -> None:
    script = Script(LONG, NEXT)
    async with simulation(script.agent, settings=settings()) as sim:
        beset(sim, **SLOW, late_frames_after_clear=2, cleared_delay_s=0.05)
        call = await interrupt(sim, after)
        await sim.turn_over(call)
        assert_clean_cut(sim, call, LONG, NEXT)


async def test_what_is_with_the_carrier_already_is_cleared_too() -> None:
    script = Script(SHORT, NEXT)
    async with simulation(script.agent, settings=settings(lead=5)) as sim:
        beset(sim, burst=True)
        call = await interrupt(sim, 1.5)
        await sim.turn_over(call)
        assert_clean_cut(sim, call, SHORT, NEXT)
        assert call.queue.clears[0].dropped > 1.5 * RATE
        assert '"Clear"' not in "".join(record(sim).messages[1])  # there was nothing left to clear at the provider


async def test_a_service_that_never_confirms_a_clear_costs_a_second_and_no_word() -> None:
    script = Script(LONG, NEXT)
    async with simulation(script.agent, settings=settings()) as sim:
        beset(sim, **SLOW, never_cleared=True)
        call = await interrupt(sim, 2.5)
        await sim.turn_over(call)
        first, last = spans(call)
        assert last.at - first.end < 1.1
        again = [each.audio for each in record(sim).spoken if each.connection == 2]
        assert is_whole(last.audio, b"".join(again))
        assert {heard.word for heard in listen(last.audio, EVERYTHING)} == set(words_of(NEXT))


# -- one interruption after another ------------------------------------------------------------------------------------


@pytest.mark.parametrize("between", [0.0, 0.005, 0.3, 1.2])
@pytest.mark.parametrize("faults", [{}, {"cleared_delay_s": 0.5, "late_frames_after_clear": 3}])
async def test_a_second_interruption_is_as_clean_as_the_first(between: float, faults: dict[str, Any]) -> None:
    script = Script(LONG, NEXT, THIRD)
    async with simulation(script.agent, settings=settings()) as sim:
        beset(sim, **SLOW, **faults)
        call = await interrupt(sim, 2.5)
        await asyncio.sleep(between)
        call.press("2")
        await sim.turn_over(call)
        last = spans(call)[-1]
        assert is_whole(last.audio, spoken(sim.provider, THIRD))
        assert {heard.word for heard in listen(last.audio, EVERYTHING)} == set(words_of(THIRD))
        for span in spans(call)[1:-1]:
            assert spoken(sim.provider, NEXT).startswith(span.audio)
        assert [cue.digit for cue in script.cues if isinstance(cue, CallerPressed)] == ["1", "2"]


async def test_three_keys_within_ten_milliseconds_are_three_cues_and_one_answer() -> None:
    script = Script(LONG, NEXT, THIRD, FOURTH)
    async with simulation(script.agent, settings=settings()) as sim:
        beset(sim, **SLOW)
        call = await interrupt(sim, 2.5)
        for key in "23":
            await asyncio.sleep(0.005)
            call.press(key)
        await sim.turn_over(call)
        assert [cue.digit for cue in script.cues if isinstance(cue, CallerPressed)] == ["1", "2", "3"]
        assert is_whole(spans(call)[-1].audio, spoken(sim.provider, FOURTH))
        for span in spans(call)[1:-1]:
            assert len(span.audio) <= 0.005 * RATE


async def test_keys_pressed_in_one_instant_leave_one_answer_and_one_cut() -> None:
    script = Script(LONG, NEXT, THIRD, FOURTH)
    async with simulation(script.agent, settings=settings()) as sim:
        call = await interrupt(sim, 2.5)
        call.press("2")
        call.press("3")
        await sim.turn_over(call)
        assert_clean_cut(sim, call, LONG, FOURTH)
        assert [cue.digit for cue in script.cues if isinstance(cue, CallerPressed)] == ["1", "2", "3"]
        told = [cut_off for cut_off in cut_offs(script) if cut_off is not None and cut_off.heard]
        assert len(told) == 1  # what was heard of the greeting is told once


# -- at the edges of a turn --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("faults", [{"first_audio_delay_s": 1.0}, {"handshake_delay_s": 1.0}])
async def test_a_turn_cut_before_its_first_audio_is_never_heard(faults: dict[str, Any]) -> None:
    script = Script(LONG, NEXT)
    async with simulation(script.agent, settings=settings()) as sim:
        beset(sim, **faults)
        call = await sim.phone.dial()
        await call.connected()
        await asyncio.sleep(0.5)
        call.press("1")
        await sim.turn_over(call)
        (only,) = spans(call)
        assert is_whole(only.audio, spoken(sim.provider, NEXT))
        assert cut_offs(script) == [CutOff("", LONG, 0)]
        assert dict(record(sim).breaches) == {}


async def test_text_that_waited_for_the_handshake_is_not_even_sent_once_it_was_cut() -> None:
    script = Script(LONG, NEXT)
    async with simulation(script.agent, settings=settings()) as sim:
        beset(sim, handshake_delay_s=1.0)
        call = await sim.phone.dial()
        await call.connected()
        await asyncio.sleep(0.5)
        call.press("1")
        await sim.turn_over(call)
        assert not any(word in message for message in record(sim).messages[1] for word in words_of(LONG))


async def test_a_key_between_two_turns_cuts_nothing() -> None:
    script = Script(SHORT, NEXT)
    async with simulation(script.agent, settings=settings()) as sim:
        call = await sim.phone.dial()
        await sim.turn_over(call)
        await asyncio.sleep(0.5)
        call.press("1")
        await sim.turn_over(call, 2)
        first, last = spans(call)
        assert is_whole(first.audio, spoken(sim.provider, SHORT))
        assert is_whole(last.audio, spoken(sim.provider, NEXT))
        assert call.queue.clears == []
        assert cut_offs(script) == [None]


@pytest.mark.parametrize("early", [0.19, 0.12, 0.05, 0.001, -0.05])
async def test_a_key_while_the_last_mark_is_on_its_way_leaves_both_turns_whole(early: float) -> None:
    """At a round trip of 0.2 s: the caller has heard all, or nearly, and the server does not know it yet."""
    script = Script(SHORT, NEXT)
    async with simulation(script.agent, settings=settings(), phone=PhoneSettings("", round_trip_s=0.2)) as sim:
        beset(sim, burst=True)
        call = await sim.phone.dial()
        await sim.until(lambda: call.events and spans(call))
        ends = spans(call)[0].at + len(spoken(sim.provider, SHORT)) / RATE
        await asyncio.sleep(ends - early - asyncio.get_running_loop().time())
        call.press("1")
        await sim.turn_over(call, 2 if early < 0 else 1)
        await asyncio.sleep(1)
        first, last = spans(call)
        assert spoken(sim.provider, SHORT).startswith(first.audio.rstrip(b"\xff"))
        assert is_whole(last.audio, spoken(sim.provider, NEXT))
        (cut_off,) = cut_offs(script)
        if cut_off is not None:
            assert cut_off.heard_ms <= len(first.audio) / 8


# -- the truth ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("round_trip", "jitter", "rate"),
    [(0.0, 0.0, 1.0), (0.08, 0.02, 0.7), (0.08, 0.02, 1.0), (0.08, 0.02, 1.4), (0.2, 0.08, 1.0)],
)
@pytest.mark.parametrize("faults", [SLOW, {"burst": True}])
async def test_the_agent_is_told_what_was_heard_and_rather_less_than_more(
    faults: dict[str, Any], round_trip: float, jitter: float, rate: float
) -> None:
    answers = [prose(28, first=28 * i) for i in range(5)]
    script = Script(*answers)
    phone = PhoneSettings("", round_trip_s=round_trip, jitter_s=jitter)
    async with simulation(script.agent, settings=settings(), phone=phone, voice=ToneVoice(rate=rate)) as sim:
        beset(sim, **faults)
        call = await interrupt(sim, 2.5)
        for after in (0.6, 4.1, 7.3):
            await asyncio.sleep(after + round_trip)
            call.press("1")
        await asyncio.sleep(1)
        for told, span, text in zip(cut_offs(script), spans(call), answers, strict=False):
            assert told is not None
            assert f"{told.heard} {told.unheard}".strip() == text
            error_ms = told.heard_ms - len(span.audio) / 8
            assert -100 - 1000 * jitter <= error_ms <= 1 + 1000 * jitter
            claimed = words_of(told.heard)
            heard = listen(span.audio, words_of(text))[: len(claimed)]
            assert [each.word for each in heard] == claimed
            if heard:
                assert heard[-1].ms >= whole_ms(heard[-1].word, rate) - UNSURE_MS - 1000 * jitter


async def test_marks_that_a_clear_returns_are_not_taken_for_playout_of_the_next_turn() -> None:
    """Their echoes arrive in the middle of the next turn, which is cut in its turn."""
    script = Script(LONG, NEXT, THIRD)
    phone = PhoneSettings("", round_trip_s=0.4, mark_echo_order_on_clear="lifo")
    async with simulation(script.agent, settings=settings(lead=5), phone=phone) as sim:
        beset(sim, burst=True)
        call = await interrupt(sim, 3.0)
        await sim.until(lambda: call.queue.clears)
        await asyncio.sleep(0.35)
        assert len(call.queue.clears[0].marks) > 3
        call.press("2")
        await sim.turn_over(call)
        _, second = cut_offs(script)
        assert second is not None
        assert second.heard_ms <= len(spans(call)[1].audio) / 8
        assert is_whole(spans(call)[-1].audio, spoken(sim.provider, THIRD))
