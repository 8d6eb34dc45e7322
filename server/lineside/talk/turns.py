"""Who has the turn: what the caller does comes in, what to do about it goes out. Pure; time is passed in.

Two policies. With `words`, what was understood decides: a cough, a door or "uh-huh" changes nothing, and the agent
falls silent a recogniser's delay after the caller began. With `vad`, any sound of speech holds the agent at once; if no
words follow in time it goes on from the first word that was not heard. Keys always count.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

from lineside.events import EagerEndOfTurn, EndOfTurn, HearingEvent, Partial, SpeechStarted, TurnResumed
from lineside.talk.backchannel import is_agreement, is_noise, words_of


class Decision(Enum):
    """What to do about something the caller did."""

    NOTHING = auto()
    REPLY = auto()  # let the agent answer; it is silent, or is made so
    INTERRUPT = auto()  # stop the agent's turn for good; what the caller says is still coming
    KEEP = auto()  # what is being said may not be interrupted: answer when it ends
    HOLD = auto()  # fall silent, ready to go on
    RESUME = auto()  # go on after a hold
    DRAFT = auto()  # let the agent answer unheard: the caller has probably finished
    DISCARD = auto()  # throw the draft away: the caller went on


def on_key(*, turn_running: bool, interruptible: bool) -> Decision:
    """The caller pressed a key."""
    if not turn_running:
        return Decision.REPLY
    return Decision.INTERRUPT if interruptible else Decision.KEEP


@dataclass(frozen=True, slots=True)
class Policy:
    """How easily the caller takes the turn. Times in seconds.

    Raises:
        ValueError: never; ranges are checked where the settings are.
    """

    kind: Literal["words", "vad"] = "words"
    words_to_interrupt: int = 1
    """Words that take the turn while the agent speaks, noises and short agreement not counted."""
    hold_limit: float = 0.8
    """How long a hold waits for a word. A recogniser's first partial takes 0.3 to 0.6 s."""
    late_answer: float = 1.5
    """An agreement said so shortly before the agent's turn ended was an answer to it."""
    language: str = "en"


@dataclass(frozen=True, slots=True)
class Situation:
    """What the call knows when it asks."""

    speaking: bool
    """The agent has the turn: something of it is still to be heard."""
    interruptible: bool = True
    held: bool = False


class Turns:
    """Decides for one call. It remembers only what the events do not repeat."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.policy = policy or Policy()
        self._held_at: float | None = None
        self._drafted = False
        self._aside: tuple[float, str] | None = None  # an agreement said into the agent's turn, and when
        self._taken = False  # the caller interrupted, and has not finished

    # -- what the recogniser says ----------------------------------------------------------------------------------

    def hear(self, event: HearingEvent, now: float, situation: Situation) -> Decision:
        """Decide about one event of the recogniser or of the voice-activity detector."""
        match event:
            case SpeechStarted():
                return self._on_sound(now, situation)
            case Partial(text):
                return self._on_words(text, situation)
            case EagerEndOfTurn(text):
                if situation.speaking or is_noise(text):
                    return self._on_words(text, situation)
                self._drafted = True
                return Decision.DRAFT
            case TurnResumed():
                return self._undraft()
            case EndOfTurn(text):
                return self._on_end(text, now, situation)
        return Decision.NOTHING

    def _on_sound(self, now: float, situation: Situation) -> Decision:
        if self._drafted:
            return self._undraft()
        if self.policy.kind != "vad" or not situation.speaking or not situation.interruptible or situation.held:
            return Decision.NOTHING
        self._held_at = now
        return Decision.HOLD

    def _on_words(self, text: str, situation: Situation) -> Decision:
        if not situation.speaking or not situation.interruptible or self._is_aside(text):
            return Decision.NOTHING
        if len(words_of(text)) < self.policy.words_to_interrupt:
            return Decision.NOTHING
        self._held_at, self._taken = None, True
        return Decision.INTERRUPT

    def _on_end(self, text: str, now: float, situation: Situation) -> Decision:
        taken, self._taken = self._taken, False
        drafted, self._drafted = self._drafted, False
        if is_noise(text) and not taken:
            return Decision.DISCARD if drafted else Decision.NOTHING
        if not situation.speaking:
            return Decision.REPLY
        if not situation.interruptible:
            return Decision.KEEP
        if self._is_aside(text) and not taken:
            self._aside = (now, text)
            return Decision.NOTHING
        self._held_at = None
        return Decision.REPLY

    def _is_aside(self, text: str) -> bool:
        return is_noise(text) or is_agreement(text, self.policy.language)

    def _undraft(self) -> Decision:
        drafted, self._drafted = self._drafted, False
        return Decision.DISCARD if drafted else Decision.NOTHING

    # -- what time says ----------------------------------------------------------------------------------------------

    def due(self) -> float | None:
        """When to call `tick`."""
        return None if self._held_at is None else self._held_at + self.policy.hold_limit

    def tick(self, now: float, situation: Situation) -> Decision:
        """Time has passed: a hold without words is over."""
        if self._held_at is None or now < self._held_at + self.policy.hold_limit - 1e-6:
            return Decision.NOTHING
        self._held_at = None
        return Decision.RESUME if situation.held else Decision.NOTHING

    def turn_ended(self, now: float) -> str | None:
        """The agent's turn was played to its end; returns what the caller had answered already, if anything."""
        aside, self._aside = self._aside, None
        self._held_at = None
        if aside is not None and now - aside[0] <= self.policy.late_answer and not is_noise(aside[1]):
            return aside[1]
        return None

    def turn_cut(self) -> None:
        """The agent's turn was interrupted, by words or by a key."""
        self._aside = None
        self._held_at = None
