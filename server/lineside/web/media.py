"""`WS /twilio/media/TOKEN`: the carrier's stream comes in and becomes a leg of its call.

Everything is checked before the socket is accepted: the pass in the path, and the carrier's signature over the URL.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from lineside.alarm import Alarm
from lineside.call import Call
from lineside.carriers.twilio_leg import TextSocket, TwilioLeg
from lineside.errors import AuthError, RemoteProtocolError
from lineside.web.desk import Desk
from lineside.web.direct import EXTENSION, DirectProtocol
from lineside.wire import twilio
from lineside.wire.twilio import Connected, Started

log = logging.getLogger(__name__)

START_TIMEOUT = 5.0  # s from accept to `start`; the carrier sends it at once
IDLE_TIMEOUT = 15.0  # s without any message, and a look more; the carrier sends fifty a second, in silence too
LOOKS = 3  # within IDLE_TIMEOUT
CLOSE_TIMEOUT = 5.0  # s for a network that has stopped taking data to take the last of it
MOST_UNSENT = 2000  # messages waiting for a slow network, in the fallback; playout sends five a second


class AsgiSocket:
    """The sending half of any ASGI server's WebSocket: an outbox and a task that empties it."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._outbox: deque[str] = deque(maxlen=MOST_UNSENT)
        self._filled = Alarm()
        self._closing = False
        self.on_close: Callable[[], None] | None = None  # told when nothing more will be sent

    @property
    def backlog(self) -> int:
        return sum(map(len, self._outbox))

    def send_text(self, text: str) -> None:
        if not self._closing:
            self._outbox.append(text)
            self._filled.ring()

    def drop_unsent_text(self) -> None:
        self._outbox.clear()

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._filled.ring()
            if self.on_close is not None:
                self.on_close()

    async def run(self) -> None:
        """Send until closed."""
        while True:
            while self._outbox:
                await self._websocket.send_text(self._outbox.popleft())
            if self._closing:
                await self._websocket.close()
                return
            await self._filled.wait(None)


class MediaEndpoint:
    """Answers the carrier's streams."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def answer(self, websocket: WebSocket) -> None:
        """Serve one socket, from its handshake to its end."""
        presented = websocket.path_params["token"]
        try:
            call = self._desk.call_of_pass(presented)
            self._desk.guard.check_upgrade(websocket, call.info.account_id)
        except AuthError as exc:
            log.warning("stream refused: %s", exc)
            await websocket.close(1008)  # before accept, so the carrier sees HTTP 403
            return
        self._desk.use_pass(presented)
        await websocket.accept()
        try:
            async with asyncio.timeout(START_TIMEOUT):
                started = await self._start_message(websocket, call)
        except (AuthError, RemoteProtocolError, TimeoutError) as exc:
            log.warning("call %s: stream closed: %s", call.info.call_id, str(exc) or "no start message came")
            with contextlib.suppress(RuntimeError):
                await websocket.close(1008)
            return
        except WebSocketDisconnect:
            return
        if call.over:
            await websocket.close(1000)
            return
        await self._serve(websocket, call, started)

    async def _start_message(self, websocket: WebSocket, call: Call) -> Started:
        while True:
            match twilio.parse(await _receive_text(websocket)):
                case Started() as started:
                    if (started.call_id, started.account_id) != (call.info.call_id, call.info.account_id):
                        raise AuthError("the stream is of another call than its pass")
                    return started
                case Connected() | None:
                    pass
                case other:
                    raise RemoteProtocolError(f"expected a start message, not {type(other).__name__}")

    async def _serve(self, websocket: WebSocket, call: Call, started: Started) -> None:
        """Be the call's leg until the socket ends."""
        direct: DirectProtocol | None = websocket.scope.get("extensions", {}).get(EXTENSION)
        fallback = None if direct is not None else AsgiSocket(websocket)
        socket: TextSocket = direct or fallback  # type: ignore[assignment]
        leg = TwilioLeg(socket, started, call, call.on_audio)
        call.attach(leg)
        idle = _IdleWatch(leg, socket)
        try:
            if direct is not None:
                direct.listen(leg.receive)
                await _until_disconnect(websocket)
            elif fallback is not None:
                await self._serve_asgi(websocket, leg, fallback)
        finally:
            idle.cancel()
            leg.left(stopped=False)

    async def _serve_asgi(self, websocket: WebSocket, leg: TwilioLeg, socket: AsgiSocket) -> None:
        loop = asyncio.get_running_loop()
        sender = loop.create_task(socket.run(), name="leg sender")
        try:
            async with asyncio.timeout(None) as deadline:
                socket.on_close = lambda: deadline.reschedule(loop.time() + CLOSE_TIMEOUT)
                while True:
                    leg.receive(await _receive_text(websocket))
        except (WebSocketDisconnect, TimeoutError):
            pass
        finally:
            socket.on_close = None
            sender.cancel()
            await asyncio.wait([sender])
            if not sender.cancelled():
                with contextlib.suppress(WebSocketDisconnect, RuntimeError):  # the socket's end, seen here too
                    sender.result()


class _IdleWatch:
    """Closes a leg that has fallen silent: a timer that looks whether messages still come."""

    def __init__(self, leg: TwilioLeg, socket: TextSocket) -> None:
        self._leg = leg
        self._socket = socket
        self._seen = leg.n_messages
        self._n_still = 0
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(IDLE_TIMEOUT / LOOKS, self._look)

    def _look(self) -> None:
        self._n_still = self._n_still + 1 if self._leg.n_messages == self._seen else 0
        if self._n_still == LOOKS:
            log.warning("stream %s: no message for %g s, closing", self._leg.stream_id, IDLE_TIMEOUT)
            self._leg.left(stopped=False)
            self._socket.close()
            return
        self._seen = self._leg.n_messages
        self._timer = self._loop.call_later(IDLE_TIMEOUT / LOOKS, self._look)

    def cancel(self) -> None:
        self._timer.cancel()


async def _receive_text(websocket: WebSocket) -> str:
    """The next text message; a binary one, which the carrier never sends, is passed over."""
    while True:
        message: dict[str, Any] = dict(await websocket.receive())
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        if (text := message.get("text")) is not None:
            return str(text)


async def _until_disconnect(websocket: WebSocket) -> None:
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await _receive_text(websocket)
