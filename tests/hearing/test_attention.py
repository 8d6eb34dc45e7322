"""What is passed on of what is heard: no onsets of a recogniser's beside a detector's, and nothing of our own voice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from hearing.test_vad import vowel
from lineside.events import EagerEndOfTurn, EarWarned, EndOfTurn, HearingEvent, Partial, SpeechStarted, SpeechStopped
from lineside.hearing.attention import Attention
from lineside.hearing.vad import Detector
from lineside.standin.recogniser.modem import Decoder, encode
from lineside.standin.recogniser.sounds import mix, quieter
from lineside.standin.recogniser.undertone import voiced

FRAME = 160
CHUNK = 800
SILENCE = b"\xff" * FRAME
AGENT = "thank you for calling harbour books we are open from nine to six on every day but sunday"
OURS = voiced(encode(AGENT))
ASKED = "please stop this now"
CALLER = voiced(encode(ASKED), seed=3)
ECHO_FRAMES = 10  # 0.2 s later


@dataclass
class Recorder:
    """A leg and a recogniser that keep what they are given."""

    stream_id: str = "MZ1"
    backlog: int = 0
    chunk: int = CHUNK
    fed: list[bytes] = field(default_factory=list)
    done: list[Any] = field(default_factory=list)

    def feed(self, audio: bytes) -> None:
        self.fed.append(audio)

    @property
    def understood(self) -> list[str]:
        return [word.text for word in Decoder().feed(b"".join(self.fed) + SILENCE * 10)]

    def play(self, audio: bytes) -> None:
        self.done.append(audio)

    def mark(self, name: str) -> None:
        self.done.append(name)

    def clear(self) -> None:
        self.done.append("clear")

    def close(self) -> None:
        self.done.append("close")


class Line:
    """A call's line: what we play comes back 20 dB softer, and the caller may speak."""

    def __init__(self, *, detector: bool = False, guard: bool = True) -> None:
        self.now = 100.0
        self.told: list[HearingEvent] = []
        self.recogniser = Recorder()
        made = Detector() if detector else None
        self.attention = Attention(self.told.append, lambda: self.now, detector=made, guard=guard)
        self.attention.listen_with(self.recogniser)
        self.leg = self.attention.overhearing(Recorder())
        self._coming = [SILENCE] * ECHO_FRAMES

    def pass_by(self, ours: bytes = b"", caller: bytes = b"", seconds: float = 0.0) -> None:
        """Play and hear, frame by frame."""
        n = max(-(-len(ours) // FRAME), -(-len(caller) // FRAME), round(seconds * 50))
        said, spoken = frames(ours), frames(caller)
        for _ in range(n):
            out = next(said, b"")
            if out:
                self.leg.play(out)
            self._coming.append(quieter(out, 20) if out else SILENCE)
            echo = self._coming.pop(0)
            self.now += 0.02
            mouth = next(spoken, SILENCE)
            self.attention.feed(mouth if echo == SILENCE else mix(mouth, echo))

    @property
    def warnings(self) -> list[str]:
        return [event.message for event in self.told if isinstance(event, EarWarned)]


def frames(audio: bytes) -> Iterator[bytes]:
    return (audio[at : at + FRAME].ljust(FRAME, b"\xff") for at in range(0, len(audio), FRAME))


@pytest.fixture
def speech() -> bytes:
    """Two seconds of somebody's "ah", in syllables."""
    return vowel(2.0, syllables=4)


# -- the recogniser's audio --------------------------------------------------------------------------------------------


def test_where_we_are_silent_the_audio_is_passed_on_untouched() -> None:
    line = Line()
    soft = quieter(CALLER, 35)  # too soft for the guard to be sure of it
    line.pass_by(caller=soft)
    passed = b"".join(line.recogniser.fed)
    assert (soft + SILENCE).startswith(passed)
    assert len(soft) - len(passed) < CHUNK  # the rest of a chunk waits for the next frame


def test_audio_is_passed_on_in_the_chunks_that_the_recogniser_is_sent() -> None:
    line = Line()
    line.pass_by(caller=CALLER)
    assert {len(audio) for audio in line.recogniser.fed} == {CHUNK}


def test_our_own_voice_is_not_passed_on() -> None:
    line = Line()
    line.pass_by(OURS)
    line.pass_by(seconds=2.0)
    assert line.recogniser.understood == []
    assert set(b"".join(line.recogniser.fed)) == {0xFF}
    unguarded = Line(guard=False)
    unguarded.pass_by(OURS)
    unguarded.pass_by(seconds=2.0)
    assert unguarded.recogniser.understood == AGENT.split()


def test_a_caller_who_speaks_over_us_is_passed_on_from_the_first_word() -> None:
    line = Line()
    line.pass_by(OURS)
    line.pass_by(OURS[: len(CALLER)], CALLER)
    line.pass_by(seconds=2.0)
    assert line.recogniser.understood == ASKED.split()


def test_after_the_caller_our_own_voice_is_not_passed_on_again() -> None:
    line = Line()
    line.pass_by(OURS[: len(CALLER)], CALLER)
    line.pass_by(seconds=1.5)
    for _ in range(2):
        line.pass_by(OURS)
        line.pass_by(seconds=1.5)
    assert line.recogniser.understood == ASKED.split()


def test_what_was_cleared_is_not_played_and_comes_not_back() -> None:
    line = Line()
    line.pass_by(OURS)
    line.leg.play(OURS)  # all at once, ahead of time
    line.leg.clear()
    line.pass_by(seconds=1.5)
    line.pass_by(caller=quieter(OURS, 20))  # as our echo would sound, but we have been silent
    line.pass_by(seconds=1.0)
    assert line.recogniser.understood == AGENT.split()


def test_the_operator_is_told_once_that_the_line_has_an_echo() -> None:
    line = Line()
    line.pass_by(OURS)
    line.pass_by(OURS)
    (warning,) = line.warnings
    assert warning.startswith("our own voice comes back after 0.2")
    assert "at -20 dB" in warning or "at -19 dB" in warning or "at -21 dB" in warning


def test_the_leg_is_used_as_before() -> None:
    leg = Recorder(backlog=7)
    line = Line()
    played = line.attention.overhearing(leg)
    played.play(b"a" * FRAME)
    played.mark("m")
    played.clear()
    played.close()
    assert leg.done == [b"a" * FRAME, "m", "clear", "close"]
    assert (played.stream_id, played.backlog) == ("MZ1", 7)
    assert Line(guard=False).attention.overhearing(leg) is leg


# -- with a detector ---------------------------------------------------------------------------------------------------


def test_without_a_detector_everything_that_the_recogniser_tells_is_passed_on() -> None:
    events = [SpeechStarted(), Partial("a"), EagerEndOfTurn("a"), EndOfTurn("a"), EarWarned("x", "y")]
    line = Line()
    for event in events:
        line.attention.heard(event)
    assert line.told == events


def test_the_detector_tells_onsets_and_the_recogniser_s_are_left_out(speech: bytes) -> None:
    line = Line(detector=True)
    line.pass_by(seconds=1.0)
    line.pass_by(caller=speech)
    line.attention.heard(SpeechStarted())
    line.pass_by(seconds=1.0)
    assert line.told == [SpeechStarted(), SpeechStopped()]


def test_our_own_voice_is_no_onset_and_the_caller_over_it_is(speech: bytes) -> None:
    line = Line(detector=True)
    line.pass_by(seconds=1.0)
    line.pass_by(OURS)
    assert [event for event in line.told if not isinstance(event, EarWarned)] == []
    line.pass_by(OURS[: FRAME * 30], speech[: FRAME * 30])
    assert SpeechStarted() in line.told


def test_a_caller_who_joins_in_while_the_detector_hears_us_is_an_onset(speech: bytes) -> None:
    line = Line(detector=True)
    line.pass_by(seconds=1.0)
    line.pass_by(speech)  # in syllables, but for the detector without a pause
    line.pass_by(speech[: FRAME * 40], quieter(speech, 0)[: FRAME * 40])
    line.pass_by(seconds=1.5)
    assert [event for event in line.told if not isinstance(event, EarWarned)] == [SpeechStarted(), SpeechStopped()]


def test_the_detector_tells_when_the_caller_fell_silent_if_the_recogniser_does_not(speech: bytes) -> None:
    line = Line(detector=True)
    line.pass_by(seconds=1.0)
    line.pass_by(caller=speech)
    ended = line.now
    line.pass_by(seconds=0.8)
    line.attention.heard(EndOfTurn("yes"))
    line.attention.heard(EndOfTurn("no", spoken_by=90.0))
    first, second = (event for event in line.told if isinstance(event, EndOfTurn))
    assert first.spoken_by == pytest.approx(ended, abs=0.3)
    assert second.spoken_by == 90.0
