"""ElevenLabs' voices over the single-context socket: turns are stretches of one endless text.

This socket cannot be told to stop. An interruption drops it, with all audio that may still come, and the next turn
goes to a spare that was opened before. So there are two sockets for a call, one of them idle.

Idle sockets end by themselves. A space keeps a used one alive, but is text, and may be heard as silence before the next
word. So it is sent when a third of the time is up and no earlier; and after a few of them the socket is replaced by the
spare, between turns. A spare gets none; it is replaced before its time is up.

Source: https://elevenlabs.io/docs/api-reference/text-to-speech/v-1-text-to-speech-voice-id-stream-input
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable

from lineside.errors import ProviderError
from lineside.events import SpeechEvent
from lineside.ports import Speech
from lineside.speech.elevenlabs_line import Account, ElevenLabsOptions, Line, LineOwner, fingerprint
from lineside.speech.elevenlabs_slot import Slot
from lineside.speech.elevenlabs_speech import ElevenLabsSpeech
from lineside.speech.governor import Governor
from lineside.wire.elevenlabs import url
from lineside.wire.elevenlabs_stream import StreamWire

MOST_SPACES = 4  # two are known to be spoken as one; what more of them do to the speech that follows is not known
QUIET = 1 / 3  # of the time after which the service ends an idle socket: without a text for so long it gets a space
FRESH = 0.6  # of that time: the age at which an unused one is replaced


class ElevenLabsStreamVoice:
    """An ElevenLabs voice; see `lineside.ports.Voice`.

    Args:
        governor: counts the running generations of the account, over all calls; None when nobody does.

    Raises:
        SettingsError: the address or the voice cannot be.
    """

    def __init__(self, name: str, options: ElevenLabsOptions, governor: Governor | None = None) -> None:
        self.name = name
        self.fingerprint = fingerprint(options)
        address = url(options.base_url, options.voice_id, options.wire, "stream-input")
        self._account = Account(address, options, governor)

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncIterator[Speech]:
        speech = ElevenLabsSpeech(self.name, self._account, StreamLine)
        try:
            yield speech
        finally:
            await speech.close()


class StreamLine(Line):
    """A single-context socket. See `Line`."""

    wants_spare = True

    def __init__(self, account: Account, owner: LineOwner) -> None:
        # Messages wait in the socket's outbox until it is open.
        self._wire = StreamWire(account.options.wire)
        opening = self._wire.open()
        last = StreamWire(account.options.wire)
        last.open()
        self._goodbye = last.close()
        self._dropped = False
        self._used = False
        self._finishing = False
        self._slot: Slot | None = None  # of the utterance for which the socket was dropped
        self._n_spaces = 0  # since the last text
        self._sent_at = 0.0
        super().__init__(account, owner, self._goodbye)
        self._post(opening)

    @property
    def usable(self) -> bool:
        return self.socket.alive and not self.spent and not self._wire.speaking

    @property
    def spent(self) -> bool:
        return self.socket.alive and (self._dropped or not self._wire.reusable)

    @property
    def worn(self) -> bool:
        too_old = not self._used and self.age > FRESH * self._options.wire.inactivity_timeout
        return super().worn or self.spent or too_old or self._n_spaces >= MOST_SPACES

    # -- the utterance -------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        self._used = True
        self._finishing = False
        self._n_spaces = 0
        self._do(self._wire.begin())

    def say(self, text: str, *, flush: bool) -> None:
        self._do(self._wire.say(text, flush=flush, trigger=not flush))

    def flush(self) -> None:
        self._do(self._wire.flush())

    def finish(self) -> None:
        self._finishing = True
        if self._options.wire.pronunciation_dictionaries:  # timings will not tell when all was spoken
            self._end_text()
        else:
            self._do(self._wire.finish())

    def settle(self) -> None:
        if self._finishing:
            self._end_text()
        else:
            self._wire.settle()
            self._do()

    def _end_text(self) -> None:
        """Ask for a certain end. It costs the socket."""
        self._goodbye.clear()  # it is said once
        self._do(self._wire.close())

    def release(self) -> None:
        # Not known to happen: here a turn ends with the timings of its text, or by an end that is told.
        self._wire.settle()
        self._do()

    def cancel(self, slot: Slot) -> None:
        if self.socket.open:
            self._dropped = True
            self._slot = slot
            self._goodbye.clear()  # it would ask for the rest of the text
        else:  # nothing was sent, and nothing of it will be
            slot.leave()
            self.socket.forget()
            self._wire = StreamWire(self._options.wire)
            self._post(self._wire.open())

    async def close(self) -> None:
        await super().close()
        self._leave_slot()

    def _leave_slot(self) -> None:
        """The generation has ended with its socket."""
        if self._slot is not None:
            self._slot.leave()

    def _do(self, messages: Iterable[str] = ()) -> None:
        for message in messages:
            self._sent_at = self._loop.time()
            self.socket.send(message)
        self._tell(self._wire.told())

    # -- the socket ----------------------------------------------------------------------------------------------------

    def _alive(self) -> list[str]:
        quiet = self._loop.time() - self._sent_at > QUIET * self._options.wire.inactivity_timeout
        if not self._used or self.spent or not quiet:
            return []
        self._n_spaces += 1
        self._sent_at = self._loop.time()
        return self._wire.keep_alive()

    def _receive(self, message: str) -> list[SpeechEvent]:
        return [] if self._dropped else self._wire.receive(message)

    def _lose(self, error: ProviderError) -> list[SpeechEvent]:
        self._leave_slot()
        self._wire.lose(error)
        return [] if self._dropped else self._wire.told()
