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
class CallEnded:
    """The call is over; nothing said in answer is heard. For the agent's own book-keeping."""

    reason: str
    """`caller` hung up, `agent` hung up, `lost`, `shutdown`, `error`."""
    cut_off: CutOff | None = None


Cue = CallStarted | CallerPressed | CallEnded

# -- lines: what the agent says --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Say:
    """Text to be spoken. A plain `str` says the same with everything at its default."""

    text: str
    interruptible: bool = True
    """False: what the caller does meanwhile is kept until this line was played."""


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
