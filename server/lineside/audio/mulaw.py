"""Mu-law, the eight bits a sample that telephones speak.

Source: ITU-T G.711 (11/1988), tables 2a and 2b, https://www.itu.int/rec/T-REC-G.711
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from lineside.errors import LocalProtocolError

with warnings.catch_warnings():
    # In the standard library to 3.12, where importing it warns; from 3.13 on it comes from audioop-lts and is silent.
    warnings.filterwarnings("ignore", "'audioop' is deprecated", DeprecationWarning)
    import audioop


def louder_than(magnitude: int) -> bytes:
    """A table for `bytes.translate`: 0 for samples below a magnitude, 1 for the others.

    Args:
        magnitude: the code without its sign, 0 for silence to 127 for full scale; 16 codes a factor of two.
    """
    return bytes((~code & 0x7F) >= magnitude for code in range(256))  # the codes are sent inverted, the sign on top


def encode(pcm: NDArray[np.int16] | bytes) -> bytes:
    """Compress linear PCM to mu-law.

    Args:
        pcm: shape (n,) int16, or as many samples as little-endian bytes; 8 kHz by convention, the rate is not used.
            Mu-law takes 14 bits: the two lowest are dropped first, which rounds towards minus infinity.

    Returns:
        One byte a sample. Digital silence is 0xFF.

    Raises:
        LocalProtocolError: bytes that end in half a sample.
    """
    if isinstance(pcm, bytes):
        if len(pcm) % 2:
            raise LocalProtocolError(f"16-bit PCM must have an even number of bytes, got {len(pcm)}")
        pcm = np.frombuffer(pcm, "<i2")
    return audioop.lin2ulaw(np.ascontiguousarray(pcm, np.int16).data, 2)


def decode(audio: bytes) -> NDArray[np.int16]:
    """Expand mu-law to linear PCM.

    Args:
        audio: one byte a sample, any length; 8 kHz by convention, the rate is not used.

    Returns:
        Shape (len(audio),), int16, -32124..32124 (14-bit values, left-aligned). Read-only.
    """
    return np.frombuffer(audioop.ulaw2lin(audio, 2), np.int16)
