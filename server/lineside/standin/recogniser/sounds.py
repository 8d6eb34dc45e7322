"""What else is to be heard on a telephone: coughs, noise, music, other people. No word of the modem is in any of it.

All audio is mu-law, 8 kHz; levels are RMS in dB of full scale, where a word of the modem has -15.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineside.audio import mulaw

RATE = 8000
FULL_SCALE = 32768.0
CHORDS = ((262, 330, 392), (220, 262, 330), (175, 220, 262), (196, 247, 294))  # Hz; C, a, F, G
CHORD_S = 0.5
VOICES = 5  # enough of them that no syllable stands out


def silence(seconds: float) -> bytes:
    return bytes([0xFF]) * round(seconds * RATE)


def noise(seconds: float, dbfs: float = -30.0, *, seed: int = 0) -> bytes:
    """White noise, as of a bad line."""
    return _at_level(_white(seconds, seed), dbfs)


def cough(dbfs: float = -15.0, *, seed: int = 0) -> bytes:
    """Two bursts of noise that die away, 0.4 s."""
    wave = _white(0.4, seed)
    at = np.arange(len(wave)) / RATE
    wave *= np.exp(-at / 0.06) + 0.7 * (at > 0.2) * np.exp(-np.maximum(0.0, at - 0.2) / 0.05)
    return _at_level(wave, dbfs)


def music(seconds: float, dbfs: float = -25.0) -> bytes:
    """Music on hold: four chords, over and over."""
    at = np.arange(round(seconds * RATE)) / RATE
    chord = (at / CHORD_S).astype(int) % len(CHORDS)
    pitches = np.array(CHORDS)[chord]  # shape (n, 3)
    phase = 2 * np.pi * pitches * at[:, np.newaxis]
    wave: NDArray[np.float64] = np.sum(np.sin(phase) + 0.5 * np.sin(2 * phase) + 0.25 * np.sin(3 * phase), axis=1)
    wave *= 1.2 - (at % CHORD_S) / CHORD_S
    return _at_level(wave, dbfs)


def babble(seconds: float, dbfs: float = -25.0, *, seed: int = 0) -> bytes:
    """Several people at once, none of whom can be understood. For one who can: `quieter(encode(text), 12)`."""
    rng = np.random.default_rng(seed)
    n_samples = round(seconds * RATE)
    at = np.arange(n_samples) / RATE
    wave = np.zeros(n_samples)
    for _ in range(VOICES):
        pitch, syllables_a_second, phase = rng.uniform(90, 240), rng.uniform(3, 5), rng.uniform(0, 2 * np.pi)
        turns = 2 * np.pi * (pitch * at + 3 * np.sin(2 * np.pi * 0.7 * at + phase))
        overtones = np.arange(1, 12)[:, np.newaxis]
        voice = np.sum(np.sin(overtones * (turns + phase)) / overtones, axis=0)
        wave += voice * np.maximum(0.0, np.sin(2 * np.pi * syllables_a_second * at + phase))
    return _at_level(wave, dbfs)


def quieter(audio: bytes, db: float) -> bytes:
    """The same, `db` down; negative: louder."""
    return _clip(mulaw.decode(audio) * 10 ** (-db / 20))


def mix(*sounds: bytes) -> bytes:
    """All at once, as long as the longest."""
    total = np.zeros(max(map(len, sounds), default=0))
    for sound in sounds:
        total[: len(sound)] += mulaw.decode(sound)
    return _clip(total)


def _white(seconds: float, seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).standard_normal(round(seconds * RATE))


def _at_level(wave: NDArray[np.float64], dbfs: float) -> bytes:
    rms = float(np.sqrt(np.mean(np.square(wave)))) if len(wave) else 0.0
    return _clip(wave * float(FULL_SCALE * 10 ** (dbfs / 20) / max(rms, 1e-9)))


def _clip(wave: NDArray[np.floating[Any]]) -> bytes:
    return mulaw.encode(np.rint(wave).clip(-32768, 32767).astype(np.int16))
