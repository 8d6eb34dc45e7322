"""The carrier's playout queue: audio and marks go in, what the caller heard and when comes out. No I/O.

One FIFO of audio and marks, drained in real time. A mark is due when playout reaches it, at once when nothing is
queued, and at once when a clear drops the audio before it. Times are seconds on any one clock and never go back.

Source: https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

RATE = 8000  # bytes (= samples) a second, mu-law
FRAME_BYTES = 160  # 20 ms
LIMIT_BYTES = 4_800_000  # ten minutes; what does not fit is discarded with warning 31931
SILENCE = 0xFF  # the mu-law byte for zero
HEADERS = (b"RIFF", b"ID3", b"OggS", b"fLaC")  # file formats that would be played as noise

SAME_INSTANT = 1e-7  # s; less than a thousandth of a sample: rounding of the clock, not time


@dataclass(frozen=True, slots=True)
class Span:
    """Audio played without a break."""

    at: float
    audio: bytes

    @property
    def end(self) -> float:
        return self.at + len(self.audio) / RATE


@dataclass(frozen=True, slots=True)
class Gap:
    """The queue ran dry by itself and got audio again later. Silence after a clear is not a gap."""

    start: float
    end: float
    mark: str | None
    """The mark that stood behind the last byte before the gap, as one does at the end of a turn."""


@dataclass(frozen=True, slots=True)
class Echo:
    """A mark became due. The carrier does not tell the server whether it was `cleared`; this record does."""

    name: str
    at: float
    cleared: bool


@dataclass(slots=True)
class Clear:
    """The server cleared the queue."""

    at: float
    dropped: int
    """Bytes that were queued and never played."""
    marks: tuple[str, ...]
    """Marks that became due because of it, in the order of their echoes."""
    late_bytes: int = 0
    """Audio that arrived after it and before the next mark or clear: stray words, or the next turn."""
    late_at: float | None = None
    """When the first of it arrived."""


@dataclass(slots=True)
class _Run:
    """Audio that plays without a break from `at` on; the last run may still have audio to play."""

    at: float
    audio: bytearray = field(default_factory=bytearray)
    cut: bool = False

    @property
    def end(self) -> float:
        return self.at + len(self.audio) / RATE

    def played(self, now: float) -> int:
        return max(0, min(len(self.audio), n_bytes(now - self.at)))


@dataclass(slots=True)
class _Pending:
    name: str
    due: float
    cleared: bool = False


class CarrierQueue:
    """Everything that happened to the audio of one stream."""

    def __init__(self, began: float, *, newest_first_on_clear: bool = False) -> None:
        """
        Args:
            began: when the stream began; the caller hears silence from then on.
            newest_first_on_clear: echo the marks that a clear drops from the last to the first. The carrier does
                not document their order.
        """
        self.began = began
        self.accepted = 0
        """Bytes that entered the queue: played + dropped + still queued."""
        self.dropped = 0
        """Bytes that entered and never played, because of a clear or the stream's end."""
        self.discarded = 0
        """Bytes that did not fit."""
        self.max_depth = 0
        self.partial_chunks = 0
        """Messages whose audio was not a whole number of 20 ms frames."""
        self.headers: Counter[str] = Counter()
        """File headers seen at the start of a message."""
        self.gaps: list[Gap] = []
        self.clears: list[Clear] = []
        self.echoes: list[Echo] = []
        self._newest_first = newest_first_on_clear
        self._runs: list[_Run] = []
        self._pending: deque[_Pending] = deque()
        self._tail_mark: str | None = None
        self._open_clear: Clear | None = None

    # -- what the server sends -----------------------------------------------------------------------------------

    def play(self, audio: bytes, now: float) -> list[str]:
        """Queue audio.

        Returns:
            What is wrong with it: `partial_frames`, `audio_header`, `31931`; mostly nothing.
        """
        complaints = self._faults(audio)
        room = LIMIT_BYTES - self.depth(now)
        if len(audio) > room:
            complaints.append("31931")
            self.discarded += len(audio) - room
            audio = audio[:room]
        if audio:
            self._append(audio, now)
            self.accepted += len(audio)
            self.max_depth = max(self.max_depth, self.depth(now))
        return complaints

    def mark(self, name: str, now: float) -> None:
        """Queue a mark behind everything sent so far."""
        ends_at = self._runs[-1].end if self.depth(now) else now
        self._pending.append(_Pending(name, max(now, ends_at)))
        self._tail_mark = name
        self._open_clear = None

    def clear(self, now: float) -> None:
        """Drop the audio that was not played; every pending mark is due now."""
        dropped = self._cut(now)
        flushed = self._flush(now)
        if self._newest_first:
            flushed.reverse()
        self._pending += flushed
        self._open_clear = Clear(now, dropped, tuple(mark.name for mark in flushed))
        self.clears.append(self._open_clear)

    def end(self, now: float, *, echo_marks: bool = False) -> None:
        """The stream is over: nothing more is played, and pending marks are due now or never."""
        self._cut(now)
        flushed = self._flush(now)
        if echo_marks:
            self._pending += flushed

    # -- what comes of it ----------------------------------------------------------------------------------------

    def due(self, now: float) -> list[Echo]:
        """Take the marks that are due, in the order of their echoes."""
        taken = []
        while self._pending and self._pending[0].due <= now + SAME_INSTANT:
            mark = self._pending.popleft()
            taken.append(Echo(mark.name, mark.due, mark.cleared))
        self.echoes += taken
        return taken

    @property
    def next_due(self) -> float:
        """When the next mark will be due; infinity without one."""
        return self._pending[0].due if self._pending else math.inf

    def depth(self, now: float) -> int:
        """Bytes that are queued and not played."""
        if not self._runs:
            return 0
        return len(self._runs[-1].audio) - self._runs[-1].played(now)

    def played(self, until: float) -> int:
        """Bytes played."""
        return sum(run.played(until) for run in self._runs)

    def spans(self, until: float) -> list[Span]:
        """What was played, in order, each span without a break."""
        spans = (Span(run.at, bytes(run.audio[: run.played(until)])) for run in self._runs)
        return [span for span in spans if span.audio]

    def heard(self, until: float) -> bytes:
        """What the caller heard since the stream began: mu-law, 8 kHz, silence where nothing was played."""
        return render(self.spans(until), self.began, until)

    def played_between(self, start: float, end: float) -> bytes:
        """What was played in a stretch of time that is over: mu-law, silence where nothing was."""
        spans: deque[Span] = deque()
        for run in reversed(self._runs):
            if run.end <= start:
                break
            first, last = max(0, n_bytes(start - run.at)), run.played(end)
            spans.appendleft(Span(run.at + first / RATE, bytes(run.audio[first:last])))
        return render(spans, start, end)

    # -- inside --------------------------------------------------------------------------------------------------

    def _faults(self, audio: bytes) -> list[str]:
        faults = []
        if len(audio) % FRAME_BYTES:
            self.partial_chunks += 1
            faults.append("partial_frames")
        for header in HEADERS:
            if audio.startswith(header):
                self.headers[header.decode()] += 1
                faults.append("audio_header")
        return faults

    def _append(self, audio: bytes, now: float) -> None:
        run = self._runs[-1] if self._runs else None
        if run is None or run.cut or now > run.end + SAME_INSTANT:
            if run is not None and not run.cut:
                self.gaps.append(Gap(run.end, now, self._tail_mark))
            run = _Run(now)
            self._runs.append(run)
        run.audio += audio
        self._tail_mark = None
        if self._open_clear is not None:
            self._open_clear.late_bytes += len(audio)
            self._open_clear.late_at = now if self._open_clear.late_at is None else self._open_clear.late_at

    def _cut(self, now: float) -> int:
        """Take away what was not played, and say how many bytes that was."""
        if not self._runs:
            return 0
        left = self.depth(now)
        run = self._runs[-1]
        run.cut = True
        del run.audio[len(run.audio) - left :]
        self.dropped += left
        return left

    def _flush(self, now: float) -> list[_Pending]:
        """Take the marks that playout did not reach, as marks that are due now."""
        unreached = [_Pending(mark.name, now, cleared=True) for mark in self._pending if mark.due > now + SAME_INSTANT]
        for _ in unreached:
            self._pending.pop()  # marks are due in the order of the queue, so these are the last ones
        return unreached


def n_bytes(seconds: float) -> int:
    """Whole samples that fit in a time."""
    return math.floor((seconds + SAME_INSTANT) * RATE)


def render(spans: Iterable[Span], began: float, until: float) -> bytes:
    """Lay spans out on one time line of mu-law, silence between them.

    Args:
        spans: in order of time; what lies outside `began`..`until` is left out.
    """
    line = bytearray([SILENCE]) * max(0, n_bytes(until - began))
    for span in spans:
        start = math.floor((span.at - began) * RATE + 0.5)
        audio = span.audio[max(0, -start) :]
        start = max(0, start)
        audio = audio[: max(0, len(line) - start)]
        line[start : start + len(audio)] = audio
    return bytes(line)
