"""ElevenLabs' multi-context socket as a machine: calls in, messages out; messages in, events out. No I/O, no clock.

One socket, one voice, up to five contexts; an utterance is a context. What the protocol does not say aloud:

- A flush is not acknowledged. `Flushed` is told when the timings cover all text said before it and the audio has
  reached their end; where timings cannot tell (pronunciation dictionaries, none sent), at the context's end or by
  `settle`.
- `close_context` without a flush drops the text, and when it follows the text at once, now and then also the audio.
  So it waits until the audio of the last text is here, as far as its timings tell.
- `close_context` is no instant stop, and a context takes one of the five places until its final message.
- A message that names an unknown context opens it. So an id is never named again once it was closed.

Source: https://elevenlabs.io/docs/api-reference/text-to-speech/v-1-text-to-speech-voice-id-multi-stream-input
"""

from __future__ import annotations

from dataclasses import dataclass

from lineside.errors import LocalProtocolError, ProviderError, ProviderUnavailable, RemoteProtocolError
from lineside.events import Flushed, Lost, SpeechEvent
from lineside.wire.alignment import AlignmentClock
from lineside.wire.elevenlabs import Failure, Frame, VoiceOptions, encode, ended, opening, parse, spoken, words

MAX_CONTEXTS = 5  # the next one makes the service close the socket with all contexts

Told = tuple[str, SpeechEvent]
"""A context's id and what happened to its utterance."""


@dataclass(slots=True)
class _Context:
    clock: AlignmentClock
    wanted: bool = True  # False once cancelled or lost: nothing of it is told any more
    finishing: bool = False
    closing: bool = False  # close_context was sent, or must not be
    begun: bool = False  # audio came since the last flush
    settled: bool = False

    @property
    def ready(self) -> bool:
        """No text is left that a close could overtake, nor audio that it could cut."""
        if self.settled or self.clock.silent:
            return True
        return self.begun and not self.clock.missing and not self.clock.cut_short


class MultiWire:
    """The contexts of one socket.

    Methods give the messages to send, in order; send them before anything else. After every call ask `due` for more
    messages, and after every call but `receive` ask `told` for events.
    """

    def __init__(self, options: VoiceOptions) -> None:
        self._options = options
        self._contexts: dict[str, _Context] = {}
        self._begun = 0
        self._told: list[Told] = []
        self._closed = False

    @property
    def open_contexts(self) -> int:
        """Places taken: contexts begun whose final message has not come."""
        return len(self._contexts)

    # -- what we say ---------------------------------------------------------------------------------------------------

    def begin(self) -> tuple[str, list[str]]:
        """Open a context for a new utterance; gives its id.

        Raises:
            LocalProtocolError: all places are taken, or the socket is closed.
        """
        if self._closed:
            raise LocalProtocolError("begin: the socket is closed")
        if len(self._contexts) >= MAX_CONTEXTS:
            raise LocalProtocolError(f"begin: {MAX_CONTEXTS} contexts are open, which is all that a socket may have")
        self._begun += 1
        context_id = f"u{self._begun}"
        self._contexts[context_id] = _Context(self._options.clock())
        return context_id, [encode({**opening(self._options), "context_id": context_id})]

    def say(self, context_id: str, text: str, *, flush: bool = False) -> list[str]:
        """More text, whole words; with `flush`, speak it and all before it now. Text without a word is not sent."""
        context = self._open(context_id, "say")
        piece = words(text)
        if not piece:
            return self.flush(context_id) if flush else []
        context.clock.said(piece)
        context.settled = False
        body: dict[str, object] = {"text": piece, "context_id": context_id}
        if flush:
            body["flush"] = True
            self._flushed(context_id, context)
        return [encode(body)]

    def flush(self, context_id: str) -> list[str]:
        """Speak what was said so far; answered by one `Flushed`. Nothing is sent where nothing new was said."""
        context = self._open(context_id, "flush")
        unflushed = context.clock.unflushed
        self._flushed(context_id, context)
        return [encode({"context_id": context_id, "flush": True})] if unflushed else []

    def finish(self, context_id: str) -> list[str]:
        """No more text: speak what is left and close the context, as soon as that is safe (`due`)."""
        context = self._open(context_id, "finish")
        messages: list[str] = []
        if context.clock.unflushed:
            # Not an utterance's own flush, so none is told for it.
            context.begun = False
            messages.append(encode({"context_id": context_id, "flush": True}))
        context.finishing = True
        return messages

    def cancel(self, context_id: str) -> list[str]:
        """Drop the utterance: nothing of it is told any more. Its place stays taken until its final message."""
        context = self._contexts.get(context_id)
        self._told = [(told_id, event) for told_id, event in self._told if told_id != context_id]
        if context is None:
            return []
        context.wanted = False
        return self._close(context_id, context)

    def keep_alive(self) -> list[str]:
        """Restart the idle timers of the socket and of each context that may still get text.

        The empty text that ends a single-context stream is harmless here. Nothing is sent while the service waits for
        the key in the first message.
        """
        if self._closed or (self._options.api_key_in == "message" and not self._begun):
            return []
        idle = [name for name, context in self._contexts.items() if not context.closing]
        return [encode({"text": ""}), *(encode({"text": "", "context_id": name}) for name in idle)]

    def close(self) -> list[str]:
        """Say goodbye: what was flushed may still be spoken, then the service closes the socket."""
        if self._closed:
            return []
        self._closed = True
        return [encode({"close_socket": True})]

    def due(self) -> list[str]:
        """Messages whose time has come: the closes of finished contexts."""
        ready = [(name, context) for name, context in self._contexts.items() if context.finishing and context.ready]
        return [message for name, context in ready for message in self._close(name, context)]

    # -- what the caller's clock says ----------------------------------------------------------------------------------

    def settle(self, context_id: str) -> None:
        """No audio came for long: take what was flushed as spoken, and close the context if it is finished."""
        context = self._contexts.get(context_id)
        if context is None or not context.wanted:
            return
        context.settled = True
        self._tell(context_id, [Flushed()] * context.clock.settle())

    def release(self, context_id: str) -> None:
        """The final message of a closed context did not come for long: take it as come, and its place as free.

        Raises:
            LocalProtocolError: the context was not closed.
        """
        context = self._contexts.get(context_id)
        if context is not None and not context.closing:
            raise LocalProtocolError(f"release: context {context_id} was not closed")
        self._final(context_id)

    def lose(self, error: ProviderError) -> None:
        """The socket is gone."""
        self._closed = True
        for context_id, context in self._contexts.items():
            if context.wanted:
                self._tell(context_id, [Lost(error)])
        self._contexts.clear()

    # -- what we hear --------------------------------------------------------------------------------------------------

    def receive(self, message: str) -> list[Told]:
        """Take one message of the service; gives what it tells. Frames of contexts that are no more are dropped.

        Raises:
            RemoteProtocolError: a message that cannot be understood, or audio that names no context.
        """
        match parse(message):
            case Failure() as failure:
                self._fail(failure)
            case Frame() as frame:
                self._frame(frame)
        return self.told()

    def told(self) -> list[Told]:
        """What happened and was not given yet."""
        told, self._told = self._told, []
        return told

    def _frame(self, frame: Frame) -> None:
        if frame.context_id is None:
            if frame.payload_b64:
                raise RemoteProtocolError("ElevenLabs message: expected contextId beside audio")
            return
        context = self._contexts.get(frame.context_id)
        if context is None:
            return
        if context.wanted:
            events = spoken(frame, context.clock)
            context.begun = context.begun or bool(frame.payload_b64)
            self._tell(frame.context_id, events)
        if frame.final:
            self._final(frame.context_id)

    def _final(self, context_id: str) -> None:
        context = self._contexts.pop(context_id, None)
        if context is None or not context.wanted:
            return
        if context.finishing:
            self._tell(context_id, ended(context.clock))
        else:  # the service gave the context up, as it does after `inactivity_timeout`
            self._tell(context_id, [Lost(ProviderUnavailable("ElevenLabs: the context was ended by the service"))])

    def _fail(self, failure: Failure) -> None:
        if failure.closes:
            self.lose(failure.error)
            return
        context = self._contexts.get(failure.context_id or "")
        if context is not None and context.wanted:
            context.wanted = False
            context.closing = True  # it may be gone already, and a close would open it again
            self._tell(failure.context_id or "", [Lost(failure.error)])

    # -- inside --------------------------------------------------------------------------------------------------------

    def _open(self, context_id: str, what: str) -> _Context:
        context = self._contexts.get(context_id)
        if context is None or self._closed or context.finishing or context.closing:
            raise LocalProtocolError(f"{what}: context {context_id} takes no more text")
        return context

    def _flushed(self, context_id: str, context: _Context) -> None:
        if context.clock.unflushed:
            context.begun = False
        context.clock.flush()
        self._tell(context_id, [Flushed()] * context.clock.answered())

    def _close(self, context_id: str, context: _Context) -> list[str]:
        if self._closed or context.closing:
            return []
        context.closing = True
        return [encode({"context_id": context_id, "close_context": True})]

    def _tell(self, context_id: str, events: list[SpeechEvent]) -> None:
        self._told.extend((context_id, event) for event in events)
