"""The local detector: mu-law in, starts and stops out. The voices here are vowels, made on the spot."""

from __future__ import annotations

import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lineside.audio import mulaw
from lineside.errors import SettingsError
from lineside.events import SpeechStarted, SpeechStopped
from lineside.hearing.vad import Background, Detector, DetectorOptions
from lineside.standin.recogniser import sounds

RATE = 8000
FRAME = 160
USUAL = DetectorOptions()


def vowel(seconds: float, dbfs: float = -22.0, *, pitch: float = 130.0, syllables: float = 0.0) -> bytes:
    """An "ah": overtones of a pitch under two formants; with syllables, it comes and goes so many times a second."""
    at = np.arange(round(seconds * RATE)) / RATE
    wave = np.zeros(len(at))
    for hz in np.arange(pitch, 3400, pitch):
        gain = 1 / (1 + ((hz - 700) / 120) ** 2) + 0.5 / (1 + ((hz - 1200) / 150) ** 2)
        wave += gain * np.sin(2 * np.pi * hz * at + hz)
    if syllables:
        wave *= np.clip(1.5 * np.sin(2 * np.pi * syllables * at) + 0.3, 0.0, 1.0)
    wave *= 32768 * 10 ** (dbfs / 20) / np.sqrt(np.mean(wave**2))
    return mulaw.encode(np.rint(wave).clip(-32768, 32767).astype(np.int16))


def line(seconds: float) -> bytes:
    """A quiet line: noise at -70 dB."""
    return sounds.noise(seconds, -70.0, seed=5)


def events(detector: Detector, audio: bytes) -> list[tuple[int, object]]:
    """What was told, and at how many ms of this audio."""
    told = ((at // 8 + 20, detector.feed(audio[at : at + FRAME])) for at in range(0, len(audio), FRAME))
    return [(at_ms, event) for at_ms, event in told if event]


def starts(audio: bytes, options: DetectorOptions = USUAL) -> int:
    return sum(event == SpeechStarted() for _, event in events(Detector(options), audio))


def test_a_voice_starts_speech_and_its_end_stops_it() -> None:
    audio = line(1.0) + vowel(1.0, syllables=4) + line(1.0)
    (started_at, started), (stopped_at, stopped) = events(Detector(), audio)
    assert (started, stopped) == (SpeechStarted(), SpeechStopped())
    assert 1080 <= started_at <= 1150
    assert 2000 + 200 <= stopped_at <= 2000 + 340


def test_nobody_speaks_on_a_quiet_line_or_in_digital_silence() -> None:
    assert starts(line(5.0)) == 0
    assert starts(sounds.silence(5.0)) == 0


def test_speaking_holds_from_the_start_to_the_stop() -> None:
    detector = Detector()
    detector.feed(line(1.0))
    assert not detector.speaking
    assert detector.feed(vowel(0.5)) == SpeechStarted()
    assert detector.speaking
    assert detector.feed(line(0.28)) is None
    assert detector.speaking
    assert detector.feed(line(0.04)) == SpeechStopped()
    assert not detector.speaking


@pytest.mark.parametrize("seed", range(5))
def test_a_cough_is_no_speech(seed: int) -> None:
    assert starts(line(1.0) + sounds.cough(seed=seed) + line(1.0)) == 0


@pytest.mark.parametrize("ms", [1, 20, 60, 100, 140])
def test_a_click_or_a_short_noise_is_no_speech(ms: int) -> None:
    assert starts(line(1.0) + sounds.noise(ms / 1000, -15.0) + line(1.0)) == 0


def test_a_voice_that_is_shorter_than_the_onset_is_no_speech() -> None:
    assert starts(line(1.0) + vowel(0.06) + line(1.0)) == 0


@pytest.mark.parametrize("dbfs", [-50.0, -35.0, -20.0])
def test_steady_noise_is_no_speech(dbfs: float) -> None:
    assert starts(sounds.noise(10.0, dbfs)) == 0


def test_noise_that_sets_in_is_no_speech() -> None:
    assert starts(line(2.0) + sounds.noise(5.0, -25.0)) == 0


def test_a_voice_is_heard_through_noise_that_is_15_db_quieter() -> None:
    audio = sounds.mix(sounds.noise(4.0, -37.0), line(2.0) + vowel(1.0, syllables=4))
    found = events(Detector(), audio)
    assert [event for _, event in found] == [SpeechStarted(), SpeechStopped()]
    assert found[0][0] <= 2200


def test_a_voice_is_heard_though_noise_was_there_from_the_first_sample() -> None:
    assert starts(sounds.mix(sounds.noise(1.5, -37.0), line(0.3) + vowel(1.0))) == 1


def test_a_sound_without_a_gap_is_background_in_the_end() -> None:
    found = events(Detector(), line(1.0) + vowel(8.0))
    assert [event for _, event in found] == [SpeechStarted(), SpeechStopped()]
    assert found[1][0] <= 5000


def test_long_speech_is_not_taken_for_background() -> None:
    found = events(Detector(), line(1.0) + vowel(20.0, syllables=4))
    assert [event for _, event in found] == [SpeechStarted()]


def test_background_that_was_learnt_is_forgotten_when_it_is_gone() -> None:
    detector = Detector()
    events(detector, sounds.noise(5.0, -25.0) + line(8.0))
    assert len(events(detector, vowel(1.0, -35.0))) == 1


def test_music_on_hold_is_mostly_no_speech() -> None:
    detector = Detector()
    events(detector, sounds.music(10.0, -32.0))
    assert len(events(detector, sounds.music(20.0, -32.0))) <= 2


def test_the_hangover_is_a_setting() -> None:
    audio = line(1.0) + vowel(0.5) + line(2.0)
    short, long = (events(Detector(DetectorOptions(hangover_ms=ms)), audio)[1][0] for ms in (200, 600))
    assert long - short == 400


def test_a_pause_shorter_than_the_hangover_is_no_stop() -> None:
    audio = line(1.0) + vowel(0.5) + line(0.2) + vowel(0.5)
    assert [event for _, event in events(Detector(), audio)] == [SpeechStarted()]


def test_a_longer_onset_tells_later() -> None:
    audio = line(1.0) + vowel(1.0)
    soon, late = (events(Detector(DetectorOptions(onset_ms=ms)), audio)[0][0] for ms in (60, 200))
    assert late - soon == 140


def test_a_wider_margin_leaves_quiet_voices_out() -> None:
    audio = sounds.mix(sounds.noise(4.0, -40.0), line(2.0) + vowel(1.0, -32.0))
    assert starts(audio) == 1
    assert starts(audio, DetectorOptions(margin_db=11.5)) == 0


def test_noise_that_cuts_holes_into_a_start_does_not_hide_it() -> None:
    holed = (vowel(0.06) + line(0.02)) * 3
    assert starts(line(1.0) + holed + line(1.0)) == 1


def test_a_quiet_voice_is_heard_at_once_on_a_quiet_line() -> None:
    found = events(Detector(), line(0.06) + vowel(0.3, -48.0))
    assert found
    assert found[0][0] <= 240


def test_a_voice_is_heard_from_the_first_sample_of_a_call() -> None:
    assert starts(vowel(1.0)) == 1


def test_what_can_hardly_be_heard_is_background_even_in_digital_silence() -> None:
    background = Background(4.5)
    assert not any(background.exceeded(-90.0, speaking=False) for _ in range(100))
    assert not background.exceeded(-60.0, speaking=False)
    assert background.exceeded(-50.0, speaking=False)


def test_background_that_varies_and_becomes_louder_is_given_up() -> None:
    found = events(Detector(), line(2.0) + sounds.babble(30.0, -32.0))
    spans = [at_ms for at_ms, _ in found]
    assert sum(stop - start for start, stop in zip(spans[::2], [*spans[1::2], 32_000], strict=False)) < 15_000


def test_speech_that_was_taken_for_background_is_made_good_while_somebody_speaks() -> None:
    detector = Detector()
    events(detector, line(2.0) + vowel(2.2, -20.0) + line(0.2))
    quieter = events(detector, vowel(3.0, -30.0, syllables=3))
    assert [event for _, event in quieter] == [SpeechStarted()]


def test_a_voice_is_heard_over_a_background_that_varies_much() -> None:
    background = (sounds.noise(0.2, -35.0) + sounds.noise(0.3, -60.0, seed=1)) * 24
    detector = Detector()
    events(detector, background)
    assert len(events(detector, vowel(0.5, -18.0))) == 1


def test_what_webrtc_does_not_call_speech_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    class Deaf:
        def __init__(self, mode: int) -> None: ...

        def is_speech(self, pcm: bytes, rate: int) -> bool:
            assert (len(pcm), rate) == (2 * FRAME, RATE)
            return False

    monkeypatch.setattr("webrtcvad.Vad", Deaf)
    assert starts(line(1.0) + vowel(1.0)) == 0


def test_at_its_start_the_last_speech_is_now() -> None:
    detector = Detector()
    audio = line(1.0) + vowel(1.0)
    begins = next(at for at in range(0, len(audio), FRAME) if detector.feed(audio[at : at + FRAME]))
    assert begins < 1200 * 8
    assert detector.since_speech_ms == 0


def test_how_long_ago_speech_ended_is_known_to_a_frame_or_two() -> None:
    detector = Detector()
    detector.feed(line(1.0) + vowel(0.5))
    assert detector.since_speech_ms <= 20
    detector.feed(line(0.2))
    assert 160 <= detector.since_speech_ms <= 200
    detector.feed(line(2.0))
    assert 2160 <= detector.since_speech_ms <= 2200


def test_before_any_speech_all_audio_counts() -> None:
    detector = Detector()
    detector.feed(line(1.0))
    assert detector.since_speech_ms == 1000
    detector.feed(sounds.cough() + line(0.01))
    assert detector.since_speech_ms == 1410


def test_half_a_frame_counts_before_it_is_judged() -> None:
    detector = Detector()
    detector.feed(line(0.010))
    assert detector.since_speech_ms == 10


AUDIO = line(0.5) + vowel(0.4) + line(0.6) + vowel(0.3) + line(0.1)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, len(AUDIO)), max_size=30))
def test_however_audio_is_cut_it_means_the_same(cuts: list[int]) -> None:
    whole, pieces = Detector(), Detector()
    whole.feed(AUDIO)
    for begin, end in pairwise([0, *sorted(cuts), len(AUDIO)]):
        pieces.feed(AUDIO[begin:end])
    assert (pieces.speaking, pieces.since_speech_ms) == (whole.speaking, whole.since_speech_ms)


def test_a_piece_tells_what_has_changed_by_its_end() -> None:
    assert Detector().feed(AUDIO) == SpeechStarted()
    assert Detector().feed(line(0.5) + vowel(0.4) + line(0.6)) is None


def test_two_calls_share_nothing() -> None:
    one, other = Detector(), Detector()
    one.feed(line(0.5) + vowel(0.4))
    assert (one.speaking, other.speaking, other.since_speech_ms) == (True, False, 0)


def test_without_its_wheel_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "webrtcvad", None)
    with pytest.raises(SettingsError, match=r"pip install 'lineside\[vad\]'"):
        Detector()


@pytest.mark.parametrize("bad", [{"onset_ms": 19}, {"hangover_ms": 0}, {"margin_db": 0.0}])
def test_an_option_that_cannot_work_is_named(bad: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=next(iter(bad))):
        DetectorOptions(**bad)  # type: ignore[arg-type]
