"""A voice that a recogniser understands: every word is a word of the modem, so an agent can be heard by its own ear.

Where a phone returns what it plays, the agent's words come back to the recogniser stand-in as words. No other stand-in
voice can show whether an agent interrupts itself.
"""

from __future__ import annotations

import re
from functools import lru_cache
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from lineside.audio import mulaw
from lineside.standin.recogniser import modem
from lineside.standin.recogniser.undertone import ringing, voiced
from lineside.standin.voice import Rendering, WordTime

PEAK = 10_000  # -10 dB of full scale: 2 dB above a caller, whose words mask those that come back 10 dB down
PITCH_HZ = 200.0
SENTENCE_PAUSE_S, COMMA_PAUSE_S = 0.3, 0.1
RENDERINGS_KEPT = 64

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_SENTENCE_END = re.compile(r"[.!?…]")
_COMMA = re.compile(r"[,;:]")


class SpokenVoice:
    """Says words as `modem.encode` does, without their punctuation, and pauses where that stands.

    Numbers are said as they are written, `42` and not "forty-two". Of a word over 40 bytes the beginning is said.

    Args:
        seconds_per_word: at the voice's own pace; a word that needs longer for its bytes takes longer.
        peak: the highest sample, without the low notes.
        voiced: with a voice's low notes and in a room, so that it is speech to what listens for sounds and levels; see
            `undertone.py`.
    """

    blocking = False

    def __init__(
        self, *, seconds_per_word: float = modem.SECONDS_PER_WORD, peak: int = PEAK, voiced: bool = False
    ) -> None:
        self._seconds_per_word = seconds_per_word
        self._peak = peak
        self._voiced = voiced
        self._cached = lru_cache(maxsize=RENDERINGS_KEPT)(self._render)

    def speak(self, text: str, speed: float = 1.0) -> Rendering:
        return self._cached(text, speed)

    def _render(self, text: str, speed: float) -> Rendering:
        pieces: list[NDArray[np.int16]] = [np.zeros(0, np.int16)]
        words: list[WordTime] = []
        n_samples = behind = 0
        for found in _WORD.finditer(text):
            pause = np.zeros(_pause(text[behind : found.start()], speed), np.int16)
            sound = mulaw.decode(self._say(_short(found[0]), speed))
            start, n_samples = n_samples + len(pause), n_samples + len(pause) + len(sound)
            words.append(WordTime(found.start(), found.end(), start / modem.RATE, n_samples / modem.RATE))
            pieces += [pause, sound]
            behind = found.end()
        pieces.append(np.zeros(_pause(text[behind:], speed), np.int16))
        pcm = np.concatenate(pieces)
        pcm.setflags(write=False)
        return Rendering(pcm, modem.RATE, tuple(words))

    def _say(self, word: str, speed: float) -> bytes:
        audio = modem.encode(word, self._seconds_per_word / speed, peak=self._peak)
        return voiced(ringing(audio), pitch_hz=PITCH_HZ, seed=crc32(word.encode())) if self._voiced else audio


def _pause(between: str, speed: float) -> int:
    """Samples of silence for what stands between two words."""
    seconds = SENTENCE_PAUSE_S if _SENTENCE_END.search(between) else COMMA_PAUSE_S if _COMMA.search(between) else 0.0
    return round(seconds / speed * modem.RATE)


def _short(word: str) -> str:
    """As much of a word as the modem can say."""
    return word.encode()[: modem.MOST_BYTES].decode(errors="ignore")
