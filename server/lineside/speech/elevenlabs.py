"""ElevenLabs' voices over the multi-context socket: one socket for a call, a context for each utterance.

An interruption closes the context and keeps the socket. What the service still sends for it is told apart by its id
and dropped; its place among the five of a socket, and its slot of the account, count as taken until its final message.

Source: https://elevenlabs.io/docs/api-reference/text-to-speech/v-1-text-to-speech-voice-id-multi-stream-input,
https://elevenlabs.io/docs/developers/guides/cookbooks/multi-context-web-socket
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import AsyncIterator, Iterable

from lineside.errors import ProviderError
from lineside.events import Finished, Lost, SpeechEvent
from lineside.ports import Speech
from lineside.speech.elevenlabs_line import Account, ElevenLabsOptions, Line, LineOwner, fingerprint
from lineside.speech.elevenlabs_slot import Slot
from lineside.speech.elevenlabs_speech import ElevenLabsSpeech
from lineside.speech.elevenlabs_watch import RELEASE
from lineside.speech.governor import Governor
from lineside.wire.elevenlabs import url
from lineside.wire.elevenlabs_multi import MAX_CONTEXTS, MultiWire, Told

__all__ = ["ElevenLabsOptions", "ElevenLabsVoice"]


class ElevenLabsVoice:
    """An ElevenLabs voice; see `lineside.ports.Voice`.

    Args:
        governor: counts the running generations of the account, over all calls; None when nobody does.

    Raises:
        SettingsError: the address or the voice cannot be.
    """

    def __init__(self, name: str, options: ElevenLabsOptions, governor: Governor | None = None) -> None:
        self.name = name
        self.fingerprint = fingerprint(options)
        address = url(options.base_url, options.voice_id, options.wire, "multi-stream-input")
        self._account = Account(address, options, governor)

    @contextlib.asynccontextmanager
    async def connect(self) -> AsyncIterator[Speech]:
        speech = ElevenLabsSpeech(self.name, self._account, MultiLine)
        try:
            yield speech
        finally:
            await speech.close()


class MultiLine(Line):
    """A multi-context socket. See `Line`."""

    def __init__(self, account: Account, owner: LineOwner) -> None:
        self._wire = MultiWire(account.options.wire)
        self._context: str | None = None  # of the utterance
        self._dying: deque[Slot] = deque()  # of contexts that were dropped and are not over
        self._finals_missing = 0
        self._retired = False
        super().__init__(account, owner, MultiWire(account.options.wire).close())

    @property
    def _places_taken(self) -> int:
        # A context whose final message never came may be gone, or may not: another one too many ends them all.
        return self._wire.open_contexts + self._finals_missing

    @property
    def usable(self) -> bool:
        return self.socket.alive and self._places_taken < MAX_CONTEXTS

    @property
    def worn(self) -> bool:
        return super().worn or self._finals_missing > 0 or self._places_taken >= MAX_CONTEXTS

    # -- the utterance -------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        self._context, messages = self._wire.begin()
        self._do(messages)

    def say(self, text: str, *, flush: bool) -> None:
        if self._context is not None:
            self._do(self._wire.say(self._context, text, flush=flush))

    def flush(self) -> None:
        if self._context is not None:
            self._do(self._wire.flush(self._context))

    def finish(self) -> None:
        if self._context is not None:
            self._do(self._wire.finish(self._context))

    def settle(self) -> None:
        if self._context is not None:
            self._wire.settle(self._context)
            self._do()

    def release(self) -> None:
        if self._context is not None:
            self._give_final_up(self._context)

    def cancel(self, slot: Slot) -> None:
        context, self._context = self._context, None
        if context is None:
            slot.leave()
        elif not self.socket.open:  # nothing was sent, and nothing of it will be
            self.socket.forget()
            self._wire = MultiWire(self._options.wire)
            slot.leave()
        else:
            self._dying.append(slot)
            self._loop.call_later(RELEASE, self._give_final_up, context)
            self._do(self._wire.cancel(context))

    def _do(self, messages: Iterable[str] = ()) -> None:
        """Send what an act gave, and what is due after it; tell what it told."""
        self._post(messages)
        self._post(self._wire.due())
        self._tell(self._of_utterance(self._wire.told()))

    def _of_utterance(self, told: Iterable[Told]) -> list[SpeechEvent]:
        events: list[SpeechEvent] = []
        for context, event in told:
            if context != self._context:
                continue
            events.append(event)
            if isinstance(event, Finished | Lost):
                self._context = None
                self._loop.call_later(RELEASE, self._give_final_up, context)  # if the service did not end it itself
        return events

    # -- contexts that are over for us ---------------------------------------------------------------------------------

    def _give_final_up(self, context: str) -> None:
        """A closed context's final message did not come."""
        before = self._wire.open_contexts
        self._wire.release(context)
        self._finals_missing += before - self._wire.open_contexts
        self._do()
        self._bury()

    def _bury(self) -> None:
        """Give the slots of contexts back that are over. Which one is over makes no difference."""
        n_dying = self._wire.open_contexts - (self._context is not None)
        while len(self._dying) > n_dying:
            self._dying.popleft().leave()
        if self._retired and not self._wire.open_contexts:
            self._owner.line_done(self)

    def retire(self) -> None:
        self._retired = True
        self._bury()

    async def close(self) -> None:
        await super().close()
        self._leave_slots()

    def _leave_slots(self) -> None:
        while self._dying:
            self._dying.popleft().leave()

    # -- the socket ----------------------------------------------------------------------------------------------------

    def _alive(self) -> list[str]:
        return self._wire.keep_alive()

    def _receive(self, message: str) -> list[SpeechEvent]:
        events = self._of_utterance(self._wire.receive(message))
        self._post(self._wire.due())
        self._bury()
        return events

    def _lose(self, error: ProviderError) -> list[SpeechEvent]:
        self._leave_slots()
        self._wire.lose(error)
        return self._of_utterance(self._wire.told())
