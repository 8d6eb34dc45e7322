"""Who has the turn: what the caller does comes in, what to do about it goes out. Pure; time is passed in.

Two policies, and each line of the agent's may have its own. With `words`, what was understood decides: a cough, a door
or "uh-huh" changes nothing, and the agent falls silent a recogniser's delay after the caller began. With `vad`, any
sound of speech holds the agent at once; if no words follow in time it goes on from the first word that was not heard.
Keys always count.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

from lineside.events import (
    BargeIn,
    EagerEndOfTurn,
    EndOfTurn,
    HearingEvent,
    Partial,
    SpeechStarted,
    SpeechStopped,
    TurnResumed,
)
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
    CONFIRM = auto()  # the caller had finished: the draft is the answer
    DISCARD = auto()  # throw the draft away: the caller went on


def on_key(*, turn_running: bool, interruptible: bool) -> Decision:
    """The caller pressed a key."""
    if not turn_running:
        return Decision.REPLY
    return Decision.INTERRUPT if interruptible else Decision.KEEP


@dataclass(frozen=True, slots=True)
class Policy:
    """How a call's turns go. Times in seconds; ranges are checked where the settings are."""

    barge_in: BargeIn = field(default_factory=BargeIn)
    """How easily the caller takes the turn, where the agent says nothing else."""
    hold_limit: float = 1.2
    """How long a hold waits for a word. A recogniser's first partial takes 0.3 to 1.3 s."""
    stop_limit: float = 0.7
    """How long it waits once the sound has stopped, if a detector of speech tells that."""
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
    barge_in: BargeIn = field(default_factory=BargeIn)
    """What holds for the words that are being said."""
    sounding: bool = True
    """Something of the turn was heard; else the agent is thinking, and there is nothing to agree with."""


class Turns:
    """Decides for one call. It remembers only what the events do not repeat."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.policy = policy or Policy()
        self._hold_ends: float | None = None
        self._draft: str | None = None  # what the caller had said when the agent began to answer unheard
        self._agreed: tuple[float, str] | None = None  # an agreement said into the agent's turn, and when
        self._short: list[str] = []  # what was said into it with too few words to take it
        self._taken = False  # the caller interrupted, and has not finished

    # -- what the recogniser says ----------------------------------------------------------------------------------

    def hear(self, event: HearingEvent, now: float, situation: Situation) -> Decision:
        """Decide about one event of the recogniser or of the detector of speech."""
        match event:
            case SpeechStarted():
                return self._on_sound(now, situation)
            case SpeechStopped():
                if self._hold_ends is not None:
                    self._hold_ends = min(self._hold_ends, now + self.policy.stop_limit)
            case Partial(text):
                return self._on_words(text, situation)
            case EagerEndOfTurn(text):
                if situation.speaking or is_noise(text):
                    return self._on_words(text, situation)
                self._draft = text
                return Decision.DRAFT
            case TurnResumed():
                return self._undraft()
            case EndOfTurn(text):
                return self._on_end(text, now, situation)
        return Decision.NOTHING

    def _on_sound(self, now: float, situation: Situation) -> Decision:
        if self._draft is not None:
            return self._undraft()
        vad = situation.barge_in.policy == "vad"
        if not vad or not situation.speaking or not situation.interruptible or situation.held:
            return Decision.NOTHING
        self._hold_ends = now + self.policy.hold_limit
        return Decision.HOLD

    def _on_words(self, text: str, situation: Situation) -> Decision:
        if not situation.speaking or not situation.interruptible or not self._takes_turn(text, situation):
            return Decision.NOTHING
        self._hold_ends, self._taken = None, True
        return Decision.INTERRUPT

    def _takes_turn(self, text: str, situation: Situation) -> bool:
        enough = len(words_of(text)) >= situation.barge_in.words
        return enough and not is_noise(text) and not is_agreement(text, self.policy.language)

    def _on_end(self, text: str, now: float, situation: Situation) -> Decision:
        taken, self._taken = self._taken, False
        draft, self._draft = self._draft, None
        if is_noise(text) and not taken:
            return Decision.DISCARD if draft is not None else self._go_on(situation)
        if not situation.speaking:
            return Decision.CONFIRM if draft is not None and words_of(draft) == words_of(text) else Decision.REPLY
        if taken or self._takes_turn(text, situation):
            if not situation.interruptible:
                return Decision.KEEP
            self._hold_ends = None
            return Decision.REPLY
        if situation.sounding and is_agreement(text, self.policy.language):
            self._agreed = (now, text)
        else:
            self._short.append(text)
        return self._go_on(situation)

    def _go_on(self, situation: Situation) -> Decision:
        """Whatever the agent was held for, it is over, and was no turn."""
        self._hold_ends = None
        return Decision.RESUME if situation.held else Decision.NOTHING

    def _undraft(self) -> Decision:
        draft, self._draft = self._draft, None
        return Decision.DISCARD if draft is not None else Decision.NOTHING

    def forget_draft(self) -> None:
        """The draft was thrown away for another reason: a key was pressed, say."""
        self._draft = None

    # -- what time says ----------------------------------------------------------------------------------------------

    def due(self) -> float | None:
        """When to call `tick`."""
        return self._hold_ends

    def tick(self, now: float, situation: Situation) -> Decision:
        """Time has passed: a hold without words is over."""
        if self._hold_ends is None or now < self._hold_ends - 1e-6:
            return Decision.NOTHING
        return self._go_on(situation)

    def turn_ended(self, now: float) -> str | None:
        """The agent's turn was played to its end; returns what the caller had answered already, if anything."""
        answers, agreed = self._short, self._agreed
        self._forget_turn()
        if agreed is not None and now - agreed[0] <= self.policy.late_answer:
            answers = [*answers, agreed[1]]
        return " ".join(answers) or None

    def turn_began(self) -> None:
        """The agent has the turn; what took an earlier one was answered, or taken back by the recogniser."""
        self._taken = False

    def turn_cut(self) -> list[str]:
        """The agent's turn was interrupted, by words or by a key; returns what was said into it and not answered."""
        said = self._short
        self._forget_turn()
        return said

    def _forget_turn(self) -> None:
        self._hold_ends = self._agreed = None
        self._short = []
