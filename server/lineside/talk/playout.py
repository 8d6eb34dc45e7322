"""Where every byte of one stretch of speech stands: given, sent, played. Pure; time is passed in.

Positions are mu-law bytes since the stretch's first one: 8 a millisecond. Times are the loop's clock, in seconds.

The carrier plays what we send from a queue of its own and says only when a mark was reached. Between marks the playhead
is reckoned: what was sent, less what the queue must still hold. That needs no network delay, because the audio and a
later clear travel the same leg; marks then correct it for audio that arrived late, and bound it on both sides. What
the network may have held up without a mark showing it yet is not claimed.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

BYTES_PER_S = 8000
FRAME = 160  # bytes; 20 ms. Carriers click at partial frames.
SILENCE = b"\xff"

MESSAGE = 1600  # bytes; 200 ms a message: five a second, each large enough that no frame of it comes alone
SMALLEST = 800  # bytes; while the carrier has audio we wait for 100 ms more rather than send crumbs
THIN_LEAD = 0.1  # s; below this the carrier may run dry, so whatever we have goes at once
ROUNDING = 1e-6  # s; a thousand times what clocks lose in sums: without it `due` would name a time that is too early
MARK_EVERY = 4000  # bytes; two marks a second bound the playhead without flooding the carrier
KEEP = 16000  # bytes; two seconds behind the playhead: a resume goes back to the beginning of a word
MARK_GRACE = 2.0  # s after its time; a mark that is later than this was lost on the way

RECENT = 32  # marks; at two a second a quarter of a minute of speech
FEW = 3  # marks; fewer do not show how much a network wavers
UNKNOWN = 0.04  # s that a network is taken to waver by until then: what mobile and home networks do on a usual day
MOST_DOUBT = 0.1  # s; a stall is no wavering: its own marks show it
LEAST_DOUBT = 0.002  # s; timings come in whole ms, and positions are rounded


class RoundTrip:
    """The network between us and the carrier, as marks show it. One for each leg."""

    def __init__(self) -> None:
        self.shortest: float | None = None  # s; None until the first mark
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._spread = 0.0  # s between the shortest delay and the longest of the recent ones

    def seen(self, delay: float) -> None:
        """A mark came back so many seconds after its time."""
        delay = max(0.0, delay)
        self._recent.append(delay)
        if self.shortest is None or delay < self.shortest:
            self.shortest = delay
        self._spread = min(MOST_DOUBT, max(self._recent) - self.shortest)

    def doubt(self, *, run_marked: bool) -> float:
        """Seconds by which audio may be later at the carrier than it seems.

        Args:
            run_marked: a mark of this audio came back, so that what held up the first of it is known but for the share
                that the mark with the shortest way of all had, too.
        """
        if len(self._recent) < FEW:
            return UNKNOWN
        return LEAST_DOUBT + (self._spread / FEW if run_marked else self._spread)


@dataclass(frozen=True, slots=True)
class Send:
    """Audio for the carrier, and the mark to put behind it."""

    audio: bytes
    mark: str | None
    gap: float = 0.0
    """Seconds for which the carrier had nothing to play before this, in the middle of the stretch."""


class Playout:
    """One stretch of speech on its way from a provider to the caller.

    Args:
        name: prefix of its marks; unique in the call.
        lead: seconds of audio to keep in the carrier's queue.
        trip: what earlier marks of this leg told.
        word_end: where the first word ends behind one byte and not behind another, or None if that is not known;
            see `Ledger.word_end`. Marks go there.
    """

    def __init__(
        self,
        name: str,
        *,
        lead: float = 1.0,
        trip: RoundTrip | None = None,
        word_end: Callable[[int, int], int | None] = lambda after, upto: None,
    ) -> None:
        self.began_at: float | None = None
        """Loop time at which the first byte was played; None until a mark tells it.

        When it was sent, and half of what the mark took both ways. It is off by half the difference between the two
        ways, so at most by half the shortest round trip, and by the jitter of the mark that told it.
        """
        self._name = name
        self._lead = lead
        self._trip = trip or RoundTrip()
        self._word_end = word_end
        self._audio = bytearray()  # from self._base on
        self._base = 0
        self._sent = 0
        self._padding = 0  # bytes of silence behind the last sample, already part of self._sent
        self._finished = False
        self._held = False
        self._dry_at: float | None = None  # when the carrier's queue is empty, by our clock
        self._held_at: float | None = None
        self._run_began = 0.0  # since then the carrier's queue did not run dry, by our clock
        self._marks: dict[str, tuple[int, float | None]] = {}  # in flight, oldest first: position, when it is reached
        self._n_marks = 0
        self._last_mark = -MARK_EVERY  # so that the first message has one
        self._first_sent_at = 0.0
        self._floor = 0  # a mark proved that this much was played
        self._delays: deque[float] = deque(maxlen=3)  # of the latest marks of this run
        self._end_marked = False

    # -- audio in ----------------------------------------------------------------------------------

    @property
    def received(self) -> int:
        """How much audio was given so far."""
        return self._base + len(self._audio)

    @property
    def finished(self) -> bool:
        return self._finished

    def add(self, audio: bytes) -> None:
        self._audio += audio

    def finish(self) -> None:
        """No more audio will be added: what is left goes out, the last frame padded with silence."""
        self._finished = True

    def drop_from(self, position: int) -> None:
        """Forget audio from `position` on; never what was sent already."""
        del self._audio[max(position, self.sent) - self._base :]

    def unsent(self) -> bytes:
        """A copy of the audio that was not sent yet."""
        return bytes(self._audio[self.sent - self._base :])

    # -- audio out ---------------------------------------------------------------------------------

    @property
    def sent(self) -> int:
        """How much audio was sent, without padding."""
        return self._sent - self._padding

    @property
    def held(self) -> bool:
        return self._held

    def lead(self, now: float) -> float:
        """Seconds of audio in the carrier's queue, by our clock."""
        return 0.0 if self._dry_at is None else max(0.0, self._dry_at - now)

    def take(self, now: float) -> Send | None:
        """What to send now, or None. Ask again until None."""
        if self._held:
            return None
        lead = self.lead(now)
        size = self._next_size(lead)
        if size == 0:
            return None
        size, marked = self._size_for_mark(size)
        start = self._sent - self._base
        audio = bytes(self._audio[start : start + size])
        if len(audio) % FRAME:  # only ever the last piece, and only when finished
            self._padding = FRAME - len(audio) % FRAME
            audio += SILENCE * self._padding
        self._sent += len(audio)
        if self._n_marks == 0:
            self._first_sent_at = now  # the first message has the first mark
        gap = 0.0 if self._dry_at is None else max(0.0, now - self._dry_at)
        if lead == 0.0:  # the carrier has caught up with whatever was late
            self._run_began = now
            self._delays.clear()
        self._dry_at = now + lead + len(audio) / BYTES_PER_S
        self._end_marked = self._finished and self._available() == 0
        return Send(audio, self._new_mark(self._dry_at) if marked or self._end_marked else None, gap)

    def due(self, now: float) -> float | None:
        """When `take` will have something if no audio is added until then; None when it will not."""
        if self._held or self._next_size(0.0) == 0:
            return None
        return now if self._dry_at is None else max(now, self._dry_at - self._room())

    def _available(self) -> int:
        return self.received - self._sent if not self._padding else 0

    def _step(self) -> int:
        """Bytes of a message: small leads need small messages."""
        return min(MESSAGE, max(FRAME, int(self._lead * BYTES_PER_S / 2) // FRAME * FRAME))

    def _room(self) -> float:
        """The lead down to which the next message waits; the queue is never left dry for being too small a one."""
        available, step = self._available(), self._step()
        room = max(0.0, self._lead - min(available, step) / BYTES_PER_S)
        worth_it = self._finished or available >= min(SMALLEST, step)
        return room if worth_it else min(room, THIN_LEAD)

    def _next_size(self, lead: float) -> int:
        available = self._available()
        size = min(available, self._step())
        if lead > self._room() + ROUNDING:
            return 0
        return size if self._finished and size == available else size // FRAME * FRAME

    # -- marks -------------------------------------------------------------------------------------

    def _size_for_mark(self, size: int) -> tuple[int, bool]:
        """How much of the next message to send, and whether a mark follows: if it can be, behind a word.

        It ends with the whole frame in which the word does. A word that ends in the message after the next one is met
        halfway, so that no message is too small.
        """
        soonest = self._last_mark + MARK_EVERY
        first, step = self._last_mark < 0, self._step()
        reach = step if first else 2 * step
        if self._sent + reach < soonest:
            return size, False
        end = None
        if step == MESSAGE:  # smaller ones end near enough to every word
            whole = min(reach, self._available() // FRAME * FRAME)
            end = self._word_end(max(soonest, self._sent + SMALLEST) - FRAME, self._sent + whole)
        if end is None:
            return size, self._sent + size >= soonest
        ahead = -(-(end - self._sent) // FRAME) * FRAME
        return (ahead, True) if ahead <= size else (-(-ahead // 2 // FRAME) * FRAME, False)

    def _new_mark(self, reached_at: float | None) -> str:
        self._n_marks += 1
        name = f"{self._name}.{self._n_marks}"
        self._marks[name] = (self._sent, reached_at)
        self._last_mark = self._sent
        return name

    def end_mark(self) -> str | None:
        """A mark for the end when the audio ended with the last message sent, or nothing was left to send."""
        if self._held or not self._finished or self._end_marked or self._available() or not self.received:
            return None
        self._end_marked = True
        return self._new_mark(None)  # reached on arrival when the queue is dry by then: it says nothing of the network

    def marked(self, name: str, now: float) -> None:
        """The carrier returned a mark. One that a hold dropped, or of another stretch, changes nothing."""
        if name not in self._marks:
            return
        for older in list(itertools.takewhile(lambda other: other != name, self._marks)):
            del self._marks[older]  # order is kept on one socket: an older mark that is not back was lost
        position, reached_at = self._marks.pop(name)
        if reached_at is not None:
            self._trip.seen(now - reached_at)
            if reached_at > self._run_began:
                self._delays.append(now - reached_at)
            if self.began_at is None:
                self.began_at = self._first_sent_at + max(0.0, now - reached_at - (self._trip.shortest or 0.0) / 2)
        self._floor = max(self._floor, position)

    # -- the playhead ------------------------------------------------------------------------------

    def played(self, now: float) -> int:
        """How much the carrier has played; never more than was sent, rather too little than too much."""
        shortest, position = self._trip.shortest or 0.0, float(self._sent)
        if self._dry_at is not None:
            late = max(0.0, min(self._delays) - shortest) if self._delays else 0.0
            late += self._trip.doubt(run_marked=bool(self._delays))
            position -= max(0.0, self._dry_at + late - now) * BYTES_PER_S
        if self._marks and self._trip.shortest is not None:
            ahead, _ = next(iter(self._marks.values()))  # had this been reached, we would know within a round trip
            position = min(position, ahead + shortest * BYTES_PER_S)
        return max(0, min(int(max(position, self._floor)), self.sent))

    def over(self, now: float) -> bool:
        """Everything was given, sent and played: the last mark is back, or has been overdue for too long."""
        if self._finished and not self.received:
            return not self._held
        if not self._finished or self._available() or self._held or not self._end_marked:
            return False
        if not self._marks:
            return True
        return now >= self.over_by(now)

    def over_by(self, now: float) -> float:
        """When `over` becomes true even if no mark returns."""
        silent_since = self._dry_at if self._dry_at is not None else self._held_at
        return (now if silent_since is None else silent_since) + (self._trip.shortest or 0.0) + MARK_GRACE

    @property
    def marks_missing(self) -> int:
        return len(self._marks)

    # -- interrupting ------------------------------------------------------------------------------

    def hold(self, now: float) -> int:
        """Stop sending and fix the playhead: call when the carrier is told to clear. Audio may still be added.

        Returns:
            The position up to which the caller heard it.
        """
        position = self.played(now)
        self._sent = position
        self._padding = 0
        self._floor = position
        self._dry_at = None
        self._held_at = now
        self._marks.clear()
        self._delays.clear()
        self._last_mark = position
        self._end_marked = False
        self._held = True
        self._forget(position)
        return position

    def resume(self, position: int) -> None:
        """Send again from `position`, which must not lie before the oldest byte kept (see `oldest`)."""
        self._sent = self._floor = self._last_mark = max(position, self._base)
        self._held = False

    @property
    def oldest(self) -> int:
        """The first position that can still be sent again."""
        return self._base

    def forget_played(self, now: float) -> None:
        """Free what was played long enough ago that no resume will start there."""
        self._forget(self.played(now))

    def _forget(self, position: int) -> None:
        surplus = position - KEEP - self._base
        if surplus >= KEEP:  # in large steps: moving the rest up costs a copy
            del self._audio[:surplus]
            self._base += surplus
