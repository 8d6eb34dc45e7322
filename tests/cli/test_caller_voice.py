"""The caller's voice in the recording: as long as the tones on the line, and in their place."""

from __future__ import annotations

import numpy as np
import pytest

from lineside.audio import mulaw
from lineside.audio.formats import SILENCE
from lineside.cli.caller_script import parse
from lineside.cli.caller_voice import HIGHER, dubbed, paced, voiced
from lineside.standin.provider import Provider
from lineside.standin.recogniser import modem
from lineside.standin.recogniser.caller import Said, Say, Sound

SCRIPT = parse("say one two three four\ncough\nsay five", "it")


async def test_every_text_gets_a_voice_without_silence_around_it() -> None:
    async with Provider() as provider:
        voices = await voiced(SCRIPT, provider.url)
        assert list(voices) == ["one two three four", "five"]
        for text, audio in voices.items():
            (spoken,) = [each for each in provider.record.spoken if each.text.strip() == text]
            assert 0.3 * len(spoken.audio) < len(audio) <= len(spoken.audio) / HIGHER + 1
            assert not audio.startswith(SILENCE)
        assert not provider.record.breaches


def test_a_cough_is_no_louder_than_a_voice() -> None:
    (cough,) = [step for step in SCRIPT.steps if isinstance(step, Sound)]
    assert level(cough.audio) == pytest.approx(-21, abs=1)  # as the local voice speaks
    assert np.abs(mulaw.decode(cough.audio)).max() < 0.7 * 32768


def level(audio: bytes) -> float:
    """RMS in dB of full scale."""
    return float(20 * np.log10(np.sqrt(np.mean(np.square(mulaw.decode(audio) / 32768)))))


async def test_a_caller_without_words_needs_no_voice() -> None:
    assert await voiced(parse("press 1", "it"), "ws://nowhere.invalid") == {}


def test_the_tones_take_as_long_as_the_voice() -> None:
    voice = bytes(8000 * 2)
    first, cough, second, _ = paced(SCRIPT, {"one two three four": voice}).steps
    assert isinstance(first, Say)
    n_samples = len(modem.encode(first.text, first.seconds_per_word))
    assert n_samples == pytest.approx(len(voice), abs=4 * 2 * modem.SYMBOL)
    assert (cough, second) == SCRIPT.steps[1:3]


def test_the_voice_takes_the_place_of_the_tones_and_of_nothing_else() -> None:
    line = b"\x10" * 800
    said = [Said("a", 10.01, 10.03), Said("", 10.05, 10.06), Said("b", 10.07, 10.09)]
    result = dubbed(line, 10.0, said, {"a": b"\x20" * 100, "b": b"\x30" * 200})
    silence = SILENCE * 60
    assert result == b"\x10" * 80 + b"\x20" * 100 + silence + b"\x10" * 320 + b"\x30" * 200 + b"\x10" * 40


def test_a_voice_that_is_longer_than_the_call_ends_with_it() -> None:
    assert dubbed(b"\x10" * 160, 0.0, [Said("a", 0.01, 0.02)], {"a": b"\x20" * 900}) == b"\x10" * 80 + b"\x20" * 80
