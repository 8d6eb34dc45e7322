"""Whole calls whose provider's socket dies inside a turn: no word is lost, few are told twice, silence is short.

How many words may be told twice follows from what Deepgram leaves untold: it gives no timings, so between two answered
flushes the place in the text is reckoned, early rather than late.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from calls.scenes import (
    APOLOGY,
    REAL,
    Script,
    Telling,
    beset,
    listen,
    prose,
    record,
    settings,
    spans,
    telling,
    words_of,
)
from lineside.standin.phone import PhoneCall
from lineside.standin.tone import ToneVoice
from lineside.testing import Simulation, simulation

TEXT = prose(20)  # about eleven seconds, over forty chunks
NEXT = prose(7, first=20)
KINDS = [pytest.param(False, id="a voice that pauses"), pytest.param(True, id="a voice without a pause")]


def heard(call: PhoneCall) -> bytes:
    return b"".join(span.audio for span in spans(call))


def silence(call: PhoneCall) -> float:
    """The longest silence between the first sound and the last, in s."""
    return max((after.at - before.end for before, after in pairwise(spans(call))), default=0.0)


async def deaths(counts: list[int], *, voice: ToneVoice, rate: float = 1.0, **faults: Any) -> tuple[Telling, float]:
    """Hear a turn out whose nth connection dies after so many chunks; how it came across, and the longest silence."""
    script = Script(TEXT)
    async with simulation(script.agent, voice=voice, settings=settings()) as sim:
        beset(sim, **REAL, die_after_chunks=list(counts), **faults)
        call = await sim.phone.dial()
        await sim.turn_over(call)
        assert len(sim.of(call, "provider_lost")) == len(counts)
        assert dict(record(sim).breaches) == {}
        return telling(heard(call), TEXT, rate=rate), silence(call)


@pytest.mark.parametrize("continuous", KINDS)
@pytest.mark.parametrize("chunks", range(1, 31))
async def test_a_death_anywhere_in_a_turn_costs_no_word_and_at_most_two_repeats(chunks: int, continuous: bool) -> None:
    told, dead_air = await deaths([chunks], voice=ToneVoice(continuous=continuous))
    assert told.missing == ()
    assert told.repeated <= 2
    assert dead_air <= 0.15  # a handshake and a first sound take 0.45 s, less what was in hand


@pytest.mark.parametrize("continuous", KINDS)
@pytest.mark.parametrize("chunks", [1, 3, 7, 15])
async def test_three_deaths_in_one_turn_still_lose_no_word(chunks: int, continuous: bool) -> None:
    told, dead_air = await deaths([chunks] * 3, voice=ToneVoice(continuous=continuous))
    assert told.missing == ()
    assert told.repeated <= 6
    assert told.most_at_once <= 3
    assert dead_air <= 0.35


@pytest.mark.parametrize("rate", [0.7, 1.4])
@pytest.mark.parametrize("speed_up", [1.5, 20.0])
@pytest.mark.parametrize("chunks", [3, 24])
async def test_a_voice_of_another_pace_than_usual_costs_more_repeats_and_no_word(
    rate: float, speed_up: float, chunks: int
) -> None:
    told, dead_air = await deaths([chunks], voice=ToneVoice(rate=rate), rate=rate, speed_up=speed_up)
    assert told.missing == ()
    assert told.repeated <= 4
    assert dead_air <= 0.2


@pytest.mark.parametrize("code", [0, 1000, 1006, 1008, 1009, 1011])
async def test_however_a_socket_is_closed_the_turn_goes_on(code: int) -> None:
    faults = {"die_close_code": code} if code != 1006 else {}  # 1006 is what a client makes of a lost connection
    told, _ = await deaths([9], voice=ToneVoice(), **faults, die_reason="NET-0000: sorry")
    assert told.missing == ()
    assert told.repeated <= 2


@pytest.mark.parametrize("lead", [0.2, 5.0])
@pytest.mark.parametrize("chunks", [2, 7, 21])
async def test_what_was_sent_to_the_carrier_is_never_recalled(lead: float, chunks: int) -> None:
    script = Script(TEXT)
    async with simulation(script.agent, settings=settings(lead=lead)) as sim:
        beset(sim, **REAL, die_after_chunks=[chunks])
        call = await sim.phone.dial()
        await sim.turn_over(call)
        told = telling(heard(call), TEXT)
        assert call.queue.clears == []
        assert told.missing == ()
        assert told.repeated <= 4
        assert silence(call) == 0  # at a lead of 0.2 s only because some of what was not sent yet is kept, too


@pytest.mark.parametrize("chunks", [1, 2, 6, 12, 30])
async def test_a_provider_that_always_dies_skips_no_word_either_and_the_call_goes_on(chunks: int) -> None:
    script = Script(TEXT, NEXT)
    async with simulation(script.agent, settings=settings()) as sim:
        beset(sim, **REAL, die_after_chunks=chunks)
        call = await sim.phone.dial()
        await sim.turn_over(call)
        beset(sim, die_after_chunks=None)
        said = words_of(TEXT)[: len({each.word for each in listen(heard(call), words_of(TEXT))})]
        apologised = APOLOGY in heard(call)
        assert telling(heard(call), " ".join(said)).missing in ((), (said[-1],) if apologised and said else ())
        assert apologised or said == words_of(TEXT)
        assert len(sim.of(call, "provider_lost")) <= 4
        assert chunks < 6 or len(said) >= 4  # each socket that gave a word's worth of audio brought us a word further
        call.press("1")
        await sim.turn_over(call, 2)
        assert telling(spans(call)[-1].audio, NEXT, strangers=words_of(TEXT)).missing == ()


async def test_a_cut_soon_after_a_death_is_as_clean_as_any() -> None:
    script = Script(TEXT, NEXT)
    async with simulation(script.agent, settings=settings()) as sim:
        beset(sim, **REAL, die_after_chunks=[8])
        call = await sim.phone.dial()
        await sim.until(lambda: sim.of(call, "provider_lost"))
        call.press("1")
        await sim.turn_over(call)
        assert_only(sim, call)


def assert_only(sim: Simulation, call: PhoneCall) -> None:
    """The last thing heard is NEXT alone, and whole."""
    assert telling(spans(call)[-1].audio, NEXT, strangers=words_of(TEXT)) == Telling((), 0, 0)
    assert dict(record(sim).breaches) == {}
