"""The voice whose words a recogniser understands."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from lineside.audio import mulaw
from lineside.standin.recogniser.modem import Decoder, encode
from lineside.standin.recogniser.scripted_room import Room
from lineside.standin.recogniser.sounds import silence
from lineside.standin.recogniser.undertone import voiced
from lineside.standin.spoken import SpokenVoice

TEXT = "Hello there, Anna. It's 2 o'clock!"
WORDS = ["Hello", "there", "Anna", "It's", "2", "o'clock"]
AGENT = "your order left our warehouse on monday morning and should reach you within three working days " * 2
CALLER = ["i", "would", "like", "to", "cancel"]
FRAME = 160


def read(audio: bytes) -> list[str]:
    return [word.text for word in Decoder().feed(audio + silence(0.2))]


def through(room: Room, voice: bytes, played: bytes) -> bytes:
    """What the microphone takes up of a caller while the phone plays something else."""
    starts = range(0, len(played) - FRAME + 1, FRAME)
    voice = voice.ljust(len(played), silence(1)[:1])
    return b"".join(room.mix(voice[at : at + FRAME], played[at : at + FRAME]) for at in starts)


def agent(*, low_notes: bool = False) -> bytes:
    return SpokenVoice(voiced=low_notes).speak(AGENT).audio("mulaw", 8000) + silence(0.1)


# -- the voice -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("speed", [0.7, 1.0, 1.4])
def test_every_word_is_understood_and_sounds_when_its_time_says(speed: float) -> None:
    rendering = SpokenVoice().speak(TEXT, speed)
    assert read(rendering.audio("mulaw", 8000)) == WORDS
    assert [TEXT[word.start_char : word.end_char] for word in rendering.words] == WORDS
    for word in rendering.words:
        first, last = round(word.start_s * 8000), round(word.end_s * 8000)
        assert read(mulaw.encode(rendering.pcm[first:last])) == [TEXT[word.start_char : word.end_char]]


def test_it_pauses_for_commas_and_longer_for_the_ends_of_sentences() -> None:
    words = SpokenVoice().speak("One, two. three four.").words
    gaps = [after.start_s - before.end_s for before, after in pairwise(words)]
    assert gaps == pytest.approx([0.1, 0.3, 0.0])
    assert len(SpokenVoice().speak("four.").pcm) == len(SpokenVoice().speak("four").pcm) + 2400


def test_a_faster_voice_takes_less_time() -> None:
    slow, fast = (len(SpokenVoice().speak(AGENT, speed).pcm) for speed in (0.7, 1.4))
    assert slow / fast == pytest.approx(2.0, rel=0.1)


def test_text_without_a_word_is_silence_and_a_word_too_long_is_cut() -> None:
    assert not np.any(SpokenVoice().speak(" ... ").pcm)
    assert len(SpokenVoice().speak("").pcm) == 0
    assert read(SpokenVoice().speak("é" * 30).audio("mulaw", 8000)) == ["é" * 20]


def test_the_voice_is_understood_from_audio_at_other_rates_too() -> None:
    pcm = np.frombuffer(SpokenVoice().speak(TEXT).audio("linear16", 24000), "<i2")
    assert read(mulaw.encode(pcm[::3].astype(np.int16))) == WORDS  # band-limited already


# -- its echo ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("echo_db", [-10, -20, -30])
def test_the_echo_comes_back_as_the_agent_s_own_words(echo_db: float) -> None:
    played = agent(low_notes=True)
    assert read(through(Room(echo_db=echo_db), b"", agent())) == AGENT.split()
    assert read(through(Room(echo_db=echo_db, noise_db=echo_db - 29), b"", played)) == AGENT.split()


@pytest.mark.parametrize("low_notes", [False, True])
@pytest.mark.parametrize("echo_db", [-10, -20, -30])
def test_the_caller_over_the_echo_is_understood_and_the_echo_under_the_caller_is_not(
    echo_db: float, low_notes: bool
) -> None:
    played = agent(low_notes=low_notes)
    said = encode(" ".join(CALLER))
    said = voiced(said) if low_notes else said
    for offset in range(0, 2400, 790):  # of the caller's words against the agent's
        room = Room(echo_db=echo_db, noise_db=-50)
        voice = silence(1) + bytes([0xFF]) * offset + said
        heard = [word for word in Decoder().feed(through(room, voice, played)) if word.start_s >= 0.95]
        during = [word.text for word in heard if word.end_s <= len(voice) / 8000 + 0.02]
        assert during == CALLER


def test_nobody_is_understood_where_both_are_equally_loud() -> None:
    voice = silence(1) + encode(" ".join(CALLER))
    heard = Decoder().feed(through(Room(echo_db=-3.5), voice, agent()))
    assert [word.text for word in heard if word.start_s >= 1.0 and word.end_s <= len(voice) / 8000] == []
