"""What a call of many interruptions leaves behind, and a judge of it.

The judge looks at three records alone: every byte that reached the phone, with its clears, marks and playout; every
byte that the provider sent, and for which text; every cue that the agent was given. The tone voice takes the same time
for each character, so the provider's record also says at which byte each word ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from calls.scenes import RATE, UNSURE_MS, listen, whole_ms, words_of
from lineside.audio.formats import FRAME_BYTES, SILENCE
from lineside.events import Cue, CutOff
from lineside.standin.carrier_queue import CarrierQueue
from lineside.standin.record import Record, Spoken
from lineside.standin.tone import CHARS_PER_S
from lineside.testing import ElevenLabsSettings, LinesideSettings, Settings

Way = Literal["key", "words", "hold"]
"""The caller presses a key; speaks; or makes a sound that holds the agent, and then takes the turn or does not."""

LEAD = 1.0  # s
AT_ONCE = 0.05  # s between two interruptions that count as one right after the other
BYTES_PER_CHAR = RATE / CHARS_PER_S
TAIL_MS = {"deepgram": 60.0}
"""A word of which no more than so much was cut off may be told as heard. Where words end is reckoned for Deepgram,
which tells no timings; the others' are exact."""


@dataclass(frozen=True, slots=True)
class Case:
    """One call. The seed decides every moment in it."""

    voice: str
    way: Way
    round_trip: float
    jitter: float
    seed: int
    ears: str = "deepgram"

    def __str__(self) -> str:
        return f"{self.voice}, {self.way}, {1000 * self.round_trip:.0f} ms, seed {self.seed}"

    @property
    def settings(self) -> Settings:
        hears = {} if self.way == "key" else {"ears": self.ears}
        policy = {"turn_policy": "vad"} if self.way == "hold" else {}
        lineside = LinesideSettings(agent_loop="app", voice=self.voice, lead_s=LEAD, **hears, **policy)  # type: ignore[arg-type]
        return Settings(lineside, elevenlabs=ElevenLabsSettings(inactivity_timeout=20))


@dataclass(frozen=True, slots=True)
class Asked:
    """The agent was given a cue, and gave a text."""

    at: float
    cue: Cue
    text: str


@dataclass(slots=True)
class Stretch:
    """All audio that reached the phone from one clear to the next."""

    audio: bytearray = field(default_factory=bytearray)
    n_dropped: int = 0
    """Bytes of its end that the clear took away."""
    cleared_at: float = float("inf")
    n_spoken: int = 0
    """Entries in the provider's record when it was cleared."""

    @property
    def n_played(self) -> int:
        return len(self.audio) - self.n_dropped


class KeepingQueue(CarrierQueue):
    """The carrier's queue, which also keeps what a clear dropped."""

    provider: Record

    def __init__(self, began: float, *, newest_first_on_clear: bool = False) -> None:
        super().__init__(began, newest_first_on_clear=newest_first_on_clear)
        self.stretches = [Stretch()]

    def play(self, audio: bytes, now: float) -> list[str]:
        self.stretches[-1].audio += audio
        return super().play(audio, now)

    def clear(self, now: float) -> None:
        super().clear(now)
        stretch = self.stretches[-1]
        stretch.n_dropped, stretch.cleared_at = self.clears[-1].dropped, now
        stretch.n_spoken = len(self.provider.spoken)
        self.stretches.append(Stretch())


@dataclass(frozen=True, slots=True)
class Press:
    """A key, and what the phone had when it was pressed."""

    at: float
    nth_stretch: int
    n_bytes: int
    """Of the stretch."""
    depth: int
    """Bytes queued."""
    held: bool
    """The agent had been made to fall silent by a sound, and said nothing since."""


# -- what came of it ---------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Told:
    """One turn: what the agent gave, what the provider made of it, what the phone got and played."""

    text: str
    pieces: list[tuple[int, Spoken]]
    """Each with its place in the provider's record."""
    n_received: int = 0
    played_to: int = 0
    """The end of what was played, in bytes of `audio`."""
    stretches: list[int] = field(default_factory=list)

    @property
    def audio(self) -> bytes:
        return b"".join(piece.audio for _, piece in self.pieces)

    @property
    def complete(self) -> bool:
        """The provider has spoken all of it."""
        words = [word for _, piece in self.pieces for word in words_of(piece.text)]
        n_bytes = sum(round(len(piece.text) * BYTES_PER_CHAR) for _, piece in self.pieces)
        return words == words_of(self.text) and len(self.audio) == n_bytes

    @property
    def whole(self) -> bool:
        """All of it was played."""
        return self.complete and self.played_to >= len(self.audio)

    def word_ends(self) -> list[int]:
        """The byte at which each word ends, of the words that the provider was asked for."""
        ends, begins = [], 0
        for _, piece in self.pieces:
            at = 0
            for word in piece.text.split():
                at = piece.text.index(word, at) + len(word)
                ends.append(begins + round((at - word.endswith(".")) * BYTES_PER_CHAR))
            begins += len(piece.audio)
        return ends

    @property
    def n_words_played(self) -> int:
        return self.n_words_by(self.played_to)

    def n_words_by(self, n_bytes: float) -> int:
        return sum(end <= n_bytes for end in self.word_ends())


class Judge:
    """Compares the records of one call.

    Args:
        asked: what the agent was.
        spoken: by the provider.
    """

    def __init__(
        self,
        case: Case,
        asked: Sequence[Asked],
        spoken: Sequence[Spoken],
        queue: KeepingQueue,
        presses: Sequence[Press],
        breaches: dict[str, int],
    ) -> None:
        self.case = case
        self.faults: list[str] = [f"{name}: {count} times" for name, count in breaches.items()]
        self.presses = presses
        self.queue = queue
        self._asked = asked
        place = {word: i for i, each in enumerate(asked) for word in words_of(each.text)}
        self.turns = [Told(each.text, []) for each in asked]
        for nth, piece in sorted(enumerate(spoken), key=lambda each: each[1].at):
            if piece.audio and (words := words_of(piece.text)):
                self.turns[place[words[0]]].pieces.append((nth, piece))
        self.unclaimed: list[int] = []
        """Words that were played and not told as heard, for each account."""
        self._place_audio()
        self._check_accounts()

    def _fault(self, what: str) -> None:
        self.faults.append(f"{self.case}: {what}")

    # -- bytes ---------------------------------------------------------------------------------------------------------

    def _place_audio(self) -> None:
        """Every byte between two clears is the beginning of one turn that was not heard before, or follows such a turn
        that was whole; or, after a hold, goes on in the same turn where the caller had stopped hearing it.
        """
        place = -1
        for nth, stretch in enumerate(self.queue.stretches):
            at = 0
            while rest := bytes(stretch.audio[at:]):
                found = self._next_turn(rest, place)
                if found is None and self.case.way == "hold" and place >= 0 and not at:
                    found = self._resumed(rest, place)
                if found is None:
                    words = {
                        each.word for each in listen(rest, [w for turn in self.turns for w in words_of(turn.text)])
                    }
                    self._fault(f"stretch {nth}: {len(rest)} bytes after turn {place} belong to no turn: {words}")
                    return
                place, begin, n_bytes = found
                turn = self.turns[place]
                turn.stretches.append(nth)
                turn.n_received = begin + n_bytes
                turn.played_to = max(turn.played_to, begin + min(n_bytes, max(0, stretch.n_played - at)))
                self._hear(turn, begin, rest[: max(0, stretch.n_played - at)])
                at += n_bytes

    def _next_turn(self, audio: bytes, last: int) -> tuple[int, int, int] | None:
        """Which turn begins with this audio, from which byte of it, and how much of the audio is its."""
        for place in range(last + 1, len(self.turns)):
            whole = self.turns[place].audio
            padded = whole + SILENCE * (-len(whole) % FRAME_BYTES)
            if whole and (padded.startswith(audio) or (audio.startswith(padded) and self.turns[place].complete)):
                return place, 0, min(len(audio), len(padded))
        return None

    def _resumed(self, audio: bytes, place: int) -> tuple[int, int, int] | None:
        """The same of audio that goes on in a turn, at or before the place where its playout had stopped."""
        turn = self.turns[place]
        probe = audio[:FRAME_BYTES]
        begin = turn.audio.rfind(probe, 0, turn.played_to + len(probe))
        while begin >= 0:
            rest = turn.audio[begin:]
            rest += SILENCE * (-len(rest) % FRAME_BYTES)
            if rest.startswith(audio) or (audio.startswith(rest) and turn.complete):
                return place, begin, min(len(audio), len(rest))
            begin = turn.audio.rfind(probe, 0, begin + len(probe) - 1)
        return None

    def _hear(self, turn: Told, begin: int, played: bytes) -> None:
        """By ear: the words that sound are the turn's, in order, from the first, which is whole if time was left."""
        words = words_of(turn.text)
        heard = listen(played[: len(turn.audio)], words)
        if begin == 0 and [each.word for each in heard] != words[: len(heard)]:
            self._fault(f"heard {[each.word for each in heard]} of {turn.text!r}")
        if begin == 0 and len(heard) > 1 and heard[0].ms < whole_ms(words[0]) - UNSURE_MS:
            self._fault(f"the first word of {turn.text!r} was clipped to {heard[0].ms} ms")

    # -- what the agent was told ---------------------------------------------------------------------------------------

    def _check_accounts(self) -> None:
        for turn, (before, after) in zip(self.turns, pairwise(self._asked), strict=False):
            told = after.cue.cut_off
            if told is not None:
                self._check_account(turn, told)
            elif turn.n_words_played < len(words_of(turn.text)) and before.at < after.at:
                # Of two keys in one instant the agent is told, but its first answer is not waited for: it is no turn.
                self._fault(f"nothing was told of {turn.text!r}, of which {turn.n_words_played} words were played")

    def _check_account(self, turn: Told, told: CutOff) -> None:
        if f"{told.heard} {told.unheard}".split() != turn.text.split():
            self._fault(f"{told} was told behind {turn.text!r}")
            return
        n_claimed, n_played = len(told.heard.split()), turn.n_words_played
        if n_claimed > turn.n_words_by(turn.played_to + TAIL_MS.get(self.case.voice, 0.0) * RATE / 1000):
            self._fault(f"told {told}, of which {n_played} words were played, {turn.played_to / 8:.0f} ms")
        if told.heard_ms > turn.played_to * 1000 / RATE + 1 + 1000 * self.case.jitter:
            self._fault(f"told {told}, played {turn.played_to * 1000 / RATE} ms")
        self.unclaimed.append(n_played - n_claimed)

    # -- what was met with ---------------------------------------------------------------------------------------------

    @property
    def cut(self) -> list[Told]:
        """Turns that were interrupted: all but the last that were not played to their end."""
        return [turn for turn in self.turns[:-1] if not turn.whole]

    def classes(self) -> Counter[str]:
        """How often each thing was met with; one interruption may be of several."""
        found: Counter[str] = Counter()
        for turn in self.cut:
            found["interruptions"] += 1
            if not turn.n_received:
                found["before its first audio"] += 1
                continue
            cut = self.queue.stretches[turn.stretches[-1]]
            late = [piece for nth, piece in turn.pieces if nth >= cut.n_spoken]
            sending = bool(late) or not turn.complete
            found["provider still sending"] += sending
            found["provider late"] += any(piece.n_late_bytes for piece in late)
            found["all audio received"] += not sending
            found["all audio sent"] += not sending and turn.n_received >= len(turn.audio)
            found["mark in flight"] += any(
                not echo.cleared and 0 <= cut.cleared_at - echo.at < self.case.round_trip for echo in self.queue.echoes
            )
        times = [press.at for press in self.presses]
        if self.case.way == "words":
            times += [clear.at for clear in self.queue.clears]
        found["second at once"] = sum(after - before <= AT_ONCE for before, after in pairwise(sorted(times)))
        found["in a hold"] = sum(press.held for press in self.presses)
        found["last 50 ms"] = sum(self._is_last(press) for press in self.presses)
        return found

    def _is_last(self, press: Press) -> bool:
        here = [turn for turn in self.turns if press.nth_stretch in turn.stretches]
        sent = sum(len(turn.audio) for turn in here) <= press.n_bytes
        return bool(here) and sent and here[-1].complete and 0 < press.depth <= AT_ONCE * RATE
