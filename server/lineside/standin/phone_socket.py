"""The carrier's WebSocket client: plain calls in, plain calls out, nothing negotiated, no redirect followed.

Source: https://www.rfc-editor.org/rfc/rfc6455, https://websockets.readthedocs.io/en/stable/howto/sansio.html
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import cast

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidMessage, InvalidURI
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from lineside.errors import RemoteProtocolError
from lineside.standin.phone_stream import Gone

MAX_MESSAGE = 16 * 2**20  # bytes; above ten minutes of audio in base64, so that the queue's own limit shows first
CLOSE_TIMEOUT = 1.0  # s; a server that does not finish the closing handshake by then is cut off


class ConnectFailed(RemoteProtocolError):
    """The stream could not be opened. `code` is the carrier's error code.

    Source: https://www.twilio.com/docs/api/errors/31920 and its neighbours
    """

    def __init__(self, code: str, why: str) -> None:
        super().__init__(f"{code}: {why}")
        self.code = code


class CarrierSocket(asyncio.Protocol):
    """One connection. Nothing here waits but `open` and `closed`."""

    def __init__(
        self,
        protocol: ClientProtocol,
        headers: Mapping[str, str],
        received: Callable[[str | bytes], None],
        gone: Callable[[Gone], None],
    ) -> None:
        """
        Args:
            received: called with each whole message of the server.
            gone: called once, when no further message will come.
        """
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self._protocol = protocol
        self._headers = headers
        self._received = received
        self._gone: Callable[[Gone], None] | None = gone
        self._transport: asyncio.Transport | None = None
        self._leaving = False
        self._opcode = Opcode.TEXT
        self._parts: list[bytes] = []

    @property
    def backlog(self) -> int:
        """Bytes that the network has not taken."""
        return self._transport.get_write_buffer_size() if self._transport else 0

    def send(self, message: str) -> None:
        if self._protocol.state is State.OPEN:
            self._protocol.send_text(message.encode())
            self._flush()

    def ping(self) -> None:
        if self._protocol.state is State.OPEN:
            self._protocol.send_ping(b"")
            self._flush()

    def close(self) -> None:
        """Begin the closing handshake, as the carrier does after its `stop`."""
        self._leaving = True
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(CloseCode.NORMAL_CLOSURE)
            self._flush()

    def abort(self) -> None:
        """The connection is gone, and the server is told nothing."""
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio.Protocol --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        request = self._protocol.connect()
        request.headers.update(self._headers)
        self._protocol.send_request(request)
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        self._flush()
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._frame(event)
        if not self.opened.done():
            if self._protocol.handshake_exc is not None:
                self.opened.set_exception(self._protocol.handshake_exc)
            elif self._protocol.state is not State.CONNECTING:
                self.opened.set_result(None)
        if isinstance(self._protocol.parser_exc, Exception):
            self._tell_gone(Gone("violation", str(self._protocol.parser_exc)))

    def eof_received(self) -> None:
        self._protocol.receive_eof()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(self._protocol.handshake_exc or InvalidMessage("no answer to the upgrade"))
            self.opened.exception()  # it may have no reader any more
        self._tell_gone(Gone("left" if self._leaving else "lost", str(exc or "")))
        self.closed.set_result(None)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _frame(self, frame: Frame) -> None:
        if frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            if frame.opcode is not Opcode.CONT:
                self._opcode = frame.opcode
            self._parts.append(bytes(frame.data))
            if frame.fin:
                message, self._parts = b"".join(self._parts), []
                self._message(message)
        elif frame.opcode is Opcode.CLOSE:
            close = self._protocol.close_rcvd
            detail = f"{close.code} {close.reason}".strip() if close else ""
            self._tell_gone(Gone("left" if self._leaving else "closed", detail))

    def _message(self, message: bytes) -> None:
        if self._gone is None:
            return  # it came behind the end
        if self._opcode is Opcode.BINARY:
            self._received(message)
            return
        try:
            text = message.decode()
        except UnicodeDecodeError:
            self._protocol.fail(CloseCode.INVALID_DATA)
            self._flush()
            self._tell_gone(Gone("violation", "a text frame that is not UTF-8"))
        else:
            self._received(text)

    def _flush(self) -> None:
        if (transport := self._transport) is None:
            return
        for data in self._protocol.data_to_send():
            if transport.is_closing():
                return
            if data:
                transport.write(data)
            elif transport.can_write_eof():
                transport.write_eof()
            else:
                transport.close()

    def _tell_gone(self, how: Gone) -> None:
        if self._gone is not None:
            gone, self._gone = self._gone, None
            gone(how)


async def open_socket(
    url: str,
    headers: Mapping[str, str],
    received: Callable[[str | bytes], None],
    gone: Callable[[Gone], None],
    *,
    timeout: float,
    tls: ssl.SSLContext | None = None,
) -> CarrierSocket:
    """Connect and upgrade.

    Args:
        tls: for `wss`; None: the system's trusted certificates.

    Raises:
        ConnectFailed: with the carrier's code for what went wrong.
    """
    sockets: list[CarrierSocket] = []

    def factory() -> CarrierSocket:
        sockets.append(CarrierSocket(ClientProtocol(uri, max_size=MAX_MESSAGE), headers, received, gone))
        return sockets[-1]

    try:
        uri = parse_uri(url)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(timeout):
            secure = (tls or await asyncio.to_thread(ssl.create_default_context)) if uri.secure else None
            _, carrier_socket = await loop.create_connection(factory, uri.host, uri.port, ssl=secure)
            await carrier_socket.opened
    except BaseException as exc:  # cancellation too: no half-open connection is left behind
        for each in sockets:
            each.abort()
        if isinstance(exc, OSError | InvalidHandshake | InvalidURI | ValueError):
            raise ConnectFailed(_code(exc), str(exc) or type(exc).__name__) from exc
        raise
    return carrier_socket


def _code(exc: Exception) -> str:
    """The carrier's code for a failed connection."""
    match exc:
        case TimeoutError():
            return "31901"
        case ssl.SSLError():
            return "31910"
        case InvalidHandshake():
            return "31920"
        case ConnectionResetError() | ConnectionAbortedError():
            return "31910"  # before the upgrade there is only TLS that could break off
        case socket.gaierror():
            return "31904"
        case OSError(errno=errno.EHOSTUNREACH | errno.ENETUNREACH):
            return "31904"
        case OSError():
            return "31902"
    return "31923"
