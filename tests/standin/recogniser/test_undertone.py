"""The low notes under the modem's words: they sound like a voice, and take nothing from the words."""

from __future__ import annotations

import numpy as np
import pytest

from lineside.audio import mulaw
from lineside.standin.phone import Phone
from lineside.standin.recogniser.caller import Caller, Say, Wait
from lineside.standin.recogniser.modem import encode
from lineside.standin.recogniser.sounds import mix, noise, quieter, silence
from lineside.standin.recogniser.undertone import ringing, voiced
from standin.phone_server import TinyServer, open_call
from standin.recogniser.test_modem import dbfs, read

SAID = "please tell me my balance again"
FRAME = 160


def is_vowel(audio: bytes) -> list[bool]:
    """Of each 20 ms: neighbouring samples are alike, as in a vowel and not in hiss."""
    frames = mulaw.decode(audio)[: len(audio) // FRAME * FRAME].reshape(-1, FRAME).astype(np.float64)
    return [bool(frame[1:] @ frame[:-1] > 0.3 * (frame @ frame) > 0) for frame in frames]


@pytest.mark.parametrize("pitch_hz", [90, 120, 200, 250])
@pytest.mark.parametrize("down_db", [0, 10, 25])
def test_words_with_low_notes_are_read_as_without(pitch_hz: float, down_db: float) -> None:
    for seed in range(4):
        audio = silence(0.2) + quieter(voiced(encode(SAID), pitch_hz=pitch_hz, seed=seed), down_db) + silence(0.2)
        assert read(audio) == (SAID.split(), [])


def test_they_are_read_through_noise_too() -> None:
    audio = silence(0.3) + voiced(encode(SAID)) + silence(0.3)
    for seed in range(5):
        assert read(mix(audio, noise(len(audio) / 8000, -25, seed=seed))) == (SAID.split(), [])


def test_words_become_vowels_by_them() -> None:
    audio = encode(SAID)
    assert sum(is_vowel(audio)) < 0.3 * len(audio) / FRAME
    assert sum(is_vowel(voiced(audio))) > 0.75 * len(audio) / FRAME
    assert sum(is_vowel(voiced(audio))[:8]) >= 2  # from the beginning on


def test_they_are_low_and_as_loud_as_the_words_and_nowhere_else() -> None:
    audio = silence(0.5) + encode(SAID) + silence(0.5)
    with_notes = voiced(audio)
    assert len(with_notes) == len(audio)
    assert with_notes[:4000] == audio[:4000]
    assert not np.any(mulaw.decode(with_notes[-3700:]))
    assert 2.5 < dbfs(with_notes) - dbfs(audio) < 3.5
    notes = mulaw.decode(with_notes).astype(np.float64) - mulaw.decode(audio)
    power = np.square(np.abs(np.fft.rfft(notes)))
    hz = np.fft.rfftfreq(len(notes), 1 / 8000)
    assert power[hz < 750].sum() > 0.97 * power.sum()  # the rest is rounding
    assert voiced(b"") == b""


def test_in_a_room_a_word_is_read_and_rings_on() -> None:
    audio = silence(0.1) + encode(SAID, peak=4000) + silence(0.1)
    rung = ringing(audio)
    assert read(rung) == (SAID.split(), [])
    assert len(rung) == len(audio)
    assert not np.any(mulaw.decode(audio[-800:]))
    tail = np.abs(mulaw.decode(rung[-800:]))
    assert 1000 < tail[:64].max() < 2400  # 0.35 of 4000, and 0.2 more where both copies meet
    assert 500 < tail[64:128].max() < 1000
    assert not np.any(tail[128:])


async def test_a_caller_speaks_with_them_on_demand(phone: Phone, server: TinyServer) -> None:
    call, _ = await open_call(phone, server)
    await Caller(call, [Say("hello", voiced=True), Say("hello"), Wait(0.1)]).run()
    said = call.said()[584:]
    assert read(said + silence(0.2)) == (["hello", "hello"], [])
    assert sum(is_vowel(said[:2400])) > 10 > 5 > sum(is_vowel(said[2400:4800]))
