"""Whole calls with ElevenLabs' voices: what the caller hears, judged by the stand-in's record and by ear."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from itertools import pairwise
from typing import Any

import pytest

from calls.scenes import (
    REAL,
    Script,
    beset,
    is_whole,
    listen,
    prose,
    record,
    settings,
    slowly,
    spans,
    spoken,
    telling,
    words_of,
)
from lineside.audio.resample import Encoder
from lineside.events import CallerPressed
from lineside.ports import Voice
from lineside.speech import elevenlabs_line
from lineside.speech.elevenlabs import ElevenLabsVoice
from lineside.speech.elevenlabs_stream import ElevenLabsStreamVoice
from lineside.speech.governor import Governor
from lineside.standin.phone import PhoneCall
from lineside.standin.tone import ToneVoice
from lineside.testing import Simulation, simulation
from lineside.wire.elevenlabs import OUTPUT_FORMATS
from speech.eleven import Kind, options

pytestmark = pytest.mark.parametrize("kind", [ElevenLabsVoice, ElevenLabsStreamVoice])

GREETING, ANSWER, TEXT, LONG = prose(21), prose(21, first=21), prose(20), prose(60)


def calling(
    kind: Kind,
    script: Script,
    *,
    lead: float = 1.0,
    sound: ToneVoice | None = None,
    more: Callable[[str], list[Voice]] = lambda _: [],
    governed: bool = False,
    **wire: Any,
) -> AbstractAsyncContextManager[Simulation]:
    """A simulation with this voice, and others behind it."""

    def voices(url: str) -> list[Voice]:
        return [kind("eleven", options(url, **wire), Governor("account", 8) if governed else None), *more(url)]

    return simulation(script.agent, voice=sound, settings=settings(lead=lead), voices=voices)


def frames(sim: Simulation, seconds: float) -> None:
    """Messages of so much audio, in place of one for a whole segment."""
    assert sim.provider is not None
    sim.provider.faults.elevenlabs.frame_s = seconds


def heard(call: PhoneCall) -> bytes:
    return b"".join(span.audio for span in spans(call))


def silence(call: PhoneCall) -> float:
    """The longest silence between the first sound and the last, in s."""
    return max((after.at - before.end for before, after in pairwise(spans(call))), default=0.0)


# -- the sound ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param(REAL, id="as the service does"),
        pytest.param(REAL | {"chunk_sizes": [1, 159, 161, 4001, 37]}, id="crumbs"),
        pytest.param(REAL | {"burst": True}, id="bursts"),
        pytest.param(REAL | {"speed_up": 1.2, "chunk_sizes": [800]}, id="hardly faster than speech"),
    ],
)
@pytest.mark.parametrize("lead", [0.2, 1.0])
async def test_the_caller_hears_what_the_service_spoke_to_the_byte_and_without_a_gap(
    kind: Kind, faults: dict[str, Any], lead: float
) -> None:
    script = Script(GREETING, ANSWER)
    async with calling(kind, script, lead=lead) as sim:
        beset(sim, **faults)
        call = await sim.phone.dial()
        await sim.turn_over(call)
        await asyncio.sleep(1)
        call.press("1")
        await sim.turn_over(call, 2)
        first, second = spans(call)
        assert is_whole(first.audio, spoken(sim.provider, GREETING))
        assert is_whole(second.audio, spoken(sim.provider, ANSWER))
        assert telling(second.audio, ANSWER, strangers=words_of(GREETING)).missing == ()
        assert not sim.of(call, "gap")
        assert not sim.of(call, "provider_lost")
        assert (dict(record(sim).breaches), dict(call.warnings)) == ({}, {})
        assert {each.connection for each in record(sim).spoken} == {1}


@pytest.mark.parametrize("output_format", ["pcm_8000", "pcm_16000", "pcm_24000", "pcm_44100"])
async def test_linear_audio_is_heard_as_the_resampler_makes_it(kind: Kind, output_format: str) -> None:
    async with calling(kind, Script(GREETING), output_format=output_format) as sim:
        beset(sim, **REAL)
        call = await sim.phone.dial()
        await sim.turn_over(call)
        encoder = Encoder(OUTPUT_FORMATS[output_format])
        audio = encoder.push(spoken(sim.provider, GREETING)) + encoder.flush()
        (only,) = spans(call)
        assert is_whole(only.audio, audio)
        assert telling(only.audio, GREETING).missing == ()


async def test_a_long_reply_is_asked_for_as_it_is_heard_and_has_no_gap(kind: Kind) -> None:
    async with calling(kind, Script(LONG)) as sim:
        beset(sim, **REAL)
        call = await sim.phone.dial()
        await sim.turn_over(call)
        (only,) = spans(call)
        assert is_whole(only.audio, spoken(sim.provider, LONG))
        asked, most = 0, 0.0
        for segment in record(sim).spoken:
            asked += len(segment.audio)
            most = max(most, (asked - call.queue.played(segment.at)) / 8000)
        assert 10 < most < 25
        assert dict(record(sim).breaches) == {}


async def test_an_agent_that_gives_two_words_a_second_is_heard_word_for_word(kind: Kind) -> None:
    text = " ".join(prose(2, first=2 * i) for i in range(20))
    async with calling(kind, Script(slowly(20, every=1.0))) as sim:
        beset(sim, **REAL)
        call = await sim.phone.dial()
        await sim.turn_over(call)
        told = telling(heard(call), text)
        assert (told.missing, told.repeated) == ((), 0)
        assert dict(record(sim).breaches) == {}


# -- interrupting ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [0.01, 1.0, 2.5, 6.0])
@pytest.mark.parametrize("speed_up", [2.0, 0.0])
async def test_after_an_interruption_nothing_of_the_old_turn_is_heard_and_the_next_is_whole(
    kind: Kind, speed_up: float, after: float
) -> None:
    script = Script(GREETING, ANSWER)
    async with calling(kind, script) as sim:
        beset(sim, speed_up=speed_up, chunk_sizes=[1600])
        call = await sim.phone.dial()
        await sim.turn_begun(call)
        await asyncio.sleep(after)
        call.press("1")
        await sim.turn_over(call)
        first, last = spans(call)
        assert spoken(sim.provider, GREETING).startswith(first.audio)
        assert is_whole(last.audio, spoken(sim.provider, ANSWER))
        assert {each.word for each in listen(last.audio, words_of(GREETING + " " + ANSWER))} == set(words_of(ANSWER))
        assert dict(record(sim).breaches) == {}


async def test_what_was_heard_of_a_turn_is_known_to_the_word(kind: Kind) -> None:
    script = Script(GREETING, ANSWER)
    async with calling(kind, script) as sim:
        beset(sim, **REAL)
        call = await sim.phone.dial()
        await sim.turn_begun(call)
        await asyncio.sleep(4)
        call.press("1")
        await sim.turn_over(call)
        (cut_off,) = [cue.cut_off for cue in script.cues if isinstance(cue, CallerPressed)]
        assert cut_off is not None
        told = [each.word for each in listen(spans(call)[0].audio, words_of(GREETING))]
        claimed = words_of(cut_off.heard)
        assert claimed == told[: len(claimed)]
        assert len(told) - len(claimed) <= 2


@pytest.mark.parametrize("every", [0.12, 0.7])
async def test_twenty_interruptions_in_a_row_break_no_rule_and_the_last_answer_is_whole(
    kind: Kind, every: float
) -> None:
    answers = [prose(30, first=9 * i) for i in range(20)]
    last = prose(9, first=220)
    async with calling(kind, Script(*answers, last), governed=True) as sim:
        beset(sim, **REAL, speed_up=10.0, chunk_sizes=[1600])
        call = await sim.phone.dial()
        await sim.turn_begun(call)
        for _ in range(20):
            await asyncio.sleep(every)
            call.press("1")
        await sim.turn_over(call)
        assert is_whole(spans(call)[-1].audio, spoken(sim.provider, last))
        assert dict(record(sim).breaches) == {}
        await call.hang_up()
        await sim.idle()
    assert record(sim).connections.open == 0


# -- losses ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame_s", "frames_until_death"),
    [*((0.0, n) for n in (1, 2, 3, 4)), *((0.25, n) for n in (1, 2, 5, 13)), *((0.1, n) for n in (1, 3, 8, 30))],
)
@pytest.mark.parametrize("continuous", [False, True], ids=["a voice that pauses", "a voice without a pause"])
async def test_a_death_anywhere_in_a_turn_costs_no_word_and_repeats_none(
    kind: Kind, continuous: bool, frame_s: float, frames_until_death: int
) -> None:
    async with calling(kind, Script(TEXT), sound=ToneVoice(continuous=continuous)) as sim:
        beset(sim, **REAL, die_after_chunks=[frames_until_death])
        frames(sim, frame_s)
        call = await sim.phone.dial()
        await sim.turn_over(call)
        told = telling(heard(call), TEXT)
        assert (told.missing, told.repeated) == ((), 0)
        assert silence(call) <= 0.36  # a handshake and a first sound take 0.45 s
        assert len(sim.of(call, "provider_lost")) == 1
        assert dict(record(sim).breaches) == {}


@pytest.mark.parametrize("frames_until_death", [2, 4, 9])
async def test_three_deaths_in_one_turn_cost_no_word_and_repeat_none(kind: Kind, frames_until_death: int) -> None:
    async with calling(kind, Script(TEXT)) as sim:
        beset(sim, **REAL, die_after_chunks=[frames_until_death] * 3)
        frames(sim, 0.2)
        call = await sim.phone.dial()
        await sim.turn_over(call)
        told = telling(heard(call), TEXT)
        assert (told.missing, told.repeated) == ((), 0)
        assert len(sim.of(call, "provider_lost")) == 3


@pytest.mark.parametrize("frames_until_stall", [0, 1, 4])
async def test_a_service_that_falls_silent_is_left_after_four_seconds_and_no_word_is_lost(
    kind: Kind, frames_until_stall: int
) -> None:
    async with calling(kind, Script(TEXT)) as sim:
        beset(sim, **REAL, stall_after_chunks=[frames_until_stall])
        frames(sim, 0.5)
        call = await sim.phone.dial()
        await sim.turn_over(call)
        told = telling(heard(call), TEXT)
        assert (told.missing, told.repeated) == ((), 0)
        assert len(sim.of(call, "provider_lost")) == 1
        assert silence(call) <= 4.5


async def test_when_the_quota_is_spent_the_next_voice_goes_on_within_the_turn(kind: Kind) -> None:
    def deeper(url: str) -> list[Voice]:
        return [ElevenLabsVoice("second", options(url, key="another"))]

    async with calling(kind, Script(TEXT), more=deeper) as sim:
        beset(sim, **REAL)
        assert sim.provider is not None
        sim.provider.faults.elevenlabs.credits = 60
        sim.provider.faults.elevenlabs.quota_spent = "error"
        call = await sim.phone.dial()
        await sim.until(lambda: sim.of(call, "voice_changed"))
        sim.provider.faults.elevenlabs.credits = None
        await sim.turn_over(call)
        told = telling(heard(call), TEXT)
        assert (told.missing, told.repeated) == ((), 0)


# -- time --------------------------------------------------------------------------------------------------------------


async def test_silence_of_many_times_the_services_patience_is_not_noticed(kind: Kind) -> None:
    async with calling(kind, Script(GREETING, ANSWER), inactivity_timeout=20) as sim:
        beset(sim, **REAL)
        call = await sim.phone.dial()
        await sim.turn_over(call)
        await asyncio.sleep(120)
        pressed_at = asyncio.get_running_loop().time()
        call.press("1")
        await sim.turn_over(call, 2)
        assert spans(call)[1].at - pressed_at < 0.2
        assert is_whole(spans(call)[1].audio, spoken(sim.provider, ANSWER))
        assert dict(record(sim).breaches) == {}
        assert not sim.of(call, "provider_lost")


async def test_a_call_outlives_its_sockets_unheard(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty minutes are fifty seconds here; `test_an_hour_of_turns` has the hour."""
    monkeypatch.setattr(elevenlabs_line, "RENEW_AFTER", 50.0)
    answers = [LONG, *(prose(7, first=60 + 7 * i) for i in range(9))]
    async with calling(kind, Script(*answers)) as sim:
        beset(sim, **REAL)
        call = await sim.phone.dial()
        await sim.turn_over(call)
        for n in range(9):
            await asyncio.sleep(10)
            call.press("1")
            await sim.turn_over(call, n + 2)
        played = spans(call)
        assert len(played) == 10
        assert all(is_whole(span.audio, spoken(sim.provider, text)) for span, text in zip(played, answers, strict=True))
        assert len({each.connection for each in record(sim).spoken}) > 2
        assert dict(record(sim).breaches) == {}
        assert not sim.of(call, "provider_lost")
