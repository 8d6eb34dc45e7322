"""The words that all parts share: what happens in a call, and what an agent says to it.

Cues go to the agent, lines come from it, speech events come from a provider's voice. All are frozen values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

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
    revises: bool = False
    """It takes the place of the last one, whose answer was thrown away unheard: the caller had not finished."""
    cut_off: CutOff | None = None


@dataclass(frozen=True, slots=True)
class CallerEntered:
    """The keys that a `CollectDigits` asked for, all together."""

    digits: str
    """Without the terminator; empty when nothing was pressed in time."""
    ended_by: Literal["length", "terminator", "timeout"]
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


Cue = CallStarted | CallerSaid | CallerPressed | CallerEntered | CallerSilent | CallEnded

# -- lines: what the agent says --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BargeIn:
    """How easily the caller takes the turn by speaking. A line of its own: it holds for what follows in the call.

    Raises:
        ValueError: a policy that there is none of, or fewer than one word.
    """

    policy: Literal["words", "vad"] = "words"
    """`words`: what was understood decides, and a cough or "uh-huh" changes nothing. `vad`: any sound of speech holds
    the agent at once; without words in time it goes on from the first word that was not heard."""
    words: int = 1
    """So many words take the turn; noises and short agreement do not count."""

    def __post_init__(self) -> None:
        if self.policy not in ("words", "vad"):
            raise ValueError(f"BargeIn: policy is 'words' or 'vad', not {self.policy!r}")
        if self.words < 1:
            raise ValueError(f"BargeIn: words is 1 or more, not {self.words!r}")


@dataclass(frozen=True, slots=True)
class Say:
    """Text to be spoken. A plain `str` says the same with everything at its default.

    Raises:
        ValueError: `barge_in` is something else, such as the name of a policy.
    """

    text: str
    interruptible: bool = True
    """False: what the caller does meanwhile is kept until this line was played."""
    barge_in: BargeIn | None = None
    """How easily the caller interrupts this line; None: as the call goes."""
    voice: str = ""
    """The name of another voice for this line."""
    language: str = ""
    """Or the language: the first named voice of it speaks."""
    fixed: bool = False
    """The same for every caller, such as a greeting: it is kept when it was spoken once, and then needs no provider."""

    def __post_init__(self) -> None:
        if self.barge_in is not None and not isinstance(self.barge_in, BargeIn):
            raise ValueError(f'Say: barge_in is BargeIn("words") or BargeIn("vad"), not {self.barge_in!r}')


@dataclass(frozen=True, slots=True)
class Pause:
    """Silence of this many seconds after what precedes it was played."""

    seconds: float


@dataclass(frozen=True, slots=True)
class CollectDigits:
    """Take the keys to come together: one `CallerEntered` in place of a `CallerPressed` for each.

    It holds from where the agent yields it, so it best comes before the words that ask for the keys: who knows the menu
    types ahead. The first key still interrupts what may be interrupted. It ends with the digits, or with the next turn.

    Raises:
        ValueError: a length below one, a terminator that is no key, or a timeout that is not positive.
    """

    length: int | None = None
    """So many digits are all; None: the terminator or the timeout ends them."""
    terminator: str = "#"
    """The key that ends them early, which is not one of them; empty: none does."""
    timeout: float = 5.0
    """Seconds after the last key, or after the agent fell silent, until what was pressed is all."""

    def __post_init__(self) -> None:
        if self.length is not None and self.length < 1:
            raise ValueError(f"CollectDigits: length is 1 or more, or None, not {self.length!r}")
        if len(self.terminator) > 1 or self.terminator not in "0123456789*#ABCD":
            raise ValueError(f"CollectDigits: terminator is a key, 0-9 * # A-D, or '', not {self.terminator!r}")
        if not self.timeout > 0:
            raise ValueError(f"CollectDigits: timeout is more than 0 s, not {self.timeout!r}")


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the call when what precedes it was played."""


Line = str | Say | BargeIn | CollectDigits | Pause | HangUp

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
class SpeechStopped:
    """Whoever began to speak has fallen silent. Told by detectors of speech, not by recognisers."""


@dataclass(frozen=True, slots=True)
class Partial:
    """What the caller has said since the last `EndOfTurn`, as far as it was understood. May still change."""

    text: str


@dataclass(frozen=True, slots=True)
class EagerEndOfTurn:
    """The caller has probably finished; `TurnResumed` takes it back, `EndOfTurn` confirms it."""

    text: str
    spoken_by: float | None = None
    """Loop time at which the last sound of it arrived here; None when the recogniser does not tell."""


@dataclass(frozen=True, slots=True)
class TurnResumed:
    """The caller went on after an `EagerEndOfTurn`."""


@dataclass(frozen=True, slots=True)
class EndOfTurn:
    """The caller has finished; the whole text since the last one. Never empty."""

    text: str
    spoken_by: float | None = None
    """Loop time at which the last sound of it arrived here; None when the recogniser does not tell."""


@dataclass(frozen=True, slots=True)
class EarWarned:
    """The recogniser complained, lost audio, or was replaced; hearing goes on."""

    code: str
    message: str


HearingEvent = SpeechStarted | SpeechStopped | Partial | EagerEndOfTurn | TurnResumed | EndOfTurn | EarWarned
