"""The resampler and the encoder around it: the same bytes however they are cut, at the right moment, to the end."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lineside.audio import mulaw
from lineside.audio.formats import CARRIER_FORMAT, RATES, AudioFormat
from lineside.audio.resample import HALF_LENGTH, UNITY, Encoder, Resampler, _design
from lineside.errors import SettingsError

Pcm = NDArray[np.int16]

RATE = st.sampled_from(RATES)
CUTS = st.lists(st.one_of(st.integers(0, 3), st.integers(0, 200), st.sampled_from([160, 441, 882, 960, 2400])))


def noise(n: int, seed: int = 0, peak: int = 32767) -> Pcm:
    return np.random.default_rng(seed).integers(-peak, peak, n, endpoint=True).astype(np.int16)


def tone(rate: int, hz: float, seconds: float, peak: float = 16000) -> Pcm:
    return np.rint(peak * np.sin(2 * np.pi * hz / rate * np.arange(round(seconds * rate)))).astype(np.int16)


def resampled(pcm: Pcm, rate: int) -> Pcm:
    resampler = Resampler(rate)
    return np.concatenate((resampler.push(pcm), resampler.flush()))


def pieces(pcm: Pcm, sizes: list[int]) -> list[Pcm]:
    return np.split(pcm, np.minimum(np.cumsum(sizes, dtype=int), len(pcm)))


# -- the cut does not matter -----------------------------------------------------------------------------------------


@given(rate=RATE, n=st.integers(0, 3000), sizes=CUTS, seed=st.integers(0, 9))
def test_any_cut_into_chunks_gives_the_same_samples(rate: int, n: int, sizes: list[int], seed: int) -> None:
    pcm = noise(n, seed)
    resampler = Resampler(rate)
    parts = [resampler.push(piece) for piece in pieces(pcm, sizes)]
    assert np.concatenate((*parts, resampler.flush())).tobytes() == resampled(pcm, rate).tobytes()


@pytest.mark.parametrize("rate", RATES)
def test_single_samples_give_what_one_chunk_gives(rate: int) -> None:
    pcm = noise(rate // 20)
    resampler = Resampler(rate)
    parts = [resampler.push(pcm[i : i + 1]) for i in range(len(pcm))]
    assert np.concatenate((*parts, resampler.flush())).tobytes() == resampled(pcm, rate).tobytes()


@pytest.mark.parametrize("rate", RATES)
def test_ten_seconds_in_frames_give_what_one_chunk_gives(rate: int) -> None:
    pcm = noise(10 * rate)
    resampler = Resampler(rate)
    parts = [resampler.push(piece) for piece in np.split(pcm, 500)]
    assert np.concatenate((*parts, resampler.flush())).tobytes() == resampled(pcm, rate).tobytes()


@pytest.mark.parametrize("rate", RATES)
def test_no_click_where_chunks_meet(rate: int) -> None:
    """A tone's samples differ from the next by no more than its steepest slope, at borders as elsewhere."""
    resampler = Resampler(rate)
    pcm = tone(rate, 400, 0.5, peak=16000)
    out = np.concatenate([resampler.push(piece) for piece in pieces(pcm, [37] * (len(pcm) // 37))])
    steepest = 16000 * 2 * np.pi * 400 / 8000
    assert np.abs(np.diff(out[20:].astype(int))).max() <= steepest * 1.01


# -- how many samples come out ---------------------------------------------------------------------------------------


@given(rate=RATE, n=st.integers(0, 5000), sizes=CUTS)
def test_in_all_as_many_samples_come_as_the_time_holds(rate: int, n: int, sizes: list[int]) -> None:
    resampler = Resampler(rate)
    n_out = sum(len(resampler.push(piece)) for piece in pieces(np.zeros(n, np.int16), sizes))
    n_out += len(resampler.flush())
    assert n_out == round(n * 8000 / rate) == round(Fraction(n * 8000, rate))


@pytest.mark.parametrize("rate", RATES)
def test_a_second_becomes_8000_samples(rate: int) -> None:
    assert len(resampled(noise(rate), rate)) == 8000


@given(rate=RATE, n=st.integers(0, 5000))
def test_no_more_is_withheld_than_the_delay(rate: int, n: int) -> None:
    resampler = Resampler(rate)
    n_out = len(resampler.push(np.zeros(n, np.int16)))
    # Whatever lies further back than the delay came out: the next output needs input that is not there yet.
    assert Fraction(n_out, 8000) >= Fraction(n, rate) - Fraction(resampler.delay).limit_denominator(rate)


@pytest.mark.parametrize("rate", RATES)
def test_the_delay_is_at_most_two_ms(rate: int) -> None:
    assert Resampler(rate).delay == pytest.approx(0 if rate == 8000 else HALF_LENGTH, abs=0.00005)
    assert Resampler(rate).delay <= 0.002


def test_nothing_in_gives_nothing_out() -> None:
    for rate in RATES:
        resampler = Resampler(rate)
        assert resampler.push(np.zeros(0, np.int16)).shape == (0,)
        assert resampler.flush().shape == (0,)


# -- what comes out --------------------------------------------------------------------------------------------------


def test_8000_hz_passes_through() -> None:
    pcm = noise(1000)
    resampler = Resampler(8000)
    assert resampler.push(pcm).tobytes() == pcm.tobytes()
    assert len(resampler.flush()) == 0


@pytest.mark.parametrize("rate", RATES)
def test_no_sum_of_taps_and_samples_is_ever_rounded(rate: int) -> None:
    """What makes the output the same whatever adds it up: whole numbers that a float holds exactly, in any order."""
    taps = _design(rate).taps
    assert (taps == np.rint(taps)).all()
    assert np.abs(taps).sum(axis=1).max() * 32768 < 2**53


@pytest.mark.parametrize("rate", RATES)
def test_each_row_of_taps_adds_up_to_exactly_one(rate: int) -> None:
    assert set(_design(rate).taps.sum(axis=1).tolist()) == {UNITY}


@pytest.mark.parametrize("rate", RATES)
def test_a_steady_level_comes_out_exactly(rate: int) -> None:
    out = resampled(np.full(rate // 4, 12345, np.int16), rate)
    assert set(out[20:-20].tolist()) == {12345}


@pytest.mark.parametrize("hz", [200, 440, 1000, 2500, 3200])
@pytest.mark.parametrize("rate", RATES)
def test_a_tone_comes_out_as_the_same_tone_at_the_same_moment(rate: int, hz: int) -> None:
    """Against the tone as it would be at 8 kHz, sample for sample: pitch, loudness, phase and position in one."""
    out = resampled(tone(rate, hz, 0.25), rate).astype(float)
    ideal = 16000 * np.sin(2 * np.pi * hz / 8000 * np.arange(2000))
    error = (out - ideal)[20:-20]
    snr_db = 10 * np.log10(np.mean(ideal**2) / np.mean(error**2))
    assert snr_db > (45 if hz == 3200 else 60)  # 45: the band's edge is 0.03 dB down


@pytest.mark.parametrize("hz", [4600, 5000, 7000])
def test_a_tone_too_high_for_the_line_leaves_nothing(hz: int) -> None:
    out = resampled(tone(48000, hz, 0.25), 48000)[20:-20].astype(float)
    assert np.sqrt(np.mean(out**2)) < 16000 / np.sqrt(2) / 1000


@pytest.mark.parametrize("at", [0, 8, 80, 399, 400])
@pytest.mark.parametrize("rate", RATES)
def test_an_impulse_comes_out_at_its_own_moment(rate: int, at: int) -> None:
    n = round(0.1 * rate)
    place = Fraction(at * rate, 8000)
    pcm = np.zeros(n, np.int16)
    pcm[round(place)] = 30000
    out = resampled(pcm, rate)
    assert int(np.argmax(np.abs(out))) == at


@pytest.mark.parametrize("rate", [rate for rate in RATES if rate % 8000 == 0])
def test_an_impulse_rings_alike_on_both_sides(rate: int) -> None:
    pcm = np.zeros(rate // 10, np.int16)
    pcm[rate // 20] = 30000
    out = resampled(pcm, rate)
    assert out[400:].tolist()[:30] == out[400::-1].tolist()[:30]


@pytest.mark.parametrize("rate", RATES)
def test_the_last_millisecond_is_not_lost(rate: int) -> None:
    pcm = np.zeros(rate // 10, np.int16)
    pcm[-rate // 1000 :] = 20000
    resampler = Resampler(rate)
    out = np.concatenate((resampler.push(pcm), resampler.flush()))
    assert len(out) == 800
    assert np.min(out[-6:]) > 9000
    assert np.abs(out[:-25]).max() == 0


def test_too_loud_is_limited_not_wrapped() -> None:
    """A full-scale square wave overshoots at its edges: there the output stays at the limit, with the right sign."""
    square = np.where(np.arange(4800) // 120 % 2, -32768, 32767).astype(np.int16)
    out = resampled(square, 48000)
    assert np.max(out) == 32767
    assert np.min(out) == -32768
    middles = out.reshape(-1, 20)[1:-1, 5:15]
    assert (np.sign(middles) == np.sign(middles[:, :1])).all()
    assert np.abs(middles.astype(int)).min() > 29000


@pytest.mark.parametrize("level", [1, -1, 7, -7])
def test_small_levels_are_rounded_to_nearest_and_not_down(level: int) -> None:
    out = resampled(np.full(4410, level, np.int16), 44100)
    assert set(out[20:-20].tolist()) == {level}


def test_rounding_adds_no_offset() -> None:
    out = resampled(noise(480_000, peak=3), 48000).astype(float)
    assert abs(out.mean()) < 0.02


def test_the_output_belongs_to_the_caller() -> None:
    for rate in RATES:
        resampler = Resampler(rate)
        pcm = noise(2000)
        first = resampler.push(pcm)
        before = first.copy()
        first[:] = 0
        again = Resampler(rate)
        again.push(pcm)
        assert resampler.push(pcm).tobytes() == again.push(pcm).tobytes()
        assert before.any()


def test_the_input_is_not_kept() -> None:
    buffer = noise(960)
    resampler, other = Resampler(48000), Resampler(48000)
    resampler.push(buffer)
    other.push(buffer.copy())
    buffer[:] = 0
    assert resampler.push(noise(960, 1)).tobytes() == other.push(noise(960, 1)).tobytes()


def test_input_may_be_a_read_only_view_of_bytes() -> None:
    data = noise(960).tobytes()
    assert resampled(np.frombuffer(data, "<i2"), 48000).tobytes() == resampled(noise(960), 48000).tobytes()


# -- one stream after another ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", RATES)
def test_after_a_flush_the_next_stream_starts_clean(rate: int) -> None:
    resampler = Resampler(rate)
    resampler.push(noise(1237))
    resampler.flush()
    second = noise(2000, seed=1)
    assert np.concatenate((resampler.push(second), resampler.flush())).tobytes() == resampled(second, rate).tobytes()


@pytest.mark.parametrize("rate", RATES)
def test_a_reset_forgets_all(rate: int) -> None:
    resampler = Resampler(rate)
    resampler.push(noise(1237))
    resampler.reset()
    assert len(resampler.flush()) == 0
    second = noise(2000, seed=1)
    assert np.concatenate((resampler.push(second), resampler.flush())).tobytes() == resampled(second, rate).tobytes()


def test_two_streams_share_nothing_but_the_filter() -> None:
    one, other = Resampler(22050), Resampler(22050)
    pcm = noise(4410)
    mixed = []
    for piece in np.split(pcm, 10):
        mixed.append(one.push(piece))
        other.push(piece[::-1])
    assert np.concatenate((*mixed, one.flush())).tobytes() == resampled(pcm, 22050).tobytes()


@pytest.mark.parametrize("rate", [0, 7999, 11025, 96000, -8000])
def test_an_unknown_rate_is_refused(rate: int) -> None:
    with pytest.raises(SettingsError, match=f"not {rate}"):
        Resampler(rate)


async def test_nothing_here_blocks_a_loop() -> None:
    encoder = Encoder(AudioFormat("linear16", 44100))
    before = asyncio.get_running_loop().time()
    assert len(encoder.push(noise(44100).tobytes())) + len(encoder.flush()) == 8000
    assert asyncio.get_running_loop().time() == before


# -- the encoder -----------------------------------------------------------------------------------------------------


def encoded(data: bytes, audio: AudioFormat) -> bytes:
    encoder = Encoder(audio)
    return encoder.push(data) + encoder.flush()


def test_mulaw_goes_through_as_the_same_object() -> None:
    encoder = Encoder(CARRIER_FORMAT)
    data = bytes(range(256))
    assert encoder.push(data) is data
    assert encoder.push(b"") == b""
    assert encoder.flush() == b""


def test_linear16_at_8000_hz_is_only_encoded() -> None:
    pcm = noise(500)
    assert encoded(pcm.tobytes(), AudioFormat("linear16", 8000)) == mulaw.encode(pcm)


@pytest.mark.parametrize("rate", RATES)
def test_linear16_is_resampled_and_encoded(rate: int) -> None:
    pcm = noise(rate // 10)
    assert encoded(pcm.astype("<i2").tobytes(), AudioFormat("linear16", rate)) == mulaw.encode(resampled(pcm, rate))


@given(rate=RATE, data=st.binary(max_size=3000), sizes=CUTS)
def test_any_cut_into_bytes_gives_the_same_mulaw(rate: int, data: bytes, sizes: list[int]) -> None:
    """Odd cuts too: they leave half a sample behind, which the next chunk completes."""
    encoder = Encoder(AudioFormat("linear16", rate))
    ends = np.minimum(np.cumsum([0, *sizes, len(data)], dtype=int), len(data)).tolist()
    parts = [encoder.push(data[start:end]) for start, end in pairwise(ends)]
    assert b"".join(parts) + encoder.flush() == encoded(data, AudioFormat("linear16", rate))


def test_single_bytes_give_what_one_chunk_gives() -> None:
    data = noise(600).tobytes()
    encoder = Encoder(AudioFormat("linear16", 24000))
    parts = [encoder.push(data[i : i + 1]) for i in range(len(data))]
    assert b"".join(parts) + encoder.flush() == encoded(data, AudioFormat("linear16", 24000))


def test_half_a_sample_at_the_end_is_no_sound() -> None:
    data = noise(480).tobytes()
    audio = AudioFormat("linear16", 48000)
    assert encoded(data + b"\x7f", audio) == encoded(data, audio)


def test_half_a_sample_does_not_leak_into_the_next_stream() -> None:
    data = noise(480).tobytes()
    audio = AudioFormat("linear16", 48000)
    encoder = Encoder(audio)
    encoder.push(b"\x01\x02\x03")
    encoder.flush()
    assert encoder.push(data) + encoder.flush() == encoded(data, audio)
    encoder.push(b"\x01\x02\x03")
    encoder.reset()
    assert encoder.push(data) + encoder.flush() == encoded(data, audio)


def test_a_reset_leaves_nothing_to_flush() -> None:
    encoder = Encoder(AudioFormat("linear16", 16000))
    encoder.push(noise(320).tobytes())
    encoder.reset()
    assert encoder.flush() == b""
    passthrough = Encoder(CARRIER_FORMAT)
    passthrough.reset()
    assert passthrough.push(b"\x12") == b"\x12"


@pytest.mark.parametrize("rate", RATES)
def test_digital_silence_becomes_ff(rate: int) -> None:
    assert encoded(bytes(2 * rate // 50), AudioFormat("linear16", rate)) == b"\xff" * 160


def test_the_first_frame_of_a_stream_comes_but_for_the_delay() -> None:
    """20 ms in, 20 ms less the look-ahead out: nothing waits for a full frame."""
    encoder = Encoder(AudioFormat("linear16", 24000))
    assert len(encoder.push(bytes(960))) == 160 - 12  # 1.5 ms
    assert len(encoder.push(bytes(960))) == 160
    assert len(encoder.flush()) == 12
