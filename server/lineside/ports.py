"""The faces that a call sees: a leg, a carrier, a voice, an agent. Protocols only.

Nothing here waits. A call decides and tells; what needs waiting (sockets, back-off, the agent's own pace) happens
behind these faces, and its results come back as plain calls on the media loop.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from lineside.events import Cue, HearingEvent, Line, SpeechEvent


class Leg(Protocol):
    """Our link to the carrier for one call. Writing never waits; `backlog` tells how much has not left yet."""

    @property
    def stream_id(self) -> str: ...

    @property
    def backlog(self) -> int:
        """Bytes that the network has not taken yet."""
        ...

    def play(self, audio: bytes) -> None:
        """Queue mu-law audio at the carrier: whole 20 ms frames."""
        ...

    def mark(self, name: str) -> None:
        """Ask to be told when everything played so far was heard."""
        ...

    def clear(self) -> None:
        """Drop what the carrier has not played. The marks in it come back as if played."""
        ...

    def close(self) -> None: ...


class LegListener(Protocol):
    """What a leg tells its call."""

    def pressed(self, digit: str) -> None: ...
    def marked(self, name: str) -> None: ...
    def left(self, leg: Leg, *, stopped: bool) -> None:
        """The leg is gone; `stopped` when the carrier said so first."""
        ...


class Carrier(Protocol):
    """The carrier's side channel."""

    async def hang_up(self, call_id: str, account_id: str) -> None:
        """End the call; a call that has ended already is a success.

        Raises:
            CarrierError: refused, or not answered in time.
        """
        ...


class Utterance(Protocol):
    """What we say in one turn, as one provider speaks it. Events go to the listener given to `Speech.utterance`."""

    def say(self, text: str) -> None:
        """Hand over more text; at most `Speech.max_chars` characters, whole words. It may wait for a flush."""
        ...

    def flush(self) -> None:
        """Speak what has been said so far. Answered by one `Flushed`."""
        ...

    def finish(self) -> None:
        """No more text: speak what is left. Answered by `Finished` after the last audio."""
        ...

    def cancel(self) -> None:
        """Drop what was not spoken yet. No event follows."""
        ...


class Speech(Protocol):
    """One call's line to a provider: one socket, replaced when it must be. One utterance at a time."""

    @property
    def voice_name(self) -> str: ...

    @property
    def max_chars(self) -> int:
        """The most characters one `say` may carry."""
        ...

    @property
    def ready(self) -> bool:
        """Its socket is open: the next utterance can begin at once."""
        ...

    @property
    def admitted(self) -> bool:
        """The account has room for this call, as far as can be known without speaking."""
        ...

    def prepare(self) -> None:
        """Open what the next utterance needs, if it is not open. An utterance that comes first does the same."""
        ...

    def utterance(self, listener: Callable[[SpeechEvent], None]) -> Utterance: ...


class Voice(Protocol):
    """One per process and configured voice: key, model, format."""

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str:
        """What makes it sound as it does: the same text in two voices of one fingerprint sounds the same."""
        ...

    def connect(self) -> AbstractAsyncContextManager[Speech]:
        """One call's line. Entering opens nothing (see `Speech.prepare`); leaving closes what was opened."""
        ...


class Hearing(Protocol):
    """One call's line to a recogniser: one socket, replaced when it must be. Events go to the listener of `connect`."""

    @property
    def chunk(self) -> int:
        """Bytes of audio that it is sent at a time; 80 to 100 ms."""
        ...

    def feed(self, audio: bytes) -> None:
        """Caller audio, mu-law 8 kHz, as it arrives. Never waits: over its bound the oldest is dropped and counted."""
        ...


class Ear(Protocol):
    """One per process and configured recogniser."""

    @property
    def name(self) -> str: ...

    def connect(self, listener: Callable[[HearingEvent], None]) -> AbstractAsyncContextManager[Hearing]:
        """Open one call's line. Entering does not wait for the socket; leaving closes it."""
        ...


class Reply(Protocol):
    """An agent's answer to one cue, as it arrives. `wake` was called after anything here changed."""

    @property
    def done(self) -> bool:
        """No line is left and none will come."""
        ...

    @property
    def error(self) -> Exception | None:
        """Why the answer ended early, if it did."""
        ...

    def take(self) -> Line | None:
        """The next line, or None when there is none now."""
        ...

    def close(self) -> None:
        """No more lines are wanted. The agent's clean-up runs on its own time."""
        ...


class AgentSession(Protocol):
    """The mind of one call."""

    def reply(self, cue: Cue, wake: Callable[[], None]) -> Reply: ...

    def close(self) -> None:
        """The call has ended and no reply is wanted any more. Closes a running reply, leaves the agent's context."""
        ...
