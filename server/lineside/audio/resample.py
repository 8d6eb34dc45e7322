"""Linear PCM of any provider's rate down to the carrier's 8 kHz, as it arrives.

A polyphase FIR filter: each output sample is one dot product of input samples around its own moment with a windowed
sinc. The filter has linear phase, so what it costs in time is the look-ahead, 1.5 ms.

The taps are integers, and every product and sum stays far below 2**53: floats add them without any rounding, so the
order of the additions (and with it the cut into chunks, the SIMD width, the NumPy version) cannot change a bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from lineside.audio import mulaw
from lineside.audio.formats import FRAME_BYTES, MULAW_RATE, RATES, AudioFormat
from lineside.errors import SettingsError

# Chosen together, by a search over all rates: -70 dB from 4.6 kHz up, 0.1 dB to 3.2 kHz, -0.4 dB at 3.4 kHz.
HALF_LENGTH = 0.0015  # s on either side of an output sample; the delay
CUTOFF = 3850.0  # Hz
KAISER_BETA = 7.0

UNITY = 2**22  # the sum of a row of taps: a steady input comes out as it went in


@dataclass(frozen=True, slots=True, eq=False)
class _Filter:
    """One rate's taps. `cycle` outputs fall differently between their inputs, then the pattern repeats.

    Of a cycle, row i of `taps` makes output i from the inputs at `starts[i]` and on. Both cover two cycles, so that a
    cycle's worth of rows can be cut out at any i. Shared between all streams, hence read-only.
    """

    cycle: int  # outputs
    advance: int  # inputs in a cycle
    half: int  # inputs that an output needs beyond its own moment
    starts: NDArray[np.intp]
    taps: NDArray[np.float64]  # shape (2 * cycle, 2 * half + 1), whole numbers


@cache
def _design(rate: int) -> _Filter:
    # With a whole ratio all outputs are alike. Otherwise 20 ms are whole numbers of samples at every rate we know.
    cycle = 1 if rate % MULAW_RATE == 0 else FRAME_BYTES
    advance = rate * cycle // MULAW_RATE
    half = 0 if rate == MULAW_RATE else round(HALF_LENGTH * rate)  # nothing to filter when nothing can alias
    moments = np.arange(2 * cycle) * advance  # of the outputs, in inputs * cycle
    at = np.arange(-half, half + 1) - (moments % cycle / cycle)[:, np.newaxis]  # in inputs, from the output's moment
    window = np.i0(KAISER_BETA * np.sqrt(np.clip(1 - (at / (half + 1)) ** 2, 0, None)))
    taps = np.sinc(2 * CUTOFF / rate * at) * window
    taps = np.rint(taps * (UNITY / taps.sum(axis=1, keepdims=True)))
    taps[:, half] += UNITY - taps.sum(axis=1)  # what rounding left over
    starts = moments // cycle
    taps.setflags(write=False)
    starts.setflags(write=False)
    return _Filter(cycle, advance, half, starts, taps)


class Resampler:
    """One stream of PCM brought to 8 kHz. Output sample k belongs to the moment k / 8000 s of the input.

    However the input is cut into chunks, the output is the same to the bit.

    Args:
        rate: of the input, in Hz; one of `formats.RATES`. 8000 passes through.

    Raises:
        SettingsError: any other rate.
    """

    def __init__(self, rate: int) -> None:
        if rate not in RATES:
            raise SettingsError(f"audio rate must be one of {', '.join(map(str, RATES))} Hz, not {rate!r}")
        self._rate = rate
        self._filter = _design(rate)
        self.reset()

    @property
    def delay(self) -> float:
        """What is withheld until more input or a flush comes, in s of audio."""
        return self._filter.half / self._rate

    def reset(self) -> None:
        """Forget the stream: what comes next is the start of another."""
        self._kept = np.zeros(self._filter.half)  # from the first input that the next output needs; silence at first
        self._row = 0  # of the next output, in the cycle
        self._n_in = 0
        self._n_out = 0

    def push(self, pcm: NDArray[np.int16]) -> NDArray[np.int16]:
        """Take input, give all output that is certain by now.

        Args:
            pcm: shape (n,), any n. Not kept.

        Returns:
            Shape (m,), rounded to nearest and limited to 16 bits; the caller's own.
        """
        self._n_in += len(pcm)
        out = self._filtered(np.concatenate((self._kept, pcm)))
        self._n_out += len(out)
        return np.rint(out / UNITY).clip(-32768, 32767).astype(np.int16)

    def flush(self) -> NDArray[np.int16]:
        """End the stream: give what was withheld, as if silence followed, and reset.

        Returns:
            Shape (m,): with it the stream has given round(n_in * 8000 / rate) samples in all.
        """
        owed = round(self._n_in * MULAW_RATE / self._rate) - self._n_out
        tail = self.push(np.zeros(self._filter.half, np.int16))[:owed]
        self.reset()
        return tail

    def _filtered(self, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Make every output that `inputs` suffices for, in units of 1 / UNITY, and keep what the next ones need."""
        f, first = self._filter, self._row
        length = f.taps.shape[1]
        skipped = int(f.starts[first])  # inputs of this cycle that were dropped already
        n_windows = max(0, len(inputs) - length + 1)
        # Row `first + i` needs the window at (first + i) * advance // cycle - skipped; n is how many rows have theirs.
        n = max(0, -((n_windows + skipped) * f.cycle // -f.advance) - first)
        if f.cycle == 1:
            out = _dot(_windows(inputs, n, length, f.advance), f.taps[:1])
        else:
            out = np.empty(n)
            windows = _windows(inputs, n_windows, length, 1)
            for i in range(0, n, f.cycle):  # a cycle at a time keeps the copies that indexing makes small
                rows = slice(first, first + min(f.cycle, n - i))
                starts = f.starts[rows] + (i // f.cycle * f.advance - skipped)
                out[i : i + f.cycle] = _dot(windows[starts], f.taps[rows])
        cycles, self._row = divmod(first + n, f.cycle)
        # A copy, as a view would keep all of a long chunk alive.
        self._kept = inputs[cycles * f.advance + int(f.starts[self._row]) - skipped :].copy()
        return out


def _windows(inputs: NDArray[np.float64], n: int, length: int, step: int) -> NDArray[np.float64]:
    """View the n stretches of `length` inputs that begin at every `step`-th. NumPy checks that all lie inside.

    numpy.lib.stride_tricks does the same for 4 to 13 us more, as long as the filtering of a frame itself takes.
    """
    return np.ndarray((n, length), np.float64, inputs, strides=(step * inputs.itemsize, inputs.itemsize))


def _dot(windows: NDArray[np.float64], taps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Multiply row by row: (n, length) and (n, length), or (1, length) for all, to (n,).

    A stack of row-times-column products takes two thirds of einsum's time, and runs in this thread: a matrix-vector
    product of this size would wake the threads of BLAS.
    """
    products: NDArray[np.float64] = np.matmul(windows[:, np.newaxis, :], taps[:, :, np.newaxis])
    return products.reshape(-1)


class Encoder:
    """A provider's audio as it arrives, made into the carrier's mu-law.

    Args:
        format: what the provider sends. `mulaw` is handed on untouched.
    """

    def __init__(self, format: AudioFormat) -> None:
        self._resampler = None if format.encoding == "mulaw" else Resampler(format.rate)
        self._half_sample = b""

    def push(self, data: bytes) -> bytes:
        """Take bytes of any length, give all mu-law that is certain by now. Half a sample waits for its other half."""
        if self._resampler is None:
            return data
        if self._half_sample:
            data = self._half_sample + data
        whole = len(data) & ~1
        self._half_sample = data[whole:]
        return mulaw.encode(self._resampler.push(np.frombuffer(data, "<i2", whole // 2)))

    def flush(self) -> bytes:
        """End the stream: give the tail and start afresh. Half a sample is no sound and is dropped."""
        self._half_sample = b""
        return b"" if self._resampler is None else mulaw.encode(self._resampler.flush())

    def reset(self) -> None:
        """Drop what is withheld: what comes next is the start of another stream."""
        self._half_sample = b""
        if self._resampler is not None:
            self._resampler.reset()
