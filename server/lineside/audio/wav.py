"""Mu-law audio into WAV files, for people to listen to."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from lineside.audio import mulaw
from lineside.audio.formats import MULAW_RATE


def write_wav(path: Path, *channels: bytes) -> None:
    """Write 16-bit PCM at 8 kHz.

    Args:
        channels: mu-law, one for each channel; shorter ones are padded with silence.
    """
    decoded = [np.asarray(mulaw.decode(channel), dtype="<i2") for channel in channels]
    n_samples = max(map(len, decoded), default=0)
    frames = np.zeros((n_samples, len(decoded)), dtype="<i2")
    for index, samples in enumerate(decoded):
        frames[: len(samples), index] = samples
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(decoded))
        file.setsampwidth(2)
        file.setframerate(MULAW_RATE)
        file.writeframes(frames.tobytes())
