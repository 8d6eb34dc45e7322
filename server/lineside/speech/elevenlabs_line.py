"""What the two kinds of ElevenLabs socket have in common: opening, keeping alive, errors, the end.

Source: https://elevenlabs.io/docs/api-reference/text-to-speech/v-1-text-to-speech-voice-id-multi-stream-input,
https://elevenlabs.io/docs/eleven-api/resources/errors
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from lineside.errors import ProviderBusy, ProviderError, RemoteProtocolError
from lineside.events import Lost, SpeechEvent
from lineside.link.provider_socket import ProviderSocket
from lineside.speech.elevenlabs_slot import Slot
from lineside.speech.governor import Governor
from lineside.wire import elevenlabs as wire
from lineside.wire.elevenlabs import Failure, VoiceOptions

KEEP_ALIVE = 10.0  # s; the service waits 20 s for text unless it is told otherwise
RENEW_AFTER = 50 * 60.0  # s; no paper gives an age at which the service ends a socket, others of its kind have an hour
STEADY = 10.0  # s; a socket that lived so long was no failure to connect

TOO_MANY = 429  # HTTP status of a handshake
BUSY = frozenset({"concurrent_limit_exceeded", "rate_limit_exceeded", "system_busy", "too_many_concurrent_requests"})


@dataclass(frozen=True, slots=True)
class ElevenLabsOptions:
    """What is the same for every call: where to connect, and how to sound."""

    voice_id: str
    wire: VoiceOptions
    """The key, the model, the format and the voice's settings."""
    base_url: str = "wss://api.elevenlabs.io"
    connect_timeout: float = 5.0
    silence_timeout: float = 4.0
    """Seconds without a frame, while a flush is unanswered, after which the socket is given up."""
    generation_wait: float = 8.0
    """Seconds that a call waits for one of the account's generations, before it has spoken."""
    urgent_wait: float = 4.0
    """The same in the middle of a call, where somebody is listening to the silence."""


_SOUND = (
    "model_id",
    "language_code",
    "output_format",
    "apply_text_normalization",
    "apply_language_text_normalization",
    "enable_ssml_parsing",
    "seed",
    "stability",
    "similarity_boost",
    "style",
    "use_speaker_boost",
    "speed",
    "pronunciation_dictionaries",
)


def fingerprint(options: ElevenLabsOptions) -> str:
    """What makes a voice sound as it does, over either kind of socket."""
    values = {name: getattr(options.wire, name) for name in _SOUND}
    given = [f"{name}={value}" for name, value in values.items() if value not in (None, ())]
    return " ".join(["elevenlabs", options.voice_id, *given])


@dataclass(frozen=True, slots=True)
class Account:
    """Where lines lead, and who counts what runs there."""

    address: str
    """Of the socket. It may hold a key: never log it."""
    options: ElevenLabsOptions
    governor: Governor | None


class LineOwner(Protocol):
    """What a line tells the speech that it belongs to."""

    @property
    def urgent(self) -> bool:
        """The call has spoken before."""
        ...

    def line_opened(self, line: Line) -> None: ...
    def line_lost(self, line: Line, error: ProviderError) -> None:
        """The socket is gone. If an utterance was on it, it is told right after."""
        ...

    def line_done(self, line: Line) -> None:
        """A retired line has nothing to wait for any more."""
        ...

    def line_event(self, line: Line, event: SpeechEvent) -> None:
        """Something happened to the utterance on the line. Its audio is still in the provider's format."""
        ...

    def renew(self) -> None:
        """Time went by: are the lines still fresh?"""
        ...


class Line(ABC):
    """One socket with its protocol's state, which costs nothing until `start`.

    At most one utterance is on it: from `begin` to its end, or `cancel`.

    Args:
        goodbye: what is sent before the socket is closed from our side, as it is then.
    """

    wants_spare = False
    """Another line should be open beside this one."""

    def __init__(self, account: Account, owner: LineOwner, goodbye: Sequence[str]) -> None:
        options = account.options
        self._options = options
        self._governor = account.governor
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._started_at: float | None = None
        self._opened_at = float("inf")
        self._door: Slot | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.socket = ProviderSocket(
            "ElevenLabs",
            account.address,
            wire.headers(options.wire),
            on_message=self._on_message,
            on_end=self._on_end,
            on_open=self._on_open,
            explain=self._explain,
            explain_close=wire.closed_error,
            connect_timeout=options.connect_timeout,
            goodbye=goodbye,
        )

    # -- for its speech ------------------------------------------------------------------------------------------------

    def start(self, *, with_slot: bool = False) -> None:
        """Connect, if that was not done before.

        An open socket takes no slot. But while the service turns people away, ours takes one until it is open.

        Args:
            with_slot: the call has a slot already.
        """
        first, governor = self._started_at is None, self._governor
        if first:
            self._started_at = self._loop.time()
        if with_slot or (first and (governor is None or not governor.troubled)):
            self._leave_door()
            self.socket.start()
        elif first and self.socket.alive:
            wait = self._options.generation_wait
            self._door = Slot(governor, wait, self.socket.start, self._turned_away, urgent=self._owner.urgent)
            if self._door.ask():
                self.socket.start()

    @property
    def admitted(self) -> bool:
        """It is on its way; where the service turned somebody away lately, it is open, too."""
        if not self.socket.alive or self._started_at is None:
            return False
        return self.socket.open or self._governor is None or not self._governor.troubled

    @property
    @abstractmethod
    def usable(self) -> bool:
        """An utterance may begin on it now."""

    @property
    def spent(self) -> bool:
        """No utterance will ever be able to begin on it, although the socket lives."""
        return False

    @property
    def worn(self) -> bool:
        """Better replaced while nobody waits for it."""
        return self.age > RENEW_AFTER

    @property
    def age(self) -> float:
        return 0.0 if self._started_at is None else self._loop.time() - self._started_at

    @property
    def steady(self) -> bool:
        """It was open for a good while."""
        return self._loop.time() - self._opened_at > STEADY

    @abstractmethod
    def begin(self) -> None:
        """An utterance begins. Only when `usable`."""

    @abstractmethod
    def say(self, text: str, *, flush: bool) -> None: ...

    @abstractmethod
    def flush(self) -> None:
        """Answered by one `Flushed`."""

    @abstractmethod
    def finish(self) -> None:
        """No more text, and all of it was flushed. Answered by `Finished`."""

    @abstractmethod
    def settle(self) -> None:
        """No audio came for long: what was flushed counts as spoken. See `elevenlabs_watch`."""

    @abstractmethod
    def release(self) -> None:
        """All was spoken, and the end is not told: take it as told."""

    @abstractmethod
    def cancel(self, slot: Slot) -> None:
        """Drop the utterance; nothing of it is told any more. The slot is given back when its generation is over."""

    def retire(self) -> None:
        """No utterance will begin here any more. `LineOwner.line_done` is called when the line may be closed."""
        self._owner.line_done(self)

    async def close(self) -> None:
        """Nothing is told any more. Takes a second at the most."""
        self._stop()
        await self.socket.close()

    # -- for its kinds -------------------------------------------------------------------------------------------------

    @abstractmethod
    def _alive(self) -> list[str]:
        """What keeps the service from ending the socket."""

    @abstractmethod
    def _receive(self, message: str) -> list[SpeechEvent]:
        """Take a message; give what it tells the utterance."""

    @abstractmethod
    def _lose(self, error: ProviderError) -> list[SpeechEvent]:
        """The socket is gone; give what that tells the utterance."""

    def _tell(self, events: Iterable[SpeechEvent]) -> None:
        for event in events:
            self._owner.line_event(self, event)

    def _post(self, messages: Iterable[str]) -> None:
        for message in messages:
            self.socket.send(message)

    # -- the socket ----------------------------------------------------------------------------------------------------

    def _turned_away(self) -> None:
        wait = self._options.generation_wait
        self.socket.fail(ProviderBusy(f"ElevenLabs: turned away lately, and not let in within {wait:g} s"))

    def _leave_door(self) -> None:
        if self._door is not None:
            self._door.leave()

    def _explain(self, status: int, body: bytes) -> ProviderError:
        if status == TOO_MANY:
            self._note_refusal()
        return wire.upgrade_error(status, body)

    def _note_refusal(self) -> None:
        if self._governor is not None:
            self._governor.refused()

    def _on_open(self) -> None:
        self._opened_at = self._loop.time()
        if self._governor is not None:
            self._governor.accepted()
        self._leave_door()
        self._wait_to_keep_alive()
        self._owner.line_opened(self)

    def _wait_to_keep_alive(self) -> None:
        wait = min(KEEP_ALIVE, self._options.wire.inactivity_timeout / 4)
        self._timer = self._loop.call_later(wait, self._keep_alive)

    def _keep_alive(self) -> None:
        self._wait_to_keep_alive()
        self._post(self._alive())
        self._owner.renew()

    def _on_message(self, message: str | bytes) -> None:
        if not self.socket.alive:  # given up, while more had arrived already
            return
        if isinstance(message, bytes):
            raise RemoteProtocolError(f"expected JSON in text, got {len(message)} bytes of another kind")
        events = self._receive(message)
        if not events or any(isinstance(event, Lost) for event in events):
            self._look_for_failure(message)
        self._tell(events)

    def _look_for_failure(self, message: str) -> None:
        """Most errors end the socket: at once here, while the service takes most of a second to close it."""
        failure = wire.parse(message)
        if not isinstance(failure, Failure):
            return
        if failure.code in BUSY:
            self._note_refusal()
        if failure.closes:
            self.socket.fail(failure.error)

    def _on_end(self, error: ProviderError) -> None:
        self._stop()
        self._owner.line_lost(self, error)
        self._tell(self._lose(error))

    def _stop(self) -> None:
        self._leave_door()
        if self._timer is not None:
            self._timer.cancel()
