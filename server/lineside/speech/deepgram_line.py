"""One of Deepgram's speak sockets for one call: its protocol state, budgets, deadlines, and slot of the account.

Source: https://developers.deepgram.com/docs/tts-websocket and https://developers.deepgram.com/reference/api-rate-limits
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from lineside.audio.formats import AudioFormat
from lineside.errors import ProviderBusy, ProviderError, ProviderSilent, ProviderUnavailable
from lineside.events import Audio, Flushed, Lost, SpeechEvent, Warned
from lineside.link.provider_socket import ProviderSocket
from lineside.speech.governor import Governor, Ticket
from lineside.talk.limits import Budget
from lineside.wire import deepgram_speak
from lineside.wire.deepgram_speak import Opened, SpeakWire

CLEAR_TIMEOUT = 1.0  # s; a service that has not confirmed a Clear by then may never do so
RENEW_AFTER = 50 * 60.0  # s; the service ends a socket at 60 minutes, in use or not
SPARE_FLUSHES = 4  # with fewer left a socket is replaced between turns, while nobody waits for it
SPARE_CHARS = 600
MARGIN = 2.0  # s added to the service's windows: its clock runs when a message arrives, ours when it leaves
STEADY = 10.0  # s; a socket that lived so long was of use, even if nothing was said on it
TOO_MANY = 429  # HTTP status of a handshake when the account has no socket left
URGENT_WAIT = 2.0  # s for a slot in the middle of a call; then another voice goes on


@dataclass(frozen=True, slots=True)
class DeepgramOptions:
    """What is the same for every call: where to connect, as whom, and how to sound."""

    api_key: str = field(repr=False)
    base_url: str = "wss://api.deepgram.com"
    model: str = "aura-2-thalia-en"
    audio: AudioFormat = field(default_factory=lambda: AudioFormat("mulaw", 8000))
    speed: str = ""
    access_token: str = field(default="", repr=False)
    """A temporary token, in place of the key. It is looked at when a socket opens, and may expire after that."""
    tags: tuple[str, ...] = ()
    """Show up in the account's usage reports."""
    mip_opt_out: bool = False
    """Keep the text out of the provider's model improvement, which changes the price."""
    connect_timeout: float = 5.0
    slot_wait: float = 8.0
    """Seconds that a call waits for one of the account's sockets."""
    silence_timeout: float = 4.0
    """Seconds without a frame, while a flush is unanswered, after which the socket is given up."""


class DeepgramLine:
    """One socket with its protocol state, its budgets, its deadlines and its slot of the account.

    Args:
        urgent: the call has spoken before, so that somebody is listening to the silence.
    """

    def __init__(
        self,
        options: DeepgramOptions,
        governor: Governor | None,
        on_event: Callable[[DeepgramLine, SpeechEvent | Opened], None],
        *,
        urgent: bool,
    ) -> None:
        self._options = options
        self._governor = governor
        self._on_event = on_event
        self._loop = asyncio.get_running_loop()
        self._wire = SpeakWire()
        self._flushes = Budget(deepgram_speak.FLUSHES_PER_MINUTE, 60 + MARGIN)
        self._chars = Budget(deepgram_speak.CHARS_PER_MINUTE, 60 + MARGIN)
        self._born = self._heard_at = self._loop.time()
        self._deadline: asyncio.TimerHandle | None = None
        self._clearing: asyncio.TimerHandle | None = None
        self.socket = ProviderSocket(
            "Deepgram",
            _url(options),
            _credentials(options),
            on_message=self._receive,
            on_end=self._ended,
            on_open=self._opened,
            connect_timeout=options.connect_timeout,
            goodbye=[self._wire.close()],
        )
        self._urgent = urgent
        self.started = False
        self._n_silent = 0  # flushes that were answered without the audio they should have brought
        self._waiting: asyncio.TimerHandle | None = None
        self._ticket: Ticket | None = None

    def start(self) -> None:
        """Ask for a slot, then connect. Until then the line costs nothing."""
        if self.started:
            return
        self.started = True
        if self._governor is None:
            self._granted()
            return
        wait = min(self._options.slot_wait, URGENT_WAIT) if self._urgent else self._options.slot_wait
        self._waiting = self._loop.call_later(wait, self._no_slot, wait)
        self._ticket = self._governor.ask(self._granted, urgent=self._urgent)

    def _granted(self) -> None:
        self._stop_waiting()
        self._born = self._heard_at = self._loop.time()
        self.socket.start()

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _no_slot(self, waited: float) -> None:
        self.socket.fail(ProviderBusy(f"Deepgram: no free socket of the account within {waited:g} s"))

    @property
    def admitted(self) -> bool:
        """It has its slot; where the service turned somebody away lately, it is open, too."""
        if self._governor is None:
            return self.started
        held = self._ticket is not None and self._ticket.held
        return held and (self.socket.open or not self._governor.troubled)

    def _opened(self) -> None:
        if self._governor is not None:
            self._governor.accepted()

    async def close(self) -> None:
        """Say goodbye; the slot is free when the service has let go of the socket."""
        self._stop_waiting()
        for timer in (self._deadline, self._clearing):
            if timer is not None:
                timer.cancel()
        await self.socket.close()
        self._leave()

    def _leave(self) -> None:
        if self._ticket is not None:
            self._ticket.leave()
            self._ticket = None

    @property
    def unanswered(self) -> int:
        return self._wire.unanswered + self._n_silent

    @property
    def steady(self) -> bool:
        """It has proved that the service can be talked to."""
        return self._loop.time() - self._born > STEADY

    @property
    def worn(self) -> bool:
        """Better replaced while nobody waits for it."""
        now = self._loop.time()
        spare = self._flushes.left(now) < SPARE_FLUSHES or self._chars.left(now) < SPARE_CHARS
        return self.started and (spare or now - self._born > RENEW_AFTER)

    def can_speak(self, texts: tuple[str, ...]) -> bool:
        """Within every limit of this socket."""
        now = self._loop.time()
        fits = self._flushes.left(now) > 0 and self._chars.left(now) >= sum(map(len, texts))
        return fits and now - self._born < deepgram_speak.SESSION_S - 60

    def speak(self, texts: tuple[str, ...]) -> None:
        """One Speak for each text, then a Flush."""
        self.start()
        now = self._loop.time()
        if not self._wire.unanswered:
            self._heard_at = now
        self._flushes.spend(1, now)
        self._chars.spend(sum(map(len, texts)), now)
        for text in texts:
            self.socket.send(self._wire.speak(text))
        self.socket.send(self._wire.flush())
        self._watch()

    def clear(self) -> None:
        """Drop all that was not answered. A socket that is not open yet forgets what it was to send."""
        if not self.socket.open:
            self.socket.forget()
            self._wire = SpeakWire()
        elif self._wire.unanswered:
            self.socket.send(self._wire.clear())
            self._clearing = self._loop.call_later(CLEAR_TIMEOUT, self._check_cleared, self._wire.clears)

    def _watch(self) -> None:
        if self._deadline is None:
            self._deadline = self._loop.call_at(self._heard_at + self._options.silence_timeout, self._check)

    def _check(self) -> None:
        self._deadline = None
        if not self.socket.alive or not self._wire.unanswered:
            return
        if not self.socket.open:  # connecting has a deadline of its own
            self._heard_at = self._loop.time()
        if self._loop.time() - self._heard_at < self._options.silence_timeout - 1e-6:
            self._watch()
        else:
            self.socket.fail(ProviderSilent(f"no frame for {self._options.silence_timeout:g} s after a flush"))

    def _check_cleared(self, clears: int) -> None:
        if self._wire.clears_confirmed < clears and self.socket.alive:
            self.socket.fail(ProviderSilent(f"a Clear was not confirmed within {CLEAR_TIMEOUT:g} s"))

    def _receive(self, message: str | bytes) -> None:
        self._heard_at = self._loop.time()
        before = self._wire.unanswered
        match self._wire.receive(message):
            case Lost(error):
                self._n_silent = before - self._wire.unanswered
                self.socket.fail(error if isinstance(error, ProviderError) else ProviderUnavailable(str(error)))
            case Audio() | Flushed() | Warned() | Opened() as event:
                self._on_event(self, event)
            case _:
                pass

    def _ended(self, error: ProviderError) -> None:
        self._stop_waiting()
        if self.socket.refused_with == TOO_MANY and self._governor is not None:
            self._governor.refused()
        self._leave()
        self._on_event(self, Lost(error))


def _url(options: DeepgramOptions) -> str:
    return deepgram_speak.speak_url(
        options.base_url,
        options.model,
        options.audio,
        tags=options.tags,
        speed=options.speed,
        mip_opt_out="true" if options.mip_opt_out else "",
    )


def _credentials(options: DeepgramOptions) -> dict[str, str]:
    if options.access_token:
        return {"Authorization": f"Bearer {options.access_token}"}
    return {"Authorization": f"Token {options.api_key}"}
