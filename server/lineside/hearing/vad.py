"""Is the caller speaking? Told from the sound alone, in this process, without any recogniser. No I/O, no clock.

Three things must agree: it is louder than the background has lately been; WebRTC's detector calls it speech; and some
of it has a voice in it, which clicks, coughs and hiss lack. The detector alone takes any steady noise for speech for
seconds; the level alone takes anything sudden. What was measured, and beside what: docs/voice-activity.md.

Source of the detector: https://webrtc.googlesource.com/src/+/refs/heads/main/common_audio/vad/, in the wheel
https://pypi.org/project/webrtcvad-wheels/
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lineside.audio import mulaw
from lineside.audio.formats import FRAME_BYTES, FRAME_MS, MULAW_RATE
from lineside.errors import SettingsError
from lineside.events import SpeechStarted, SpeechStopped

MODE = 2  # of 0 to 3; 3 takes less noise for speech, but misses 9 % of clean speech where 2 misses 7 %
SLACK_MS = 60  # frames of an onset that need not be speech: noise cuts holes into it
VOICED_MS = 40  # of an onset that must have a voice; a cough's bursts have none
VOICED = 0.3  # correlation of neighbouring samples from which on a frame may be a voice: vowels 0.8, white noise 0
COMB = 4  # samples; x[n] - x[n - 4] takes away hum and rumble below 200 Hz and keeps vowels
FULL_SCALE_DB = 90.3  # of a sample of 32768


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectorOptions:
    """How readily speech is believed in. What is shorter than `onset_ms` is never speech.

    Raises:
        SettingsError: a length below one frame of 20 ms, or a margin that is not positive.
    """

    onset_ms: int = 100
    """So much speech, nearly in a row, is a start. Less makes it quicker, and lets short noises through."""
    hangover_ms: int = 300
    """So long without speech is a stop. Pauses between words are mostly shorter than 250 ms."""
    margin_db: float = 4.5
    """Speech is at least so much louder than the background; the more the background varies, the more."""

    def __post_init__(self) -> None:
        for name in ("onset_ms", "hangover_ms"):
            if getattr(self, name) < FRAME_MS:
                raise SettingsError(f"voice activity: {name} is {FRAME_MS} or more, not {getattr(self, name)!r}")
        if not self.margin_db > 0:
            raise SettingsError(f"voice activity: margin_db is more than 0, not {self.margin_db!r}")


class Detector:
    """One call's. Time is that of the audio fed; a gap in it is no time.

    The first one loads the wheel: make one before the loop runs, which tells at once whether it is there, too.

    Raises:
        SettingsError: the wheel is not installed.
    """

    def __init__(self, options: DetectorOptions = DetectorOptions()) -> None:
        self._judge = _judge(MODE)
        self._background = Background(options.margin_db)
        self._needed = math.ceil(options.onset_ms / FRAME_MS)
        self._hangover_ms = options.hangover_ms
        self._voiced_needed = min(self._needed, VOICED_MS // FRAME_MS)
        # Of the last frames, what each is evidence of: 0 nothing, 1 speech, 2 speech with a voice.
        self._evidence: deque[int] = deque(maxlen=self._needed + SLACK_MS // FRAME_MS)
        self._rest = b""
        self._speaking = False
        self._n_since = 0  # bytes judged since the last frame of speech ended

    @property
    def speaking(self) -> bool:
        return self._speaking

    @property
    def since_speech_ms(self) -> int:
        """How many ms of audio ago the last speech ended; while nothing was speech, how much audio there was."""
        return (self._n_since + len(self._rest)) * 1000 // MULAW_RATE

    def feed(self, audio: bytes) -> SpeechStarted | SpeechStopped | None:
        """Take mu-law, 8 kHz, any length; it is judged in frames of 20 ms.

        Returns:
            What has changed by its end. A word that began and ended within one piece of audio is not told.
        """
        before = self._speaking
        if self._rest:
            audio = self._rest + audio
        whole = len(audio) - len(audio) % FRAME_BYTES
        for at in range(0, whole, FRAME_BYTES):
            self._judged(mulaw.decode(audio[at : at + FRAME_BYTES]))
        self._rest = audio[whole:]
        if self._speaking == before:
            return None
        return SpeechStarted() if self._speaking else SpeechStopped()

    def _judged(self, pcm: NDArray[np.int16]) -> None:
        frame = pcm.astype(np.float32)
        level = _level(frame)
        # WebRTC's detector has a background of its own to learn, so it hears the quiet frames too.
        spoken = self._judge.is_speech(pcm.tobytes(), MULAW_RATE)
        loud = self._background.exceeded(level, speaking=self._speaking)
        self._n_since += FRAME_BYTES
        if self._speaking:
            if loud and spoken:
                self._n_since = 0
            elif self._n_since * 1000 >= self._hangover_ms * MULAW_RATE:
                self._speaking = False
                self._evidence.clear()
            return
        self._evidence.append((2 if _voiced(frame) else 1) if loud and spoken else 0)
        if self._evidence[-1] and self._enough():
            self._speaking = True
            self._n_since = 0

    def _enough(self) -> bool:
        speech = len(self._evidence) - self._evidence.count(0)
        return speech >= self._needed and self._evidence.count(2) >= self._voiced_needed


class Background:
    """How loud it is when the caller says nothing, in dB, and how much that varies. Knows 2 s of the past.

    While nobody speaks it follows the level itself. While somebody seems to, it may be the background that has become
    louder: speech has gaps within 2 s, so a level that is exceeded most of that time is taken for background.
    """

    START_DB = -45.0  # at most, until the first frames told
    LEAST_DB = -55.0  # what is below is not speech, however quiet the line is
    MOST_MARGIN_DB = 12.0  # speech is not louder than that over noise that leaves it intelligible
    VARIATIONS = 2.0  # the margin, in mean absolute deviations (times 1.25: in standard deviations) of the background
    SLOWNESS = 50  # frames; a second
    OUTLIER_DB = 8.0  # a single frame tells no more of how much it varies
    LOUD_STEP_DB = 0.2  # a frame; louder than the background, but no speech yet
    PAST = 100  # frames
    GAPS = 25  # of the PAST frames, quieter than speech
    LOOK_EVERY = 10  # frames; looking at all the past is dear

    def __init__(self, margin_db: float) -> None:
        self._margin = margin_db
        self._level = math.inf
        self._deviation = 1.0
        self._past: deque[float] = deque(maxlen=self.PAST)
        self._n_frames = 0

    def exceeded(self, level: float, *, speaking: bool) -> bool:
        """Is this frame louder than the background by what speech would be? Learns from it, for the next one.

        Args:
            level: in dB.
            speaking: it follows speech.
        """
        if not self._n_frames:
            self._level = min(level, self.START_DB)
        margin = min(self.MOST_MARGIN_DB, max(self._margin, self.VARIATIONS * self._deviation))
        loud = level > max(self.LEAST_DB, self._level + margin)
        self._learn(level, loud=loud, speaking=speaking)
        return loud

    def _learn(self, level: float, *, loud: bool, speaking: bool) -> None:
        self._n_frames += 1
        self._past.append(level)
        if speaking and self._n_frames % self.LOOK_EVERY == 0 and len(self._past) == self.PAST:
            self._level = max(self._level, sorted(self._past)[self.GAPS])
        above = level - self._level
        if speaking:
            # Down only: what the look at the past took for background may have been speech.
            self._level += min(0.0, above) / self.SLOWNESS
        elif loud:
            self._level += self.LOUD_STEP_DB
        else:
            self._level += above / self.SLOWNESS
            self._deviation += (min(self.OUTLIER_DB, abs(above)) * 1.25 - self._deviation) / self.SLOWNESS


class _Judge(Protocol):
    def is_speech(self, pcm: bytes, rate: int) -> bool: ...


def _judge(mode: int) -> _Judge:
    try:
        import webrtcvad
    except ImportError as exc:
        raise SettingsError("the voice-activity detector needs its wheel: pip install 'lineside[vad]'") from exc
    judge: _Judge = webrtcvad.Vad(mode)
    return judge


def _level(frame: NDArray[np.float32]) -> float:
    """In dB of full scale, without the lowest tones."""
    combed = frame[COMB:] - frame[:-COMB]
    return 10 * math.log10(float(np.dot(combed, combed)) / len(combed) + 1) - FULL_SCALE_DB


def _voiced(frame: NDArray[np.float32]) -> bool:
    return float(np.dot(frame[1:], frame[:-1])) > VOICED * float(np.dot(frame, frame))
