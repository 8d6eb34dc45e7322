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
from dataclasses import dataclass, field

from lineside.audio.formats import AudioFormat
from lineside.audio.resample import Encoder
from lineside.errors import ProviderError, ProviderRefused, ProviderSilent, ProviderUnavailable
from lineside.events import Audio, Finished, Flushed, Lost, SpeechEvent, Warned
from lineside.link.provider_socket import ProviderSocket
from lineside.ports import Speech, Utterance
from lineside.talk.limits import Budget
from lineside.wire import deepgram_speak
from lineside.wire.deepgram_speak import Opened, SpeakWire

log = logging.getLogger(__name__)

CLEAR_TIMEOUT = 1.0  # s; a service that has not confirmed a Clear by then may never do so
RENEW_AFTER = 50 * 60.0  # s; the service ends a socket at 60 minutes, in use or not
RENEW_RETRY = 60.0  # s until the next try when no successor could be opened
SPARE_FLUSHES = 4  # with fewer left a socket is replaced between turns, while nobody waits for it
SPARE_CHARS = 600
MARGIN = 2.0  # s added to the service's windows: its clock runs when a message arrives, ours when it leaves
RETRIES = (0.0, 0.25, 0.5, 1.0, 2.0, 5.0)  # s before each try after sockets that were of no use; the last is repeated
HURRIED = 0.5  # s; the longest of these waits while somebody waits
STEADY = 10.0  # s; a socket that lived so long was of use, even if nothing was said on it


@dataclass(frozen=True, slots=True)
class DeepgramOptions:
    """What is the same for every call: where to connect, as whom, and how to sound."""

    api_key: str = field(repr=False)
    base_url: str = "wss://api.deepgram.com"
    model: str = "aura-2-thalia-en"
    audio: AudioFormat = field(default_factory=lambda: AudioFormat("mulaw", 8000))
    speed: str = ""
    connect_timeout: float = 5.0
    silence_timeout: float = 4.0
    """Seconds without a frame, while a flush is unanswered, after which the socket is given up."""


class DeepgramVoice:
    """A Deepgram voice; see `lineside.ports.Voice`."""

    def __init__(self, name: str, options: DeepgramOptions) -> None:
        self.name = name
        self._options = options

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncIterator[Speech]:
        speech = DeepgramSpeech(self.name, self._options)
        try:
            yield speech
        finally:
            await speech.close()


class _Line:
    """One socket with its protocol state, its budgets and its deadlines."""

    def __init__(self, options: DeepgramOptions, on_event: Callable[[_Line, SpeechEvent | Opened], None]) -> None:
        self._options = options
        self._on_event = on_event
        self._loop = asyncio.get_running_loop()
        self._wire = SpeakWire()
        self._flushes = Budget(deepgram_speak.FLUSHES_PER_MINUTE, 60 + MARGIN)
        self._chars = Budget(deepgram_speak.CHARS_PER_MINUTE, 60 + MARGIN)
        self._born = self._heard_at = self._loop.time()
        self._deadline: asyncio.TimerHandle | None = None
        self.socket = ProviderSocket(
            "Deepgram",
            deepgram_speak.speak_url(options.base_url, options.model, options.audio, speed=options.speed),
            {"Authorization": f"Token {options.api_key}"},
            on_message=self._receive,
            on_end=self._ended,
            connect_timeout=options.connect_timeout,
            goodbye=[self._wire.close()],
        )
        self.socket.start()

    @property
    def unanswered(self) -> int:
        return self._wire.unanswered

    @property
    def steady(self) -> bool:
        """It has proved that the service can be talked to."""
        return self._loop.time() - self._born > STEADY

    @property
    def worn(self) -> bool:
        """Better replaced while nobody waits for it."""
        now = self._loop.time()
        spare = self._flushes.left(now) < SPARE_FLUSHES or self._chars.left(now) < SPARE_CHARS
        return spare or now - self._born > RENEW_AFTER

    def can_speak(self, texts: tuple[str, ...]) -> bool:
        """Within every limit of this socket."""
        now = self._loop.time()
        fits = self._flushes.left(now) > 0 and self._chars.left(now) >= sum(map(len, texts))
        return fits and now - self._born < deepgram_speak.SESSION_S - 60

    def speak(self, texts: tuple[str, ...]) -> None:
        """One Speak for each text, then a Flush."""
        now = self._loop.time()
        if not self._wire.unanswered:
            self._heard_at = now
        self._flushes.spend(1, now)
        self._chars.spend(sum(map(len, texts)), now)
        for text in texts:
            self.socket.send(self._wire.speak(text))
        self.socket.send(self._wire.flush())
        self._watch()

    def clear(self) -> None:
        """Drop all that was not answered. A socket that is not open yet forgets what it was to send."""
        if not self.socket.open:
            self.socket.forget()
            self._wire = SpeakWire()
        elif self._wire.unanswered:
            self.socket.send(self._wire.clear())
            self._loop.call_later(CLEAR_TIMEOUT, self._check_cleared, self._wire.clears)

    def _watch(self) -> None:
        if self._deadline is None:
            self._deadline = self._loop.call_at(self._heard_at + self._options.silence_timeout, self._check)

    def _check(self) -> None:
        self._deadline = None
        if not self.socket.alive or not self._wire.unanswered:
            return
        if not self.socket.open:  # connecting has a deadline of its own
            self._heard_at = self._loop.time()
        if self._loop.time() - self._heard_at < self._options.silence_timeout - 1e-6:
            self._watch()
        else:
            self.socket.fail(ProviderSilent(f"no frame for {self._options.silence_timeout:g} s after a flush"))

    def _check_cleared(self, clears: int) -> None:
        if self._wire.clears_confirmed < clears and self.socket.alive:
            self.socket.fail(ProviderSilent(f"a Clear was not confirmed within {CLEAR_TIMEOUT:g} s"))

    def _receive(self, message: str | bytes) -> None:
        self._heard_at = self._loop.time()
        match self._wire.receive(message):
            case Lost(error):
                self.socket.fail(error if isinstance(error, ProviderError) else ProviderUnavailable(str(error)))
            case Audio() | Flushed() | Warned() | Opened() as event:
                self._on_event(self, event)
            case _:
                pass

    def _ended(self, error: ProviderError) -> None:
        self._on_event(self, Lost(error))


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

    def __init__(self, voice_name: str, options: DeepgramOptions) -> None:
        self.voice_name = voice_name
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._current: DeepgramUtterance | None = None
        self._leaving: set[asyncio.Task[None]] = set()  # sockets that are saying goodbye
        self._retry: asyncio.TimerHandle | None = None
        self._renewal: asyncio.TimerHandle | None = None
        self._failures = 0
        self._refused: ProviderError | None = None
        self._next: _Line | None = None  # being opened to take the place of a worn line
        self._line: _Line = self._new_line()

    def utterance(self, listener: Callable[[SpeechEvent], None]) -> Utterance:
        if self._current is not None:
            self.cancel(self._current)
        self._renew()
        self._current = DeepgramUtterance(self, self._options.audio, listener)
        return self._current

    async def close(self) -> None:
        """Close every socket; takes a second at the most."""
        self._current = None
        for timer in (self._retry, self._renewal):
            if timer is not None:
                timer.cancel()
        lines = [line for line in (self._line, self._next) if line is not None]
        await asyncio.gather(*self._leaving, *(line.socket.close() for line in lines))

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

    def _new_line(self) -> _Line:
        self._renew_in(RENEW_AFTER + 1.0)  # also when nobody speaks for so long
        return _Line(self._options, self._on_event)

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
        task = self._loop.create_task(old.socket.close(), name="deepgram goodbye")
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    def _renew(self) -> None:
        """Replace a worn line before that is needed: when its successor is open, and nothing is owed on it."""
        if self._line.worn:
            self._open_next()
        if self._next is not None and self._next.socket.open and not self._line.unanswered:
            self._replace()

    def _on_event(self, line: _Line, event: SpeechEvent | Opened) -> None:
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
            self._failures = 0
            if audio := utterance.encoder.push(event.data):
                utterance.tell(Audio(audio))
            return
        utterance.tell(event)
        if isinstance(event, Flushed):
            self.advance(utterance)

    def _line_lost(self, line: _Line, error: Exception) -> None:
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
