"""What ElevenLabs owes an utterance, and when its silence means something. Pure; time is passed in.

The service acknowledges no flush. The wire takes one as answered when the timings cover its text; this is about the
rest: text whose timings never come, audio that stops short, an end that is not told.

Where it can be told that text was not spoken, silence is a loss, after which the text is said again elsewhere: to take
it as spoken would lose words. Where it cannot, silence after audio is taken as the end of that audio.
"""

from __future__ import annotations

from enum import Enum, auto

from lineside.events import Aligned, Audio, Flushed, SpeechEvent

SETTLE = 1.0  # s; the service was seen to send an utterance's audio without pauses of this length
RELEASE = 5.0  # s; final messages were seen within 0.3 s of the audio, and in rare cases never


class Verdict(Enum):
    """What the silence of now means."""

    SETTLE = auto()
    """What was flushed was spoken, as far as anybody can tell. The end, if it was asked for, is yet to be told."""
    RELEASE = auto()
    """All was spoken; that the end is not told changes nothing."""
    LOST = auto()
    """The rest will not come."""


class Watch:
    """The account of one utterance.

    Args:
        silence_timeout: s without a sign of life, while something is owed, after which the rest is lost.
        comparable: the timings tell of the text that was sent, not of one that was made of it.
    """

    def __init__(self, silence_timeout: float, *, comparable: bool) -> None:
        self._silence_timeout = silence_timeout
        self._comparable = comparable
        self._n_said = 0  # characters, without white space
        self._n_flushed = 0
        self._n_aligned = 0
        self._begun = False  # audio came since the last flush of new text
        self._finishing = False
        self._settled = False  # since the last flush
        self._sure = False  # when it was settled, the timings had told already that all was spoken
        self._since = 0.0
        self.n_owed = 0
        """Flushes that were not answered."""

    def said(self, text: str) -> None:
        """`text` was sent."""
        self._n_said += _visible(text)

    def flushed(self, now: float) -> None:
        """A flush was sent. The clock of silence begins unless it runs already."""
        if not self.n_owed:
            self._since = now
        if self._n_said > self._n_flushed:
            self._begun = False
        self._n_flushed = self._n_said
        self._settled = False
        self.n_owed += 1

    def finishing(self) -> None:
        """The end is being asked for, with a flush of its own."""
        self._finishing = True

    def alive(self, now: float) -> None:
        """The silence until now has a reason of another kind: a socket that was being opened."""
        self._since = now

    def told(self, event: SpeechEvent, now: float) -> None:
        """Something came of this utterance. Frames are signs of life; what is concluded from silence is none."""
        match event:
            case Audio():
                self._since = now
                self._begun = True
            case Aligned(text):
                self._since = now
                self._n_aligned += _visible(text)
            case Flushed():
                self.n_owed -= 1
            case _:
                pass

    def settled(self) -> None:
        """A verdict SETTLE is being acted on."""
        self._settled = True
        self._sure = self.n_owed == 0

    def deadline(self) -> tuple[float, Verdict] | None:
        """When silence will mean something, and what; None while nothing is owed."""
        if not self.n_owed and not self._finishing:
            return None
        if not self._settled and (not self.n_owed or self._may_settle()):
            return self._since + SETTLE, Verdict.SETTLE
        if not self.n_owed and self._sure:
            return self._since + RELEASE, Verdict.RELEASE
        return self._since + self._silence_timeout, Verdict.LOST

    def _may_settle(self) -> bool:
        if not self._begun:
            return False
        if self._finishing and self.n_owed == 1:  # all but the end's own flush was answered, and the end will be told
            return True
        told = self._comparable and self._n_aligned > 0
        return not told or self._n_aligned >= self._n_flushed


def _visible(text: str) -> int:
    return sum(map(len, text.split()))
