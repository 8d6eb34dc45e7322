"""How quickly the local detector hears a caller begin, what else it takes for speech, and what it costs.

A voice made on the spot (espeak-ng) says short sentences into silence and into noise that is 20 or 10 dB quieter than
speech; the true start and end of each are known from the clean sound. Then there is noise alone, coughs, and bursts.
Beside it stands a yardstick that knows loudness only: 9 dB above the quietest of the last 2 s, as many frames in a row.
Delays are of the audio: how long after the first sample of speech the frame ended that told it. Everything is mu-law at
8 kHz in frames of 20 ms; CPU is this thread's, over the time that the audio lasts.
"""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lineside.audio import mulaw
from lineside.audio.formats import FRAME_BYTES, FRAME_MS, MULAW_RATE
from lineside.events import SpeechStarted, SpeechStopped
from lineside.hearing.vad import Detector
from lineside.standin.espeak import EspeakVoice
from lineside.standin.recogniser import sounds
from lineside.standin.voice import resample

MAX_ONSET_MS = 160.0  # p95 in clean speech; a frame more than what was found on recordings of people
MAX_CPU_PERCENT = 0.1

SENTENCES = (
    "I would like to change my booking for Tuesday.",
    "Yes, that is right.",
    "How much does it cost?",
    "Hello, is anybody there?",
    "My number is five five five, one two three.",
    "Stop, please.",
    "Sorry, say that again.",
    "What time do you open?",
    "Four",
    "No thanks",
)
LANGUAGES = ("en-us", "de", "es", "it")
SPEEDS = (0.9, 1.2)
SPEECH_DBFS = -22.0
LINE_DBFS = -72.0  # of what is never quite silent
SPEECH_RANGE_DB = 28.0  # below its loudest, speech has not begun or is over
NOISE_S = 120.0
EDGE_MS = 10  # how exactly a start is known
EARLY_MS, LATE_MS = 60.0, 400.0  # a start is of a sentence from so long before it to so long after it

HEADINGS = ("onset p50", "p95 ms", "never %", "missed %", "false/h", "false %", "release ms")

Pcm = NDArray[np.float64]
Span = tuple[float, float]
"""From, to, in ms of the stream."""


class Listener(Protocol):
    def feed(self, audio: bytes) -> SpeechStarted | SpeechStopped | None: ...


@dataclass(frozen=True, slots=True)
class Figures:
    """One detector on one kind of sound. Times in ms."""

    onset: tuple[float, float]
    """p50 and p95, of the sentences that it was silent before; nan without any."""
    never_percent: float
    """Of the sentences, those not heard at all."""
    missed_percent: float
    """Of the time that is speech."""
    false_an_hour: float
    """Starts an hour of what is not speech."""
    false_percent: float
    """Of the time that is not speech, how much was taken for it."""
    release: float
    """From the end of a sentence to the stop; p50."""


class Loudness:
    """The yardstick: anything that is loud for 100 ms."""

    def __init__(self) -> None:
        self._past: deque[float] = deque(maxlen=100)
        self._n_loud = self._n_quiet = 0
        self._speaking = False

    def feed(self, audio: bytes) -> SpeechStarted | SpeechStopped | None:
        pcm = mulaw.decode(audio).astype(np.float32)
        level = _db(float(np.dot(pcm, pcm)) / len(pcm))
        self._past.append(level)
        loud = level > max(-50.0, min(self._past) + 9)
        self._n_loud, self._n_quiet = (self._n_loud + 1, 0) if loud else (0, self._n_quiet + 1)
        if not self._speaking and self._n_loud >= 5:
            self._speaking = True
            return SpeechStarted()
        if self._speaking and self._n_quiet >= 15:
            self._speaking = False
            return SpeechStopped()
        return None


def told(listener: Listener, audio: bytes) -> list[Span]:
    """When it said that somebody speaks. What has not stopped lasts to the end."""
    spans: list[Span] = []
    began: float | None = None
    for at in range(0, len(audio) - FRAME_BYTES + 1, FRAME_BYTES):
        match listener.feed(audio[at : at + FRAME_BYTES]):
            case SpeechStarted():
                began = at * 1000 / MULAW_RATE + FRAME_MS
            case SpeechStopped() if began is not None:
                spans.append((began, at * 1000 / MULAW_RATE + FRAME_MS))
                began = None
    return spans if began is None else [*spans, (began, len(audio) * 1000 / MULAW_RATE)]


def score(heard: Sequence[Span], spoken: Sequence[Span], length: float) -> Figures:
    """Compare what was told with what is true, in a stream of `length` ms."""
    wide = [(began - EARLY_MS, ended + LATE_MS) for began, ended in spoken]
    onsets, releases, n_never = [], [], 0
    for (began, ended), (early, late) in zip(spoken, wide, strict=True):
        during = [span for span in heard if span[1] > began and span[0] < ended]
        n_never += not during
        if during and during[0][0] >= early:
            onsets.append(during[0][0] - began)
        if during and during[-1][1] <= late:
            releases.append(during[-1][1] - ended)
    speech = sum(ended - began for began, ended in spoken)
    other = length - sum(late - early for early, late in wide)
    n_false = sum(not any(early <= began <= late for early, late in wide) for began, _ in heard)
    return Figures(
        onset=(_percentile(onsets, 50), _percentile(onsets, 95)),
        never_percent=100 * n_never / len(spoken) if spoken else float("nan"),
        missed_percent=100 * (1 - _overlap(heard, spoken) / speech) if spoken else float("nan"),
        false_an_hour=n_false * 3_600_000 / other,
        false_percent=100 * (sum(b - a for a, b in heard) - _overlap(heard, wide)) / other,
        release=_percentile(releases, 50),
    )


def sentences(languages: Sequence[str] = LANGUAGES, texts: Sequence[str] = SENTENCES) -> list[Pcm]:
    """Spoken clips at 8 kHz, each from its first to its last sound, all equally loud."""
    clips = []
    for language in languages:
        voice = EspeakVoice(language)
        for text in texts:
            for speed in SPEEDS:
                rendering = voice.speak(text, speed)
                pcm = resample(rendering.pcm, rendering.rate, MULAW_RATE).astype(np.float64)
                step = MULAW_RATE * EDGE_MS // 1000
                power = np.square(pcm[: len(pcm) // step * step]).reshape(-1, step).mean(axis=1)
                loud = np.flatnonzero(power > float(np.max(power)) * 10 ** (-SPEECH_RANGE_DB / 10))
                clips.append(_at(pcm[loud[0] * step : (loud[-1] + 1) * step], SPEECH_DBFS))
    return clips


def conversation(clips: Sequence[Pcm], noise: Pcm | None, snr_db: float) -> tuple[bytes, list[Span]]:
    """All clips with pauses of 1 to 2.2 s, over noise; and where each is."""
    rng = np.random.default_rng(0)
    parts, spans, at = [], [], 0
    for i in rng.permutation(len(clips)):
        pause = np.zeros(int(rng.uniform(1.0, 2.2) * MULAW_RATE))
        began = at + len(pause)
        at = began + len(clips[i])
        parts += [pause, clips[i]]
        spans.append((began * 1000 / MULAW_RATE, at * 1000 / MULAW_RATE))
    whole = np.concatenate([*parts, np.zeros(2 * MULAW_RATE)])
    if noise is not None:
        whole += _at(np.resize(noise, len(whole)), SPEECH_DBFS - snr_db)
    return _on_the_line(whole), spans


def noises(clips: Sequence[Pcm]) -> dict[str, Pcm]:
    """Two minutes of each background: hiss, a car, people talking, music on hold."""
    rng = np.random.default_rng(1)
    n = round(NOISE_S * MULAW_RATE)
    rumble = np.fft.rfft(rng.standard_normal(n)) / np.maximum(20.0, np.fft.rfftfreq(n, 1 / MULAW_RATE))
    rumble[: round(80 * NOISE_S)] = 0.0  # no telephone passes what is below 80 Hz
    talk = np.zeros(n)
    for _ in range(6):
        order = rng.permutation(len(clips))
        talk += np.resize(np.concatenate([clips[i] for i in order]), n)
    return {
        "hiss": rng.standard_normal(n),
        "car": np.fft.irfft(rumble, n),
        "babble": talk,
        "music": mulaw.decode(sounds.music(NOISE_S)).astype(np.float64),
    }


def bursts(sound: Callable[[int], bytes]) -> bytes:
    """Forty of a sound, each different, one every 3 s."""
    whole = np.zeros(120 * MULAW_RATE)
    for i in range(40):
        pcm = mulaw.decode(sound(i))
        whole[(3 * i + 1) * MULAW_RATE :][: len(pcm)] = pcm
    return _on_the_line(whole)


def scenes() -> Iterator[tuple[str, bytes, list[Span]]]:
    """What is played: its name, the audio, and where speech is in it."""
    clips = sentences()
    yield "speech, quiet", *conversation(clips, None, 0)
    backgrounds = noises(clips)
    for name, noise in backgrounds.items():
        for snr_db in (20, 10):
            yield f"speech, {name} {snr_db} dB", *conversation(clips, noise, snr_db)
    for name, noise in backgrounds.items():
        yield f"{name} alone", _on_the_line(_at(noise, SPEECH_DBFS - 10)), []
    yield "coughs", bursts(lambda i: sounds.cough(seed=i)), []
    yield "bursts of 100 ms", bursts(lambda i: sounds.noise(0.1, -20.0, seed=i)), []


def cpu_percent(make: Callable[[], Listener], audio: bytes) -> float:
    """Of one core, for one call; the cheapest of three runs, as the others were disturbed."""
    runs = []
    for _ in range(3):
        listener, began = make(), time.thread_time()
        told(listener, audio)
        runs.append(time.thread_time() - began)
    return 100 * min(runs) / (len(audio) / MULAW_RATE)


def main() -> bool:
    """Measure, print, and say whether every bound holds."""
    rows: dict[str, tuple[Figures, Figures]] = {}
    quiet = b""
    for name, audio, spoken in scenes():
        quiet = quiet or audio
        length = len(audio) * 1000 / MULAW_RATE
        rows[name] = (score(told(Detector(), audio), spoken, length), score(told(Loudness(), audio), spoken, length))
    spent = cpu_percent(Detector, quiet), cpu_percent(Loudness, quiet)
    sys.stdout.write("\n".join(table(rows, spent)) + "\n")
    missed = shortfalls({name: row[0] for name, row in rows.items()}, spent[0])
    sys.stdout.write("".join(f"missed: {what}\n" for what in missed))
    return not missed


def table(rows: dict[str, tuple[Figures, Figures]], spent: tuple[float, float]) -> list[str]:
    """A line for the detector and one for the yardstick, for each scene; and what a call costs."""
    lines = [" " * 22 + "".join(f"{heading:>11}" for heading in HEADINGS)]
    for name, pair in rows.items():
        for who, row in zip((name, "  by loudness"), pair, strict=True):
            told = (row.never_percent, row.missed_percent, row.false_an_hour, row.false_percent, row.release)
            lines.append(f"{who:22}" + "".join(f"{_cell(value):>11}" for value in (*row.onset, *told)))
    return [*lines, f"CPU, % of a core for a call: detector {spent[0]:.3f}, loudness {spent[1]:.3f}"]


def shortfalls(rows: dict[str, Figures], cpu: float) -> list[str]:
    """The bounds that do not hold. In noise there are none: figures to know, not promises."""
    clean, coughs, short = rows["speech, quiet"], rows["coughs"], rows["bursts of 100 ms"]
    bounds = {
        f"p95 of the onset in quiet speech is {clean.onset[1]:.0f} ms": clean.onset[1] <= MAX_ONSET_MS,
        f"{clean.never_percent:.1f} % of quiet sentences were not heard": clean.never_percent == 0,
        f"{coughs.false_an_hour:.0f} coughs an hour are speech": coughs.false_an_hour == 0,
        f"{short.false_an_hour:.0f} bursts an hour are speech": short.false_an_hour == 0,
        f"a call costs {cpu:.3f} % of a core": cpu <= MAX_CPU_PERCENT,
    }
    return [what for what, holds in bounds.items() if not holds]


def _cell(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1f}"


def _overlap(some: Sequence[Span], others: Sequence[Span]) -> float:
    return sum(max(0.0, min(b, d) - max(a, c)) for a, b in some for c, d in others)


def _percentile(values: Sequence[float], q: float) -> float:
    return float(np.percentile(values, q)) if values else float("nan")


def _at(pcm: Pcm, dbfs: float) -> Pcm:
    return pcm * (10 ** ((dbfs - _db(float(np.mean(np.square(pcm))))) / 20))


def _on_the_line(pcm: Pcm) -> bytes:
    line = np.random.default_rng(2).standard_normal(len(pcm)) * 32768 * 10 ** (LINE_DBFS / 20)
    return mulaw.encode(np.rint(pcm + line).clip(-32768, 32767).astype(np.int16))


def _db(power: float) -> float:
    return 10 * float(np.log10(power + 1e-9)) - 90.3
