"""When each character of an utterance is spoken, from timings that restart with every stretch of generated audio. Pure.

ElevenLabs generates an utterance in segments. A segment's alignment comes on its first audio frame and covers all of
it; its times are milliseconds from the segment's own first sample. The audio decoded so far is therefore the clock, and
an alignment only counts from there: summing up alignments instead drifts by up to 12 ms a segment.

Source: https://elevenlabs.io/docs/api-reference/text-to-speech/v-1-text-to-speech-voice-id-stream-input
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from lineside.errors import RemoteProtocolError
from lineside.events import Aligned

SLACK_MS = 2  # recorded streams agree with their alignments to 1 ms at the end of a segment; one more for rounding
JOIN_MS = 1  # two timings this close are the same moment
SHORT_MS = 100  # audio that ends so much before its timings do was cut short
TAIL = 6  # letters and digits that tell the end of a text from what is before it

_CHARS = ("chars",)
_STARTS = ("charStartTimesMs", "char_start_times_ms")
# On the wire `charDurationsMs`; documents of 2025 print `charsDurationsMs`.
_DURATIONS = ("charDurationsMs", "charsDurationsMs", "char_durations_ms", "chars_durations_ms")


@dataclass(frozen=True, slots=True)
class Alignment:
    """A segment's timings as they came: one entry an item of `chars`, ms from the segment's first sample."""

    chars: tuple[str, ...]
    starts_ms: tuple[int, ...]
    durations_ms: tuple[int, ...]

    def characters(self) -> Iterator[tuple[str, int, int]]:
        """Each character with its start and end; an item of several (a romanised sign) shares its time out evenly."""
        for item, start, duration in zip(self.chars, self.starts_ms, self.durations_ms, strict=True):
            for at, char in enumerate(item):
                yield char, start + duration * at // len(item), start + duration * (at + 1) // len(item)


def read(body: object) -> Alignment | None:
    """Decode one alignment of a server message; None when it is absent, null or empty.

    Raises:
        RemoteProtocolError: not three arrays of one length, or entries of the wrong type.
    """
    if body is None:
        return None
    if not isinstance(body, dict):
        raise RemoteProtocolError(f"alignment: expected an object, got {type(body).__name__}")
    chars, starts, durations = _array(body, _CHARS), _array(body, _STARTS), _array(body, _DURATIONS)
    if not len(chars) == len(starts) == len(durations):
        raise RemoteProtocolError(
            f"alignment: expected arrays of one length, got {len(chars)}, {len(starts)} and {len(durations)}"
        )
    if not all(isinstance(char, str) for char in chars):
        raise RemoteProtocolError("alignment: expected an array of strings in chars")
    if not chars:
        return None
    return Alignment(tuple(map(str, chars)), _milliseconds(starts, _STARTS[0]), _milliseconds(durations, _DURATIONS[0]))


def _array(body: dict[str, object], names: tuple[str, ...]) -> list[object]:
    found = next((body[name] for name in names if body.get(name) is not None), [])
    if not isinstance(found, list):
        raise RemoteProtocolError(f"alignment: expected an array in {names[0]}, got {type(found).__name__}")
    return found


def _milliseconds(values: list[object], name: str) -> tuple[int, ...]:
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) != len(values):
        raise RemoteProtocolError(f"alignment: expected an array of numbers in {name}")
    return tuple(round(number) for number in numbers)


class AlignmentClock:
    """One utterance's text set against its audio: when each character is spoken, and which flushes are answered.

    Text is compared without its white space, which the service adds, doubles and drops.
    """

    def __init__(self, bytes_per_s: int, *, normalized: bool = False) -> None:
        """Begin an utterance.

        Args:
            bytes_per_s: of the audio as it is decoded.
            normalized: read `normalizedAlignment`. Needed with pronunciation dictionaries, where the timings of the
                raw text overlap and garble words. Its text is what was spoken, not what was sent, so that nothing can
                be said about flushes.
        """
        self._bytes_per_s = bytes_per_s
        self._normalized = normalized
        self._counts = not normalized
        self._n_bytes = 0
        self._n_said = 0
        self._n_flushed = 0
        self._flushes: deque[int] = deque()  # characters said before each unanswered flush
        self._ends: list[int] = []  # ms, of each aligned character that is no space, with the spaces after it
        self._segment_ms = 0
        self._segment_end = 0  # relative, as it came
        self._start_ms = 0
        self._end_ms = 0
        self._timed = False
        self._spaced = True
        self._tail_said = self._tail_timed = ""

    # -- text ----------------------------------------------------------------------------------------------------------

    def said(self, text: str) -> None:
        """`text` was sent."""
        self._n_said += _visible(text)
        self._tail_said = _tail(self._tail_said + _TAG.sub("", text))

    def flush(self) -> None:
        """A flush followed what was said so far. It counts as unanswered until `answered` or `settle` tells."""
        self._flushes.append(self._n_said)
        self._n_flushed = self._n_said

    @property
    def silent(self) -> bool:
        """Nothing was said yet."""
        return not self._n_said

    @property
    def unflushed(self) -> bool:
        """Some text was said that no flush followed."""
        return self._n_said > self._n_flushed

    # -- audio ---------------------------------------------------------------------------------------------------------

    def frame(self, n_bytes: int, alignment: Alignment | None, normalized: Alignment | None) -> Aligned | None:
        """Account for one frame of audio; gives the characters whose timings came with it, if any did.

        The texts of all `Aligned`, put together, are the text that was sent, with every run of white space as one
        character and none at the start (`normalizedAlignment` begins with a space of the service's own; both end with
        one). Starts and ends never go back, not even between segments.
        """
        at_ms = self.audio_ms
        self._n_bytes += n_bytes
        wanted, other = (normalized, alignment) if self._normalized else (alignment, normalized)
        if wanted is None and (other is not None or (n_bytes and not self._timed)):
            self._counts = False  # timings of a text other than the one sent, or none at all
        chosen = wanted or other
        self._timed = self._timed or chosen is not None
        return self._place(chosen, at_ms) if chosen and chosen.chars else None

    def _place(self, alignment: Alignment, at_ms: int) -> Aligned | None:
        if not self._continues(alignment):
            self._segment_ms = at_ms
        self._segment_end = alignment.starts_ms[-1] + alignment.durations_ms[-1]
        text: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        worded = False
        for char, start, end in alignment.characters():
            self._start_ms = max(self._start_ms, self._segment_ms + start)
            self._end_ms = max(self._end_ms, self._segment_ms + end, self._start_ms)
            if not char.isspace():
                self._ends.append(self._end_ms)
                worded = True
            elif worded:
                self._ends[-1] = self._end_ms  # the silence after a word is part of its segment's audio
            if char.isspace() and self._spaced:
                continue
            self._spaced = char.isspace()
            text.append(char)
            starts.append(self._start_ms)
            ends.append(self._end_ms)
        self._tail_timed = _tail(self._tail_timed + "".join(text))
        return Aligned("".join(text), tuple(starts), tuple(ends)) if text else None

    def _continues(self, alignment: Alignment) -> bool:
        """Whether these timings go on where the last ones ended, in the same segment.

        With `sync_alignment` every frame has timings, and no document says whether they restart with each. Those that
        restart begin at 0 or shortly after; those that go on begin where the last ended.
        """
        return 0 < self._segment_end <= alignment.starts_ms[0] + JOIN_MS and alignment.starts_ms[0] > 0

    @property
    def audio_ms(self) -> int:
        """All audio so far."""
        return self._n_bytes * 1000 // self._bytes_per_s

    @property
    def n_bytes(self) -> int:
        """All audio so far."""
        return self._n_bytes

    # -- what is done --------------------------------------------------------------------------------------------------

    @property
    def counts(self) -> bool:
        """The characters aligned can be compared with those said."""
        return self._counts

    @property
    def missing(self) -> int:
        """Characters said and not aligned, as far as that can be told; white space is not counted."""
        return max(0, self._n_said - len(self._ends)) if self._counts else 0

    @property
    def cut_short(self) -> bool:
        """The last words are known not to be spoken whole: no timings came for them, or less audio than these tell.

        Characters that lack timings before that say nothing: services leave out some that they do not speak. Nor does
        text that no flush followed: it may be dropped.
        """
        if not self._counts:
            return False
        unspoken = self.missing > 0 and not self.unflushed and self._tail_timed != self._tail_said
        return unspoken or self._end_ms > self.audio_ms + SHORT_MS

    @property
    def covered(self) -> bool:
        """All that was said is known to be aligned, and its audio is here."""
        return self._reached(self._n_said)

    def answered(self) -> int:
        """How many more flushes are known to be answered since last asked: their text is aligned, its audio here."""
        before = len(self._flushes)
        while self._flushes and self._reached(self._flushes[0]):
            self._flushes.popleft()
        return before - len(self._flushes)

    def settle(self) -> int:
        """Take all flushes as answered; gives how many were not."""
        unanswered = len(self._flushes)
        self._flushes.clear()
        return unanswered

    def _reached(self, n_chars: int) -> bool:
        if n_chars == 0:
            return True
        return self._counts and len(self._ends) >= n_chars and self._ends[n_chars - 1] <= self.audio_ms + SLACK_MS


_TAG = re.compile(r"<[^<>]*>")


def _tail(text: str) -> str:
    return "".join(char for char in text if char.isalnum())[-TAIL:]


def _visible(text: str) -> int:
    return sum(map(len, text.split()))
