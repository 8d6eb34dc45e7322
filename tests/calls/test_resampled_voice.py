"""Whole calls with a voice of linear PCM: the same signal at the carrier's rate, and as long to the sample."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from calls.scenes import REAL, Script, beset, listen, prose, record, settings, slowly, spans, spoken, telling, words_of
from lineside.audio import mulaw
from lineside.audio.formats import FRAME_BYTES, SILENCE
from lineside.standin.tone import ToneVoice
from lineside.standin.voice import resample
from lineside.testing import simulation

RATES = [8000, 16000, 24000, 32000, 48000]
GREETING, ANSWER = prose(9), prose(9, first=9)
LONG = prose(35, first=18)


def pcm(audio: bytes) -> NDArray[np.float64]:
    return mulaw.decode(audio).astype(np.float64)


def signal_to_noise(heard: bytes, sent: bytes, rate: int) -> float:
    """How like the caller's mu-law is to the provider's PCM, in dB; an ideal filter is what it is compared with."""
    ideal = resample(np.frombuffer(sent, "<i2"), rate, 8000).astype(np.float64)
    error = pcm(heard)[: len(ideal)] - ideal
    return float(10 * np.log10(np.sum(ideal**2) / np.sum(error**2)))


def n_samples(sent: bytes, rate: int) -> int:
    return round(len(sent) // 2 * 8000 / rate)


def assert_is(heard: bytes, sent: bytes, rate: int) -> None:
    """The caller heard all of it, padded to whole frames at the end alone."""
    n = n_samples(sent, rate)
    assert 0 <= len(heard) - n < FRAME_BYTES
    assert not heard[n:].strip(SILENCE)
    # Mu-law alone leaves 38 dB.
    assert signal_to_noise(heard, sent, rate) > 36


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize(
    "faults",
    [
        pytest.param({}, id="irregular"),
        pytest.param({"chunk_sizes": [1, 333, 4001]}, id="half samples"),
    ],
)
async def test_the_caller_hears_the_same_signal_as_long_as_the_provider_spoke_it(
    rate: int, faults: dict[str, Any]
) -> None:
    script = Script(GREETING, ANSWER)
    voice = settings(encoding="linear16", sample_rate=rate)
    async with simulation(script.agent, settings=voice, voice=ToneVoice(chars_per_s=14.3)) as sim:
        beset(sim, **REAL, **faults)
        call = await sim.phone.dial()
        await sim.turn_over(call)
        await asyncio.sleep(1)
        call.press("1")
        await sim.turn_over(call, 2)
        first, second = spans(call)
        assert_is(first.audio, spoken(sim.provider, GREETING), rate)
        assert_is(second.audio, spoken(sim.provider, ANSWER), rate)


@pytest.mark.parametrize("rate", RATES)
async def test_after_a_cut_the_next_turn_begins_with_its_own_first_sample(rate: int) -> None:
    script = Script(LONG, ANSWER)
    async with simulation(script.agent, settings=settings(encoding="linear16", sample_rate=rate)) as sim:
        beset(sim, speed_up=2.0, late_frames_after_clear=3, cleared_delay_s=0.2, chunk_sizes=[333, 4001])
        call = await sim.phone.dial()
        await sim.turn_begun(call)
        await asyncio.sleep(2.5)
        call.press("1")
        await sim.turn_over(call)
        first, second = spans(call)
        said = spoken(sim.provider, LONG)
        assert signal_to_noise(first.audio, said[: len(first.audio) * 2 * rate // 8000], rate) > 36
        assert_is(second.audio, spoken(sim.provider, ANSWER), rate)


@pytest.mark.parametrize("rate", [16000, 48000])
async def test_a_turn_that_moves_to_another_socket_is_one_signal(rate: int) -> None:
    script = Script(slowly(30, every=1.0))
    text = " ".join(prose(2, first=2 * i) for i in range(30))
    async with simulation(script.agent, settings=settings(encoding="linear16", sample_rate=rate)) as sim:
        beset(sim, **REAL)
        call = await sim.phone.dial()
        await sim.turn_over(call)
        assert {each.connection for each in record(sim).spoken} == {1, 2}
        (only,) = spans(call)
        assert_is(only.audio, spoken(sim.provider, text), rate)


@pytest.mark.parametrize("rate", [16000, 48000])
async def test_a_death_inside_a_turn_costs_no_word_at_any_rate(rate: int) -> None:
    script = Script(GREETING)
    async with simulation(script.agent, settings=settings(encoding="linear16", sample_rate=rate)) as sim:
        beset(sim, **REAL, die_after_chunks=[7], chunk_sizes=[rate // 2 + 1])
        call = await sim.phone.dial()
        await sim.turn_over(call)
        told = telling(b"".join(span.audio for span in spans(call)), GREETING)
        assert told.missing == ()
        assert told.repeated <= 2
        assert {each.word for each in listen(spans(call)[-1].audio, words_of(GREETING))} <= set(words_of(GREETING))
