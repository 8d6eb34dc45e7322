"""The words that all parts share: what happens in a call, and what an agent says to it.

Cues go to the agent, lines come from it, speech events come from a provider's voice. All are frozen values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# -- the call --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CallInfo:
    """One phone call, as its agent sees it."""

    call_id: str
    """The carrier's name for the call (Twilio: CallSid)."""
    caller: str = ""
    """E.164 number, `client:name` or SIP URI; carriers send odd values for anonymous callers."""
    called: str = ""
    account_id: str = ""
    """The carrier account that owns the call (Twilio: AccountSid)."""
    direction: str = "inbound"
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Everything else that the webhook said, under the carrier's names."""


@dataclass(frozen=True, slots=True)
class CutOff:
    """What became of the agent's last turn when it was interrupted.

    "Heard" means the carrier's playout position: the ear is somewhat later. It rather claims too little than too much.
    """

    heard: str
    unheard: str
    heard_ms: int


# -- cues: what makes the agent speak --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CallStarted:
    """The call begins; `resumed` when it was connected before and lost its leg."""

    resumed: bool = False
    cut_off: CutOff | None = None


@dataclass(frozen=True, slots=True)
class CallerPressed:
    """One key of the caller's phone: 0-9, *, #, or A-D."""

    digit: str
    cut_off: CutOff | None = None


@dataclass(frozen=True, slots=True)
class CallerSaid:
    """The caller said something and has finished, as far as the recogniser can tell."""

    text: str
    cut_off: CutOff | None = None


@dataclass(frozen=True, slots=True)
class CallerSilent:
    """Nothing came from the caller for so long since the agent fell silent."""

    seconds: float
    nth: int = 1
    """Counts silences in a row, from 1."""
    cut_off: CutOff | None = None


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The call is over; nothing said in answer is heard. For the agent's own book-keeping."""

    reason: str
    """`caller` or `agent` hung up; `lost` its leg; `never connected`; `no capacity`; `shutdown`; `error`; or the
    carrier's own status where it was not completed, such as `busy`."""
    cut_off: CutOff | None = None


Cue = CallStarted | CallerSaid | CallerPressed | CallerSilent | CallEnded

# -- lines: what the agent says --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Say:
    """Text to be spoken. A plain `str` says the same with everything at its default."""

    text: str
    interruptible: bool = True
    """False: what the caller does meanwhile is kept until this line was played."""
    voice: str = ""
    """The name of another voice for this line."""
    language: str = ""
    """Or the language: the first named voice of it speaks."""
    fixed: bool = False
    """The same for every caller, such as a greeting: it is kept when it was spoken once, and then needs no provider."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Silence of this many seconds after what precedes it was played."""

    seconds: float


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the call when what precedes it was played."""


Line = str | Say | Pause | HangUp

# -- speech events: what a provider's voice tells a turn -------------------------------------------


@dataclass(frozen=True, slots=True)
class Audio:
    """Speech: mu-law, 8 kHz, mono; any length."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Aligned:
    """When each character is spoken, in ms from the first sample of the utterance's audio.

    The three have one entry a character of `text`, in order, and continue the text of the last one.
    """

    text: str
    starts_ms: tuple[int, ...]
    ends_ms: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Flushed:
    """All audio of the oldest unanswered flush has been given."""


@dataclass(frozen=True, slots=True)
class Finished:
    """All audio of the utterance has been given. Nothing follows."""


@dataclass(frozen=True, slots=True)
class Warned:
    """The provider complained; the utterance goes on."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The utterance cannot go on: what was not given as audio will not come. Nothing follows."""

    error: Exception


SpeechEvent = Audio | Aligned | Flushed | Finished | Warned | Lost

# -- hearing events: what a recogniser tells a call --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Somebody began to speak, or something sounds like it. No word is known yet."""


@dataclass(frozen=True, slots=True)
class Partial:
    """What the caller has said since the last `EndOfTurn`, as far as it was understood. May still change."""

    text: str


@dataclass(frozen=True, slots=True)
class EagerEndOfTurn:
    """The caller has probably finished; `TurnResumed` takes it back, `EndOfTurn` confirms it."""

    text: str


@dataclass(frozen=True, slots=True)
class TurnResumed:
    """The caller went on after an `EagerEndOfTurn`."""


@dataclass(frozen=True, slots=True)
class EndOfTurn:
    """The caller has finished; the whole text since the last one. Never empty."""

    text: str


@dataclass(frozen=True, slots=True)
class EarWarned:
    """The recogniser complained, lost audio, or was replaced; hearing goes on."""

    code: str
    message: str


HearingEvent = SpeechStarted | Partial | EagerEndOfTurn | TurnResumed | EndOfTurn | EarWarned
