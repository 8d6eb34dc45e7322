"""One call's line to ElevenLabs, whichever kind of socket it is: the utterances, and the sockets that carry them.

A turn's text passes through an `ElevenLabsUtterance`, which waits for a slot of the account, and goes to a `Line`. The
`ElevenLabsSpeech` sees to it that there is a line when one is needed.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from lineside.audio.resample import Encoder
from lineside.errors import ProviderBusy, ProviderError, ProviderRefused, ProviderSilent
from lineside.events import Audio, Finished, Flushed, Lost, SpeechEvent
from lineside.ports import Utterance
from lineside.speech.elevenlabs_line import Account, Line, LineOwner
from lineside.speech.elevenlabs_slot import Slot
from lineside.speech.elevenlabs_watch import Verdict, Watch

log = logging.getLogger(__name__)

MAX_CHARS = 1000  # a text; what was asked for in one piece is spoken anew in one piece after a loss
RETRIES = (0.0, 0.25, 0.5, 1.0, 2.0, 5.0)  # s before each try after sockets that were of no use; the last is repeated
HURRIED = 0.5  # s; the longest of these waits while somebody waits


@dataclass(slots=True)
class _Piece:
    """Text, and what was asked for right behind it."""

    text: str
    flush: bool = False
    finish: bool = False


class ElevenLabsUtterance:
    """What is said in one turn; see `lineside.ports.Utterance`.

    Text goes out at the end of the loop's round, so that a flush that follows it at once travels in the same message.
    """

    def __init__(self, speech: ElevenLabsSpeech, account: Account, listener: Callable[[SpeechEvent], None]) -> None:
        options = account.options
        self._speech = speech
        self._tell = listener
        self._loop = asyncio.get_running_loop()
        self._wait = options.urgent_wait if speech.urgent else options.generation_wait
        self._silence_timeout = options.silence_timeout
        self._slot = Slot(account.governor, self._wait, self.advance, self._denied, urgent=speech.urgent)
        self._encoder = Encoder(options.wire.audio)
        comparable = not options.wire.pronunciation_dictionaries and not options.wire.enable_ssml_parsing
        self._watch = Watch(options.silence_timeout, comparable=comparable)
        self._timer: asyncio.TimerHandle | None = None
        self._queue: deque[_Piece] = deque()  # what no line was given yet
        self._finishing = False
        self._begun = False
        self._over = False
        self.line: Line | None = None

    @property
    def admitted(self) -> bool:
        """It has its slot."""
        return self._slot.held

    # -- from the turn -------------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        if text.strip() and not self._over:
            self._queue.append(_Piece(text))
            self._loop.call_soon(self.advance)

    def flush(self) -> None:
        self._flush(finish=False)

    def finish(self) -> None:
        self._flush(finish=True)

    def _flush(self, *, finish: bool) -> None:
        if self._over:
            return
        if not self._queue or self._queue[-1].flush:
            self._queue.append(_Piece(""))
        self._queue[-1].flush = True
        self._queue[-1].finish = finish
        self.advance()

    def cancel(self) -> None:
        if self._over:
            return
        self._end()
        if self.line is not None and self.line.socket.alive:
            self.line.cancel(self._slot)
        else:
            self._slot.leave()
        self._speech.over(self)

    # -- to the line ---------------------------------------------------------------------------------------------------

    def advance(self) -> None:
        """Hand the line what it can be given now."""
        while self._queue and not self._over:
            if self.line is None and not self._queue[0].text:  # nothing was said, so there is nothing to wait for
                self._answer(Finished() if self._queue.popleft().finish else Flushed())
                continue
            line = self.line or self._take_line()
            if line is None:
                return
            self._speak(line, self._queue.popleft())
            self._arm()

    def _take_line(self) -> Line | None:
        """A line to begin on; None when it has to be waited for, or there will be none."""
        if not self._slot.ask():
            return None
        try:
            self.line = self._speech.begin()
        except ProviderRefused as exc:
            self._answer(Lost(exc))
        return self.line

    def _speak(self, line: Line, piece: _Piece) -> None:
        self._finishing = piece.finish
        self._watch.said(piece.text)
        if piece.finish:
            self._watch.finishing()
        if piece.flush:
            self._watch.flushed(self._loop.time())
        if piece.text:
            line.say(piece.text, flush=piece.flush)
        else:
            line.flush()
        if piece.finish and not self._over:
            line.finish()

    def _denied(self) -> None:
        self._answer(Lost(ProviderBusy(f"ElevenLabs: no free generation within {self._wait:g} s")))

    # -- from the line -------------------------------------------------------------------------------------------------

    def line_opened(self) -> None:
        """Only from now on can the service be called silent."""
        self._watch.alive(self._loop.time())

    def receive(self, event: SpeechEvent) -> None:
        """The line tells something; it may be the last thing."""
        if self._over:
            return
        ours = self._finishing and self._watch.n_owed == 1  # the flush that comes with the end; a turn did not ask it
        self._watch.told(event, self._loop.time())
        match event:
            case Audio(data):
                self._begin()
                if audio := self._encoder.push(data):
                    self._tell(Audio(audio))
            case Flushed() if ours:
                pass
            case _:
                self._answer(event)
        self._arm()

    def _begin(self) -> None:
        """The first audio: the service lets us generate."""
        if not self._begun:
            self._begun = True
            self._speech.begun()

    def _answer(self, event: SpeechEvent) -> None:
        if isinstance(event, Finished | Lost):
            self._end()
            self._slot.leave()
            self._speech.over(self)
        if isinstance(event, Finished) and (tail := self._encoder.flush()):
            self._tell(Audio(tail))
        self._tell(event)

    def _end(self) -> None:
        self._over = True
        self._queue.clear()
        if self._timer is not None:
            self._timer.cancel()

    # -- silence -------------------------------------------------------------------------------------------------------

    def _arm(self) -> None:
        """Look again when silence will mean something. A timer that rings too early is set anew."""
        deadline = None if self._over else self._watch.deadline()
        if deadline is None:
            return
        if self._timer is not None:
            if self._timer.when() <= deadline[0]:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline[0], self._look)

    def _look(self) -> None:
        self._timer = None
        deadline, line, now = self._watch.deadline(), self.line, self._loop.time()
        if deadline is None or line is None:
            return
        if not line.socket.open:  # connecting has a deadline of its own
            self._watch.alive(now)
        elif now >= deadline[0] - 1e-6:
            self._act(line, deadline[1])
        self._arm()

    def _act(self, line: Line, verdict: Verdict) -> None:
        match verdict:
            case Verdict.SETTLE:
                self._watch.settled()
                line.settle()
            case Verdict.RELEASE:
                line.release()
            case Verdict.LOST:
                line.socket.fail(ProviderSilent(f"ElevenLabs: no frame for {self._silence_timeout:g} s after a flush"))


class ElevenLabsSpeech:
    """One call's line to ElevenLabs; see `lineside.ports.Speech`.

    Args:
        make_line: opens a line of the wanted kind.
    """

    max_chars = MAX_CHARS

    def __init__(self, voice_name: str, account: Account, make_line: Callable[[Account, LineOwner], Line]) -> None:
        self.voice_name = voice_name
        self._account = account
        self._make_line = make_line
        self._loop = asyncio.get_running_loop()
        self._current: ElevenLabsUtterance | None = None
        self._retiring: set[Line] = set()
        self._leaving: set[asyncio.Task[None]] = set()  # lines that are saying goodbye
        self._retry: asyncio.TimerHandle | None = None
        self._failures = 0
        self._refused: ProviderRefused | None = None  # the line is dead, and another would not live either
        self._closed = False
        self.urgent = False  # the call has spoken before
        self._next: Line | None = None  # open or being opened, to take the place of the line
        self._line = make_line(account, self)

    @property
    def ready(self) -> bool:
        return self._line.socket.open

    @property
    def admitted(self) -> bool:
        governor = self._account.governor
        has_slot = governor is None or governor.free or (self._current is not None and self._current.admitted)
        return has_slot and self._line.admitted

    def prepare(self) -> None:
        """See `lineside.ports.Speech`. A service that refused us before is asked again."""
        if not self._line.socket.alive and self._retry is None:
            self._refused = None
            self._replace()
        self._line.start()

    def utterance(self, listener: Callable[[SpeechEvent], None]) -> Utterance:
        if self._current is not None:
            self._current.cancel()
        self.renew()
        self._line.start()
        self._current = ElevenLabsUtterance(self, self._account, listener)
        return self._current

    async def close(self) -> None:
        """Close every socket; takes a second at the most."""
        self._closed = True
        if self._current is not None:
            self._current.cancel()
        if self._retry is not None:
            self._retry.cancel()
        lines = [self._line, *self._retiring] + ([] if self._next is None else [self._next])
        await asyncio.gather(*self._leaving, *(line.close() for line in lines))

    # -- for the utterance ---------------------------------------------------------------------------------------------

    def begin(self) -> Line | None:
        """The line on which an utterance with a slot begins; None when one will be opened in a moment and ask for text.

        Raises:
            ProviderRefused: the service does not want us.
        """
        if self._refused is not None:
            raise self._refused
        if not self._line.socket.alive and (self._next is None or not self._next.usable):
            self._hurry()
            return None
        if not self._line.usable:
            self._replace()
        line = self._line
        line.start(with_slot=True)
        line.begin()
        self.renew()
        return line

    def begun(self) -> None:
        """An utterance's first audio has come."""
        self._failures, self.urgent = 0, True
        if self._account.governor is not None:
            self._account.governor.accepted()

    def over(self, utterance: ElevenLabsUtterance) -> None:
        """The utterance has come to its end."""
        if utterance is self._current:
            self._current = None
            self.renew()

    # -- lines ---------------------------------------------------------------------------------------------------------

    def _new_line(self) -> Line:
        line = self._make_line(self._account, self)
        line.start()
        return line

    def _replace(self) -> None:
        """Go on with the line that was opened for it, or with a new one."""
        spare, self._next = self._next, None
        old, self._line = self._line, spare if spare is not None and spare.usable else self._new_line()
        for line in (old, spare):
            if line is not None and line is not self._line:
                self._retire(line)

    def _retire(self, line: Line) -> None:
        if line.socket.alive:
            self._retiring.add(line)
            line.retire()

    def renew(self) -> None:
        """Replace worn lines between turns, once their successors are open; see also `LineOwner.renew`."""
        if self._closed or self._refused is not None:
            return
        if self._next is not None and self._next.worn:
            worn, self._next = self._next, None
            self._retire(worn)
        ready = self._next is not None and self._next.socket.open
        if self._current is None and (self._line.spent or (self._line.worn and ready)):
            self._replace()
        if self._next is None and self._line.socket.open and (self._line.worn or self._line.wants_spare):
            self._next = self._new_line()

    # -- from the lines ------------------------------------------------------------------------------------------------

    def line_opened(self, line: Line) -> None:
        log.debug("elevenlabs socket open")
        if self._current is not None and self._current.line is line:
            self._current.line_opened()
        self.renew()

    def line_event(self, line: Line, event: SpeechEvent) -> None:
        if self._current is not None and self._current.line is line:
            self._current.receive(event)

    def line_done(self, line: Line) -> None:
        if line in self._retiring and not self._closed:
            self._retiring.remove(line)
            task = self._loop.create_task(line.close(), name="elevenlabs goodbye")
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    def line_lost(self, line: Line, error: ProviderError) -> None:
        self._retiring.discard(line)
        if line is self._next:
            self._next = None
        if line is not self._line:
            return
        self._refused = error if isinstance(error, ProviderRefused) else None
        if line.steady:
            self._failures = 0
        self._try_again()

    def _try_again(self) -> None:
        """Nobody may be waiting, but the next turn must not find a dead socket."""
        if self._refused is not None or self._retry is not None or self._closed:
            return
        delay = RETRIES[min(self._failures, len(RETRIES) - 1)]
        self._failures += 1
        self._retry = self._loop.call_later(delay, self._retry_now)

    def _hurry(self) -> None:
        """There is text for the line that is to be opened."""
        if self._retry is not None and self._retry.when() > self._loop.time() + HURRIED:
            self._retry.cancel()
            self._retry = self._loop.call_later(HURRIED, self._retry_now)

    def _retry_now(self) -> None:
        self._retry = None
        if not self._line.socket.alive:
            self._replace()
        if self._current is not None:
            self._current.advance()
