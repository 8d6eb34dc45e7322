"""Deepgram's voices for one call: one socket at a time, replaced when it must be.

Text is kept here until it is flushed, so that a socket never holds text that was not asked to be spoken: it can then be
replaced between any two flushes without losing or repeating a word.

Source: https://developers.deepgram.com/docs/tts-websocket and https://developers.deepgram.com/reference/api-rate-limits
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable

from lineside.audio.formats import AudioFormat
from lineside.audio.resample import Encoder
from lineside.errors import ProviderError, ProviderRefused
from lineside.events import Audio, Finished, Flushed, Lost, SpeechEvent
from lineside.ports import Speech, Utterance
from lineside.speech.deepgram_line import RENEW_AFTER, DeepgramLine, DeepgramOptions
from lineside.speech.governor import Governor
from lineside.wire import deepgram_speak
from lineside.wire.deepgram_speak import Opened

__all__ = ["DeepgramOptions", "DeepgramVoice"]

log = logging.getLogger(__name__)

RENEW_RETRY = 60.0  # s until the next try when no successor could be opened
RETRIES = (0.0, 0.25, 0.5, 1.0, 2.0, 5.0)  # s before each try after sockets that were of no use; the last is repeated
HURRIED = 0.5  # s; the longest of these waits while somebody waits


class DeepgramVoice:
    """A Deepgram voice; see `lineside.ports.Voice`."""

    def __init__(self, name: str, options: DeepgramOptions, governor: Governor | None = None) -> None:
        """governor: counts the account's open sockets, over all calls; None when nobody does."""
        self.name = name
        self.fingerprint = f"deepgram {options.model} speed {options.speed or 1}"
        self._options = options
        self._governor = governor

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncIterator[Speech]:
        speech = DeepgramSpeech(self.name, self._options, self._governor)
        try:
            yield speech
        finally:
            await speech.close()


class DeepgramUtterance:
    """What is said in one turn; see `lineside.ports.Utterance`."""

    def __init__(self, speech: DeepgramSpeech, audio: AudioFormat, listener: Callable[[SpeechEvent], None]) -> None:
        self._speech = speech
        self._held: list[str] = []
        self.encoder = Encoder(audio)  # one for all its audio, even if that comes over several sockets
        self.tell = listener
        self.queue: deque[tuple[str, ...]] = deque()  # segments that no socket has been given yet
        self.finishing = False

    def say(self, text: str) -> None:
        self._held.append(text)

    def flush(self) -> None:
        if self._held:
            self.queue.append(tuple(self._held))
            self._held.clear()
        self._speech.advance(self)

    def finish(self) -> None:
        self.finishing = True
        self.flush()

    def cancel(self) -> None:
        self._speech.cancel(self)


class DeepgramSpeech:
    """One call's line to Deepgram; see `lineside.ports.Speech`."""

    max_chars = deepgram_speak.MAX_SPEAK_CHARS

    def __init__(self, voice_name: str, options: DeepgramOptions, governor: Governor | None = None) -> None:
        self.voice_name = voice_name
        self._options = options
        self._governor = governor
        self._loop = asyncio.get_running_loop()
        self._current: DeepgramUtterance | None = None
        self._leaving: set[asyncio.Task[None]] = set()  # sockets that are saying goodbye
        self._retry: asyncio.TimerHandle | None = None
        self._renewal: asyncio.TimerHandle | None = None
        self._failures = 0
        self._refused: ProviderError | None = None
        self._next: DeepgramLine | None = None  # being opened to take the place of a worn line
        self._spoken = False
        self._line = DeepgramLine(options, governor, self._on_event, urgent=False)

    @property
    def ready(self) -> bool:
        return self._line.socket.open

    @property
    def admitted(self) -> bool:
        return self._line.socket.alive and self._line.admitted

    def prepare(self) -> None:
        if not self._line.socket.alive and self._retry is None:
            self._refused = None
            self._line = self._new_line()
        self._start(self._line)

    def utterance(self, listener: Callable[[SpeechEvent], None]) -> Utterance:
        if self._current is not None:
            self.cancel(self._current)
        self._start(self._line)
        self._renew()
        self._current = DeepgramUtterance(self, self._options.audio, listener)
        return self._current

    async def close(self) -> None:
        """Close every socket; takes a second at the most."""
        self._current = None
        for timer in (self._retry, self._renewal):
            if timer is not None:
                timer.cancel()
        lines = [self._line, self._next] if self._next is not None else [self._line]
        await asyncio.gather(*self._leaving, *(line.close() for line in lines))

    # -- for the utterance -------------------------------------------------------------------------

    def advance(self, utterance: DeepgramUtterance) -> None:
        """Send what can be sent, and say `Finished` when all was answered."""
        if utterance is not self._current:
            return
        while utterance.queue:
            if not self._line.socket.alive:
                self._wait_for_line()
                return
            self._renew()
            if not self._line.can_speak(utterance.queue[0]):
                self._open_next()
                if self._line.unanswered:  # its audio comes first; then we move on
                    return
                self._replace()
            self._line.speak(utterance.queue.popleft())
        if utterance.finishing and not self._line.unanswered:
            self._current = None
            if tail := utterance.encoder.flush():
                utterance.tell(Audio(tail))
            utterance.tell(Finished())
            self._renew()

    def cancel(self, utterance: DeepgramUtterance) -> None:
        if utterance is self._current:
            self._current = None
            self._line.clear()
            self._renew()

    # -- lines -------------------------------------------------------------------------------------

    def _new_line(self) -> DeepgramLine:
        line = DeepgramLine(self._options, self._governor, self._on_event, urgent=self._spoken)
        self._start(line)
        return line

    def _start(self, line: DeepgramLine) -> None:
        if not line.started:
            line.start()
            self._renew_in(RENEW_AFTER + 1.0)  # also when nobody speaks for so long

    def _renew_in(self, seconds: float) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
        self._renewal = self._loop.call_later(seconds, self._renew)

    def _open_next(self) -> None:
        if self._next is None:
            self._next = self._new_line()

    def _replace(self) -> None:
        """Go on with the line that was opened for it, or with a new one."""
        old, self._line = self._line, self._next or self._new_line()
        self._next = None
        task = self._loop.create_task(old.close(), name="deepgram goodbye")
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    def _renew(self) -> None:
        """Replace a worn line before that is needed: when its successor is open, and nothing is owed on it."""
        if self._line.worn:
            self._open_next()
        if self._next is not None and self._next.socket.open and not self._line.unanswered:
            self._replace()

    def _on_event(self, line: DeepgramLine, event: SpeechEvent | Opened) -> None:
        if isinstance(event, Lost):
            self._line_lost(line, event.error)
            return
        if isinstance(event, Opened):
            log.debug("deepgram socket open, request %s", event.request_id)
            self._renew()
            return
        utterance = self._current
        if line is not self._line or utterance is None:
            return
        if isinstance(event, Audio):
            self._failures, self._spoken = 0, True
            if audio := utterance.encoder.push(event.data):
                utterance.tell(Audio(audio))
            return
        utterance.tell(event)
        if isinstance(event, Flushed):
            self.advance(utterance)

    def _line_lost(self, line: DeepgramLine, error: Exception) -> None:
        if line is self._next:
            self._next = None
            self._renew_in(RENEW_RETRY)
            return
        if line is not self._line:
            return
        self._refused = error if isinstance(error, ProviderRefused) else None
        if line.steady:
            self._failures = 0
        self._try_again()
        if line.unanswered:
            self._lose(error)

    def _lose(self, error: Exception) -> None:
        utterance, self._current = self._current, None
        if utterance is not None:
            utterance.tell(Lost(error))

    def _try_again(self) -> None:
        """Nobody may be waiting, but the next turn must not find a dead socket."""
        if self._refused is not None or self._retry is not None:
            return
        delay = RETRIES[min(self._failures, len(RETRIES) - 1)]
        self._failures += 1
        self._retry = self._loop.call_later(delay, self._retry_now)

    def _wait_for_line(self) -> None:
        """There is text for a line that is dead: it is spoken on the next one, which will be opened in a moment."""
        if self._refused is not None:
            self._lose(self._refused)
        elif self._retry is not None and self._retry.when() > self._loop.time() + HURRIED:
            self._retry.cancel()
            self._retry = self._loop.call_later(HURRIED, self._retry_now)

    def _retry_now(self) -> None:
        self._retry = None
        if not self._line.socket.alive:
            self._line, self._next = self._next or self._new_line(), None
        if self._current is not None:
            self.advance(self._current)
