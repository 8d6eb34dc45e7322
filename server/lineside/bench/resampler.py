"""How good and how dear the way down to 8 kHz is, measured from outside on each rate a provider may send."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineside.audio.formats import MULAW_RATE, RATES, AudioFormat
from lineside.audio.resample import Encoder, Resampler

MAX_DELAY_MS = 3.0
MAX_ALIAS_DB = -60.0
MAX_RIPPLE_DB = 0.5
MAX_CPU_PERCENT = 0.15

PASS_HZ = 3200  # flat up to here
STOP_HZ = 4600  # silent from here on: what is left would come back below 3.4 kHz
TONE_STEP_HZ = 50  # a sixth of the width of a side lobe of the filter, so no peak is missed
TONE_S = 0.1
TONE_PEAK = 16000.0
SETTLED = 80  # samples at either end of a tone where its start and end are heard
CHUNK_MS = 20  # the dearest that is common: every push has its fixed cost
CPU_CHUNKS = 250  # a run; 5 s of audio
CPU_RUNS = 5  # the cheapest counts, as the others were disturbed


@dataclass(frozen=True, slots=True)
class Figures:
    """One rate's results."""

    rate: int
    delay_ms: float
    """The most by which an output sample's newest input is later than the sample's own moment."""
    alias_db: float
    """The loudest that is left of any tone from STOP_HZ to half the rate, against the tone; -inf if there is none."""
    ripple_db: float
    """The most by which any tone up to PASS_HZ changes, louder or softer."""
    cpu_percent: float
    """Of one core, for one stream from provider bytes to mu-law, in chunks of CHUNK_MS."""

    @property
    def missed(self) -> tuple[str, ...]:
        """The names of the figures of sound and delay that are beyond their bounds. CPU is the machine's business."""
        bounds = {"delay_ms": MAX_DELAY_MS, "alias_db": MAX_ALIAS_DB, "ripple_db": MAX_RIPPLE_DB}
        return tuple(name for name, bound in bounds.items() if getattr(self, name) > bound)


def measure(rates: tuple[int, ...] = RATES) -> list[Figures]:
    """Measure each rate. About a second of work for all rates, all of it in this thread."""
    return [Figures(rate, delay_ms(rate), alias_db(rate), ripple_db(rate), cpu_percent(rate)) for rate in rates]


def report(rows: list[Figures]) -> list[str]:
    """The rows as lines of a table, and a line for each bound that is missed."""
    lines = [f"{'rate Hz':>8} {'delay ms':>9} {'alias dB':>9} {'ripple dB':>10} {'CPU % of a core':>16}"]
    lines += [
        f"{row.rate:>8} {row.delay_ms:>9.2f} {row.alias_db:>9.1f} {row.ripple_db:>10.3f} {row.cpu_percent:>16.3f}"
        for row in rows
    ]
    lines.append(
        f"{'bound':>8} {MAX_DELAY_MS:>9.2f} {MAX_ALIAS_DB:>9.1f} {MAX_RIPPLE_DB:>10.3f} {MAX_CPU_PERCENT:>16.3f}"
    )
    return lines + [f"{row.rate} Hz misses its bound: {', '.join(row.missed)}" for row in rows if row.missed]


def main() -> bool:
    """Measure all rates and write the report to standard output; whether every bound of sound and delay holds."""
    rows = measure()
    sys.stdout.write("\n".join(report(rows)) + "\n")
    return not any(row.missed for row in rows)


def delay_ms(rate: int) -> float:
    """Push one sample at a time and see which one brings out each output."""
    resampler = Resampler(rate)
    silence = np.zeros(1, np.int16)
    worst, n_out = 0.0, 0
    for n_in in range(rate // 20):  # 50 ms: the pattern of every rate has come round twice
        for k in range(n_out, n_out + len(resampler.push(silence))):
            worst = max(worst, n_in / rate - k / MULAW_RATE)
            n_out = k + 1
    return worst * 1000


def alias_db(rate: int) -> float:
    return max((_gain_db(rate, hz) for hz in range(STOP_HZ, rate // 2 + 1, TONE_STEP_HZ)), default=-np.inf)


def ripple_db(rate: int) -> float:
    return max(abs(_gain_db(rate, hz)) for hz in range(TONE_STEP_HZ, PASS_HZ + 1, TONE_STEP_HZ))


def cpu_percent(rate: int) -> float:
    """The processor time of this thread over the time that the audio lasts. Noise, so that no shortcut is taken."""
    encoder = Encoder(AudioFormat("linear16", rate))
    chunk = np.random.default_rng(0).integers(-20000, 20000, rate * CHUNK_MS // 1000).astype("<i2").tobytes()
    runs = []
    for _ in range(CPU_RUNS):
        began = time.thread_time()
        for _ in range(CPU_CHUNKS):
            encoder.push(chunk)
        runs.append(time.thread_time() - began)
    return min(runs) / (CPU_CHUNKS * CHUNK_MS / 1000) * 100


def _gain_db(rate: int, hz: int) -> float:
    """What becomes of a tone's power, in dB; a tone that comes out at another pitch counts as well."""
    tone = np.rint(TONE_PEAK * np.cos(2 * np.pi * hz / rate * np.arange(int(TONE_S * rate)))).astype(np.int16)
    resampler = Resampler(rate)
    out = np.concatenate((resampler.push(tone), resampler.flush()))[SETTLED:-SETTLED]
    return float(20 * np.log10(max(_rms(out), 1e-3) / _rms(tone)))


def _rms(pcm: NDArray[np.int16]) -> float:
    return float(np.sqrt(np.mean(pcm.astype(np.float64) ** 2)))
