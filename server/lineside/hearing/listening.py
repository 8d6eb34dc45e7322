"""One call's line to a recogniser, whichever it is: one socket at a time, replaced when it dies.

Audio waits in the backlog, not in the socket: what a dead or stalled recogniser costs is bounded, and what it had not
understood yet is sent again. Its warnings are told as they come, ours are `EarWarned` with one of these codes:

- `lost`: the socket died or cannot be opened; we go on trying.
- `reconnected`: a new socket has given its first answer.
- `refused`: the provider will not have us; the call goes on deaf.
- `dropped`: audio was dropped that no socket took in time.

A socket that has long said nothing, as a service that is silent about silence may, is sound or mute: its pings tell
only that somebody is there. So it is replaced, but without a word, and not before the next one is open.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from lineside.errors import ProtocolError, ProviderError, ProviderRefused, ProviderSilent, ProviderUnavailable
from lineside.events import EarWarned, HearingEvent
from lineside.hearing.arrivals import Arrivals
from lineside.hearing.backlog import HOLD_S, RATE, Backlog
from lineside.link.provider_socket import ProviderSocket
from lineside.wire.arrived import Arrived

TICK = 0.5  # s between two looks at the deadlines, at most
GAP = 0.5  # s without audio from the carrier that are not jitter any more
TALKS = 2  # messages without news, after which a socket is known to tell of silence: the first may be a greeting
UNTOLD = 60.0  # s of audio in which one that is not may say nothing; it is renewed then, sound or not
QUEUE = 4  # messages; more than a socket that takes them promptly ever has waiting
RETRIES = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0)  # s before each try after sockets that were of no use; the last is repeated
STEADY = 10.0  # s; a socket that lived so long was of use
ORPHAN = 2.0  # s without a socket, after which nobody will say that the caller has finished
DROPS_EVERY = 5.0  # s between two reports of dropped audio
EPSILON = 1e-6
SILENCE = b"\xff"  # mu-law


class Wire(Protocol):
    """A recogniser's protocol and its memory of the open turn. No I/O, no clock."""

    @property
    def settled(self) -> float:
        """Seconds of the present socket's audio that need not be sent again."""
        ...

    @property
    def unfinished(self) -> bool: ...

    def audio(self, chunk: bytes) -> str | bytes: ...
    def receive(self, message: str | bytes) -> list[HearingEvent]: ...
    def lost(self) -> list[HearingEvent]: ...
    def finish(self, *, deaf: bool) -> list[HearingEvent]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """What a provider's recogniser expects of its clients. Times in s."""

    who: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    chunk: int
    """Bytes of audio a message."""
    ingest: float
    """Times real time at which it takes audio."""
    answer_timeout: float
    """Seconds of audio, sent or waiting, without any message while an utterance is open; then the socket is given up.
    So much less than `hold_s` that what it heard and did not answer is still held for the next one."""
    quiet_timeout: float
    """The same while none is open, for a service that tells of silence. One that has said something, but nothing of
    silence, has `UNTOLD`, and is renewed then."""
    hold_s: float = HOLD_S
    """Seconds of audio held for a socket that is not there, or that may have to be sent again."""
    connect_timeout: float = 5.0
    fills: bool = False
    """Silence always takes the place of audio that does not come. Else it does so while an utterance is open."""
    keep_alive_every: float | None = None
    keep_alive: str | None = None
    """The message that keeps a socket open on which audio was sent. None: a chunk of silence."""
    goodbye: tuple[str, ...] = ()
    explain: Callable[[int, bytes], ProviderError] | None = None
    explain_close: Callable[[int, str], ProviderError] | None = None


class Listening:
    """One call's line to a recogniser; see `lineside.ports.Hearing`."""

    def __init__(
        self, habits: Habits, wire: Callable[[Arrived], Wire], listener: Callable[[HearingEvent], None]
    ) -> None:
        self._habits = habits
        self._wire = wire(self._arrived)
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._backlog = Backlog(habits.chunk, ingest=habits.ingest, hold_s=habits.hold_s)
        self._arrivals = Arrivals()
        self._chunk_s = habits.chunk / RATE
        now = self._loop.time()
        self._fed_at = now
        self._closed = self._deaf = False
        self._leaving: set[asyncio.Task[None]] = set()  # sockets that are saying goodbye
        # Of the present socket:
        self._opened_at: float | None = None
        self._answered = False
        self._sent_at = now
        self._any_audio = False
        self._unanswered = 0  # bytes of audio since its last message
        self._n_quiet = 0  # messages without news while nothing was being said
        # Of the present outage:
        self._lost_at: float | None = None
        self._failures = 0
        self._missing = 0
        self._resent = 0
        # Of dropped audio:
        self._drops_told = 0
        self._drops_told_at = now - DROPS_EVERY
        self._retry: asyncio.TimerHandle | None = None
        self._pumping: asyncio.TimerHandle | None = None
        self._socket = self._connect()
        self._renewal: ProviderSocket | None = None  # opens to take the place of a sound one
        self._ticking = self._loop.call_later(TICK, self._tick)

    @property
    def chunk(self) -> int:
        return self._habits.chunk

    def feed(self, audio: bytes) -> None:
        """Caller audio, mu-law 8 kHz, as it arrives. Never waits."""
        if audio and not (self._deaf or self._closed):
            self._fed_at = self._loop.time()
            self._take_in(audio)

    async def close(self) -> None:
        """Close every socket; takes two seconds at the most."""
        self._closed = True
        self._stop_timers()
        self._call_off()
        await asyncio.gather(*self._leaving, self._socket.close())

    # -- audio up ----------------------------------------------------------------------------------

    def _take_in(self, audio: bytes) -> None:
        backlog = self._backlog
        backlog.push(audio)
        self._arrivals.came(len(audio), self._loop.time())
        if self._socket.open:
            self._unanswered += len(audio)
            if backlog.waiting >= backlog.chunk:
                self._pump()

    def _arrived(self, seconds: float) -> float | None:
        """See `lineside.wire.arrived.Arrived`."""
        nth = self._backlog.nth(seconds * RATE)
        return None if nth is None else self._arrivals.at(nth)

    def _pump(self) -> None:
        """Send what may be sent now, and come back for the rest."""
        socket, backlog = self._socket, self._backlog
        if not socket.open:
            return
        now = self._loop.time()
        while socket.queued < QUEUE and (chunk := backlog.take(now)):
            socket.send(self._wire.audio(chunk))
            self._sent_at = now
            self._any_audio = True
        due = backlog.due
        if due is not None and self._pumping is None:
            # Either its time has not come, or the queue is full: then in a while, however long the socket stalls.
            self._pumping = self._loop.call_at(due if due > now else now + self._chunk_s, self._pump_again)

    def _pump_again(self) -> None:
        self._pumping = None
        self._pump()

    # -- time --------------------------------------------------------------------------------------

    def _tick(self) -> None:
        now = self._loop.time()
        wait = TICK
        if self._socket.open:
            fed_for = self._fed_at + GAP - now
            if self._unanswered < self._patience * RATE:
                wait = fed_for if fed_for > EPSILON else self._idle(now)
            elif self._patience < UNTOLD:
                text = f"{self._habits.who}: no answer to {self._unanswered / RATE:.0f} s of audio"
                self._socket.fail(ProviderSilent(text))
            elif self._renewal is None:
                self._renewal = self._connect()
            self._pump()
        elif self._lost_at is not None and now - self._lost_at >= ORPHAN:
            self._tell(self._wire.finish(deaf=False))
        self._report_drops(now)
        if not (self._closed or self._deaf):
            self._ticking = self._loop.call_later(wait, self._tick)

    @property
    def _patience(self) -> float:
        """Seconds of audio to which the present socket may say nothing."""
        if self._wire.unfinished:
            return self._habits.answer_timeout
        return UNTOLD if 0 < self._n_quiet < TALKS else self._habits.quiet_timeout

    def _idle(self, now: float) -> float:
        """The carrier sends nothing. Returns the seconds until the next look."""
        habits, backlog = self._habits, self._backlog
        if backlog.waiting >= backlog.chunk:
            return TICK  # audio that was waiting goes first
        if habits.fills or self._wire.unfinished:
            # Recognisers measure pauses in audio: without any, what the caller said would never end.
            self._fill()
            return self._chunk_s
        if backlog.waiting:
            self._fill()
        elif habits.keep_alive_every is not None and now - self._sent_at >= habits.keep_alive_every - EPSILON:
            if habits.keep_alive is None or not self._any_audio:
                self._fill()
            elif self._socket.queued < QUEUE:
                self._socket.send(habits.keep_alive)
                self._sent_at = now
        return TICK

    def _fill(self) -> None:
        """Complete the next chunk with silence."""
        self._take_in(SILENCE * (self._backlog.chunk - self._backlog.waiting))

    def _report_drops(self, now: float) -> None:
        dropped = self._backlog.dropped - self._drops_told
        if dropped and now - self._drops_told_at >= DROPS_EVERY - EPSILON:
            self._drops_told += dropped
            self._drops_told_at = now
            text = f"{dropped / RATE:.2f} s of the caller's audio dropped, {self._drops_told / RATE:.2f} s in all"
            self._tell([EarWarned("dropped", text)])

    def _stop_timers(self) -> None:
        for timer in (self._ticking, self._retry, self._pumping):
            if timer is not None:
                timer.cancel()

    # -- sockets -----------------------------------------------------------------------------------

    def _connect(self) -> ProviderSocket:
        habits = self._habits
        socket = ProviderSocket(
            habits.who,
            habits.url,
            habits.headers,
            on_open=lambda: self._opened(socket),
            on_message=lambda message: self._receive(socket, message),
            on_end=lambda error: self._ended(socket, error),
            explain=habits.explain,
            explain_close=habits.explain_close,
            connect_timeout=habits.connect_timeout,
            goodbye=habits.goodbye,
        )
        socket.start()
        return socket

    def _reconnect(self) -> None:
        self._retry = None
        self._socket = self._connect()

    def _opened(self, socket: ProviderSocket) -> None:
        if socket is self._renewal:
            self._renew(socket)
        self._opened_at = self._sent_at = self._loop.time()
        self._answered = self._any_audio = False
        self._unanswered = self._n_quiet = 0
        self._resent = self._backlog.waiting
        self._pump()

    def _renew(self, socket: ProviderSocket) -> None:
        """Go over to a new socket, and take along what may be the beginning of something said."""
        self._backlog.settle(self._wire.settled * RATE)
        self._backlog.rewind()
        self._arrivals.forget(self._backlog.n_released)
        self._leave(self._socket)
        self._socket, self._renewal = socket, None
        self._tell(self._wire.lost())

    def _call_off(self) -> None:
        """Need no new socket after all."""
        if self._renewal is not None:
            self._leave(self._renewal)
            self._renewal = None

    def _receive(self, socket: ProviderSocket, message: str | bytes) -> None:
        if self._closed or socket is not self._socket or not socket.alive:
            return  # it was given up, but had more to say
        try:
            events = self._wire.receive(message)
        except ProviderError as exc:
            socket.fail(exc)
            return
        except ProtocolError as exc:
            socket.fail(ProviderUnavailable(str(exc)))
            return
        self._call_off()
        self._unanswered = 0
        self._n_quiet += not (events or self._wire.unfinished)
        self._backlog.settle(self._wire.settled * RATE)
        self._arrivals.forget(self._backlog.n_released)
        if not self._answered:
            self._answered = True
            self._report_return()
        self._tell(events)

    def _report_return(self) -> None:
        if self._lost_at is None:
            return
        took = self._loop.time() - self._lost_at
        text = f"{self._habits.who} after {took:.1f} s; {self._resent / RATE:.2f} s of audio sent late or again"
        if self._missing:
            text += f", {self._missing / RATE:.2f} s not held any more"
        self._lost_at = None
        self._missing = 0
        self._tell([EarWarned("reconnected", text)])

    def _ended(self, socket: ProviderSocket, error: ProviderError) -> None:
        now = self._loop.time()
        if socket is self._renewal:
            self._call_off()
            self._unanswered = 0  # the old one still takes audio, and has as long again
            return
        self._call_off()
        self._leave(socket)
        self._missing += self._backlog.rewind()
        events = self._wire.lost()
        if isinstance(error, ProviderRefused):
            self._deaf = True
            self._stop_timers()
            self._backlog.clear()
            self._tell([*events, *self._wire.finish(deaf=True), EarWarned("refused", str(error))])
            return
        if self._opened_at is not None and now - self._opened_at > STEADY:
            self._failures = 0
        self._opened_at = None
        if self._lost_at is None:
            self._lost_at = now
            events.append(EarWarned("lost", str(error)))
        delay = RETRIES[min(self._failures, len(RETRIES) - 1)] * random.uniform(0.5, 1.5)  # not all calls at once
        self._failures += 1
        self._retry = self._loop.call_later(delay, self._reconnect)
        self._tell(events)

    def _leave(self, socket: ProviderSocket) -> None:
        """Let a socket finish in its own time, but not outlive us."""
        task = self._loop.create_task(socket.close(), name=f"{self._habits.who} goodbye")
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    def _tell(self, events: list[HearingEvent]) -> None:
        for event in events:
            if not self._closed:
                self._listener(event)
