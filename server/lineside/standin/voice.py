"""What the provider stand-in asks of a voice, and what becomes of a voice's audio on its way to the wire."""

from __future__ import annotations

import asyncio
import math
import warnings
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from lineside.audio import mulaw

with warnings.catch_warnings():
    # In the standard library to 3.12, with a farewell notice; from 3.13 on it comes from audioop-lts, without.
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

Encoding = Literal["linear16", "mulaw", "alaw"]


@dataclass(frozen=True, slots=True)
class WordTime:
    """When a word sounds: text[start_char:end_char], in s from the first sample."""

    start_char: int
    end_char: int
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Rendering:
    """A text, spoken. Shared between callers: `pcm` must not be written to."""

    pcm: NDArray[np.int16]
    rate: int
    words: tuple[WordTime, ...]
    _encoded: dict[tuple[Encoding, int], bytes] = field(default_factory=dict, repr=False)

    def audio(self, encoding: Encoding, rate: int) -> bytes:
        """The clip as wire audio, mono: mu-law or A-law one byte a sample, linear16 two, little-endian.

        Length: round(len(pcm) * rate / self.rate) samples.
        """
        if (encoding, rate) not in self._encoded:
            pcm = resample(self.pcm, self.rate, rate)
            match encoding:
                case "linear16":
                    self._encoded[encoding, rate] = pcm.astype("<i2").tobytes()
                case "mulaw":
                    self._encoded[encoding, rate] = mulaw.encode(pcm)
                case "alaw":
                    self._encoded[encoding, rate] = audioop.lin2alaw(np.ascontiguousarray(pcm).data, 2)
        return self._encoded[encoding, rate]


class StandinVoice(Protocol):
    """A voice for the stand-in: any text to one clip."""

    @property
    def blocking(self) -> bool:
        """`speak` takes long enough to be kept off the event loop."""
        ...

    def speak(self, text: str, speed: float = 1.0) -> Rendering:
        """Speak `text` at `speed` times the voice's own pace. Text without a word may give no samples."""
        ...


async def speak(voice: StandinVoice, text: str, speed: float = 1.0) -> Rendering:
    """Have `text` spoken without holding up the loop. Cancelling leaves the thread to finish its clip unheard."""
    if voice.blocking:
        return await asyncio.to_thread(voice.speak, text, speed)
    return voice.speak(text, speed)


async def encode(voice: StandinVoice, rendering: Rendering, encoding: Encoding, rate: int) -> bytes:
    """`Rendering.audio` without holding up the loop where the clip is of a voice that does."""
    if voice.blocking:
        return await asyncio.to_thread(rendering.audio, encoding, rate)
    return rendering.audio(encoding, rate)


def resample(pcm: NDArray[np.int16], rate: int, to_rate: int) -> NDArray[np.int16]:
    """Change the sample rate of a whole clip: band-limited, by cutting or padding its spectrum.

    Args:
        pcm: shape (n,).

    Returns:
        Shape (round(n * to_rate / rate),); `pcm` itself when the rates are the same.
    """
    if rate == to_rate or not len(pcm):
        return pcm
    common = math.gcd(rate, to_rate)
    up, down = to_rate // common, rate // common
    # At least 10 ms of silence behind the clip keep its end from ringing into its beginning. The block count is rounded
    # up to three binary digits, since a length with large prime factors takes several times as long.
    n_blocks = -(-(len(pcm) + rate // 100) // down)
    step = 1 << max(0, n_blocks.bit_length() - 3)
    n_blocks = -(-n_blocks // step) * step
    spectrum = np.fft.rfft(pcm.astype(np.float64), n_blocks * down)
    clip = np.fft.irfft(spectrum, n_blocks * up)[: round(len(pcm) * to_rate / rate)] * (up / down)
    return np.clip(np.rint(clip), -32768, 32767).astype(np.int16)
