"""A real voice: espeak-ng, from the wheel of the extra `demo`, called in this process.

espeak-ng is GPL-3. Nothing but the stand-in imports this file, and the stand-in runs as a process of its own.
Source: https://github.com/espeak-ng/espeak-ng/blob/master/src/include/espeak-ng/speak_lib.h
"""

from __future__ import annotations

import ctypes
import re
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lineside.errors import LinesideError, SettingsError
from lineside.standin.voice import Rendering, WordTime

WORDS_PER_MINUTE = 175  # the library's own default
SLOWEST, FASTEST = 80, 450  # words a minute; what the library takes

_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: audio goes to the callback before the call returns
_DONT_EXIT = 0x8000  # espeakINITIALIZE_DONT_EXIT
_UTF8, _END_PAUSE = 0x1, 0x1000  # espeakCHARS_UTF8, espeakENDPAUSE
_RATE = 1  # espeakRATE
_WORD_EVENT, _END_EVENT = 1, 5


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),  # characters, from 1
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),  # ms
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class EspeakVoice:
    """espeak-ng. Make it before the loop runs: loading the library reads files.

    Raises:
        LinesideError: the extra is not installed, or the library does not start.
        SettingsError: it has no such language.
    """

    blocking = True
    # The library keeps its state in globals: one user at a time in a process.
    _library: Any = None
    _rate = 0
    _lock = threading.Lock()

    def __init__(self, language: str = "en-us") -> None:
        self._language = language.encode()
        with self._lock:
            self._load()
            if self._library.espeak_SetVoiceByName(self._language):
                raise SettingsError(f"espeak-ng has no voice called {language!r}; try en-us, en-gb, de, es, fr")

    def speak(self, text: str, speed: float = 1.0) -> Rendering:
        """Speak `text`, 22.05 kHz, with a word time for each run of non-blank characters that it read out.

        The same text comes out slightly different each time. Blocks for about 1 ms per second of speech.
        """
        if not text.strip():
            return Rendering(np.zeros(0, np.int16), self._rate, ())
        # Control characters are commands to the library, and a NUL would end the text.
        plain = "".join(char if char.isprintable() else " " for char in text).encode()
        chunks: list[NDArray[np.int16]] = []
        events: list[tuple[int, int, int]] = []

        def take(samples: Any, n_samples: int, batch: Any) -> int:
            if samples and n_samples > 0:
                chunks.append(np.ctypeslib.as_array(samples, (n_samples,)).copy())
            for event in batch:
                if not event.type:  # the list's end
                    break
                events.append((event.type, event.text_position - 1, event.sample))
            return 0  # go on

        callback = _CALLBACK(take)
        with self._lock:
            library = self._library
            library.espeak_SetVoiceByName(self._language)
            library.espeak_SetParameter(_RATE, round(min(max(WORDS_PER_MINUTE * speed, SLOWEST), FASTEST)), 0)
            library.espeak_SetSynthCallback(callback)
            failed = library.espeak_Synth(plain, len(plain) + 1, 0, 0, 0, _UTF8 | _END_PAUSE, None, None)
        if failed:
            raise LinesideError(f"espeak-ng could not speak a text of {len(text)} characters (error {failed})")
        pcm = np.concatenate(chunks) if chunks else np.zeros(0, np.int16)
        return Rendering(pcm, self._rate, _word_times(text, events, self._rate))

    @classmethod
    def _load(cls) -> None:
        if cls._library is not None:
            return
        try:
            import espeakng_loader
        except ImportError as exc:
            raise LinesideError("the voice espeak needs espeak-ng: pip install 'lineside[demo]'") from exc
        library = ctypes.CDLL(espeakng_loader.get_library_path())
        library.espeak_Synth.argtypes = (
            *(ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint, ctypes.c_uint),
            *(ctypes.c_void_p, ctypes.c_void_p),
        )
        rate = library.espeak_Initialize(_SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), _DONT_EXIT)
        if rate <= 0:
            raise LinesideError(f"espeak-ng did not start (error {rate})")
        cls._library, cls._rate = library, rate


def _word_times(text: str, events: list[tuple[int, int, int]], rate: int) -> tuple[WordTime, ...]:
    """Word times from events (type, character, sample).

    The library reports a number several times, at odd characters in it, and a contraction by its first half; so a word
    is a run of non-blank characters, from the first event in it to the next event outside it.
    """
    runs = [(run.start(), run.end()) for run in re.finditer(r"\S+", text)]
    words: list[WordTime] = []
    for i, (kind, char, sample) in enumerate(events):
        run = next((run for run in runs if run[0] <= char < run[1]), None)
        if kind != _WORD_EVENT or run is None or (words and words[-1].start_char >= run[0]):
            continue
        end = next(
            (
                at
                for what, where, at in events[i + 1 :]
                if what == _END_EVENT or (what == _WORD_EVENT and where >= run[1])
            ),
            sample,
        )
        words.append(WordTime(run[0], run[1], sample / rate, end / rate))
    return tuple(words)
