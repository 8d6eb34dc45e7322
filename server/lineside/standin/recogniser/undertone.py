"""What makes the modem's words more like speech: the low notes of a voice, laid under them, and a room around them.

The modem speaks between 700 and 3100 Hz and listens above 800 Hz. Without anything below, its words are no speech to a
detector that knows voices. What is laid under them is a throat's: harmonics of a pitch that moves as a speaker's does,
through one formant that wanders from syllable to syllable, all below 700 Hz.

The modem's tones begin and end within 8 ms, which no mouth does: what listens for levels sees them come and go as no
speech would. In a room they ring on for as long again.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lineside.audio import mulaw

RATE = 8000  # Hz
PITCH_HZ = 120.0
HIGHEST_HZ = 700.0
FORMANT_HZ = (300.0, 650.0)  # of the first formant, from closed to open vowels
WIDTH_HZ = 90.0
LEVEL_DB = 0.0  # against the words
SYLLABLE_S = 0.2
RINGS = ((64, 0.35), (128, 0.2))  # samples later, so much of the amplitude; more would cost words
SMOOTH = 400  # samples over which the words' level is taken


def voiced(audio: bytes, *, pitch_hz: float = PITCH_HZ, seed: int = 0) -> bytes:
    """Lay low notes under audio wherever it sounds.

    Args:
        audio: mu-law, 8 kHz.
        pitch_hz: of the voice; 90 to 250.
        seed: of its vowels.

    Returns:
        Mu-law of the same length, 3 dB louder.
    """
    if not audio:
        return audio
    pcm = mulaw.decode(audio).astype(np.float64)
    notes = _throat(len(pcm), pitch_hz, np.random.default_rng(seed))
    level = np.sqrt(np.convolve(np.square(pcm), np.full(SMOOTH, 1 / SMOOTH), "same")[: len(pcm)])
    notes *= level * (10 ** (LEVEL_DB / 20) / np.sqrt(np.mean(np.square(notes))))
    notes[np.abs(pcm).cumsum() == 0] = 0  # nothing before the first sound
    return mulaw.encode(np.rint(pcm + notes).clip(-32768, 32767).astype(np.int16))


def ringing(audio: bytes) -> bytes:
    """Let everything ring on for 16 ms, as in a small room. Mu-law, 8 kHz, of the same length."""
    pcm = mulaw.decode(audio).astype(np.float64)
    rung = pcm.copy()
    for later, amplitude in RINGS:
        rung[later:] += amplitude * pcm[:-later]
    return mulaw.encode(np.rint(rung).clip(-32768, 32767).astype(np.int16))


def _throat(n_samples: int, pitch_hz: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """A voice that goes on for so many samples, at any level."""
    at = np.arange(n_samples) / RATE
    pitch = pitch_hz + 20 * np.sin(2 * np.pi * 0.6 * at + 1) + 6 * np.sin(2 * np.pi * 2.3 * at)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    places = np.arange(0.0, n_samples / RATE + 2 * SYLLABLE_S, SYLLABLE_S)
    formant = np.interp(at, places, rng.uniform(*FORMANT_HZ, len(places)))
    voice = np.zeros(n_samples)
    for nth in range(1, int(HIGHEST_HZ / (pitch_hz - 26)) + 1):
        hz = nth * pitch
        near = 1 / (1 + np.square((hz - formant) / WIDTH_HZ)) + 0.35 / (1 + np.square((hz - 150) / 150))
        voice += near * (hz < HIGHEST_HZ) * np.sin(nth * phase)
    return voice
