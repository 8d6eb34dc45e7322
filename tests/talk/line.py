"""A telephone line that returns the agent's voice, for tests: what the agent plays goes in, what is heard comes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lineside.audio import mulaw
from lineside.standin.voice import StandinVoice
from lineside.talk.echo import EchoGuard

RATE = 8000
FRAME = 160
MESSAGE = 1600
LEAD = 1.0  # s that the carrier has in hand
BEGAN = 1000.371  # the loop's time when the call began; no multiple of 20 ms
PAUSE = 1.2  # s between two turns of the agent
AGENT_DBFS = -20.0

AGENT = (
    "Thank you for calling Harbour Dental. How can I help you today?",
    "I can see two openings this week, one on Tuesday at ten and one on Friday afternoon.",
    "I am sorry to hear that. Would you like me to book it for you, or do you want to hear more?",
    "Please hold on a moment while I look that up.",
    "Your appointment is confirmed, and you will get a text message shortly.",
    "No problem at all. Is there anything else that I can do for you?",
    "The next free times are ten fifteen, eleven forty five and half past two. Which of them would suit you best?",
)
CALLER = (
    "Actually, can we do Thursday instead?",
    "No, wait, that is not what I meant.",
    "Stop, I want to speak to a person.",
    "What about the week after that?",
    "I already paid for that last month.",
    "Sorry, could you say that again please?",
)

Wave = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Line:
    """How the line treats what is played on it. Levels in dB; `echo` of what was played, `noise` of full scale."""

    echo: float | None = -20.0
    delay: float = 0.3
    noise: float | None = -50.0
    room: Sequence[tuple[float, float]] = ((0.0, 1.0), (0.013, 0.5), (0.037, 0.25))  # s after the first, and how strong

    def returns(self, played: Wave) -> Wave:
        """Low-passed, and reflected from the walls. Shape (len(played),)."""
        out = np.zeros(len(played) + RATE)
        if self.echo is None:
            return out[: len(played)]
        soft = np.convolve(played, (0.05, 0.2, 0.3, 0.25, 0.12, 0.08))
        for later, strength in self.room:
            start = round((self.delay + later) * RATE)
            out[start : start + len(soft)] += strength * soft[: len(out) - start]
        return at_level(out, level_of(played) + self.echo)[: len(played)]


@dataclass(frozen=True, slots=True)
class Recording:
    """A call: what was played, in pieces, and what was heard; times from the call's beginning."""

    pieces: tuple[tuple[float, bytes], ...]
    heard: bytes
    onsets: tuple[float, ...]
    """When the caller began to speak over the agent."""

    @property
    def seconds(self) -> float:
        return len(self.heard) / RATE


def record(voice: StandinVoice, line: Line, turns: int, *, over: float | None = None, seed: int = 0) -> Recording:
    """A call in which the agent takes so many turns.

    Args:
        over: the caller speaks over each turn but the first two, by so many dB louder than the echo (than -20 dB of
            the agent's voice if there is none).
    """
    rng = np.random.default_rng(seed)
    texts = [AGENT[i] for i in rng.integers(len(AGENT), size=turns)]
    speech = [_speak(voice, text) for text in texts]
    starts = np.cumsum([0.5, *(len(each) / RATE + PAUSE for each in speech)])
    played = np.zeros(round((starts[-1] + 1) * RATE))
    for start, each in zip(starts, speech, strict=False):
        played[round(start * RATE) :][: len(each)] = each
    audio = mulaw.encode(played.astype(np.int16))
    heard = line.returns(mulaw.decode(audio).astype(np.float64))
    pieces, onsets = [], []
    for turn, (start, each) in enumerate(zip(starts, speech, strict=False)):
        first, last = round(start * RATE), round(start * RATE) + len(each)
        pieces += [(at / RATE, audio[at : min(at + MESSAGE, last)]) for at in range(first, last, MESSAGE)]
        if over is not None and turn >= 2:
            level = AGENT_DBFS + (-20.0 if line.echo is None else line.echo) + over
            caller = at_level(_speak(voice, CALLER[rng.integers(len(CALLER))]), level)
            onset = start + line.delay + rng.uniform(0.3, max(0.4, len(each) / RATE - 1.0))
            heard[round(onset * RATE) :][: len(caller)] += caller[: len(heard) - round(onset * RATE)]
            onsets.append(float(onset))
    if line.noise is not None:
        heard += rng.standard_normal(len(heard)) * 32768 * 10 ** (line.noise / 20)
    return Recording(tuple(pieces), mulaw.encode(heard.clip(-32768, 32767).astype(np.int16)), tuple(onsets))


def on_time(_: int) -> float | None:
    return 0.0


def listen(
    guard: EchoGuard,
    recording: Recording,
    each: Callable[[float], None] = lambda now: None,
    *,
    late: Callable[[int], float | None] = on_time,
) -> None:
    """Play a call to a guard; `each` is called after each frame with the time since the call began.

    Args:
        late: by how much the frame of that number comes late, in s; None if it is lost.
    """
    pieces = list(recording.pieces)
    frames = [recording.heard[at : at + FRAME] for at in range(0, len(recording.heard), FRAME)]
    arrivals = [(0.02 * (i + 1) + wait, frame) for i, frame in enumerate(frames) if (wait := late(i)) is not None]
    for now, frame in sorted(arrivals, key=lambda arrival: arrival[0]):
        while pieces and pieces[0][0] - LEAD <= now:
            at, audio = pieces.pop(0)
            guard.played(audio, BEGAN + at)
        guard.heard(frame, BEGAN + now)
        each(now)


def level_of(wave: Wave) -> float:
    """dB of full scale, over the frames in which something sounds."""
    power = np.square(wave[: len(wave) // FRAME * FRAME].reshape(-1, FRAME)).mean(1)
    return float(10 * np.log10(power[power > power.max() * 1e-3].mean() / 32768**2))


def at_level(wave: Wave, dbfs: float) -> Wave:
    louder: Wave = wave * 10 ** ((dbfs - level_of(wave)) / 20)
    return louder


@lru_cache(maxsize=64)
def _speak(voice: StandinVoice, text: str) -> Wave:
    wave = mulaw.decode(voice.speak(text).audio("mulaw", RATE)).astype(np.float64)
    sounds = np.flatnonzero(np.abs(wave) > 200)
    return at_level(wave[sounds[0] : sounds[-1] + 1], AGENT_DBFS)
