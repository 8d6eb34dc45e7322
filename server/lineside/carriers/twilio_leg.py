"""A Twilio Media Streams socket as a call's leg: its messages become plain calls, ours become messages."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from lineside.errors import RemoteProtocolError
from lineside.ports import LegListener
from lineside.wire import twilio
from lineside.wire.twilio import Marked, Outgoing, Pressed, Started, Stopped

log = logging.getLogger(__name__)

MOST_BROKEN = 100  # messages of a stream that we could not read; then it is not the carrier that speaks


class TextSocket(Protocol):
    """The sending half of a WebSocket. Nothing waits."""

    @property
    def backlog(self) -> int:
        """Bytes that the network has not taken yet."""
        ...

    def send_text(self, text: str) -> None: ...
    def drop_unsent_text(self) -> None:
        """Forget messages that have not been handed to the network, if any are kept."""
        ...

    def close(self) -> None: ...


class TwilioLeg:
    """See `lineside.ports.Leg`.

    Args:
        on_audio: called with each frame of caller audio, mu-law 8 kHz; without it inbound audio is not even decoded.
    """

    def __init__(
        self,
        socket: TextSocket,
        started: Started,
        listener: LegListener,
        on_audio: Callable[[bytes], None] | None = None,
    ) -> None:
        self.stream_id = started.stream_id
        self._call_id = started.call_id
        self._socket = socket
        self._listener = listener
        self._on_audio = on_audio
        self._out = Outgoing(started.stream_id)
        self._n_messages = 0
        self._n_broken = 0
        self._gone = False

    # -- to the carrier ------------------------------------------------------------------------------

    @property
    def backlog(self) -> int:
        return self._socket.backlog

    def play(self, audio: bytes) -> None:
        self._socket.send_text(self._out.media(audio))

    def mark(self, name: str) -> None:
        self._socket.send_text(self._out.mark(name))

    def clear(self) -> None:
        self._socket.drop_unsent_text()
        self._socket.send_text(self._out.clear())

    def close(self) -> None:
        self._socket.close()

    # -- from the carrier ----------------------------------------------------------------------------

    @property
    def n_messages(self) -> int:
        """Messages received; one that stands still tells a dead leg."""
        return self._n_messages

    def receive(self, message: str) -> None:
        """Take one text message. The hot path: fifty a second and call."""
        self._n_messages += 1
        media = twilio.is_media(message)
        if self._gone or (media and self._on_audio is None):
            return
        try:
            if media and self._on_audio is not None:
                self._on_audio(twilio.media_audio(message))
            else:
                self._dispatch(message)
        except RemoteProtocolError as exc:
            self._broken(exc)

    def _dispatch(self, message: str) -> None:
        match twilio.parse(message):
            case Marked(stream_id=stream, name=name) if stream == self.stream_id:
                self._listener.marked(name)
            case Pressed(stream_id=stream, digit=digit) if stream == self.stream_id:
                self._listener.pressed(digit)
            case Stopped(call_id=call) if call == self._call_id:
                self.left(stopped=True)
            case twilio.Media(audio=audio) if self._on_audio is not None:
                self._on_audio(audio)
            case _:
                pass

    def _broken(self, exc: RemoteProtocolError) -> None:
        self._n_broken += 1
        if self._n_broken == 1:
            log.warning("call %s: unreadable stream message: %s", self._call_id, exc)
        if self._n_broken == MOST_BROKEN:
            log.warning("call %s: %d unreadable stream messages, closing the stream", self._call_id, MOST_BROKEN)
            self.close()

    def left(self, *, stopped: bool) -> None:
        """The stream has ended, by its `stop` message or without one. Told once."""
        if not self._gone:
            self._gone = True
            self._listener.left(self, stopped=stopped)
