"""Speakers for the bench of heard text: they know when each word ends, and are as irregular as people.

Both pause where nothing asks for it, take a breath before they begin, and speak numbers at the length of their names.
The one is made of tones and is there everywhere; the other is espeak-ng, whose own word times are natural.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lineside.errors import LinesideError
from lineside.standin.espeak import EspeakVoice
from lineside.standin.tone import ToneVoice
from lineside.standin.voice import Rendering, WordTime

BREATH_S = (0.0, 0.25)  # before the first word of a text
PAUSE_SHARE = 0.06  # of the places between two words
PAUSE_S = (0.1, 0.5)
STRETCH = (0.85, 1.15)  # of a word's length, each time anew; tones only, espeak-ng has its own
STOP_S = (0.15, 0.6)  # behind a sentence; tones only
COMMA_S = (0.05, 0.3)  # behind a comma; tones only
QUIET = 160  # of 32768, 46 dB below full scale

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SIGNS = {"$": "dollars", "%": "percent", "-": ",", ":": " ", "/": " ", ".": "point"}

_RUN = re.compile(r"\S+")

PROSE: Sequence[str] = (
    "The ferry to the islands leaves from the old pier, not from the new terminal.",
    "I can move your delivery to a later day if that suits you better.",
    "Right.",
    "Someone from our workshop will look at the boiler before the weekend.",
    "Let me see whether that colour is still in stock.",
    "We close early on holidays, but the night desk takes messages.",
    "Unfortunately the concert is sold out, although a few people usually return their tickets.",
    "Could you spell the name of the street for me, please?",
    "That is already done!",
    "Your luggage was found, and it is on its way to the hotel where you are staying.",
    "Do you prefer a window or an aisle?",
)
FIGURES: Sequence[str] = (
    "Your parcel 99000 weighs 9.5 kilos and arrives by 9:30.",
    "Row 99 has seats left, and so has row 90, for $99.50 each.",
    "Please call 900-000-0000 between 9:15 and 12:45.",
    "In 1999 we had 90 rooms, today there are 999.",
    "About 90% of all orders over $900 leave on 11/09/2099.",
    "The code is 0000, and it is valid for 90 minutes.",
)


class Speaker:
    """A voice for the provider stand-in. The same text sounds the same every time, so that its word ends stay known."""

    blocking = False  # espeak-ng takes a millisecond for each second of speech, and no time passes on the test clock

    def __init__(self, kind: Literal["tones", "espeak"], seed: int = 0) -> None:
        """
        Raises:
            LinesideError: espeak-ng is not installed.
        """
        self.rate = 1.0
        """Speaking rate from now on, 0.7 to 1.4."""
        self._espeak = EspeakVoice() if kind == "espeak" else None
        self._seed = seed
        self._spoken: dict[tuple[str, float], Rendering] = {}

    def speak(self, text: str, speed: float = 1.0) -> Rendering:
        key = (text, self.rate * speed)
        if key not in self._spoken:
            dice = random.Random(f"{self._seed}/{key}")
            speech = self._espeak.speak(*key) if self._espeak else _in_tones(text, key[1], dice)
            self._spoken[key] = _with_pauses(speech, dice)
        return self._spoken[key]

    def word_ends(self, text: str) -> list[float]:
        """When the last sound of each word of `text` is over, in s from its first sample, at the present rate.

        espeak-ng runs small words together ("with the"): both end with the later one.
        """
        speech = self.speak(text)
        known = {word.start_char: _sounds_until(speech, word) for word in speech.words}
        ends: list[float] = []
        for run in _RUN.finditer(text):
            own = [at for char, at in known.items() if run.start() <= char < run.end()]
            ends.append(max([*ends[-1:], *own], default=0.0))
        return ends


def speakers(seed: int = 0) -> dict[str, Speaker]:
    """Those that this machine has."""
    found = {"tones": Speaker("tones", seed)}
    with suppress(LinesideError):  # the extra is not installed
        found["espeak"] = Speaker("espeak", seed)
    return found


def text(dice: random.Random, n_sentences: int, figures: float) -> str:
    """So many sentences, of which this share has figures: any digit in place of a 0, any but 0 in place of a 9."""
    drawn = [dice.choice(FIGURES if dice.random() < figures else PROSE) for _ in range(n_sentences)]
    digits = {"0": "0123456789", "9": "123456789"}
    return " ".join("".join(dice.choice(digits.get(char, char)) for char in each) for each in drawn)


def read_out(word: str) -> str:
    """A word with its figures spelled out: "$9.50," is "dollars nine point five zero,"."""
    if not any(map(str.isdigit, word)):
        return word
    core = word.rstrip(".,?!")
    parts = (DIGITS[int(char)] if char.isdigit() else SIGNS.get(char, char) for char in core)
    return " ".join(parts) + word[len(core) :]


def _in_tones(text: str, rate: float, dice: random.Random) -> Rendering:
    voice = ToneVoice()
    clips: list[NDArray[np.int16]] = []
    words: list[WordTime] = []
    n = 0
    for run in _RUN.finditer(text):
        clip = voice.speak(read_out(run[0]), rate * dice.uniform(*STRETCH)).pcm
        words.append(WordTime(run.start(), run.end(), n / 8000, (n + len(clip)) / 8000))
        silence = STOP_S if run[0][-1] in ".?!" else COMMA_S if run[0][-1] == "," else (0.03, 0.08)
        clips += [clip, np.zeros(round(dice.uniform(*silence) * 8000), np.int16)]
        n += len(clip) + len(clips[-1])
    return Rendering(np.concatenate(clips) if clips else np.zeros(0, np.int16), 8000, tuple(words))


def _with_pauses(speech: Rendering, dice: random.Random) -> Rendering:
    """The same speech with a breath before it and some pauses between its words."""
    clips: list[NDArray[np.int16]] = []
    words: list[WordTime] = []
    at, n_added = 0, 0
    for n_silent, cut in _silences(speech, dice):
        clips += [speech.pcm[at:cut], np.zeros(n_silent, np.int16)]
        words += [_later(word, n_added / speech.rate) for word in _between(speech, at, cut)]
        at, n_added = cut, n_added + n_silent
    words += [_later(word, n_added / speech.rate) for word in _between(speech, at, len(speech.pcm) + 1)]
    return Rendering(np.concatenate([*clips, speech.pcm[at:]]), speech.rate, tuple(words))


def _silences(speech: Rendering, dice: random.Random) -> Iterator[tuple[int, int]]:
    """So many samples of silence before a sample."""
    yield round(dice.uniform(*BREATH_S) * speech.rate), 0
    for word in speech.words[1:]:
        if dice.random() < PAUSE_SHARE:
            yield round(dice.uniform(*PAUSE_S) * speech.rate), round(word.start_s * speech.rate)


def _sounds_until(speech: Rendering, word: WordTime) -> float:
    """When a word's last sound is over: its time may have a pause at its end."""
    begin = round(word.start_s * speech.rate)
    loud = np.flatnonzero(np.abs(speech.pcm[begin : round(word.end_s * speech.rate)]) > QUIET)
    return (begin + int(loud[-1]) + 1) / speech.rate if len(loud) else word.end_s


def _between(speech: Rendering, begin: int, end: int) -> Iterator[WordTime]:
    return (word for word in speech.words if begin <= round(word.start_s * speech.rate) < end)


def _later(word: WordTime, seconds: float) -> WordTime:
    return WordTime(word.start_char, word.end_char, word.start_s + seconds, word.end_s + seconds)
