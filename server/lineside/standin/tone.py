"""A voice made of tones, for tests and load: exact lengths, words that a test can tell apart, next to no cost.

A word sounds as five of 28 tones, chosen by its letters (case does not count). All tones are multiples of 100 Hz, so a
word's sound repeats every 10 ms and any 20 ms of it, wherever they begin, have one and the same spectrum.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from lineside.errors import SettingsError
from lineside.standin.voice import Rendering, WordTime

RATE = 8000  # Hz; what a phone asks for, so the common case is never resampled
TONES = tuple(range(400, 3200, 100))  # Hz; the band that a telephone carries
TONES_PER_WORD = 5
CHARS_PER_S = 15.0  # close to a natural pace of English
PEAK = 16000  # -6 dB of full scale
RENDERINGS_KEPT = 64  # about 10 MB when all are long replies

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


class ToneVoice:
    """Speaks every character in the same time; what is not a word is silence.

    Args:
        chars_per_s: pace at rate 1.
        rate: 0.7 to 1.4, how much faster than that this voice is: texts come out at other lengths than expected.
        continuous: no pause anywhere, so that any silence a listener hears was not made here.
    """

    blocking = False

    def __init__(self, *, chars_per_s: float = CHARS_PER_S, rate: float = 1.0, continuous: bool = False) -> None:
        if not 0.7 <= rate <= 1.4:
            raise SettingsError(f"a tone voice's rate is 0.7 to 1.4, not {rate}")
        self._chars_per_s = chars_per_s * rate
        self._continuous = continuous
        self._cached = lru_cache(maxsize=RENDERINGS_KEPT)(self._render)

    def speak(self, text: str, speed: float = 1.0) -> Rendering:
        return self._cached(text, speed)

    def _render(self, text: str, speed: float) -> Rendering:
        samples_per_char = RATE / (self._chars_per_s * speed)
        pcm = np.zeros(round(len(text) * samples_per_char), np.int16)
        words = []
        for word, start_char, end_char in self._spans(text):
            start, end = round(start_char * samples_per_char), round(end_char * samples_per_char)
            pcm[start:end] = np.resize(_period(word), end - start)
            words.append(WordTime(start_char, end_char, start / RATE, end / RATE))
        pcm.setflags(write=False)
        return Rendering(pcm, RATE, tuple(words))

    def _spans(self, text: str) -> Iterable[tuple[str, int, int]]:
        """Each word and the characters during which it sounds."""
        found = list(_WORD.finditer(text))
        if not self._continuous:
            return [(word[0], word.start(), word.end()) for word in found]
        if not found:
            return [(text, 0, len(text))] if text else []
        # Every word sounds until the next begins, the first from the start.
        begins = [0, *(word.start() for word in found[1:]), len(text)]
        return [(word[0], begins[i], begins[i + 1]) for i, word in enumerate(found)]


@lru_cache(maxsize=4096)
def tones(word: str) -> tuple[int, ...]:
    """The tones of a word, in Hz, rising. Two words share all five with a chance of 1 in 98280."""
    digest = blake2b(word.casefold().encode(), digest_size=len(TONES)).digest()
    ranked = sorted(range(len(TONES)), key=lambda i: (digest[i], i))
    return tuple(sorted(TONES[i] for i in ranked[:TONES_PER_WORD]))


@lru_cache(maxsize=1024)
def _period(word: str) -> NDArray[np.int16]:
    """10 ms of a word. Shape (80,)."""
    at_s = np.arange(RATE // 100) / RATE
    # Quadratic phases keep the peaks of the five from meeting.
    waves = [np.cos(2 * np.pi * tone * at_s + np.pi * k * k / TONES_PER_WORD) for k, tone in enumerate(tones(word))]
    wave = np.sum(waves, axis=0)
    period: NDArray[np.int16] = (wave * (PEAK / np.abs(wave).max())).astype(np.int16)
    return period


def recognise(pcm: NDArray[np.int16], rate: int, words: Iterable[str]) -> str | None:
    """Which of `words` sounds in a piece of this voice's audio; None when none of them does, or more than one.

    Args:
        pcm: shape (n,), at least 20 ms; what exceeds a multiple of 20 ms is not looked at.
        rate: Hz, above 6400 and a multiple of 50.
    """
    n = len(pcm) // (rate // 50) * (rate // 50)
    if not n:
        return None
    strength = np.abs(np.fft.rfft(pcm[:n].astype(np.float64)))[[tone * n // rate for tone in TONES]]
    ranked = np.argsort(strength)[::-1]
    # Within a word the five are equally strong and the rest is rounding.
    if strength[ranked[TONES_PER_WORD - 1]] < 4 * strength[ranked[TONES_PER_WORD]] + n:
        return None
    heard = tuple(sorted(TONES[i] for i in ranked[:TONES_PER_WORD]))
    return next((word for word in words if tones(word) == heard), None)
