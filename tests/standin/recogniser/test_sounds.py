"""What else is to be heard, and the room that it is heard in."""

from __future__ import annotations

import numpy as np
import pytest

from lineside.audio import mulaw
from lineside.standin.recogniser.modem import encode
from lineside.standin.recogniser.scripted_room import Room
from lineside.standin.recogniser.sounds import babble, cough, mix, music, noise, quieter, silence
from standin.recogniser.test_modem import dbfs, read


@pytest.mark.parametrize(
    ("sound", "level", "seconds"), [(cough(), -15, 0.4), (noise(3), -30, 3), (music(5), -25, 5), (babble(5), -25, 5)]
)
def test_a_sound_has_its_level_and_no_word(sound: bytes, level: float, seconds: float) -> None:
    assert dbfs(sound) == pytest.approx(level, abs=0.3)
    assert len(sound) == seconds * 8000
    assert read(sound) == ([], [])


def test_a_level_can_be_chosen() -> None:
    for make in (noise, music, babble):
        assert dbfs(make(2.0, -33.0)) == pytest.approx(-33, abs=0.3)
    assert dbfs(cough(-20)) == pytest.approx(-20, abs=0.3)


def test_noise_differs_by_seed_alone() -> None:
    assert noise(0.1, seed=1) == noise(0.1, seed=1)
    assert noise(0.1, seed=1) != noise(0.1, seed=2)


def test_silence_is_the_silence_of_a_telephone() -> None:
    assert silence(0.02) == b"\xff" * 160


def test_crosstalk_at_half_the_level_still_speaks() -> None:
    aside = quieter(encode("turn it down"), 12)
    assert dbfs(aside) == pytest.approx(-27, abs=0.3)
    assert read(aside) == (["turn", "it", "down"], [])


def test_a_mix_is_as_long_as_its_longest_and_adds_up() -> None:
    mixed = mulaw.decode(mix(encode("yes"), silence(1), noise(0.1, -40)))
    assert len(mixed) == 8000
    assert mix() == b""
    assert read(mix(encode("yes"), music(1))) == (["yes"], [])


def test_a_silent_room_changes_nothing() -> None:
    room = Room()
    assert room.silent
    frame = bytes(range(160))
    assert room.mix(frame, b"") is frame


def test_a_room_adds_the_echo_at_its_level() -> None:
    room = Room(echo_db=-20)
    assert room.echoes
    played = encode("hello")[:160]
    echo = mulaw.decode(room.mix(silence(0.02), played))
    assert np.allclose(echo, mulaw.decode(played) / 10, atol=40)


def test_a_room_adds_noise_of_its_level_that_never_repeats() -> None:
    room = Room(noise_db=-40, seed=3)
    frames = [room.mix(silence(0.02), b"") for _ in range(100)]
    assert dbfs(b"".join(frames)) == pytest.approx(-40, abs=0.5)
    assert len(set(frames)) == 100


def test_a_rooms_background_goes_round() -> None:
    background = encode("la")[:400]
    room = Room(background=background)
    heard = b"".join(room.mix(silence(0.02), b"") for _ in range(10))
    assert heard == (background * 4)[:1600]


def test_too_much_of_everything_is_clipped_and_no_worse() -> None:
    room = Room(echo_db=0, background=bytes([0x00]) * 160)
    loud = bytes([0x00]) * 160  # the lowest sample
    assert room.mix(loud, loud) == loud
