"""Whole calls with a provider that refuses, stalls, lies or goes away between turns: the call goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest

from calls.scenes import (
    APOLOGY,
    REAL,
    Script,
    beset,
    is_whole,
    prose,
    record,
    settings,
    slowly,
    spans,
    spoken,
    telling,
)
from lineside.audio.formats import SILENCE
from lineside.events import Line
from lineside.standin.phone import PhoneCall
from lineside.testing import Simulation, simulation

GREETING, ANSWER, LAST = prose(9), prose(9, first=9), prose(9, first=18)


def lost(sim: Simulation, call: PhoneCall) -> list[str]:
    """Why the provider was lost, each time, as the timeline has it."""
    return [note.details["error"] for note in sim.of(call, "provider_lost")]


async def press(sim: Simulation, call: PhoneCall, nth: int) -> None:
    """Get the nth turn, and hear it out."""
    call.press("1")
    await sim.turn_over(call, nth)
    await asyncio.sleep(1)


async def dial(sim: Simulation) -> PhoneCall:
    """Call, and hear the greeting out."""
    call = await sim.phone.dial()
    await sim.turn_over(call)
    await asyncio.sleep(1)
    return call


# -- the handshake -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 402, 403])
async def test_a_refused_key_or_account_is_met_with_the_apology_at_once(status: int) -> None:
    script = Script(GREETING, ANSWER)
    async with simulation(script.agent, settings=settings()) as sim:
        beset(sim, refuse=[status] * 9)
        call = await dial(sim)
        await press(sim, call, 2)
        first, second = spans(call)
        assert first.at - call.stream.began < 0.01
        assert is_whole(first.audio, APOLOGY)
        assert is_whole(second.audio, APOLOGY)
        assert all(f"HTTP {status}" in error for error in lost(sim, call))
        assert dict(record(sim).refused) == {status: 1}  # it was told no; it does not ask again


@pytest.mark.parametrize(
    ("refuse", "least", "most"),
    [
        ([503], 0.0, 0.0),
        ([500, 504], 0.25, 0.25),
        ([429], 0.375, 0.625),  # the account's back-off, with its jitter
        ([429, 503], 0.625, 0.875),
        ([503, 503, 429], 0.75, 0.875),
    ],
)
async def test_a_busy_service_delays_the_greeting_by_the_back_off_and_harms_nothing(
    refuse: list[int], least: float, most: float
) -> None:
    script = Script(GREETING, ANSWER)
    async with simulation(script.agent, settings=settings()) as sim:
        beset(sim, refuse=list(refuse))
        dialled = asyncio.get_running_loop().time()
        call = await dial(sim)
        await press(sim, call, 2)
        first, second = spans(call)
        assert least <= first.at - dialled <= most + 0.01
        assert is_whole(first.audio, spoken(sim.provider, GREETING))
        assert is_whole(second.audio, spoken(sim.provider, ANSWER))


async def test_a_busy_service_is_asked_less_and_less_often_while_nobody_speaks() -> None:
    async def late() -> AsyncIterator[Line]:
        await asyncio.sleep(25)
        yield GREETING

    script = Script(late)
    async with simulation(script.agent, settings=settings()) as sim:
        beset(sim, refuse=[429] * 5)
        call = await sim.phone.dial()
        await asyncio.sleep(1.0)
        assert sum(record(sim).refused.values()) <= 2
        await sim.turn_over(call)
        assert sum(record(sim).refused.values()) == 5
        assert is_whole(spans(call)[0].audio, spoken(sim.provider, GREETING))
        assert lost(sim, call) == []  # nothing was waiting for it


async def test_a_service_that_stays_busy_costs_one_apology_and_is_used_again_later() -> None:
    script = Script(GREETING, ANSWER)
    async with simulation(script.agent, settings=settings()) as sim:
        beset(sim, refuse=[503] * 6)
        call = await dial(sim)
        await asyncio.sleep(5)
        await press(sim, call, 2)
        first, second = spans(call)
        assert is_whole(first.audio, APOLOGY)
        assert first.at - call.stream.began < 1
        assert is_whole(second.audio, spoken(sim.provider, ANSWER))


@pytest.mark.parametrize("delay", [0.3, 2.0, 4.9])
async def test_text_said_while_the_socket_still_connects_is_spoken_when_it_is_open(delay: float) -> None:
    script = Script(GREETING)
    async with simulation(script.agent, settings=settings()) as sim:
        beset(sim, handshake_delay_s=delay)
        call = await dial(sim)
        (only,) = spans(call)
        assert only.at - call.stream.began == pytest.approx(delay, abs=0.01)
        assert is_whole(only.audio, spoken(sim.provider, GREETING))
        assert lost(sim, call) == []


async def test_a_handshake_that_is_never_answered_ends_in_the_apology_after_two_tries() -> None:
    script = Script(GREETING)
    async with simulation(script.agent, settings=settings()) as sim:
        beset(sim, handshake_delay_s=60.0)
        call = await dial(sim)
        (only,) = spans(call)
        assert is_whole(only.audio, APOLOGY)
        assert only.at - call.stream.began == pytest.approx(10.0, abs=0.1)


# -- no audio ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("faults", "silence"),
    [
        pytest.param({"zero_audio": True}, 2.0, id="flushed without audio"),
        pytest.param({"stall_after_chunks": 0}, 9.0, id="no answer at all"),
        pytest.param({"die_after_chunks": 0}, 2.0, id="closed before any audio"),
    ],
)
async def test_a_turn_that_gets_no_audio_is_tried_again_then_the_apology_is_heard_and_the_call_goes_on(
    faults: dict[str, Any], silence: float
) -> None:
    script = Script(GREETING, ANSWER, LAST)
    async with simulation(script.agent, settings=settings()) as sim:
        call = await dial(sim)
        beset(sim, **faults)
        pressed = asyncio.get_running_loop().time()
        await press(sim, call, 2)
        assert len(lost(sim, call)) >= 2
        beset(sim, zero_audio=False, stall_after_chunks=None, die_after_chunks=None)
        await press(sim, call, 3)
        first, second, third = spans(call)
        assert is_whole(first.audio, spoken(sim.provider, GREETING))
        assert is_whole(second.audio, APOLOGY)
        assert second.at - pressed <= silence
        assert is_whole(third.audio, spoken(sim.provider, LAST))


@pytest.mark.parametrize("stall", [2.0, None])
async def test_a_stall_in_the_middle_of_a_turn_loses_no_word(stall: float | None) -> None:
    script = Script(GREETING)
    async with simulation(script.agent, settings=settings()) as sim:
        beset(sim, stall_after_chunks=[6], stall_s=stall)
        call = await dial(sim)
        silences = [after.at - before.end for before, after in pairwise(spans(call))]
        told = telling(b"".join(span.audio for span in spans(call)), GREETING)
        assert told.missing == ()
        assert told.repeated <= (0 if stall else 3)
        assert max(silences) < 4  # less than the deadline for an answer, by what was in hand
        assert len(lost(sim, call)) == (0 if stall else 1)


async def test_a_service_that_never_says_flushed_is_left_with_the_apology_and_the_call_goes_on() -> None:
    text = prose(14, first=27)
    script = Script(text, ANSWER)
    async with simulation(script.agent, settings=settings()) as sim:
        beset(sim, no_flushed=True)
        call = await dial(sim)
        beset(sim, no_flushed=False)
        said, apology, rest = spans(call)[0].audio.partition(APOLOGY)
        assert telling(said, text).most_at_once <= 8  # what no caller is spared who must not miss a word
        assert apology
        assert not rest.strip(SILENCE)
        assert len(lost(sim, call)) == 4
        await press(sim, call, 2)
        assert is_whole(spans(call)[-1].audio, spoken(sim.provider, ANSWER))


# -- warnings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["wire", "spec"])
@pytest.mark.parametrize("keeps_text", [True, False])
@pytest.mark.parametrize("at_once", [True, False])
async def test_a_flush_that_is_refused_all_the_same_moves_its_text_to_another_socket(
    form: str, keeps_text: bool, at_once: bool
) -> None:
    script = Script(slowly(14, every=1.0))
    text = " ".join(prose(2, first=2 * i) for i in range(14))
    async with simulation(script.agent, settings=settings()) as sim:
        beset(sim, **REAL, flushes_per_window=6, refusal_at_once=at_once)
        beset(sim, warning_form=form, refused_flush_keeps_text=keeps_text)
        call = await dial(sim)
        told = telling(b"".join(span.audio for span in spans(call)), text)
        assert told.missing == ()
        assert told.repeated <= 1
        assert 1 <= len(lost(sim, call)) <= 3
        assert all("EXCESSIVE_FLUSH" in error for error in lost(sim, call))
        assert not any(APOLOGY in span.audio for span in spans(call))


# -- a socket that dies while nobody speaks ----------------------------------------------------------------------------


async def another_socket(sim: Simulation) -> None:
    """Wait until the socket was lost and another has opened."""
    opened = record(sim).connections.opened
    await sim.until(lambda: record(sim).connections.opened > opened)
    await asyncio.sleep(0.1)


async def test_a_socket_that_dies_between_turns_is_replaced_before_the_next_turn_needs_it() -> None:
    script = Script(GREETING, ANSWER, LAST)
    async with simulation(script.agent, settings=settings()) as sim:
        beset(sim, handshake_delay_s=1.0, session_s=12.0)
        call = await dial(sim)
        for nth in (2, 3):
            await another_socket(sim)
            pressed = asyncio.get_running_loop().time()
            await press(sim, call, nth)
            assert spans(call)[-1].at - pressed < 0.01
        assert lost(sim, call) == []
        assert [
            is_whole(span.audio, spoken(sim.provider, text))
            for span, text in zip(spans(call), (GREETING, ANSWER, LAST), strict=True)
        ] == [True] * 3


async def test_a_service_that_closes_every_socket_at_once_is_not_besieged() -> None:
    async def late() -> AsyncIterator[Line]:
        await asyncio.sleep(25)
        yield GREETING

    script = Script(late)
    async with simulation(script.agent, settings=settings()) as sim:
        beset(sim, session_s=0.001)
        call = await sim.phone.dial()
        await asyncio.sleep(20)
        assert 5 < record(sim).connections.opened < 12
        beset(sim, session_s=3600.0)
        await sim.turn_over(call)
        assert is_whole(spans(call)[0].audio, spoken(sim.provider, GREETING))
        assert lost(sim, call) == []
