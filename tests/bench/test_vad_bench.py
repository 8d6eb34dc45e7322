"""How the bench of the local detector reckons, and that the detector stays what it was measured to be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lineside.audio import mulaw
from lineside.bench.vad import (
    HEADINGS,
    Figures,
    Loudness,
    bursts,
    conversation,
    noises,
    score,
    sentences,
    shortfalls,
    table,
    told,
)
from lineside.events import SpeechStarted, SpeechStopped
from lineside.hearing.vad import Detector
from lineside.standin.recogniser import sounds

HOUR = 3_600_000.0
NAN = float("nan")
GOOD = Figures((90.0, 150.0), 0.0, 7.0, 0.0, 0.0, 305.0)
ROWS = {"speech, quiet": GOOD, "coughs": GOOD, "bursts of 100 ms": GOOD}


class Script:
    """Says what it was told to say, frame by frame."""

    def __init__(self, *frames: SpeechStarted | SpeechStopped | None) -> None:
        self._frames = iter(frames)

    def feed(self, audio: bytes) -> SpeechStarted | SpeechStopped | None:
        return next(self._frames)


def test_what_is_told_counts_from_the_end_of_the_frame_that_told_it() -> None:
    assert told(Script(None, SpeechStarted(), None, SpeechStopped(), None), bytes(800)) == [(40.0, 80.0)]


def test_what_does_not_stop_lasts_to_the_end() -> None:
    assert told(Script(SpeechStarted(), None), bytes(320)) == [(20.0, 40.0)]


def test_a_sentence_heard_late_is_scored_by_its_delay() -> None:
    figures = score([(1100.0, 2300.0)], [(1000.0, 2000.0)], HOUR)
    assert figures.onset == (100.0, 100.0)
    assert figures.missed_percent == pytest.approx(10)
    assert figures.release == 300
    assert (figures.never_percent, figures.false_an_hour, figures.false_percent) == (0, 0, 0)


def test_a_sentence_not_heard_has_no_delay_and_is_missed() -> None:
    figures = score([(1100.0, 2300.0)], [(1000.0, 2000.0), (5000.0, 6000.0)], HOUR)
    assert figures.onset == (100.0, 100.0)
    assert figures.never_percent == 50
    assert figures.missed_percent == pytest.approx(55)


def test_what_is_told_in_noise_is_false() -> None:
    figures = score([(0.0, HOUR / 4), (HOUR / 2, HOUR)], [], HOUR)
    assert figures.false_an_hour == 2
    assert figures.false_percent == pytest.approx(75)
    assert all(np.isnan([*figures.onset, figures.never_percent, figures.missed_percent, figures.release]))


def test_a_detector_that_was_speaking_before_the_sentence_began_heard_no_start_of_it() -> None:
    figures = score([(0.0, 3000.0)], [(1000.0, 2000.0)], HOUR)
    assert np.isnan(figures.onset[0])
    assert figures.never_percent == 0
    assert figures.false_an_hour == pytest.approx(1, rel=0.001)


def test_the_bounds_hold_for_good_figures() -> None:
    assert shortfalls(ROWS, 0.03) == []


@pytest.mark.parametrize(
    ("scene", "bad", "told"),
    [
        ("speech, quiet", replace(GOOD, onset=(90.0, 161.0)), "p95 of the onset in quiet speech is 161 ms"),
        ("speech, quiet", replace(GOOD, never_percent=1.0), "1.0 % of quiet sentences were not heard"),
        ("coughs", replace(GOOD, false_an_hour=30.0), "30 coughs an hour are speech"),
        ("bursts of 100 ms", replace(GOOD, false_an_hour=30.0), "30 bursts an hour are speech"),
    ],
)
def test_a_missed_bound_is_named(scene: str, bad: Figures, told: str) -> None:
    assert shortfalls({**ROWS, scene: bad}, 0.03) == [told]


def test_too_dear_a_detector_is_named() -> None:
    assert shortfalls(ROWS, 0.11) == ["a call costs 0.110 % of a core"]


def test_the_table_has_two_lines_a_scene_and_a_dash_for_what_there_is_not() -> None:
    heading, first, second, cost = table({"coughs": (GOOD, replace(GOOD, onset=(NAN, NAN)))}, (0.03, 0.02))
    assert all(name in heading for name in HEADINGS)
    assert first.split() == ["coughs", "90.0", "150.0", "0.0", "7.0", "0.0", "0.0", "305.0"]
    assert second.split()[:4] == ["by", "loudness", "-", "-"]
    assert "detector 0.030, loudness 0.020" in cost


def test_bursts_come_every_three_seconds() -> None:
    audio = bursts(lambda i: sounds.noise(0.1, -20.0, seed=i))
    assert len(audio) == 120 * 8000
    power = np.square(mulaw.decode(audio).astype(float)).reshape(-1, 800).mean(axis=1)
    assert list(np.flatnonzero(power > 1e5)) == [30 * i + 10 for i in range(40)]


def test_the_yardstick_takes_a_cough_for_speech() -> None:
    assert len(told(Loudness(), bursts(lambda i: sounds.cough(seed=i)))) == 40


@pytest.fixture(scope="module")
def clips() -> list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    pytest.importorskip("espeakng_loader")
    return sentences(("en-us",))


def test_where_a_conversation_speaks_is_where_it_is_loud(clips: list[np.ndarray]) -> None:
    audio, spoken = conversation(clips[:4], None, 0)
    pcm = np.abs(mulaw.decode(audio).astype(float))
    for began, ended in spoken:
        assert pcm[int(began * 8) - 400 : int(began * 8)].max() < 100
        assert pcm[int(began * 8) : int(began * 8) + 160].max() > 100
        assert pcm[int(ended * 8) : int(ended * 8) + 400].max() < 100


def test_noise_is_as_much_quieter_than_speech_as_was_asked(clips: list[np.ndarray]) -> None:
    pause = slice(0, 7000)
    for snr_db in (20, 10):
        audio, _ = conversation(clips[:2], noises(clips)["hiss"], snr_db)
        rms = np.sqrt(np.mean(np.square(mulaw.decode(audio)[pause].astype(float))))
        assert 20 * np.log10(rms / 32768) == pytest.approx(-22 - snr_db, abs=0.5)


def test_a_spoken_sentence_is_heard_within_160_ms_and_babble_is_mostly_not_speech(clips: list[np.ndarray]) -> None:
    audio, spoken = conversation(clips, None, 0)
    quiet = score(told(Detector(), audio), spoken, len(audio) / 8)
    assert quiet.onset[1] <= 160
    assert (quiet.never_percent, quiet.false_an_hour) == (0, 0)
    audio, spoken = conversation(clips, noises(clips)["babble"], 20)
    babble = score(told(Detector(), audio), spoken, len(audio) / 8)
    assert babble.never_percent == 0
    assert babble.false_percent < 15
