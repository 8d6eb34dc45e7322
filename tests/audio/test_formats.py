"""What formats exist, and how long so many bytes last."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineside.audio import formats
from lineside.audio.formats import CARRIER_FORMAT, FRAME_BYTES, FRAME_MS, MULAW_RATE, RATES, SILENCE, AudioFormat
from lineside.errors import SettingsError

FORMATS = st.sampled_from([CARRIER_FORMAT, *(AudioFormat("linear16", rate) for rate in RATES)])


def test_a_frame_is_160_bytes_of_mulaw() -> None:
    assert (MULAW_RATE, FRAME_MS, FRAME_BYTES, SILENCE) == (8000, 20, 160, b"\xff")
    assert CARRIER_FORMAT.bytes_in_ms(FRAME_MS) == FRAME_BYTES


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 24000, 32000, 44100, 48000])
def test_linear16_comes_at_every_rate_that_a_provider_offers(rate: int) -> None:
    audio = AudioFormat("linear16", rate)
    assert audio.seconds(2 * rate) == 1.0
    assert audio.sample_bytes == 2


def test_every_rate_that_can_be_configured_is_listed() -> None:
    assert formats.RATES == (8000, 16000, 22050, 24000, 32000, 44100, 48000)


@pytest.mark.parametrize("rate", [0, -8000, 7999, 11025, 12000, 96000, 16000.5])
def test_an_odd_rate_is_refused_and_the_message_lists_the_rates(rate: Any) -> None:
    with pytest.raises(SettingsError, match=r"8000, 16000, 22050, .* not " + str(rate)):
        AudioFormat("linear16", rate)


def test_mulaw_at_another_rate_than_the_carriers_is_refused() -> None:
    with pytest.raises(SettingsError, match="mulaw audio must have 8000 Hz, not 16000"):
        AudioFormat("mulaw", 16000)


@pytest.mark.parametrize("encoding", ["alaw", "mp3", "", "MULAW"])
def test_an_encoding_that_we_cannot_carry_is_refused(encoding: Any) -> None:
    with pytest.raises(SettingsError, match=f"mulaw, linear16, not '{encoding}'"):
        AudioFormat(encoding, 8000)


def test_a_format_is_a_value() -> None:
    assert AudioFormat("mulaw", 8000) == CARRIER_FORMAT
    assert len({AudioFormat("mulaw", 8000), CARRIER_FORMAT}) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        CARRIER_FORMAT.rate = 16000  # type: ignore[misc]


@pytest.mark.parametrize(
    ("audio", "n_bytes", "ms"),
    [
        (AudioFormat("mulaw", 8000), 0, 0),
        (AudioFormat("mulaw", 8000), 159, 19),
        (AudioFormat("mulaw", 8000), 160, 20),
        (AudioFormat("linear16", 8000), 160, 10),
        (AudioFormat("linear16", 24000), 37894, 789),  # 789.46
        (AudioFormat("linear16", 44100), 88200, 1000),
        (AudioFormat("linear16", 22050), 44, 0),  # 0.998
        (AudioFormat("linear16", 16000), 33, 1),  # half a sample over
    ],
)
def test_bytes_last_whole_ms_rounded_down(audio: AudioFormat, n_bytes: int, ms: int) -> None:
    assert audio.ms(n_bytes) == ms


def test_half_a_sample_lasts_nothing() -> None:
    audio = AudioFormat("linear16", 8000)
    assert audio.seconds(1) == 0
    assert audio.seconds(3) == 1 / 8000


def test_bytes_of_a_time_are_whole_samples() -> None:
    assert AudioFormat("linear16", 22050).bytes_in(0.001) == 44  # 22.05 samples
    assert AudioFormat("linear16", 22050).bytes_in_ms(20) == 882
    assert AudioFormat("linear16", 44100).bytes_in_ms(1) == 88  # 44.1 samples
    assert CARRIER_FORMAT.bytes_in(1.5) == 12000
    assert CARRIER_FORMAT.bytes_in(0.00007) == 1  # 0.56 of a sample


@given(audio=FORMATS, n_samples=st.integers(0, 10**8))
def test_seconds_and_bytes_undo_each_other(audio: AudioFormat, n_samples: int) -> None:
    n_bytes = n_samples * audio.sample_bytes
    assert audio.bytes_in(audio.seconds(n_bytes)) == n_bytes


@given(audio=FORMATS, ms=st.integers(0, 10**7))
def test_the_bytes_of_a_time_never_last_longer(audio: AudioFormat, ms: int) -> None:
    n_bytes = audio.bytes_in_ms(ms)
    assert ms - 1 <= audio.ms(n_bytes) <= ms
    assert n_bytes % audio.sample_bytes == 0
