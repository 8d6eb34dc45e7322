"""What became of each word of a turn: handed to the provider, turned into audio, heard. Pure.

The ledger joins two rulers: characters of the text given to the provider, and bytes of the audio that came back
(mu-law, 8 kHz). Anchors pin one to the other where we know it: at the end of an answered flush, or at each character
where the provider tells timings. Between two anchors text is spread by the effort of speaking it; beyond the last one
it is reckoned from the pace of this voice so far.

Where it must guess, the ledger claims less than was heard, and on a restart goes back rather too far than not far
enough: a word told twice is a smaller fault than one never told. It counts a word only when it would have been spoken
even if the text up to its end took `DOUBT` standard deviations longer than is likely.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

from lineside.events import Aligned, CutOff
from lineside.talk.effort import efforts

BYTES_PER_S = 8000
BYTES_PER_MS = 8
TYPICAL_CHARS_PER_S = 17.0  # small letters; 15 written characters of English prose a second, 1.14 of effort each
SLOW = 0.7  # of the typical pace: the slowest speaking rate that the voices we know can be set to
UNSURE = 40.0  # characters; a slow voice is reckoned with until much more than these were measured
PACE_MARGIN = 0.95  # of a pace: how well it is known; that words differ is `DOUBT`'s matter
BREATH = 0.3  # s before the first word of a text, at most
LEAD_IN = 0.15  # s before the first word of a text, usually
DOUBT = 2.0  # standard deviations; text that takes longer than that before a word is one case in forty

_WORD = re.compile(r"\S+")
_SPACE = re.compile(r"\s+")


class Pace:
    """How fast a voice speaks, measured over whole flushed segments. One for each call and voice.

    Characters are counted by the effort of speaking them: a digit is several, see `effort`.
    """

    def __init__(self) -> None:
        self._chars = 0.0
        self._bytes = 0.0

    def measured(self, chars: float, n_bytes: int) -> None:
        """Learn from a segment whose text and audio are both known. Short ones say little and weigh little."""
        if chars > 0 and n_bytes > 0:
            self._chars = self._chars * 0.8 + chars
            self._bytes = self._bytes * 0.8 + n_bytes

    @property
    def chars_per_s(self) -> float:
        """The likely pace."""
        return self._chars / self._bytes * BYTES_PER_S if self._bytes else TYPICAL_CHARS_PER_S

    @property
    def at_least(self) -> float:
        """A pace, in characters a second, that the voice is hardly ever below."""
        seconds = self._bytes / BYTES_PER_S + UNSURE / (TYPICAL_CHARS_PER_S * SLOW)
        return (self._chars + UNSURE) / seconds * PACE_MARGIN


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of text: the agent's own words, and what the provider was given to speak in their place."""

    source: str
    spoken: str
    interruptible: bool = True
    apart: bool = False
    """It does not go on what was before: the provider is given a space between them if the texts have none."""


@dataclass(slots=True)
class _Placed:
    piece: Piece
    start: int  # characters of spoken text before it, and before it the space that keeps it apart
    source_start: int


class Ledger:
    """The account of one stretch of speech."""

    def __init__(self, pace: Pace | None = None) -> None:
        self._pace = pace or Pace()
        self._pieces: list[_Placed] = []
        self._starts: list[int] = []
        self._word_starts: list[int] = []  # in the spoken text; no word spans two pieces
        self._word_ends: list[int] = []
        self._spoken = ""
        self._effort = [0.0]  # of speaking all before each character, and ...
        self._variance = [0.0]  # ... how uncertain it is
        self._source = ""
        self._said = 0  # characters handed to the provider
        self._received = 0  # bytes of audio
        self._chars: list[int] = [0]  # anchors: the character that begins ...
        self._bytes: list[int] = [0]  # ... at this byte
        self._flushes: deque[int] = deque()  # ends of the text of unanswered flushes
        self._begun = 0  # byte at which the audio of the present utterance begins
        self._aligned: int | None = None  # characters that the provider's own timings covered, if it gives any
        self._restarts: list[int] = []

    def change_pace(self, pace: Pace) -> None:
        """Another voice goes on."""
        self._pace = pace

    # -- text --------------------------------------------------------------------------------------

    def add(self, piece: Piece) -> None:
        """Text of the turn, in order, before it is handed to the provider."""
        touches = self._spoken[-1:].strip() and piece.spoken[:1].strip()
        space = " " if piece.apart and touches else ""
        self._starts.append(len(self._spoken))
        self._append(space)
        self._pieces.append(_Placed(piece, len(self._spoken), len(self._source)))
        for word in _WORD.finditer(piece.spoken):
            self._word_starts.append(len(self._spoken) + word.start())
            self._word_ends.append(len(self._spoken) + word.end())
        self._append(piece.spoken)
        self._source += piece.source

    def _append(self, spoken: str) -> None:
        self._spoken += spoken
        for each in efforts(spoken):
            self._effort.append(self._effort[-1] + each.mean)
            self._variance.append(self._variance[-1] + each.variance)

    @property
    def text(self) -> str:
        """All text of the turn so far, in the agent's own words."""
        return self._source

    @property
    def said_to(self) -> int:
        """Characters of spoken text handed to the provider."""
        return self._said

    @property
    def length(self) -> int:
        """Characters of spoken text in all."""
        return len(self._spoken)

    @property
    def unsaid(self) -> int:
        """Characters that were not handed to the provider yet."""
        return len(self._spoken) - self._said

    def next_text(self, most: int) -> str:
        """The next text for the provider: the rest of a piece, cut at a word if it is over `most` characters."""
        if self._said >= len(self._spoken):
            return ""
        at = bisect_right(self._starts, self._said)
        end = self._starts[at] if at < len(self._starts) else len(self._spoken)
        if end - self._said > most:
            end = self._said + most
            spaces = (at for at in range(end, self._said + 1, -1) if self._spoken[at - 1].isspace())
            end = next(spaces, end)
        return self._spoken[self._said : end]

    def said(self, text: str) -> None:
        """`text` was handed to the provider."""
        self._said += len(text)

    def flushed(self) -> None:
        """A flush followed what was said so far."""
        self._flushes.append(self._said)

    @property
    def unflushed(self) -> int:
        """Characters handed over that no flush followed yet."""
        return self._said - (self._flushes[-1] if self._flushes else self._chars[-1])

    @property
    def owed(self) -> float:
        """Seconds of audio that flushed text should still bring."""
        if not self._flushes:
            return 0.0
        effort = self._effort[self._flushes[-1]] - self._effort[self._chars[-1]]
        return max(0.0, effort / self._pace.chars_per_s - (self._received - self._bytes[-1]) / BYTES_PER_S)

    def seconds(self, chars: int) -> float:
        """How long the last `chars` characters that were handed to the provider are likely to take."""
        effort = self._effort[self._said] - self._effort[max(0, self._said - chars)]
        return effort / self._pace.chars_per_s

    # -- audio -------------------------------------------------------------------------------------

    def received(self, n_bytes: int) -> None:
        """Audio came."""
        self._received += n_bytes

    def aligned(self, timing: Aligned) -> None:
        """The provider told when characters are spoken. Characters it made up or left out are passed over."""
        position = self._chars[-1] if self._aligned is None else self._aligned
        for char, start, end in zip(timing.text, timing.starts_ms, timing.ends_ms, strict=True):
            if char.isspace():
                continue
            if space := _SPACE.match(self._spoken, position):
                position = space.end()  # services shorten it
            found = self._spoken.find(char, position, min(position + 8, self._said))
            if found < 0:
                continue
            self._anchor(found, self._begun + start * BYTES_PER_MS)
            position = found + 1
            self._anchor(position, self._begun + end * BYTES_PER_MS)
        self._aligned = position

    @property
    def next_word_takes(self) -> float:
        """Seconds of audio after which the next word to be handed over counts as spoken."""
        word = bisect_right(self._word_ends, self._said)
        return self._latest(self._said, self._word_ends[word]) if word < len(self._word_ends) else 0.0

    def segment_done(self) -> None:
        """The oldest flush was answered: its text and all audio so far end together."""
        if self._flushes:
            self._settle(self._flushes.popleft())

    def complete(self) -> None:
        """All audio for all text has come."""
        self._flushes.clear()
        self._settle(self._said)

    def _settle(self, char: int) -> None:
        begun, at = self._chars[-1], self._bytes[-1]
        if self._aligned is None:
            self._pace.measured(self._effort[char] - self._effort[begun], self._received - at)
        else:
            self._aligned = max(self._aligned, char)  # what had no timing until now gets none
            while self._bytes[-1] > self._received and self._chars[-1] <= char:
                self._forget_anchor()  # timings are rounded: this one lies behind the audio's end
        self._anchor(char, self._received)

    def _anchor(self, char: int, position: int) -> None:
        last = (self._chars[-1], self._bytes[-1])
        if char >= last[0] and position >= last[1] and (char, position) != last:
            self._chars.append(char)
            self._bytes.append(position)

    def _forget_anchor(self) -> None:
        self._chars.pop()
        self._bytes.pop()

    # -- what was heard ----------------------------------------------------------------------------

    def _char_at(self, position: int) -> int:
        """The character that is likely to be spoken at a byte of audio.

        A provider that tells timings tells them before the audio: beyond them it is no character that has none.
        """
        after = bisect_right(self._bytes, position)
        char, at = self._chars[after - 1], self._bytes[after - 1]
        if after < len(self._bytes):
            end = self._chars[after]
            share = (position - at) / (self._bytes[after] - at)
            effort = share * (self._effort[end] - self._effort[char])
        elif self._aligned is not None:
            return char
        else:
            end = self._unanswered
            effort = (position - at) / BYTES_PER_S * self._pace.chars_per_s
        return max(char, min(end, bisect_right(self._effort, self._effort[char] + effort) - 1))

    @property
    def _unanswered(self) -> int:
        """The end of the text that audio beyond the last anchor belongs to."""
        return self._flushes[0] if self._flushes else self._said

    def _words_heard(self, position: int) -> int:
        """How many words had surely been spoken to their end at a byte of audio."""
        after = bisect_right(self._bytes, position)
        char, at = self._chars[after - 1], self._bytes[after - 1]
        known = bisect_right(self._word_ends, char)
        if after < len(self._bytes):
            end = self._chars[after]
            share = _share(position - at, self._bytes[after] - at)
            return self._count(known, end, lambda word_end: self._latest_share(char, word_end, end) <= share)
        if self._aligned is not None:
            return known
        end = self._unanswered
        seconds = (position - at) / BYTES_PER_S
        share = _share(position - at, self._received - at)  # more audio may come for this text: it is at most this

        def spoken(word_end: int) -> bool:
            return self._latest(char, word_end) <= seconds and self._latest_share(char, word_end, end) <= share

        return self._count(known, end, spoken)

    def _count(self, n_words: int, end: int, spoken: Callable[[int], bool]) -> int:
        """Of the words that end by `end`, how many were spoken: the first `n_words`, and on until one was not."""
        ends = self._word_ends
        while n_words < len(ends) and ends[n_words] <= end and spoken(ends[n_words]):
            n_words += 1
        return n_words

    def _variance_of(self, start: int, end: int) -> float:
        return max(0.0, self._variance[end] - self._variance[start])

    def _deviation(self, start: int, char: int, end: int) -> float:
        """How uncertain the effort up to `char` is where the effort from `start` to `end` is known."""
        before, behind = self._variance_of(start, char), self._variance_of(char, end)
        return sqrt(before * behind / (before + behind)) if before and behind else 0.0

    def _latest(self, start: int, char: int) -> float:
        """Seconds of audio by which the text from `start` to `char` was spoken, at the latest."""
        effort = self._effort[char] - self._effort[start] + DOUBT * sqrt(self._variance_of(start, char))
        return BREATH + effort / self._pace.at_least

    def _latest_share(self, start: int, char: int, end: int) -> float:
        """The share of the audio of a text by which the text before `char` was spoken, at the latest."""
        effort = self._effort[char] - self._effort[start] + DOUBT * self._deviation(start, char, end)
        return effort / (self._effort[end] - self._effort[start])

    def heard_chars(self, position: int) -> int:
        """Characters of spoken text heard when playout reached `position`: whole words only."""
        n_words = self._words_heard(position)
        if n_words == len(self._word_ends):
            return len(self._spoken)
        return self._word_ends[n_words - 1] if n_words else 0

    def cut(self, position: int) -> CutOff:
        """The account when playout stopped at `position`, in the agent's own words."""
        at = self._source_at(self.heard_chars(position))
        return CutOff(self._source[:at].rstrip(), self._source[at:].strip(), position // BYTES_PER_MS)

    def _source_at(self, spoken: int) -> int:
        """The place in the agent's words of a place in the spoken text; where they differ, whole words too few."""
        if spoken == len(self._spoken):
            return len(self._source)  # with what has nothing to be spoken, such as a picture at the end
        placed = self._pieces[max(0, bisect_right(self._starts, spoken) - 1)]
        piece, inside = placed.piece, max(0, spoken - placed.start)
        if piece.source == piece.spoken or inside == 0:
            return placed.source_start + min(inside, len(piece.source))
        if inside >= len(piece.spoken.rstrip()):
            return placed.source_start + len(piece.source)
        target = inside / len(piece.spoken) * len(piece.source)
        ends = [word.end() for word in _WORD.finditer(piece.source) if word.end() <= target]
        return placed.source_start + (ends[-1] if ends else 0)

    def interruptible_at(self, position: int) -> bool:
        """Whether the caller may interrupt what is being played at `position`."""
        if not self._pieces:
            return True
        at = min(max(0, bisect_right(self._starts, self._char_at(position)) - 1), len(self._pieces) - 1)
        return self._pieces[at].piece.interruptible

    def word_start(self, position: int) -> int:
        """The byte by which the word being spoken at `position` begins at the earliest; `position` if not known."""
        heard = self.heard_chars(position)
        after = bisect_right(self._chars, heard)
        if after >= len(self._chars):
            return position
        char, at = self._chars[after - 1], self._bytes[after - 1]
        end = self._chars[after]
        effort = self._effort[heard] - self._effort[char] - DOUBT * self._deviation(char, heard, end)
        share = max(0.0, effort) / (self._effort[end] - self._effort[char])
        return min(position, at + int(share * (self._bytes[after] - at)))

    # -- resuming after the provider was lost ------------------------------------------------------

    def restart_point(self, sent: int) -> int | None:
        """Where to cut the audio so that no word is lost or told twice; None when that is not known.

        Args:
            sent: audio before this byte went to the carrier already and stays.
        """
        for char, at in zip(reversed(self._chars), reversed(self._bytes), strict=True):
            if at < sent:
                return None
            if self._between_words(char) and at <= self._received:
                return at
        return None

    def _between_words(self, char: int) -> bool:
        around = self._spoken[char - 1 : char + 1]
        return char in self._starts or char == len(self._spoken) or around.strip() != around

    def restart(self, position: int) -> None:
        """The provider was lost; audio from byte `position` on is dropped. Says the rest again from there.

        The text begins at the first word that was not spoken whole before `position`, if known, else at an earlier one,
        but never before that of the last restart. A voice that dies again and again within its first word is not
        helped by leaving the word out: who restarts has to count, and to try another voice.
        """
        while len(self._bytes) > 1 and self._bytes[-1] > position:
            self._forget_anchor()
        word = self._words_heard(position)
        start = self._word_starts[word] if word < len(self._word_starts) else len(self._spoken)
        self._restarts.append(start)
        while len(self._chars) > 1 and self._chars[-1] > start:
            self._forget_anchor()
        self._anchor(start, position)
        self._received = self._begun = position
        self._flushes.clear()
        self._said = start
        self._aligned = None

    @property
    def restarts(self) -> int:
        return len(self._restarts)


def _share(played: int, n_bytes: int) -> float:
    """The share of the speech in so many bytes of audio that was surely played: the breath before it is no speech."""
    breath = min(int(LEAD_IN * BYTES_PER_S), n_bytes // 2)
    return max(0, played - breath) / (n_bytes - breath) if n_bytes else 0.0
