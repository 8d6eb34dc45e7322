"""The stand-in's voices, and what becomes of their audio."""

from __future__ import annotations

import asyncio
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lineside.errors import LinesideError, SettingsError
from lineside.standin.espeak import EspeakVoice
from lineside.standin.tone import PEAK, RATE, ToneVoice, recognise, tones
from lineside.standin.voice import Encoding, encode, resample, speak

TEXT = "Hello there, Anna. It's two o'clock."
WORDS = ["Hello", "there", "Anna", "It's", "two", "o'clock"]


def wave(hz: float, rate: int, seconds: float = 0.5) -> NDArray[np.int16]:
    return (10000 * np.sin(2 * np.pi * hz * np.arange(round(rate * seconds)) / rate)).astype(np.int16)


def strength(pcm: NDArray[np.int16], hz: float, rate: int) -> float:
    """Amplitude of one frequency."""
    at = np.exp(-2j * np.pi * hz * np.arange(len(pcm)) / rate)
    return float(2 * np.abs(np.mean(pcm * at)))


def from_mulaw(audio: bytes) -> NDArray[np.int16]:
    """ITU-T G.711, written out."""
    code = ~np.frombuffer(audio, np.uint8).astype(np.int32) & 0xFF
    size = (((code & 0x0F) << 3) + 0x84 << ((code >> 4) & 7)) - 0x84
    return np.where(code & 0x80, -size, size).astype(np.int16)


def from_alaw(audio: bytes) -> NDArray[np.int16]:
    """ITU-T G.711, written out."""
    code = np.frombuffer(audio, np.uint8).astype(np.int32) ^ 0x55
    step, low = (code >> 4) & 7, ((code & 0x0F) << 4) + 8
    size = np.where(step == 0, low, low + 0x100 << np.maximum(step - 1, 0))
    return np.where(code & 0x80, size, -size).astype(np.int16)


# -- the tone voice --------------------------------------------------------------------------------------------------


@given(st.text(max_size=300), st.floats(0.7, 1.4), st.floats(0.7, 1.5))
def test_length_is_proportional_to_characters(text: str, rate: float, speed: float) -> None:
    rendering = ToneVoice(rate=rate).speak(text, speed)
    assert len(rendering.pcm) == round(len(text) * RATE / (15 * rate * speed))


def test_words_sound_where_their_times_say_and_nothing_sounds_between_them() -> None:
    rendering = ToneVoice().speak(TEXT)
    assert [TEXT[word.start_char : word.end_char] for word in rendering.words] == WORDS
    sounding = np.zeros(len(rendering.pcm), bool)
    for word in rendering.words:
        span = slice(round(word.start_s * RATE), round(word.end_s * RATE))
        sounding[span] = True
        assert recognise(rendering.pcm[span], RATE, WORDS) == TEXT[word.start_char : word.end_char]
    assert not rendering.pcm[~sounding].any()
    assert 0 < sounding.sum() < len(sounding)


def test_any_frame_of_a_word_tells_which_word_it_is_even_as_mu_law() -> None:
    voice = ToneVoice()
    rendering = voice.speak(TEXT)
    pcm = from_mulaw(rendering.audio("mulaw", 8000))
    for word in rendering.words:
        start, end = round(word.start_s * RATE), round(word.end_s * RATE)
        for at in range(start, end - 160, 37):
            assert recognise(pcm[at : at + 160], RATE, WORDS) == TEXT[word.start_char : word.end_char]


def test_silence_two_words_at_once_and_a_stranger_are_not_recognised() -> None:
    rendering = ToneVoice().speak("Hello there")
    hello, there = (rendering.pcm[round(w.start_s * RATE) :][:160].astype(np.int32) for w in rendering.words)
    assert recognise(np.zeros(160, np.int16), RATE, WORDS) is None
    assert recognise(((hello + there) // 2).astype(np.int16), RATE, WORDS) is None
    assert recognise(hello.astype(np.int16), RATE, ["there"]) is None
    assert recognise(np.zeros(10, np.int16), RATE, WORDS) is None


def test_a_word_is_recognised_at_other_rates() -> None:
    for rate in (16000, 22050, 24000, 48000):
        pcm = np.frombuffer(ToneVoice().speak("Hello").audio("linear16", rate), "<i2")
        assert recognise(pcm[: rate // 5], rate, WORDS) == "Hello"


def test_a_word_sounds_the_same_in_any_case_and_other_words_do_not() -> None:
    assert tones("Hello") == tones("hello")
    assert len({tones(word) for word in WORDS}) == len(WORDS)


@given(st.text(min_size=1, max_size=80))
def test_the_continuous_voice_never_pauses(text: str) -> None:
    rendering = ToneVoice(continuous=True).speak(text)
    loud = np.abs(rendering.pcm[: len(rendering.pcm) // 80 * 80].reshape(-1, 80)).max(axis=1)
    assert (loud > PEAK / 8).all()


def test_the_continuous_voice_is_as_long_as_the_other_and_its_words_meet() -> None:
    rendering = ToneVoice(continuous=True).speak(TEXT)
    assert len(rendering.pcm) == len(ToneVoice().speak(TEXT).pcm)
    assert [word.end_s for word in rendering.words[:-1]] == [word.start_s for word in rendering.words[1:]]


def test_a_tone_rendering_is_made_once_and_cannot_be_written_to() -> None:
    voice = ToneVoice()
    rendering = voice.speak(TEXT)
    assert voice.speak(TEXT) is rendering
    assert rendering.audio("mulaw", 8000) is rendering.audio("mulaw", 8000)
    with pytest.raises(ValueError, match="read-only"):
        rendering.pcm[0] = 1


@pytest.mark.parametrize("rate", [0.69, 1.41])
def test_a_rate_outside_its_range_is_refused(rate: float) -> None:
    with pytest.raises(SettingsError, match=r"0\.7 to 1\.4"):
        ToneVoice(rate=rate)


# -- encoding --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8000, 16000, 24000, 32000, 48000])
@pytest.mark.parametrize(("encoding", "width"), [("linear16", 2), ("mulaw", 1), ("alaw", 1)])
def test_every_encoding_has_the_right_length_at_every_rate(encoding: Encoding, width: int, rate: int) -> None:
    rendering = ToneVoice().speak(TEXT)
    assert len(rendering.audio(encoding, rate)) == width * round(len(rendering.pcm) * rate / RATE)


def test_linear16_at_the_voices_own_rate_is_the_samples_themselves() -> None:
    rendering = ToneVoice().speak(TEXT)
    assert rendering.audio("linear16", 8000) == rendering.pcm.astype("<i2").tobytes()


def test_mu_law_and_a_law_come_back_close_to_what_went_in() -> None:
    rendering = ToneVoice().speak(TEXT)
    for back in (from_mulaw(rendering.audio("mulaw", 8000)), from_alaw(rendering.audio("alaw", 8000))):
        error = np.abs(back.astype(np.int32) - rendering.pcm)
        assert error.max() <= 0.04 * PEAK
    assert rendering.audio("mulaw", 8000) != rendering.audio("alaw", 8000)


def test_silence_in_mu_law_is_0xff() -> None:
    assert set(ToneVoice().speak("...").audio("mulaw", 8000)) == {0xFF}


# -- resampling ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8000, 22050, 44100])
@pytest.mark.parametrize("to_rate", [8000, 16000, 24000, 48000])
def test_a_tone_keeps_its_pitch_and_loudness(rate: int, to_rate: int) -> None:
    clip = resample(wave(1000, rate), rate, to_rate)
    middle = clip[to_rate // 10 : to_rate // 10 * 4]
    assert strength(middle, 1000, to_rate) == pytest.approx(10000, rel=0.01)


def test_what_the_new_rate_cannot_carry_is_gone_and_not_folded_back() -> None:
    clip = resample(wave(5000, 22050), 22050, 8000)
    assert np.abs(clip[800:-800]).max() < 10


def test_a_clip_does_not_ring_from_its_end_into_its_beginning() -> None:
    # 48 blocks of 441 samples are a length that needs no rounding up: only the silence put behind it keeps them apart.
    pcm = np.zeros(48 * 441, np.int16)
    pcm[-200:] = 20000
    assert np.abs(resample(pcm, 22050, 8000)[:2000]).max() < 200


@given(st.integers(0, 3000), st.sampled_from([8000, 16000, 22050, 44100]), st.sampled_from([8000, 24000, 48000]))
def test_length_follows_the_rates(n: int, rate: int, to_rate: int) -> None:
    assert len(resample(np.ones(n, np.int16), rate, to_rate)) == round(n * to_rate / rate)


def test_the_loudest_samples_do_not_wrap_round() -> None:
    square = np.where(wave(500, 22050) > 0, 32767, -32768).astype(np.int16)
    clip = resample(square, 22050, 16000).astype(np.int32)
    # Overshoot at an edge is cut off; had it wrapped, neighbours would differ by the whole range between two edges.
    assert np.mean(np.abs(np.diff(clip)) > 60000) < 0.07


# -- espeak ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def espeak() -> EspeakVoice:
    pytest.importorskip("espeakng_loader")
    return EspeakVoice()


def test_espeak_speaks_at_a_natural_pace_and_leaves_no_word_out(espeak: EspeakVoice) -> None:
    text = "Hello, wörld. It costs $29.50 — isn't it? Fine."
    rendering = espeak.speak(text)
    assert rendering.rate == 22050
    assert 3 < len(rendering.pcm) / rendering.rate < 8
    assert np.abs(rendering.pcm).max() > 5000
    spoken = [text[word.start_char : word.end_char] for word in rendering.words]
    assert spoken == ["Hello,", "wörld.", "It", "costs", "$29.50", "isn't", "it?", "Fine."]
    ends = [time for word in rendering.words for time in (word.start_s, word.end_s)]
    assert ends == sorted(ends)
    assert ends[-1] <= len(rendering.pcm) / rendering.rate


def test_espeak_speaks_faster_when_asked(espeak: EspeakVoice) -> None:
    text = "The quick brown fox jumps over the lazy dog."
    assert len(espeak.speak(text, 1.4).pcm) < 0.85 * len(espeak.speak(text).pcm)


def test_espeak_has_nothing_to_say_to_blanks_and_survives_control_characters(espeak: EspeakVoice) -> None:
    assert len(espeak.speak(" \n ").pcm) == 0
    rendering = espeak.speak("one\0two \x01 three")
    assert rendering.words[-1].end_char == len("one\0two \x01 three")


async def test_voices_can_speak_in_several_threads_at_once_and_time_stands_still(espeak: EspeakVoice) -> None:
    before = asyncio.get_running_loop().time()
    renderings = await asyncio.gather(*(speak(espeak, "one two three " * n) for n in range(1, 6)))
    assert [len(rendering.words) for rendering in renderings] == [3, 6, 9, 12, 15]
    assert len(await encode(espeak, renderings[0], "mulaw", 8000)) == round(len(renderings[0].pcm) * 8000 / 22050)
    assert asyncio.get_running_loop().time() == before


def test_an_unknown_language_is_refused(espeak: EspeakVoice) -> None:
    with pytest.raises(SettingsError, match="tlh-nowhere"):
        EspeakVoice("tlh-nowhere")


def test_without_the_extra_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EspeakVoice, "_library", None)
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(LinesideError, match=r"pip install 'lineside\[demo\]'"):
        EspeakVoice()
