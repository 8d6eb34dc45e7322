"""A WebSocket whose text messages reach their reader by a plain call.

ASGI hands each message over through a queue and a task switch, and pauses the socket in between. At fifty messages a
second and call that is most of what a call costs. This subclass of uvicorn's own protocol lets the application take the
messages itself, once it has accepted: everything else stays as it was, and under any other server the application falls
back to ASGI. While somebody listens, a text message that is one whole frame, as the carrier's all are, is taken apart
here; every other byte goes through the library, which knows the rest of the protocol.

Use with `uvicorn --ws lineside.web.direct:DirectProtocol`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from types import GeneratorType
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.frames import Frame
from websockets.protocol import State

try:
    from websockets.speedups import apply_mask
except ImportError:  # built without a C compiler
    from websockets.utils import apply_mask

EXTENSION = "lineside.direct"

TEXT = 0x81  # a frame's first byte: a whole text message, no extension
MASKED = 0x80  # in the second; the other bits are a length, or say where to find it
SHORT, LENGTH_IN_TWO, LENGTH_IN_EIGHT = 6, 126, 127  # bytes of the shortest header; two kinds of longer ones


class DirectProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol, with a way past the queue; offered in the scope's extensions."""

    on_text: Callable[[str], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        asyncio.get_running_loop().call_soon(self._check_request)  # which is here by then, whole

    def _check_request(self) -> None:
        """A request that cannot be read, for a path of ten thousand characters say, would keep its connection open."""
        if not self.handshake_initiated and self.conn.handshake_exc is not None:
            self.transport.close()

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if self.handshake_initiated and not self.close_sent:
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[EXTENSION] = self

    def listen(self, on_text: Callable[[str], None]) -> None:
        """From now on every text message goes to `on_text`; those that wait in the queue first."""
        kept = []
        while not self.queue.empty():
            kept.append(self.queue.get_nowait())
        self.on_text = on_text
        for message in kept:
            if message["type"] == "websocket.receive":
                if (text := message.get("text")) is not None:
                    on_text(text)
            else:
                self.queue.put_nowait(message)
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        rest = data if self.on_text is None else self._take_texts(data, self.on_text)
        if rest:
            super().data_received(rest)

    def _take_texts(self, data: bytes, on_text: Callable[[str], None]) -> bytes:
        """Hand over the whole text messages that `data` begins with; returns what is left, for the library."""
        at, most = 0, self.config.ws_max_size
        while len(data) - at >= SHORT and data[at] == TEXT and data[at + 1] & MASKED and self._between_frames():
            start, length = at + SHORT, data[at + 1] ^ MASKED
            if length == LENGTH_IN_EIGHT:
                break
            if length == LENGTH_IN_TWO:
                start, length = start + 2, data[at + 2] << 8 | data[at + 3]
            end = start + length
            if end > len(data) or length > most:
                break
            try:
                text = str(apply_mask(data[start:end], data[start - 4 : start]), "utf-8")
            except UnicodeDecodeError:
                break
            at = end
            on_text(text)
        return data[at:] if at else data

    def _between_frames(self) -> bool:
        """Whether the library, which has all bytes so far, waits for the first byte of a message's first frame."""
        conn = self.conn
        if conn.state is not State.OPEN or conn.current_size is not None:
            return False
        # It may have taken in a part of a frame. Where it waits tells: for an end (or a frame), or some bytes more.
        waiting: object = conn.parser
        while isinstance(waiting, GeneratorType) and waiting.gi_yieldfrom is not None:
            waiting = waiting.gi_yieldfrom
        return isinstance(waiting, GeneratorType) and waiting.__name__ == "at_eof"

    def handle_text(self, event: Frame) -> None:
        if self.on_text is None or not event.fin or self.close_sent:
            super().handle_text(event)
            return
        try:
            text = str(event.data, "utf-8")
        except UnicodeDecodeError:
            super().handle_text(event)  # which comes to the same below
            return
        self.on_text(text)

    def send_receive_event_to_app(self) -> None:
        if self.on_text is None:
            super().send_receive_event_to_app()
            return
        text = ""
        if self.curr_msg_data_type == "text":  # a fragmented message; of a binary one we have no use
            try:
                text = b"".join(self.frames).decode()
            except UnicodeDecodeError:
                super().send_receive_event_to_app()  # closes with 1007
                return
        self.frames = []
        if text and not self.close_sent:
            self.on_text(text)

    # -- sending -------------------------------------------------------------------------------------

    @property
    def backlog(self) -> int:
        return self.transport.get_write_buffer_size()

    def send_text(self, text: str) -> None:
        """Send at once; a socket that is closing takes nothing more."""
        if self.close_sent or self.disconnected or self.transport.is_closing():
            return
        try:
            self.conn.send_text(text.encode())
        except InvalidState:  # the peer's close crossed this message
            return
        self.transport.write(b"".join(self.conn.data_to_send()))

    def drop_unsent_text(self) -> None:
        """Nothing is kept here: what was sent is in the transport's buffer, in order."""

    def close(self) -> None:
        if self.close_sent or self.disconnected or self.transport.is_closing():
            return
        with contextlib.suppress(InvalidState):  # the peer was first, and has its answer
            self.conn.send_close(1000)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": 1000, "reason": ""})
        # Not `transport.close`, which waits for a peer that does not read until its kernel gives up.
        self.close_timer = asyncio.get_running_loop().call_later(self.close_timeout, self.transport.abort)
