"""One media stream as the carrier lives it: frames out every 20 ms, the server's audio and marks in. No I/O.

Everything happens at an exact time of the loop's clock, also when `step` comes late, so that a busy machine bends the
figures as little as possible. How late it came is in `lateness`.

Source: https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

from __future__ import annotations

import math
import random
from array import array
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from lineside.errors import LocalProtocolError
from lineside.standin import phone_messages as messages
from lineside.standin.carrier_queue import FRAME_BYTES, RATE, SAME_INSTANT, SILENCE, CarrierQueue, Span, render
from lineside.standin.phone_record import CallRecord
from lineside.standin.recogniser.scripted_room import Room

T = TypeVar("T")

FRAME_MS = 20
DIGITS = frozenset("0123456789*#ABCD")
LARGE_MESSAGE = 64_000  # characters; the carrier documents no limit, proxies and peers have one

Over = Literal["closed", "lost", "violation", "left"]
"""How a stream ended: the server closed, the connection broke, the server broke RFC 6455, we closed."""


@dataclass(frozen=True, slots=True)
class Gone:
    """The socket's end, in its place behind the last message."""

    how: Over
    detail: str = ""


class DelayLine(Generic[T]):
    """One direction of the network: each item comes out later, in the order it went in."""

    def __init__(self, delay: float, jitter: float, by: random.Random) -> None:
        self._delay = delay
        self._jitter = jitter
        self._by = by
        self._items: deque[tuple[float, T]] = deque()
        self._earliest = 0.0

    def put(self, item: T, at: float) -> None:
        jitter = self._by.uniform(0, self._jitter) if self._jitter else 0.0
        self._earliest = max(self._earliest, at + self._delay + jitter)
        self._items.append((self._earliest, item))

    def hold(self, until: float) -> None:
        """Nothing comes out before `until`."""
        self._earliest = max(self._earliest, until)
        self._items = deque((max(due, until), item) for due, item in self._items)

    def take(self, now: float) -> list[tuple[float, T]]:
        """What has come out, and when."""
        taken = []
        while self._items and self._items[0][0] <= now + SAME_INSTANT:
            taken.append(self._items.popleft())
        return taken

    @property
    def next_due(self) -> float:
        return self._items[0][0] if self._items else math.inf

    def __len__(self) -> int:
        return len(self._items)


class CarrierStream:
    """The state of one stream. `step` moves it to `now`; everything else only tells it something."""

    def __init__(self, record: CallRecord, stream_sid: str, parameters: Mapping[str, str], now: float) -> None:
        settings = record.settings
        self.stream_sid = stream_sid
        self.began = now
        self.queue = CarrierQueue(now, newest_first_on_clear=settings.mark_echo_order_on_clear == "lifo")
        self.over: Gone | None = None
        self.ended_at: float | None = None
        self.stopped = False
        self.lateness = array("d")
        """Seconds by which each 20 ms tick came late: the machine's fault, not the server's."""
        self.dropped_frames = 0
        """Caller audio that was discarded because the server did not read."""
        self.late_messages = 0
        """Messages that arrived after `stop`, most of them on the way when it was sent."""
        self._record = record
        self._settings = settings
        by = random.Random(settings.seed)
        half = settings.round_trip_s / 2
        self._to_server: DelayLine[str] = DelayLine(half, settings.jitter_s, by)
        self._to_carrier: DelayLine[str | bytes | Gone] = DelayLine(half, settings.jitter_s, by)
        self._told: set[str] = set()
        self._sequence = 0
        self._chunk = 0
        self._ticks = 0
        self._speech = bytearray()
        self._speaking = False
        self._congested = False
        self._said = bytearray()
        self._room = Room(
            echo_db=settings.echo_db, noise_db=settings.noise_db, background=settings.background, seed=settings.seed
        )
        shuffle = by if settings.key_order_varies else None
        self._writer = messages.Writer(settings.account_sid, record.call_sid, self.stream_sid, shuffle)
        absent = not parameters and settings.custom_parameters_when_none == "absent"
        self._to_server.put(self._writer.connected(), now)
        self._to_server.put(self._writer.start(self._count(), None if absent else parameters), now)

    # -- told from outside -------------------------------------------------------------------------------------------

    def receive(self, message: str | bytes | Gone, now: float) -> None:
        """Something left the server."""
        self._to_carrier.put(message, now)

    def speak(self, audio: bytes) -> None:
        """The caller says this, after what was said before."""
        self._speech += audio

    def press(self, digit: str, now: float) -> None:
        """The caller presses a key.

        Raises:
            LocalProtocolError: no such key, or the stream has stopped.
        """
        if digit not in DIGITS:
            raise LocalProtocolError(f"expected one of 0-9 * # A-D, got {digit!r}")
        if self.stopped or self.over:
            raise LocalProtocolError("the stream has stopped")
        self._to_server.put(self._writer.dtmf(self._count(), digit), now)
        self._record.note(now, "dtmf", digit)

    def stall(self, until: float) -> None:
        """Nothing passes either way before `until`; then everything does, in order."""
        self._to_server.hold(until)
        self._to_carrier.hold(until)

    def stop(self, now: float, *, say: bool = True) -> None:
        """The carrier ends the stream; nothing but what is on its way follows.

        Args:
            say: send `stop`; a carrier that only closes does not.
        """
        if self.stopped or self.over:
            return
        self.queue.end(now, echo_marks=say and self._settings.echo_marks_at_end)
        self._echo(now)
        if say:
            self._to_server.put(self._writer.stop(self._count()), now)
            self._record.note(now, "stop")
        self.stopped, self.ended_at = True, now

    def end(self, how: Gone, at: float) -> None:
        """The socket is gone: nothing is played or sent any more. Only the first end counts."""
        if self.over is None:
            self.over = how
        if self.ended_at is None:
            self.queue.end(at)
            self.ended_at = at

    # -- the clock ---------------------------------------------------------------------------------------------------

    def step(self, now: float, *, congested: bool = False) -> list[str]:
        """Let everything happen that is due.

        Args:
            congested: the server does not read; caller audio is discarded.

        Returns:
            Messages that reach the server now.
        """
        for at, message in self._to_carrier.take(now):
            if self.over is None:
                self._accept(message, at)
        if not self.stopped and self.over is None:
            self._echo(now)
            self._send_frames(now, congested)
        return [message for _, message in self._to_server.take(now)]

    @property
    def next_due(self) -> float:
        """When `step` has something to do."""
        due = min(self._to_carrier.next_due, self._to_server.next_due)
        return due if self.stopped else min(due, self.queue.next_due, self._frame_at())

    @property
    def on_the_way(self) -> int:
        """Messages that have not reached the server."""
        return len(self._to_server)

    def until(self, now: float) -> float:
        """The end of the stream, or now."""
        return now if self.ended_at is None else self.ended_at

    def heard_spans(self, now: float) -> list[Span]:
        """What reached the caller's ear, and when; what was still on its way there when the stream ended did not."""
        lag = self._settings.mark_to_ear_s
        return [Span(span.at + lag, span.audio) for span in self.queue.spans(self.until(now) - lag)]

    def heard(self, now: float) -> bytes:
        """What the caller heard: mu-law from the stream's start."""
        return render(self.heard_spans(now), self.began, self.until(now))

    @property
    def speaks_until(self) -> float:
        """When the caller will have said everything that `speak` was given; what comes next begins there."""
        return self._frame_at() - FRAME_MS / 1000 + len(self._speech) / RATE

    def said(self) -> bytes:
        """What the caller said, as far as frames have left: mu-law from the stream's start."""
        return bytes([SILENCE]) * (self._settings.first_timestamp_ms * RATE // 1000) + bytes(self._said)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _count(self) -> int:
        self._sequence += 1
        return self._sequence

    def _accept(self, message: str | bytes | Gone, at: float) -> None:
        if isinstance(message, Gone):
            self.end(message, at)
            return
        if self.stopped:
            self.late_messages += 1
            return
        if len(message) > LARGE_MESSAGE:
            self._warn(at, "large_messages", f"{len(message)} characters in one message")
        match messages.read(message, self.stream_sid):
            case messages.Media(audio):
                self._record.note(at, "audio", str(len(audio)))
                for fault in self.queue.play(audio, at):
                    self._warn(at, fault, f"in {len(audio)} bytes of audio")
            case messages.Mark(name):
                self._record.note(at, "mark", name)
                self.queue.mark(name, at)
            case messages.Clear():
                self.queue.clear(at)
                self._record.note(at, "clear", f"{self.queue.clears[-1].dropped} bytes dropped")
            case messages.Complaint(code, why):
                self._warn(at, code, why)

    def _warn(self, at: float, code: str, why: str) -> None:
        self._record.warn(at, code, why, self._told)

    def _echo(self, now: float) -> None:
        for echo in self.queue.due(now):
            self._to_server.put(self._writer.mark(self._count(), echo.name), echo.at)
            self._record.note(echo.at, "mark_cleared" if echo.cleared else "mark_reached", echo.name)

    def _frame_at(self) -> float:
        """When the next frame is complete: its last sample was taken."""
        return self.began + (self._settings.first_timestamp_ms + FRAME_MS * (self._ticks + 1)) / 1000

    def _send_frames(self, now: float, congested: bool) -> None:
        while (at := self._frame_at()) <= now + SAME_INSTANT:
            self.lateness.append(max(0.0, now - at))
            timestamp_ms = self._settings.first_timestamp_ms + FRAME_MS * self._ticks
            self._ticks += 1
            frame = self._next_frame(at - FRAME_MS / 1000)
            if congested:
                if not self._congested:
                    self._warn(at, "31930", "the server reads too slowly, caller audio is discarded")
                self._congested = True
                self.dropped_frames += 1
                continue
            self._congested = False
            self._chunk += 1
            self._to_server.put(self._writer.media(self._count(), self._chunk, timestamp_ms, frame), at)

    def _next_frame(self, began: float) -> bytes:
        speech = bytes(self._speech[:FRAME_BYTES])
        del self._speech[:FRAME_BYTES]
        if bool(speech) != self._speaking:
            self._speaking = bool(speech)
            self._record.note(began, "caller_speaks" if speech else "caller_silent")
        if speech and len(speech) < FRAME_BYTES:
            self._speaking = False
            self._record.note(began + len(speech) / RATE, "caller_silent")
        frame = speech.ljust(FRAME_BYTES, bytes([self._settings.silence_byte]))
        frame = self._room.mix(frame, self._echo_during(began))
        self._said += frame
        return frame

    def _echo_during(self, began: float) -> bytes:
        """What the microphone hears of the phone in the frame that began then, at full level."""
        if not self._room.echoes:
            return b""
        heard_at = began - self._settings.echo_delay_s
        return self.queue.played_between(heard_at, heard_at + FRAME_MS / 1000)
