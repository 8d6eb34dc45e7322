"""Words as sounds that a machine can read back, in the 8 kHz mu-law of a telephone.

A caller's script says a word as audio of the length and level of speech. The recogniser stand-in gives the word only
if all of that audio arrives, once and in order. Nothing is known to it but the samples.

A word is a rising chirp, then tones of 8 ms, one of 16 for each four bits, then a falling chirp:

    chirp | n, 1 byte | n bytes: the word in UTF-8, filled up with zeros | CRC-16 | chirp

Every tone makes a whole number of waves in its 8 ms and starts at zero, so the sound has no clicks. The bits are mixed
with a fixed noise, so that no two neighbours are alike by rule. A reader that knows the first sample knows the phase
of every tone: it asks that each one correlate with the tone it stands for, and since none is below 1000 Hz, a shift of
one sample within a word is enough to lose it (but for the outermost few ms, where a chirp has hardly begun). Steady
noise 6 dB below the word is not. What sounds below 800 Hz is not listened to (see `undertone.py`).
"""

from __future__ import annotations

import binascii
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lineside.audio import mulaw
from lineside.errors import LocalProtocolError

RATE = 8000  # Hz
PEAK = 8000  # -12 dB of full scale, -15 dBFS RMS: a caller who speaks up
SECONDS_PER_WORD = 0.3  # 200 words a minute, a brisk caller

SYMBOL = 64  # samples; 8 ms
BITS = 4
LOWEST = 8  # waves in a symbol: 1000 Hz
HEAD, TAIL = 192, 128  # samples of the two chirps
CHIRP_HZ = (700.0, 3100.0)
MOST_BYTES = 40  # of a word; 0.73 s
CHECK_BYTES = 2
LONGEST = HEAD + TAIL + (1 + MOST_BYTES + CHECK_BYTES) * 2 * SYMBOL

SYNC = 0.7  # correlation from which a chirp is one; tones reach 0.5
MATCH = 0.8  # correlation that every symbol of a word must have; noise 3 dB below it still leaves that on average
SEARCH_AHEAD = 8  # samples: the best correlation is at most this far behind the first good one
HIGH_PASS = 16  # samples either way that the filter before the search looks at
SEARCH_STEP = 320  # samples; 40 ms, so that a beginning is found before the shortest word ends
QUIET = 100  # peak below which nobody looks for a word
LATE_END = 400  # samples for which the end of a word is looked for behind its place

_NOISE = random.Random(17).randbytes(1 + MOST_BYTES + CHECK_BYTES)


@dataclass(frozen=True, slots=True)
class DecodedWord:
    """A word, and where it sounds: s of audio from the first sample that was fed."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Loss:
    """A word that could not be read."""

    at_s: float
    """Where it, or what was found of it, begins: s of audio from the first sample."""
    how: Literal["missing", "repeated", "garbled", "headless", "unfinished"]
    """Audio is missing within it, or there twice; it is as long as it should be, yet wrong (noise, or order); its
    beginning is missing; its end is."""
    n_samples: int = 0
    """How many are missing or too many, where that is known."""


# -- writing ---------------------------------------------------------------------------------------------------------


def encode(text: str, seconds_per_word: float = SECONDS_PER_WORD, *, peak: int = PEAK) -> bytes:
    """Say a text, word by word, without a pause.

    Args:
        text: words between blanks.
        seconds_per_word: how long a word takes, to 16 ms; one that needs longer for its bytes takes longer.
        peak: the highest sample, up to 32767.

    Returns:
        Mu-law, 8 kHz.

    Raises:
        LocalProtocolError: a word of more than 40 bytes in UTF-8, or with a zero in it.
    """
    return b"".join(_word(word, round(seconds_per_word * RATE), peak) for word in text.split())


@lru_cache(maxsize=4096)
def _word(word: str, n_samples: int, peak: int) -> bytes:
    text = word.encode()
    if len(text) > MOST_BYTES or 0 in text:
        raise LocalProtocolError(f"expected a word of at most {MOST_BYTES} bytes, none of them zero, got {word!a}")
    fixed = HEAD + TAIL + (1 + CHECK_BYTES) * 2 * SYMBOL
    room = (n_samples - fixed) // (2 * SYMBOL)
    text = text.ljust(min(MOST_BYTES, room), b"\0")
    body = bytes([len(text)]) + text
    body += binascii.crc_hqx(body, 0xFFFF).to_bytes(CHECK_BYTES, "big")
    wave = np.concatenate((_HEAD, *(_TONES[nibble] for nibble in _nibbles(_mixed(body))), _TAIL))
    return mulaw.encode(np.rint(wave * peak).astype(np.int16))


def _mixed(body: bytes) -> bytes:
    """Add the fixed noise to the bits, or take it away."""
    return bytes(a ^ b for a, b in zip(body, _NOISE, strict=False))


def _nibbles(body: bytes) -> list[int]:
    return [nibble for byte in body for nibble in (byte >> BITS, byte & 15)]


def _chirp(n_samples: int, start_hz: float, end_hz: float) -> NDArray[np.float64]:
    """A tone whose pitch moves evenly. Shape (n_samples,)."""
    at = np.arange(n_samples) / RATE
    length_s = n_samples / RATE
    return np.sin(2 * np.pi * (start_hz * at + (end_hz - start_hz) * at * at / (2 * length_s)))


_TONES = np.sin(2 * np.pi * np.outer(np.arange(LOWEST, LOWEST + 16), np.arange(SYMBOL)) / SYMBOL)  # (16, SYMBOL)
_HEAD = _chirp(HEAD, *CHIRP_HZ)
_TAIL = _chirp(TAIL, *reversed(CHIRP_HZ))
_LISTEN_FOR = np.exp(2j * np.pi * np.outer(np.arange(SYMBOL), np.arange(LOWEST, LOWEST + 16)) / SYMBOL)


def _high_pass(cut_hz: float) -> NDArray[np.float64]:
    """A windowed sinc, 2 * HIGH_PASS + 1 taps."""
    at = np.arange(-HIGH_PASS, HIGH_PASS + 1)
    low = 2 * cut_hz / RATE * np.sinc(2 * cut_hz / RATE * at) * np.hamming(len(at))
    taps: NDArray[np.float64] = (at == 0) - low / low.sum()
    return taps


def _above(first: int) -> NDArray[np.float64]:
    """Takes the whole waves below the nth out of a symbol. Shape (SYMBOL, SYMBOL)."""
    turns = 2 * np.pi * np.outer(np.arange(SYMBOL), np.arange(first)) / SYMBOL
    waves = np.concatenate((np.cos(turns), np.sin(turns[:, 1:])), axis=1)
    waves /= np.sqrt(np.sum(np.square(waves), axis=0))
    kept: NDArray[np.float64] = np.eye(SYMBOL) - waves @ waves.T
    return kept


_FILTER = _high_pass(850.0)
_ABOVE = _above(LOWEST - 1)
_HEAD_HIGH, _TAIL_HIGH = (np.convolve(chirp, _FILTER, "same") for chirp in (_HEAD, _TAIL))


# -- reading ---------------------------------------------------------------------------------------------------------


class Decoder:
    """Reads words out of a stream of audio. However it is cut into pieces, the words are the same."""

    def __init__(self) -> None:
        self.losses: list[Loss] = []
        """What could not be read so far."""
        self._pcm = np.zeros(0, np.float32)
        self._origin = 0  # of _pcm[0], in samples from the start; as are all that follow
        self._seek = 0  # everything before was looked at
        self._word_at: int | None = None  # where a word was found to begin
        self._over_at: int | None = None  # where the audio ended
        self._end_is_known = False  # the next end without a beginning belongs to the latest loss

    @property
    def reading(self) -> bool:
        """What may become a word has begun, and is not over."""
        return self._word_at is not None

    def feed(self, audio: bytes) -> list[DecodedWord]:
        """Take mu-law, 8 kHz; give the words that end in it."""
        return self.feed_pcm(mulaw.decode(audio))

    def feed_pcm(self, pcm: NDArray[np.int16]) -> list[DecodedWord]:
        """Take linear PCM, 8 kHz, shape (n,); give the words that end in it."""
        self._pcm = np.concatenate((self._pcm, pcm.astype(np.float32)))
        words: list[DecodedWord] = []
        while self._read(words) if self._word_at is not None else self._search():
            pass
        self._forget()
        return words

    def finish(self) -> None:
        """The audio has ended: a word that has begun is lost."""
        self._over_at = self._end
        self.feed_pcm(np.zeros(LONGEST + LATE_END + SEARCH_STEP, np.int16))

    @property
    def _end(self) -> int:
        return self._origin + len(self._pcm)

    def _at(self, start: int, n_samples: int) -> NDArray[np.float32]:
        return self._pcm[start - self._origin : start - self._origin + n_samples]

    def _high(self, start: int, end: int) -> NDArray[np.float64]:
        """The samples without what is low, from HIGH_PASS more on either side; before the first was silence."""
        before = max(0, HIGH_PASS - (start - self._origin))
        samples = self._at(start - HIGH_PASS + before, end - start + 2 * HIGH_PASS - before)
        return np.convolve(np.concatenate((np.zeros(before), samples)), _FILTER, "valid")

    def _forget(self) -> None:
        """Drop what nobody will look at again; rarely, since it copies."""
        kept_from = max(self._origin, (self._seek if self._word_at is None else self._word_at) - HIGH_PASS)
        if kept_from - self._origin > len(self._pcm) // 2:
            self._pcm = self._pcm[kept_from - self._origin :].copy()
            self._origin = kept_from

    # -- finding where a word begins ---------------------------------------------------------------------------------

    def _search(self) -> bool:
        """Look for a word's beginning as far as the audio goes. True: there is more to do."""
        n_places = self._end - HIGH_PASS - self._seek - HEAD - SEARCH_AHEAD + 1
        if n_places < SEARCH_STEP:
            return False
        window = self._at(self._seek, self._end - self._seek)
        if np.abs(window).max() < QUIET:
            self._seek += n_places
            return False
        high = self._high(self._seek, self._end - HIGH_PASS)
        head = _first(_correlation(high, _HEAD_HIGH)[: n_places + SEARCH_AHEAD])
        tail = _first(_correlation(high, _TAIL_HIGH)[: n_places + SEARCH_AHEAD])
        if tail is not None and (head is None or tail < head):
            if not self._end_is_known:
                self.losses.append(Loss((self._seek + tail) / RATE, "headless"))
            self._end_is_known = False
            self._seek += tail + TAIL
            return True
        if head is None:
            self._seek += n_places
            return False
        self._word_at = self._seek + head
        self._end_is_known = False
        return True

    # -- reading it --------------------------------------------------------------------------------------------------

    def _read(self, words: list[DecodedWord]) -> bool:
        """Read the word that was found. True: there is more to do."""
        start = self._word_at or 0
        body_at = start + HEAD
        if self._end < body_at + 2 * SYMBOL:
            return False
        length, matches = _bytes(self._at(body_at, 2 * SYMBOL))
        n_text = _mixed(length)[0]
        if not (matches and 0 < n_text <= MOST_BYTES and _is(self._at(start, HEAD), _HEAD)):
            return self._lose(self._broken(start, body_at + 2 * SYMBOL))
        n_body = (1 + n_text + CHECK_BYTES) * 2 * SYMBOL
        end = body_at + n_body + TAIL
        if self._end < end:
            return False
        text = _text(self._at(body_at, n_body))
        if text is not None and _is(self._at(end - TAIL, TAIL), _TAIL):
            words.append(DecodedWord(text, start / RATE, end / RATE))
            self._word_at, self._seek = None, end
            return True
        if self._end < end + LATE_END:
            return False
        return self._lose(self._blame(start, end))

    def _blame(self, start: int, end: int) -> Loss:
        """What went wrong with a word that should have ended at `end`: where is its last chirp?"""
        found_at = start + HEAD
        tails = _correlation(self._high(found_at, end + LATE_END - HIGH_PASS), _TAIL_HIGH)
        best = int(np.argmax(tails))
        off = found_at + best + TAIL - end
        if tails[best] < SYNC or not off:
            return self._broken(start, end)
        return Loss(start / RATE, "missing" if off < 0 else "repeated", abs(off))

    def _broken(self, start: int, end: int) -> Loss:
        return Loss(start / RATE, "garbled" if self._over_at is None or end <= self._over_at else "unfinished")

    def _lose(self, loss: Loss) -> bool:
        self.losses.append(loss)
        self._seek = (self._word_at or 0) + HEAD // 2
        self._word_at = None
        self._end_is_known = True
        return True


def _is(samples: NDArray[np.float32], chirp: NDArray[np.float64]) -> bool:
    """Whether samples are a chirp, every 8 ms of it."""
    parts, expected = samples.reshape(-1, SYMBOL) @ _ABOVE, chirp.reshape(-1, SYMBOL) @ _ABOVE
    likeness = np.sum(parts * expected, axis=1)
    sizes = np.sum(np.square(parts), axis=1) * np.sum(np.square(expected), axis=1)
    return bool(np.all(likeness >= MATCH * np.sqrt(np.maximum(sizes, 1.0))))


def _correlation(window: NDArray[np.float64], chirp: NDArray[np.float64]) -> NDArray[np.float64]:
    """How well each place of a window matches a chirp that starts there, -1..1. Shape (len - len(chirp) + 1,)."""
    products = np.correlate(window, chirp, "valid")
    energy = np.concatenate(((0.0,), np.cumsum(np.square(window))))
    energies = energy[len(chirp) :] - energy[: -len(chirp)]
    match: NDArray[np.float64] = products / np.sqrt(np.maximum(energies, 1.0) * float(chirp @ chirp))
    return match


def _first(matches: NDArray[np.float64]) -> int | None:
    """The best place of the first few that are good; None without a good one, or when the best may be yet to come."""
    good = np.flatnonzero(matches[: len(matches) - SEARCH_AHEAD] >= SYNC)
    if not len(good):
        return None
    return int(good[0] + np.argmax(matches[good[0] : good[0] + SEARCH_AHEAD + 1]))


def _bytes(samples: NDArray[np.float32]) -> tuple[bytes, bool]:
    """Read symbols; and whether each of them is the tone it seems to be, in its place to the sample."""
    symbols = samples.reshape(-1, SYMBOL)
    tones = np.abs(symbols @ _LISTEN_FOR)
    nibbles = np.argmax(tones, axis=1)
    likeness = np.sum(symbols * _TONES[nibbles], axis=1)
    size = np.sqrt(np.maximum(np.sum(np.square(tones), axis=1), SYMBOL / 2))  # of what sounds where the tones are
    values: Sequence[int] = (nibbles[::2] << BITS | nibbles[1::2]).tolist()
    return bytes(values), bool(np.all(likeness >= MATCH * size))


def _text(samples: NDArray[np.float32]) -> str | None:
    """The word in a body; None when any of it is wrong."""
    mixed, matches = _bytes(samples)
    body = _mixed(mixed)
    said, check = body[:-CHECK_BYTES], body[-CHECK_BYTES:]
    if not matches or binascii.crc_hqx(said, 0xFFFF).to_bytes(CHECK_BYTES, "big") != check:
        return None
    try:
        return said[1:].rstrip(b"\0").decode()
    except UnicodeDecodeError:
        return None
