"""How a line returns our own voice: after what delay, and how loud in each band. Learnt from levels alone. Pure.

A slot is 20 ms. Levels are in dB of full scale, in four bands of the telephone's; speech moves from band to band, so
that a second voice shows in some band even while an echo as loud as it fills the others. Levels survive what waveforms
do not: transcoding, a drifting clock, a jitter buffer.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

with warnings.catch_warnings():
    # In the standard library to 3.12, where importing it warns; from 3.13 on it comes from audioop-lts and is silent.
    warnings.filterwarnings("ignore", "'audioop' is deprecated", DeprecationWarning)
    import audioop

Levels = NDArray[np.float64]

SLOT = 160  # bytes of mu-law
SLOT_S = 0.02
BANDS = 4
LONGEST = 30  # slots; a delay of 600 ms
TAIL = 8  # slots by which a room makes an echo last longer than the sound ...
SOONEST = 1  # ... and by which it may seem to begin earlier, since slots of the two directions do not coincide
REACH = LONGEST + TAIL  # slots back in time that matter
SILENT_DB = -96.0

_EDGES = (4, 12, 22, 40, 70)  # of 50 Hz: 200, 600, 1100, 2000 and 3500 Hz; below is hum, above nothing
_BAND_OF = np.zeros((SLOT // 2 + 1, BANDS))
for _band in range(BANDS):
    _BAND_OF[_EDGES[_band] : _EDGES[_band + 1], _band] = 2 / (SLOT * 32768.0) ** 2
_WINDOW = np.hanning(SLOT)  # or the low bands would leak into the high ones
_BAND_OF /= np.mean(np.square(_WINDOW))
_FALL = 2.5 * np.maximum(0, np.arange(TAIL, -SOONEST - 1, -1) - 1)  # dB; 125 dB a second: RT60 of 0.5 s

_ASSUMED = -6.0  # dB in a band; the loudest echo, at any delay, before the line is known: -8 dB in all, low-passed
_LOUDEST = -1.0  # dB; what is louder than that is no echo, whatever was learnt
_ANY_FROM, _ANY_TO = 1, 27  # slots; the delays of carriers, 50 to 500 ms, and the smear
_MEMORY = 0.96  # of what was learnt, after another half second of our voice: 12 s of it count
_RANGE = 36.0  # dB; levels further below the loudest count as that, or silence would outweigh speech
_INAUDIBLE = -70.0  # dB; what the line's own coding adds
_PEAK_FALLS = 0.25  # dB each half second
_SURE = 0.4  # correlation that makes a delay credible after long ...
_HASTE = 12.0  # ... and by how much more, in slots compared: 0.88 after half a second, 0.52 after two
_BETTER = 0.02  # correlation by which another delay must lead to replace the one that was learnt
_BINS = 64  # of 1 dB: the line's level over what we played, from -63 dB on; the first one is for nothing heard
_TELLING = 20.0  # dB below the loudest of our voice; softer sounds say little about the gain
_UNUSUAL = 0.1  # share of the echo's slots that are louder over what we played than the usual; the caller's, perhaps
_RARE = 0.03  # and at least this share of all slots, where the line returns hardly anything
_MARGIN = 4.0  # dB; how far the unusual may be above the usual
_MARGIN_ANY = 6.0  # dB; the same while the delay is not known, and for what was too soft to be heard
_FAINTEST = -36.0  # dB; what is softer nobody understands, or it is chance that looks like an echo
_LONG_ENOUGH = 200  # slots of our voice, 4 s, in which an echo would have shown
_ENOUGH, _ENOUGH_ANY = 10, 75  # slots that tell a gain; the second outlasts the delay of an echo that is yet to come


def powers(audio: bytes) -> Levels:
    """The power of each slot in each band, 1.0 being full scale.

    Args:
        audio: mu-law, whole slots.

    Returns:
        Shape (len(audio) / SLOT, BANDS).
    """
    pcm = np.frombuffer(audioop.ulaw2lin(audio, 2), np.int16).reshape(-1, SLOT)
    spectrum = np.fft.rfft(pcm * _WINDOW)
    power: Levels = (spectrum.real**2 + spectrum.imag**2) @ _BAND_OF
    return power


def decibels(power: Levels) -> Levels:
    """Powers as dB of full scale, not below SILENT_DB."""
    return 10 * np.log10(np.maximum(power, 10 ** (SILENT_DB / 10)))


class EchoPath:
    """What one line does to our voice."""

    def __init__(self) -> None:
        self.delay: int | None = None  # slots; None until it is known
        self.correlation = np.zeros(LONGEST + 1)  # of levels, at each delay
        self.silent = False
        """The line is known to return nothing of ours that anybody could hear."""
        self._n = 0.0  # slots compared
        self._sums = np.zeros((5, BANDS, LONGEST + 1))  # of x, x * x, y, y * y, x * y
        self._peak = np.full(BANDS, SILENT_DB)  # of our voice
        self._ratios = np.zeros((BANDS, _BINS))  # a histogram: the line's level over the loudest that it may return
        self._bound = np.full(BANDS, _ASSUMED)  # dB; the line returns less
        self._energies = np.zeros(2)  # of our voice, and of its echo

    @property
    def gain(self) -> float | None:
        """How loud the echo is, in dB of our voice, all bands together; None until that is known."""
        ours, echo = self._energies
        return float(10 * np.log10(echo / ours)) if self.delay is not None and ours > 0 and echo > 0 else None

    def explained(self, played: Levels, n: int) -> Levels:
        """The level up to which our own voice explains what is heard.

        Args:
            played: shape (REACH + n + SOONEST, BANDS): from REACH slots before the first slot heard. Longer when what
                was heard may have been spoken later than that, by as many slots.
            n: slots heard.

        Returns:
            Shape (n, BANDS).
        """
        explained: Levels = self._loudest(played, n) + self._bound
        return explained

    def _loudest(self, played: Levels, n: int) -> Levels:
        """The loudest sound of ours that may be heard in each slot, as we played it."""
        later = len(played) - (REACH + n + SOONEST)
        if self.delay is None:
            first, fall = REACH - _ANY_TO, np.zeros(_ANY_TO - _ANY_FROM + 1 + later)
        else:
            first, fall = REACH - self.delay - TAIL, np.concatenate((_FALL, np.zeros(later)))
        windows = sliding_window_view(played[first : first + n + len(fall) - 1], len(fall), axis=0)
        loudest: Levels = (windows - fall).max(2)
        return loudest

    def compare(self, heard: Levels, played: Levels, noise: Levels) -> bool:
        """Look for the delay. True when the answer is no longer the same: what was measured is forgotten then.

        Args:
            heard: shape (n, BANDS).
            played: shape (REACH + n + SOONEST, BANDS), as for `explained`.
            noise: shape (BANDS,), the line's noise floor.
        """
        n = len(heard)
        self._peak = np.maximum(self._peak - _PEAK_FALLS, played.max(0))
        x = np.maximum(heard, np.maximum(noise, _INAUDIBLE))
        y = np.maximum(played, self._peak - _RANGE)[TAIL : TAIL + LONGEST + n][::-1]  # latest first: by rising delay
        sums = np.empty_like(self._sums)
        sums[0] = x.sum(0)[:, np.newaxis]
        sums[1] = (x * x).sum(0)[:, np.newaxis]
        sums[2] = _running_sums(y, n)
        sums[3] = _running_sums(y * y, n)
        sums[4] = [np.correlate(y[:, band], x[::-1, band]) for band in range(BANDS)]
        if self.silent and np.max(_correlation(sums / n)) >= _SURE + _HASTE / n:
            self._n, self._sums[:] = 0.0, 0.0  # an echo has begun, as it seems: what was before does not count
        self._n = self._n * _MEMORY + n
        self._sums *= _MEMORY
        self._sums += sums
        self.correlation = _correlation(self._sums / self._n)
        changed = self._choose_delay()
        gain = self.gain
        heard_nothing = self.delay is None or (gain is not None and gain < _FAINTEST)
        self.silent = heard_nothing and (self.silent or self._n >= _LONG_ENOUGH)
        return changed

    def _choose_delay(self) -> bool:
        before, credible = self.delay, _SURE + _HASTE / self._n
        best = int(np.argmax(self.correlation))
        if self.delay is not None and self.correlation[self.delay] < credible / 2:
            self.delay = None
        led = self.correlation[best] - (0.0 if self.delay is None else self.correlation[self.delay] + _BETTER)
        if self.correlation[best] >= credible and led >= 0:
            self.delay = best
        if self.delay == before:
            return False
        self.forget_gain()
        return True

    def forget_gain(self) -> None:
        """It is to be measured anew."""
        self._ratios[:] = 0
        self._energies[:] = 0

    def measure(self, heard: Levels, played: Levels, noise: Levels, floor: Levels, trust: Levels) -> None:
        """Learn the gain, at the delay that is believed.

        Args:
            heard, played, noise: as for `compare`.
            floor: shape (BANDS,), the level below which nothing is taken for a sound.
            trust: shape (n,), 0 to 1: how likely the caller was silent.
        """
        loudest = self._loudest(played, len(heard))
        ratio = np.clip(np.rint(heard - loudest), 1 - _BINS, 0).astype(np.intp) + _BINS - 1
        ratio[heard < floor] = 0
        telling = loudest > np.maximum(self._peak - _TELLING, floor)
        at = ratio + np.arange(BANDS) * _BINS
        weights = telling * trust[:, np.newaxis]
        self._ratios *= _MEMORY
        self._ratios += np.bincount(at.ravel(), weights.ravel(), self._ratios.size).reshape(BANDS, _BINS)
        self._set_bound(floor)
        if self.delay is not None:
            surely = telling.any(1) & (trust == 1)
            ours = played[REACH - self.delay :][: len(heard)][surely]
            echo = np.maximum(10 ** (heard[surely] / 10) - 10 ** (noise / 10), 0)
            self._energies *= _MEMORY
            self._energies += np.sum(10 ** (ours / 10)), np.sum(echo)

    def _set_bound(self, floor: Levels) -> None:
        total = self._ratios.cumsum(1)
        n = total[:, -1:]
        if self.delay is None:
            unusual, margin, limit, enough = _UNUSUAL * n, _MARGIN_ANY, _ASSUMED, _ENOUGH_ANY
        else:
            unusual = np.maximum(_UNUSUAL * (n - total[:, :1]), _RARE * n)
            margin, limit, enough = _MARGIN, _LOUDEST, _ENOUGH
        usual = (total < n - unusual).sum(1) + 1 - _BINS
        unheard = floor - self._peak + _MARGIN_ANY  # an echo that stays below the floor may be as loud as that
        bound = np.minimum(np.maximum(usual + margin, unheard), limit)
        self._bound = np.where(n[:, 0] >= enough, bound, _ASSUMED)


def _correlation(means: Levels) -> Levels:
    """Of levels, at each delay. Means are taken out band by band, then all bands count alike, since these are dB."""
    sx, sxx, sy, syy, sxy = means
    spread = (sxx - sx * sx).sum(0) * (syy - sy * sy).sum(0)
    correlation: Levels = (sxy - sx * sy).sum(0) / np.sqrt(np.maximum(spread, 1.0))
    return correlation


def _running_sums(y: Levels, n: int) -> Levels:
    """The sums of each n rows that follow each other. Shape (BANDS, len(y) - n + 1)."""
    total = np.zeros((len(y) + 1, BANDS))
    np.cumsum(y, axis=0, out=total[1:])
    sums: Levels = (total[n:] - total[:-n]).T
    return sums
