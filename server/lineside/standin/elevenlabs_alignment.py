"""When each character of a generated text sounds, as ElevenLabs tells it. No I/O.

Source: https://elevenlabs.io/docs/api-reference/text-to-speech/v-1-text-to-speech-voice-id-stream-input
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np

from lineside.standin.voice import WordTime

LEAD_MS = 20  # the normalised alignment's leading space, as seen on the wire
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True, slots=True)
class Alignment:
    """Characters in order and without gaps: each begins where the one before it ends. Whole ms."""

    chars: tuple[str, ...]
    starts_ms: tuple[int, ...]
    durations_ms: tuple[int, ...]

    @classmethod
    def of(cls, timed: Iterable[tuple[str, int, int]]) -> Self:
        """From (character, start, duration)."""
        chars, starts, durations = zip(*timed, strict=True)
        return cls(chars, starts, durations)

    def timed(self) -> Iterable[tuple[str, int, int]]:
        """As (character, start, duration)."""
        return zip(self.chars, self.starts_ms, self.durations_ms, strict=True)

    def between(self, begin_ms: float, end_ms: float = math.inf, *, shift_ms: int = 0) -> Alignment | None:
        """What begins from `begin_ms` and before `end_ms`, moved `shift_ms` earlier; None when nothing does."""
        inside = [(char, at - shift_ms, ms) for char, at, ms in self.timed() if begin_ms <= at < end_ms]
        return Alignment.of(inside) if inside else None

    def as_json(self, durations_name: str) -> dict[str, Any]:
        return {
            "chars": list(self.chars),
            "charStartTimesMs": list(self.starts_ms),
            durations_name: list(self.durations_ms),
        }


def align(text: str, words: Iterable[WordTime], length_ms: int) -> Alignment:
    """Spread a text's characters over its audio: a word's over the word, the rest over what is between words.

    Silence before the first word goes to the first character, silence behind the last one to those that follow it. Of
    several blanks in a row the first has all the time.

    Args:
        text: not empty.
        length_ms: of the audio.
    """
    places = [0]  # a character's place when repeated blanks take none
    for i, char in enumerate(text):
        places.append(places[-1] + (not (i and char.isspace() and text[i - 1].isspace())))
    known = [(0, 0.0)]  # place and ms
    for word in words:
        for index, at_s in ((word.start_char, word.start_s), (word.end_char, word.end_s)):
            place, at_ms = places[index], at_s * 1000
            if known[-1][0] < place < places[-1] and known[-1][1] <= at_ms <= length_ms:
                known.append((place, at_ms))
    known.append((places[-1], float(length_ms)))
    known_places, known_ms = zip(*known, strict=True)
    edges = [round(edge) for edge in np.interp(places, list(known_places), list(known_ms)).tolist()]
    return Alignment(tuple(text), tuple(edges[:-1]), tuple(end - begin for begin, end in pairwise(edges)))


def normalise(raw: Alignment, *, begins: bool, expands_numbers: bool) -> Alignment:
    """The alignment of what is spoken in place of the text: blanks in a row are one, digits can be words.

    Args:
        begins: the text begins its context: a space is put before it, in the first character's time.
    """
    timed: list[tuple[str, int, int]] = []
    for i, (char, at, ms) in enumerate(raw.timed()):
        if char.isspace():
            if timed and timed[-1][0] == " ":
                timed[-1] = (" ", timed[-1][1], timed[-1][2] + ms)
            else:
                timed.append((" ", at, ms))
            continue
        spelled = char
        if expands_numbers and char in "0123456789":
            spelled = DIGITS[int(char)]
            if i and raw.chars[i - 1].isalnum():
                spelled = " " + spelled
            if i + 1 < len(raw.chars) and raw.chars[i + 1].isalpha():
                spelled += " "
        edges = [at + ms * k // len(spelled) for k in range(len(spelled) + 1)]
        timed += [(part, edges[k], edges[k + 1] - edges[k]) for k, part in enumerate(spelled)]
    if begins and timed[0][0] != " ":
        char, at, ms = timed[0]
        lead_ms = min(LEAD_MS, ms // 2)
        timed[:1] = [(" ", at, lead_ms), (char, at + lead_ms, ms - lead_ms)]
    return Alignment.of(timed)
