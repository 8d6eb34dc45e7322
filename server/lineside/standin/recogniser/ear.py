"""A client's audio as a recogniser takes it up: 20 ms at a time, is it loud, and which words end in it.

No I/O; time is an argument. Audio time is s of audio since the first sample, whatever the clock says.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineside.audio import mulaw
from lineside.audio.resample import Resampler
from lineside.standin.recogniser.listened import HeardWord, Listened, Pause
from lineside.standin.recogniser.modem import DecodedWord, Decoder
from lineside.standin.voice import Encoding

RATE = 8000
MOMENT = 160  # samples; 20 ms, a telephone's frame
FULL_SCALE = 32768.0
FAINT_DBFS = -60.0  # RMS level of a word that nobody hears any more: what was begun and broken off is silence
PAUSE_S = 0.25  # s without audio that is worth noting: more than a chunk of any recommended size

SAMPLE_BYTES: dict[Encoding, int] = {"linear16": 2, "mulaw": 1, "alaw": 1}


@dataclass(frozen=True, slots=True)
class Moment:
    """20 ms of audio, or less at the end of a stream."""

    start_s: float
    end_s: float
    dbfs: float
    """RMS level; -inf for digital silence."""
    words: tuple[DecodedWord, ...]
    """Those whose last sample is in it."""
    reading: bool = False
    """A word is under way: speech, however quiet."""


class Ear:
    """Takes up one connection's audio and notes it.

    Args:
        rate: Hz; one that lineside.audio can bring to 8000.
        listened: where everything is noted.
    """

    def __init__(self, encoding: Encoding, rate: int, listened: Listened) -> None:
        self._encoding = encoding
        self._bytes_per_s = rate * SAMPLE_BYTES[encoding]
        self._resampler = None if rate == RATE else Resampler(rate)
        self._listened = listened
        self._decoder = Decoder()
        self._half_sample = b""
        self._waiting = np.zeros(0, np.int16)
        self._n_done = 0  # samples in moments so far
        self._first_at: float | None = None
        self._latest_at = 0.0
        self._n_losses = 0

    @property
    def seconds(self) -> float:
        """Audio received, s."""
        return self._listened.seconds

    def seconds_of(self, audio: bytes) -> float:
        return len(audio) / self._bytes_per_s

    def feed(self, audio: bytes, now: float) -> list[Moment]:
        """Take a message's audio; give the moments that are complete."""
        self._keep_time(audio, now)
        self._waiting = np.concatenate((self._waiting, self._linear(audio)))
        n_whole = len(self._waiting) // MOMENT * MOMENT
        moments = [self._moment(self._waiting[start : start + MOMENT], now) for start in range(0, n_whole, MOMENT)]
        self._waiting = self._waiting[n_whole:]
        return moments

    def rest(self, now: float) -> list[Moment]:
        """Give what is left of less than 20 ms."""
        if not len(self._waiting):
            return []
        moment = self._moment(self._waiting, now)
        self._waiting = self._waiting[:0]
        return [moment]

    def finish(self) -> None:
        """Nothing more comes: note what was left unfinished."""
        self._decoder.finish()
        self._note_losses()

    def _keep_time(self, audio: bytes, now: float) -> None:
        listened, seconds = self._listened, self.seconds_of(audio)
        if self._first_at is None:
            self._first_at = now - seconds  # live audio was there for as long as it lasts
        elif now - self._latest_at - seconds > PAUSE_S:
            listened.keep(Pause(listened.seconds, now - self._latest_at))
        self._latest_at = now
        listened.n_bytes += len(audio)
        listened.seconds = listened.n_bytes / self._bytes_per_s
        listened.behind_s = now - self._first_at - listened.seconds

    def _moment(self, pcm: NDArray[np.int16], now: float) -> Moment:
        start_s = self._n_done / RATE
        self._n_done += len(pcm)
        words = tuple(self._decoder.feed_pcm(pcm))
        for word in words:
            self._listened.keep(HeardWord(word.text, word.start_s, word.end_s, now))
        self._note_losses()
        wave = pcm.astype(np.float32)
        rms = float(np.sqrt(np.dot(wave, wave) / len(wave)))
        dbfs = 20 * float(np.log10(rms / FULL_SCALE)) if rms else float("-inf")
        return Moment(start_s, self._n_done / RATE, dbfs, words, self._decoder.reading)

    def _note_losses(self) -> None:
        for loss in self._decoder.losses[self._n_losses :]:
            self._listened.keep(loss)
        self._n_losses = len(self._decoder.losses)

    def _linear(self, audio: bytes) -> NDArray[np.int16]:
        match self._encoding:
            case "mulaw":
                pcm = mulaw.decode(audio)
            case "alaw":
                pcm = _ALAW[np.frombuffer(audio, np.uint8)]
            case "linear16":
                audio = self._half_sample + audio
                whole = len(audio) & ~1
                self._half_sample = audio[whole:]
                pcm = np.frombuffer(audio, "<i2", whole // 2).astype(np.int16)
        return pcm if self._resampler is None else self._resampler.push(pcm)


def _alaw() -> NDArray[np.int16]:
    """Linear values of the 256 A-law bytes.

    Source: ITU-T G.711 (11/1988), table 1a, https://www.itu.int/rec/T-REC-G.711
    """
    code = np.arange(256) ^ 0x55
    step, low = code >> 4 & 7, ((code & 0x0F) << 4) + 8
    size = np.where(step == 0, low, low + 0x100 << np.maximum(step - 1, 0))
    return np.where(code & 0x80, size, -size).astype(np.int16)


_ALAW = _alaw()


class Voicing:
    """Speech by its level: anything loud for long enough begins it, whatever it is. So does a word, loud or not.

    Args:
        onset_s: loud time that begins speech.
    """

    def __init__(self, onset_s: float) -> None:
        self._onset_s = onset_s
        self.speaking = False
        """Something has begun to speak, and nobody has called `end`."""
        self.began_s = 0.0
        """Audio time at which it did."""
        self.loud_until_s = 0.0
        """Audio time of the end of the last loud moment."""
        self._run_s: float | None = None  # where the present loud run began

    def hear(self, moment: Moment, threshold_dbfs: float) -> bool:
        """Take up a moment. True: speech began, `began_s` ago; told once."""
        if moment.dbfs < (FAINT_DBFS if moment.reading or moment.words else threshold_dbfs):
            self._run_s = None
            return False
        self.loud_until_s = moment.end_s
        self._run_s = moment.start_s if self._run_s is None else self._run_s
        if self.speaking or moment.end_s - self._run_s < self._onset_s - 1e-9:
            return False
        self.speaking, self.began_s = True, self._run_s
        return True

    def silent_s(self, at_s: float) -> float:
        """How long it has been silent at an audio time."""
        return at_s - self.loud_until_s

    def end(self) -> None:
        """The speech is over; the next loud run begins another."""
        self.speaking = False
