"""ElevenLabs' single-context socket as a machine: calls in, messages out; messages in, events out. No I/O, no clock.

One socket, one endless text; the turns of a call are stretches of it. What the protocol does not have:

- a cancel: on barge-in drop the socket and take a fresh one, so that no audio of the old turn can reach the new one;
- an acknowledgement of a flush: a turn is complete when the timings cover all its text and the audio has reached their
  end. Where timings cannot tell (pronunciation dictionaries, none sent) `close` gives a certain end, at the price of
  the socket, and `settle` an uncertain one;
- a keep-alive: a space serves as one. It is text, so it must not come between the halves of a word. It never does, as
  every piece of text that we send ends with a space.

Source: https://elevenlabs.io/docs/api-reference/text-to-speech/v-1-text-to-speech-voice-id-stream-input
"""

from __future__ import annotations

from dataclasses import dataclass

from lineside.errors import LocalProtocolError, ProviderError, ProviderSilent, ProviderUnavailable
from lineside.events import Finished, Flushed, Lost, SpeechEvent
from lineside.wire.alignment import AlignmentClock
from lineside.wire.elevenlabs import Failure, Frame, VoiceOptions, encode, ended, opening, parse, spoken, words

_SPACE = " "


@dataclass(slots=True)
class _Turn:
    clock: AlignmentClock
    finishing: bool = False


class StreamWire:
    """The text stream of one socket, turn after turn.

    Methods give the messages to send, in order. After every call but `receive` ask `told` for events.
    """

    def __init__(self, options: VoiceOptions) -> None:
        self._options = options
        self._turn: _Turn | None = None
        self._told: list[SpeechEvent] = []
        self._opened = False
        self._closed = False
        self._stained = False

    @property
    def speaking(self) -> bool:
        """A turn was begun and has not come to its end."""
        return self._turn is not None

    @property
    def complete(self) -> bool:
        """All text said in this turn is known to be spoken; true between turns."""
        return self._turn is None or self._turn.clock.covered

    @property
    def reusable(self) -> bool:
        """Another turn may follow on this socket once this one is over."""
        return not self._closed and not self._stained

    # -- what we say ---------------------------------------------------------------------------------------------------

    def open(self) -> list[str]:
        """The stream's first message; nothing when it was sent. A spare socket is opened before its first turn."""
        if self._closed:
            raise LocalProtocolError("open: the stream is closed")
        if self._opened:
            return []
        self._opened = True
        return [encode(opening(self._options))]

    def begin(self) -> list[str]:
        """Begin a turn, and the stream when it was not opened yet.

        Raises:
            LocalProtocolError: the last turn is not over, or its audio could still come and be taken for this one's.
        """
        if self._turn is not None:
            raise LocalProtocolError("begin: the last turn is not over")
        if self._stained:
            raise LocalProtocolError("begin: audio of the last turn may still come; take a fresh socket")
        messages = self.open()
        self._turn = _Turn(self._options.clock())
        return messages

    def say(self, text: str, *, flush: bool = False, trigger: bool = False) -> list[str]:
        """More text, whole words. Text without a word is not sent.

        Args:
            text: any number of whole words.
            flush: speak this and all text before it now, as `flush` does.
            trigger: speak it now if the service has enough for good prosody (about 50 characters).
        """
        turn = self._open_turn("say")
        piece = words(text)
        if not piece:
            return self.flush() if flush else []
        turn.clock.said(piece)
        body: dict[str, object] = {"text": piece}
        if trigger:
            body["try_trigger_generation"] = True
        if flush:
            body["flush"] = True
            self._flushed(turn)
        return [encode(body)]

    def flush(self) -> list[str]:
        """Speak what was said so far; answered by one `Flushed`. Nothing is sent where nothing new was said."""
        turn = self._open_turn("flush")
        unflushed = turn.clock.unflushed
        self._flushed(turn)
        return [_bare_flush()] if unflushed else []

    def finish(self) -> list[str]:
        """No more text in this turn: speak what is left. Answered by `Finished`."""
        turn = self._open_turn("finish")
        turn.finishing = True
        messages = [_bare_flush()] if turn.clock.unflushed else []
        self._complete(turn)
        return messages

    def keep_alive(self) -> list[str]:
        """Restart the idle timer; nothing before the first message, whose place it would take."""
        return [encode({"text": _SPACE})] if self._opened and not self._closed else []

    def close(self) -> list[str]:
        """End the text: the service speaks what is left, tells the end and closes the socket."""
        if self._closed:
            return []
        self._closed = True
        if self._turn is not None:
            self._turn.finishing = True
            self._complete(self._turn)
        return [encode({"text": ""})] if self._opened else []

    # -- what the caller's clock says ----------------------------------------------------------------------------------

    def settle(self) -> None:
        """No audio came for long: take what was said as spoken, as far as there was any audio at all.

        When that ends a turn which is not known to be complete, the socket serves no other turn.
        """
        turn = self._turn
        if turn is None:
            return
        if turn.finishing and not turn.clock.silent and not turn.clock.n_bytes:
            self._end([Lost(ProviderSilent("ElevenLabs: no audio came for the text"))])
            self._stained = True
            return
        self._told.extend([Flushed()] * turn.clock.settle())
        if turn.finishing:
            self._stained = self._stained or not turn.clock.covered
            self._end([Finished()])

    def lose(self, error: ProviderError) -> None:
        """The socket is gone."""
        self._closed = True
        if self._turn is not None:
            self._end([Lost(error)])

    # -- what we hear --------------------------------------------------------------------------------------------------

    def receive(self, message: str) -> list[SpeechEvent]:
        """Take one message of the service; gives what it tells. Audio that comes after a turn's end is dropped.

        Raises:
            RemoteProtocolError: a message that cannot be understood.
        """
        match parse(message):
            case Failure() as failure:
                self.lose(failure.error)
            case Frame() as frame:
                self._frame(frame)
        return self.told()

    def told(self) -> list[SpeechEvent]:
        """What happened and was not given yet."""
        told, self._told = self._told, []
        return told

    def _frame(self, frame: Frame) -> None:
        turn = self._turn
        if turn is not None:
            self._told.extend(spoken(frame, turn.clock))
            if frame.final and turn.finishing:
                self._end(ended(turn.clock))
            elif frame.final:
                self._end([Lost(ProviderUnavailable("ElevenLabs: the stream was ended by the service"))])
            else:
                self._complete(turn)
        if frame.final:
            self._closed = True

    # -- inside --------------------------------------------------------------------------------------------------------

    def _open_turn(self, what: str) -> _Turn:
        if self._turn is None or self._turn.finishing or self._closed:
            raise LocalProtocolError(f"{what}: no turn takes text now")
        return self._turn

    def _flushed(self, turn: _Turn) -> None:
        turn.clock.flush()
        self._told.extend([Flushed()] * turn.clock.answered())

    def _complete(self, turn: _Turn) -> None:
        if turn.finishing and turn.clock.covered:
            self._end([Finished()])

    def _end(self, events: list[SpeechEvent]) -> None:
        self._told.extend(events)
        self._turn = None


def _bare_flush() -> str:
    """A flush that brings no text: a space, since documents differ on whether `text` may be left out or empty."""
    return encode({"text": _SPACE, "flush": True})
