"""What became of each word of a turn: handed to the provider, turned into audio, heard. Pure.

The ledger joins two rulers: characters of the text given to the provider, and bytes of the audio that came back
(mu-law, 8 kHz). Anchors pin one to the other where we know it: at the end of an answered flush, or at each character
where the provider tells timings. Between two anchors text is spread by the effort of speaking it; beyond the last one
it is reckoned from the pace of this voice so far. Pauses are left out of both rulers where the voice's own sound tells
them from speech.

Where it must guess, the ledger claims less than was heard, and on a restart goes back rather too far than not far
enough: a word told twice is a smaller fault than one never told. It counts a word only when it would have been spoken
even if the text up to its end took `DOUBT` standard deviations longer than is likely.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable

from lineside.events import Aligned, CutOff
from lineside.talk.effort import efforts
from lineside.talk.pace import Pace as Pace
from lineside.talk.pace import Rate
from lineside.talk.ruler import ONSET, Ruler
from lineside.talk.sound import Sound
from lineside.talk.wording import Piece as Piece
from lineside.talk.wording import Wording

BYTES_PER_S = 8000
BYTES_PER_MS = 8
BREATH = 0.3  # s before the first word of a text, at most
LEAD_IN = 0.15  # s before the first word of a text, usually
SURER = 2.5  # standard deviations where sound alone is measured, which is less uncertain: one case in a hundred

_SPACE = re.compile(r"\s+")


class Ledger:
    """The account of one stretch of speech."""

    def __init__(self, pace: Pace | None = None) -> None:
        self._pace = pace or Pace()
        self._wording = Wording()
        self._ruler = Ruler()  # for all audio
        self._sounds_ruler = Ruler(SURER, ONSET)  # for sound alone
        self._sound = Sound()
        self._said = 0  # characters handed to the provider
        self._received = 0  # bytes of audio
        self._chars: list[int] = [0]  # anchors: the character that begins ...
        self._bytes: list[int] = [0]  # ... at this byte
        self._by_sound: list[bool] = [False]  # what lies between it and the one before is measured by its sound
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
        spoken = self._wording.add(piece)
        self._ruler.append(efforts(spoken))
        self._sounds_ruler.append(efforts(spoken, silences=False))

    @property
    def text(self) -> str:
        """All text of the turn so far, in the agent's own words."""
        return self._wording.source

    @property
    def said_to(self) -> int:
        """Characters of spoken text handed to the provider."""
        return self._said

    @property
    def length(self) -> int:
        """Characters of spoken text in all."""
        return len(self._wording.spoken)

    @property
    def unsaid(self) -> int:
        """Characters that were not handed to the provider yet."""
        return len(self._wording.spoken) - self._said

    def next_text(self, most: int) -> str:
        """The next text for the provider: the rest of a piece, cut at a word if it is over `most` characters."""
        return self._wording.next_text(self._said, most)

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
        effort = self._ruler.length(self._chars[-1], self._flushes[-1])
        return max(0.0, effort / self._pace.chars_per_s - (self._received - self._bytes[-1]) / BYTES_PER_S)

    def seconds(self, chars: int) -> float:
        """How long the last `chars` characters that were handed to the provider are likely to take."""
        return self._ruler.length(max(0, self._said - chars), self._said) / self._pace.chars_per_s

    # -- audio -------------------------------------------------------------------------------------

    def received(self, audio: bytes | int) -> None:
        """Audio came; or so many bytes of which nothing more is known."""
        if isinstance(audio, int):
            self._sound.add_unknown(audio)
            self._received += audio
        else:
            self._sound.add(audio)
            self._received += len(audio)

    def aligned(self, timing: Aligned) -> None:
        """The provider told when characters are spoken. Characters it made up or left out are passed over."""
        position = self._chars[-1] if self._aligned is None else self._aligned
        for char, start, end in zip(timing.text, timing.starts_ms, timing.ends_ms, strict=True):
            if char.isspace():
                continue
            if space := _SPACE.match(self._wording.spoken, position):
                position = space.end()  # services shorten it
            found = self._wording.spoken.find(char, position, min(position + 8, self._said))
            if found < 0:
                continue
            self._anchor(found, self._begun + start * BYTES_PER_MS)
            position = found + 1
            self._anchor(position, self._begun + end * BYTES_PER_MS)
        self._aligned = position

    @property
    def next_word_takes(self) -> float:
        """Seconds of audio after which the next word to be handed over counts as spoken."""
        word = bisect_right(self._wording.word_ends, self._said)
        if word == len(self._wording.word_ends):
            return 0.0
        return BREATH + self._ruler.most(self._said, self._wording.word_ends[word]) / self._pace.at_least

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
        by_sound = False
        if self._aligned is None:
            self._pace.measured(self._ruler.length(begun, char), self._received - at)
            by_sound = self._pauses_show(begun, char)
            if by_sound:
                self._pace.sounding.measured(self._sounds_ruler.length(begun, char), self._sounding(at, self._received))
        else:
            self._aligned = max(self._aligned, char)  # what had no timing until now gets none
            while self._bytes[-1] > self._received and self._chars[-1] <= char:
                self._forget_anchor()  # timings are rounded: this one lies behind the audio's end
        self._anchor(char, self._received, by_sound=by_sound)

    def _pauses_show(self, begun: int, char: int) -> bool:
        """Whether this voice pauses between the sentences of a text whose audio has all come, so that one can tell."""
        n_stops = self._wording.stops(begun, char)
        n_pauses = self._sound.pauses(self._bytes[-1], self._received)
        if n_stops > n_pauses:
            self._pace.sounding = Rate()  # its silence is not silent: what was learnt of it does not hold
            return False
        return n_pauses > 0 or self._pace.sounding.known

    def _anchor(self, char: int, position: int, *, by_sound: bool = False) -> None:
        last = (self._chars[-1], self._bytes[-1])
        if char >= last[0] and position >= last[1] and (char, position) != last:
            self._chars.append(char)
            self._bytes.append(position)
            self._by_sound.append(by_sound)

    def _forget_anchor(self) -> None:
        self._chars.pop()
        self._bytes.pop()
        self._by_sound.pop()

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
            effort = share * self._ruler.length(char, end)
        elif self._aligned is not None:
            return char
        else:
            end = self._unanswered
            effort = (position - at) / BYTES_PER_S * self._pace.chars_per_s
        return max(char, min(end, self._ruler.place(char, effort)))

    @property
    def _unanswered(self) -> int:
        """The end of the text that audio beyond the last anchor belongs to."""
        return self._flushes[0] if self._flushes else self._said

    def _words_heard(self, position: int) -> int:
        """How many words had surely been spoken to their end at a byte of audio."""
        after = bisect_right(self._bytes, position)
        char, at = self._chars[after - 1], self._bytes[after - 1]
        known = bisect_right(self._wording.word_ends, char)
        if after < len(self._bytes):
            end, n_bytes = self._chars[after], self._bytes[after] - at
            ruler, share = self._ruler, _share(position - at, n_bytes)
            if self._by_sound[after]:
                ruler = self._sounds_ruler
                share = self._sounding(at, position) / max(1, self._sounding(at, at + n_bytes))
            return self._count(known, end, lambda word_end: ruler.latest_share(char, word_end, end) <= share)
        if self._aligned is not None:
            return known
        end = self._unanswered
        share = _share(position - at, self._received - at)  # more audio may come for this text: it is at most this

        def spoken(word_end: int) -> bool:
            soon = self._surely_spoken(char, word_end, position - at, self._sounding(at, position))
            return soon and self._ruler.latest_share(char, word_end, end) <= share

        return self._count(known, end, spoken)

    def _sounding(self, begin: int, end: int) -> int:
        """Bytes of sound between two places."""
        return self._sound.until(end) - self._sound.until(begin)

    def _count(self, n_words: int, end: int, spoken: Callable[[int], bool]) -> int:
        """Of the words that end by `end`, how many were spoken: the first `n_words`, and on until one was not."""
        ends = self._wording.word_ends
        while n_words < len(ends) and ends[n_words] <= end and spoken(ends[n_words]):
            n_words += 1
        return n_words

    def _surely_spoken(self, start: int, char: int, n_bytes: int, n_sounding: int) -> bool:
        """Whether the text from `start` to `char` was surely spoken by so much audio, of which so much is sound."""
        if self._pace.sounding.known:
            return self._sounds_ruler.most(start, char) / self._pace.sounding.at_least <= n_sounding / BYTES_PER_S
        return BREATH + self._ruler.most(start, char) / self._pace.at_least <= n_bytes / BYTES_PER_S

    def heard_chars(self, position: int) -> int:
        """Characters of spoken text heard when playout reached `position`: whole words only."""
        n_words = self._words_heard(position)
        if n_words == len(self._wording.word_ends):
            return len(self._wording.spoken)
        return self._wording.word_ends[n_words - 1] if n_words else 0

    def cut(self, position: int) -> CutOff:
        """The account when playout stopped at `position`, in the agent's own words."""
        source, at = self._wording.source, self._wording.source_at(self.heard_chars(position))
        return CutOff(source[:at].rstrip(), source[at:].strip(), position // BYTES_PER_MS)

    def piece_at(self, position: int) -> Piece | None:
        """What is being played at `position`; None while there is no text."""
        return self._wording.piece_at(self._char_at(position))

    def word_start(self, position: int) -> int:
        """The byte by which the word being spoken at `position` begins at the earliest; `position` if not known."""
        heard = self.heard_chars(position)
        after = bisect_right(self._chars, heard)
        if after >= len(self._chars):
            return position
        char, at = self._chars[after - 1], self._bytes[after - 1]
        end = self._chars[after]
        share = self._ruler.earliest_share(char, heard, end)
        return min(position, at + int(share * (self._bytes[after] - at)))

    def word_end(self, after: int, upto: int) -> int | None:
        """Where the first word ends that ends behind byte `after`, but not behind `upto`; None if no such is known."""
        word = bisect_right(self._wording.word_ends, self._char_at(after) - 1)
        while word < len(self._wording.word_ends):
            end = self._byte_at(self._wording.word_ends[word])
            if end is None or end > upto:
                return None
            if end > after:
                return end
            word += 1
        return None

    def _byte_at(self, char: int) -> int | None:
        """The byte by which the text before `char` is likely to be spoken; None beyond the last anchor."""
        index = bisect_left(self._chars, char)
        if index == len(self._chars):
            return None
        end, at = self._chars[index], self._bytes[index]
        if end == char:
            return at
        begin, begun = self._chars[index - 1], self._bytes[index - 1]
        share = self._ruler.length(begin, char) / self._ruler.length(begin, end)
        return begun + int(share * (at - begun))

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
        around = self._wording.spoken[char - 1 : char + 1]
        return char in self._wording.starts or char == len(self._wording.spoken) or around.strip() != around

    def restart(self, position: int) -> None:
        """The provider was lost; audio from byte `position` on is dropped. Says the rest again from there.

        The text begins at the first word that was not spoken whole before `position`, if known, else at an earlier one,
        but never before that of the last restart. A voice that dies again and again within its first word is not
        helped by leaving the word out: who restarts has to count, and to try another voice.
        """
        while len(self._bytes) > 1 and self._bytes[-1] > position:
            self._forget_anchor()
        word = self._words_heard(position)
        start = self._wording.word_starts[word] if word < len(self._wording.word_starts) else len(self._wording.spoken)
        self._restarts.append(start)
        while len(self._chars) > 1 and self._chars[-1] > start:
            self._forget_anchor()
        self._anchor(start, position)
        self._sound.cut(position)
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
