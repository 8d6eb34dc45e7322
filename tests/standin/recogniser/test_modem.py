"""Words as sounds: what survives the telephone, and what must not survive a fault of the bridge."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lineside.audio import mulaw
from lineside.errors import LocalProtocolError
from lineside.standin.recogniser.modem import Decoder, Loss, encode
from lineside.standin.recogniser.sounds import mix, noise, quieter, silence
from lineside.standin.tone import ToneVoice

TEXT = "I'd like to cancel my Übernachtung bitte."
WORDS = TEXT.split()
FRAME = 160


def read(audio: bytes, chunk: int = FRAME) -> tuple[list[str], list[Loss]]:
    """What a decoder makes of audio that comes in chunks."""
    decoder = Decoder()
    words = [word.text for start in range(0, len(audio), chunk) for word in decoder.feed(audio[start : start + chunk])]
    decoder.finish()
    return words, decoder.losses


def rms(audio: bytes) -> float:
    return float(np.sqrt(np.mean(np.square(mulaw.decode(audio).astype(np.float64)))))


def dbfs(audio: bytes) -> float:
    return 20 * float(np.log10(rms(audio) / 32768))


# -- what survives ---------------------------------------------------------------------------------------------------


def test_words_are_read_back_with_their_times() -> None:
    decoder = Decoder()
    words = decoder.feed(silence(0.5) + encode("yes please") + silence(0.1))
    assert [word.text for word in words] == ["yes", "please"]
    assert words[0].start_s == 0.5
    assert words[0].end_s == words[1].start_s == pytest.approx(0.796)
    assert words[1].end_s == pytest.approx(1.092)
    assert not decoder.losses


def test_a_word_is_known_with_its_last_sample() -> None:
    decoder = Decoder()
    audio = silence(0.1) + encode("now")
    assert decoder.feed(audio[:-1]) == []
    assert [word.text for word in decoder.feed(audio[-1:])] == ["now"]


word_texts = st.text(st.characters(exclude_categories=("Z", "C")), min_size=1, max_size=6)


@settings(max_examples=25, deadline=None)
@given(st.lists(word_texts, min_size=1, max_size=4), st.floats(0.1, 0.6), st.integers(50, 5000))
def test_any_words_cut_anyhow_are_read_back(words: list[str], seconds: float, chunk: int) -> None:
    text = " ".join(words)
    assert read(silence(0.05) + encode(text, seconds), chunk) == (text.split(), [])


def test_single_samples_are_chunks_too() -> None:
    assert read(encode("hi", 0.1), 1) == (["hi"], [])


def test_a_word_sounds_as_long_and_as_loud_as_speech() -> None:
    assert len(encode("a")) / 8000 == pytest.approx(0.3, abs=0.016)
    assert len(encode("a", 0.45)) / 8000 == pytest.approx(0.45, abs=0.016)
    assert len(encode("x" * 24)) / 8000 == pytest.approx(0.472)
    assert dbfs(encode(TEXT)) == pytest.approx(-15, abs=0.3)
    assert dbfs(encode(TEXT, peak=2000)) == pytest.approx(-27, abs=0.4)


def test_a_word_that_does_not_fit_is_refused() -> None:
    assert read(encode("é" * 20)) == (["é" * 20], [])
    with pytest.raises(LocalProtocolError):
        encode("é" * 21)
    with pytest.raises(LocalProtocolError):
        encode("a\0")
    assert encode(" \n ") == b""


@pytest.mark.parametrize("peak", [500, 2000, 30000])
def test_a_quiet_caller_and_a_loud_one_are_read(peak: int) -> None:
    assert read(encode(TEXT, peak=peak)) == (WORDS, [])


@pytest.mark.parametrize("snr_db", [25, 15, 10])
def test_noise_does_not_lose_a_word(snr_db: float) -> None:
    for seed in range(5):
        clean = silence(0.3) + encode(TEXT) + silence(0.3)
        noisy = mix(clean, noise(len(clean) / 8000, -15 - snr_db, seed=seed))
        assert read(noisy) == (WORDS, [])


def test_noise_as_loud_as_the_caller_leaves_nothing() -> None:
    audio = mix(encode(TEXT), noise(len(encode(TEXT)) / 8000, -15))
    assert read(audio)[0] == []


@pytest.mark.parametrize("echo_db", [20, 15])
def test_the_agents_echo_does_not_lose_a_word(echo_db: float) -> None:
    agent = ToneVoice(continuous=True).speak("of course let me see what I can do for you today. " * 3)
    for delay in range(0, 8000, 1130):
        echo = quieter(agent.audio("mulaw", 8000)[delay:], echo_db)
        audio = encode(TEXT)
        assert read(mix(audio, echo[: len(audio)])) == (WORDS, [])


def test_what_is_not_a_word_is_none() -> None:
    agent = ToneVoice().speak("of course let me see what I can do for you today. " * 5)
    assert read(agent.audio("mulaw", 8000)) == ([], [])


# -- what must not ---------------------------------------------------------------------------------------------------

LEAD = 400
WORD = encode("cancel")
CALL = silence(LEAD / 8000) + WORD + silence(0.3) + encode("after") + silence(0.2)
WITHIN = range(LEAD + 64, LEAD + len(WORD) - 64, 37)


def at_every_place(n_samples: int) -> range:
    """Where a stretch of so many samples can begin within the word."""
    return range(LEAD + 1, LEAD + len(WORD) - n_samples, 37)


def only_the_other_word(audio: bytes) -> bool:
    words, losses = read(audio)
    return words == ["after"] and 1 <= len(losses) <= 2


def test_a_missing_frame_loses_its_word_and_no_other() -> None:
    for at in at_every_place(FRAME):
        assert only_the_other_word(CALL[:at] + CALL[at + FRAME :]), at


def test_a_frame_of_silence_loses_its_word() -> None:
    for at in at_every_place(FRAME):
        assert only_the_other_word(CALL[:at] + silence(0.02) + CALL[at + FRAME :]), at


def test_frames_that_changed_places_lose_their_word() -> None:
    for at in at_every_place(2 * FRAME):
        swapped = CALL[:at] + CALL[at + FRAME : at + 2 * FRAME] + CALL[at : at + FRAME] + CALL[at + 2 * FRAME :]
        assert only_the_other_word(swapped), at


def test_a_frame_in_place_of_another_loses_its_word() -> None:
    for at in at_every_place(2 * FRAME):
        assert only_the_other_word(CALL[: at + FRAME] + CALL[at : at + FRAME] + CALL[at + 2 * FRAME :]), at


def test_a_repeated_frame_loses_its_word() -> None:
    for at in WITHIN:
        if at + FRAME < LEAD + len(WORD):
            assert only_the_other_word(CALL[: at + FRAME] + CALL[at:]), at


def test_one_sample_too_few_or_too_many_loses_a_word() -> None:
    for at in WITHIN:
        assert only_the_other_word(CALL[:at] + CALL[at + 1 :]), at
        assert only_the_other_word(CALL[:at] + CALL[at : at + 1] + CALL[at:]), at


def test_a_loss_says_how_much_is_missing_or_repeated() -> None:
    at = LEAD + 1000
    assert read(CALL[:at] + CALL[at + FRAME :])[1] == [Loss(LEAD / 8000, "missing", FRAME)]
    assert read(CALL[:at] + CALL[at - FRAME :])[1] == [Loss(LEAD / 8000, "repeated", FRAME)]
    assert read(CALL[:at] + silence(0.02) + CALL[at + FRAME :])[1] == [Loss(LEAD / 8000, "garbled")]


def test_a_word_without_its_beginning_or_its_end_is_a_loss() -> None:
    words, (loss,) = read(CALL[LEAD + 300 :])
    assert (words, loss.how) == (["after"], "headless")
    assert loss.at_s == pytest.approx((len(WORD) - 300 - 128) / 8000)
    assert read(CALL[: LEAD + 1500]) == ([], [Loss(LEAD / 8000, "unfinished")])


def test_words_left_out_whole_leave_no_trace_but_their_absence() -> None:
    assert read(encode("one") + encode("three")) == (["one", "three"], [])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_noise_alone_never_speaks(seed: int) -> None:
    loud: NDArray[np.int16] = np.random.default_rng(seed).normal(0, 8000, 16000).clip(-32768, 32767).astype(np.int16)
    assert Decoder().feed_pcm(loud) == []
