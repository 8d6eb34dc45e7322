"""What the tests of whole calls share: prose of words that sound apart, an agent with a script, and ears.

What the caller heard is judged from the phone's playout alone, what was spoken from the provider's record alone; what
the server believes is never asked for either.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise, product
from typing import Any

import numpy as np

from lineside.audio import mulaw
from lineside.audio.formats import FRAME_BYTES, SILENCE
from lineside.events import CallEnded, CallInfo, Cue, Line
from lineside.standin.carrier_queue import Span
from lineside.standin.phone import PhoneCall
from lineside.standin.provider import Provider
from lineside.standin.record import Record
from lineside.standin.tone import CHARS_PER_S, TONES, TONES_PER_WORD, tones
from lineside.testing import DeepgramSettings, LinesideSettings, Settings, Simulation

RATE = 8000  # Hz, and mu-law bytes a second
APOLOGY = files("lineside").joinpath("assets/apology.ulaw").read_bytes()
HOP = 80  # bytes; 10 ms, in which a word's sound repeats
UNSURE_MS = 45  # a word's edges share their windows with what is next to it


def _words() -> list[str]:
    """Words of four to nine letters that all sound apart, in a fixed order that mixes their lengths."""
    starts, middles, ends = ("ba", "de", "fi", "go", "ku", "la"), ("mi", "no", "pu", "", "ravi"), ("sa", "te", "vo")
    found: dict[tuple[int, ...], str] = {}
    for start, middle, end, last in product(starts, middles, ends, ("", "n", "r", "l", "k")):
        word = start + middle + end + last
        found.setdefault(tones(word), word)
    words = list(found.values())
    return [words[i * 211 % len(words)] for i in range(len(words))]


VOCABULARY = _words()


def prose(n_words: int, *, first: int = 0, sentence: int = 7) -> str:
    """Sentences of words from VOCABULARY: no word occurs twice, nor in another text whose words lie elsewhere.

    Args:
        first: the place of the first word in VOCABULARY.
        sentence: words in each sentence.
    """
    words = VOCABULARY[first : first + n_words]
    assert len(words) == n_words, "the vocabulary is used up"
    sentences = [" ".join(words[i : i + sentence]).capitalize() + "." for i in range(0, n_words, sentence)]
    return " ".join(sentences)


def words_of(text: str) -> list[str]:
    return [word.strip(".").lower() for word in text.split()]


# -- the agent ---------------------------------------------------------------------------------------------------------

Answer = str | Sequence[Line] | Callable[[], AsyncIterator[Line]]


class Script:
    """An agent that gives its answers in turn, whatever it is asked; give `agent` to a simulation.

    Args:
        answers: the first is the greeting; one that is a function is asked for its lines.
    """

    def __init__(self, *answers: Answer) -> None:
        self._answers = iter(answers)
        self.cues: list[Cue] = []

    def agent(self, call: CallInfo) -> Script:
        return self

    async def reply(self, cue: Cue) -> AsyncIterator[Line]:
        self.cues.append(cue)
        if isinstance(cue, CallEnded):
            return
        answer = next(self._answers)
        if callable(answer):
            async for line in answer():
                yield line
        else:
            for line in [answer] if isinstance(answer, str) else answer:
                yield line


def slowly(n: int, every: float) -> Callable[[], AsyncIterator[Line]]:
    """An agent's answer of so many sentences of two words, one at a time."""

    async def answer() -> AsyncIterator[Line]:
        for i in range(n):
            yield prose(2, first=2 * i) + " "
            await asyncio.sleep(every)

    return answer


def settings(*, lead: float = 1.0, **deepgram: Any) -> Settings:
    """The server's settings: the agent shares the loop."""
    return Settings(LinesideSettings(agent_loop="app", lead_s=lead), deepgram=DeepgramSettings(**deepgram))


# -- the provider ------------------------------------------------------------------------------------------------------

REAL = {"handshake_delay_s": 0.3, "first_audio_delay_s": 0.15}
"""Faults: about what Deepgram takes, as measured by others. The stand-in by itself is immediate."""


def beset(sim: Simulation, **faults: Any) -> None:
    """Set the provider's faults."""
    assert sim.provider is not None
    for name, value in faults.items():
        setattr(sim.provider.faults, name, value)


def record(sim: Simulation) -> Record:
    assert sim.provider is not None
    return sim.provider.record


# -- what the provider spoke -------------------------------------------------------------------------------------------


def spoken(provider: Provider | None, text: str) -> bytes:
    """All audio that the provider gave for one turn, by the words of the turn's text."""
    assert provider is not None
    wanted = set(words_of(text))
    parts = [each for each in provider.record.spoken if wanted.intersection(words_of(each.text))]
    return b"".join(each.audio for each in sorted(parts, key=lambda each: each.at))


def speaks(record: Record) -> list[str]:
    """The text messages of all connections, as they came."""
    return [message for messages in record.messages.values() for message in messages if '"Speak"' in message]


# -- what the caller heard ---------------------------------------------------------------------------------------------


def spans(call: PhoneCall, begin: float = 0.0, end: float = float("inf")) -> list[Span]:
    """What was played without a break, of all that began to play within a time."""
    now = asyncio.get_running_loop().time()
    played = [span for stream in call.streams for span in stream.queue.spans(stream.until(now))]
    return [span for span in played if begin <= span.at < end]


def is_whole(heard: bytes, audio: bytes) -> bool:
    """The caller heard this audio to the byte, padded to whole frames at the end alone."""
    padding = heard[len(audio) :]
    return heard.startswith(audio) and len(padding) < FRAME_BYTES and not padding.strip(SILENCE)


@dataclass(frozen=True, slots=True)
class Heard:
    """A word that sounded without a break."""

    word: str
    at_ms: int
    ms: int


def listen(audio: bytes, words: Iterable[str]) -> list[Heard]:
    """Every word in mu-law audio of the tone voice, in order, its length to within UNSURE_MS.

    Looks at 20 ms at every 10 ms; sounds that are none of `words` are passed over.
    """
    names = {tones(word): word for word in words}
    pcm = mulaw.decode(audio)
    n = len(pcm) // HOP - 1
    if n <= 0:
        return []
    windows = np.lib.stride_tricks.sliding_window_view(pcm[: (n + 1) * HOP], 2 * HOP)[::HOP].astype(np.float64)
    strength = np.abs(np.fft.rfft(windows, axis=1))[:, [tone * 2 * HOP // RATE for tone in TONES]]
    ranked = np.argsort(-strength, axis=1)
    at = np.arange(n)
    clear = strength[at, ranked[:, TONES_PER_WORD - 1]] > 4 * strength[at, ranked[:, TONES_PER_WORD]] + 2 * HOP
    best = np.sort(ranked[:, :TONES_PER_WORD], axis=1)
    heard: list[Heard] = []
    sounding, since = None, 0
    for i in range(n + 1):
        word = names.get(tuple(TONES[tone] for tone in best[i])) if i < n and clear[i] else None
        if word != sounding:
            if sounding is not None:
                heard.append(Heard(sounding, since * 10, (i - since + 1) * 10))
            sounding, since = word, i
    return heard


def whole_ms(word: str, rate: float = 1.0) -> float:
    """How long a word sounds at least, from a tone voice of this rate."""
    return len(word) / CHARS_PER_S / rate * 1000


@dataclass(frozen=True, slots=True)
class Telling:
    """How a text came across."""

    missing: tuple[str, ...]
    """Words that were never heard whole, or were passed over."""
    repeated: int
    """Words told again."""
    most_at_once: int
    """The most words told again at one place."""
    begun_again: int = 0
    """Words cut short and told again at once, without a pause: what was sent of them could not be recalled."""


def telling(audio: bytes, text: str, *, rate: float = 1.0, strangers: Iterable[str] = ()) -> Telling:
    """Compare what was heard with what the agent said: the same words in the same order, some of them told again.

    Args:
        rate: of the tone voice.
        strangers: words that must not sound; an AssertionError names those that do.
    """
    words = words_of(text)
    place = {word: i for i, word in enumerate(words)}
    heard = listen(audio, [*words, *strangers])
    if foreign := [each.word for each in heard if each.word not in place]:
        raise AssertionError(f"words of another text were heard: {foreign}")
    whole = {each.word for each in heard if each.ms >= whole_ms(each.word, rate) - UNSURE_MS}
    missing = [word for word in words if word not in whole]
    # A word cut short and told again without a pause sounds like one that is too long.
    begun_again = sum(each.ms > whole_ms(each.word + ". ", rate) + UNSURE_MS for each in heard)
    again = [0]
    for before, after in pairwise(heard):
        step = place[after.word] - place[before.word]
        if step > 1:
            missing.extend(words[place[before.word] + 1 : place[after.word]])
        elif step < 1:
            again.append(1 - step)
        elif before.word not in whole:
            missing.append(before.word)
    return Telling(tuple(missing), sum(again), max(again), begun_again)
