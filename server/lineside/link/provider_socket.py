"""One WebSocket to a speech provider: from the attempt to connect to its end. Messages in and out, nothing else.

Writing never waits: messages go through an outbox, and those given before the socket is open are sent when it is.
Reading is prompt: every message is handed over by a plain call as soon as it arrives.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from urllib.parse import urlsplit

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from lineside.errors import ProtocolError, ProviderError, ProviderRefused, ProviderUnavailable

log = logging.getLogger(__name__)

LARGEST = 16 * 1024 * 1024  # bytes; ElevenLabs' own limit, and well over what a minute of speech takes
CLOSE_TIMEOUT = 1.0  # s; a peer that does not say goodbye by then is left without
PING_EVERY = 20.0  # s; keeps Deepgram's socket and the proxies between open while nobody speaks
TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@cache
def _tls() -> ssl.SSLContext:
    # Reading the certificate store takes tens of milliseconds: once a process, not once a call.
    return ssl.create_default_context()


def refusal(who: str, exc: InvalidStatus) -> ProviderError:
    """What a refused handshake means: an answer that a later try may change, or one that it will not."""
    response = exc.response
    said = response.headers.get("dg-error") or _message(bytes(response.body or b""))
    text = f"{who} refused the connection with HTTP {response.status_code}" + (f": {said[:200]}" if said else "")
    if response.status_code in TRY_AGAIN:
        return ProviderUnavailable(text)
    return ProviderRefused(text)


def _message(body: bytes) -> str:
    """The human-readable part of an error body, if there is one."""
    with contextlib.suppress(ValueError, TypeError, AttributeError):
        error = orjson.loads(body)
        detail = error.get("detail", error)
        return str(detail.get("message") or detail.get("err_msg") or "") if isinstance(detail, dict) else str(detail)
    return ""


class ProviderSocket:
    """A socket that reports its messages and, once, its end. It connects when `start` is called.

    Args:
        who: the provider's name, for messages.
        on_message: called with each message; what it raises ends the socket, and is logged unless it is a
            ProtocolError.
        on_end: called once with the reason, unless `close` was called first.
        on_open: called when the handshake is through.
        explain: what an upgrade refused with this HTTP status and body means; by default what the status says.
        explain_close: what a close with this code and reason means.
        goodbye: messages sent before the socket is closed from our side.
    """

    def __init__(
        self,
        who: str,
        url: str,
        headers: Mapping[str, str],
        *,
        on_message: Callable[[str | bytes], None],
        on_end: Callable[[ProviderError], None],
        on_open: Callable[[], None] | None = None,
        explain: Callable[[int, bytes], ProviderError] | None = None,
        explain_close: Callable[[int, str], ProviderError] | None = None,
        connect_timeout: float = 5.0,
        goodbye: Sequence[str] = (),
    ) -> None:
        self._who = who
        self._url = url
        self._headers = headers
        self._on_message = on_message
        self._on_end = on_end
        self._on_open = on_open
        self._explain = explain
        self._explain_close = explain_close
        self._connect_timeout = connect_timeout
        self._goodbye = goodbye
        self._outbox: deque[str | bytes] = deque()  # bounded by what its owner meters: a few sentences
        self._filled = asyncio.Event()
        self._ended = False
        self.open = False
        self.was_open = False
        self.refused_with: int | None = None  # the HTTP status of a handshake that was turned down
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Connect."""
        if self._task is None and not self._ended:
            self._task = asyncio.get_running_loop().create_task(self._run(), name=f"{self._who} socket")

    @property
    def alive(self) -> bool:
        """Open, or still to be opened."""
        return not self._ended

    @property
    def queued(self) -> int:
        """Messages that wait to be sent."""
        return len(self._outbox)

    def send(self, message: str | bytes) -> None:
        self._outbox.append(message)
        self._filled.set()

    def forget(self) -> None:
        """Drop what was not sent yet."""
        self._outbox.clear()

    def fail(self, error: ProviderError) -> None:
        """Give the socket up and report why."""
        if not self._ended:
            self._end()
            self._on_end(error)

    def _end(self) -> None:
        self._ended = True
        self.open = False
        if self._task is not None:
            self._task.cancel()

    async def close(self) -> None:
        """Say goodbye and close; nothing is reported any more. Takes CLOSE_TIMEOUT at the most."""
        if not self._ended:
            self._end()
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        error: ProviderError
        try:
            async with self._connect() as socket:
                self.open = self.was_open = True
                if self._on_open is not None:
                    self._on_open()
                await self._serve(socket)
                error = self._closed(socket)
        except InvalidStatus as exc:
            error = self._refused(exc)
        except TimeoutError:
            error = ProviderUnavailable(f"{self._who} did not answer the handshake in {self._connect_timeout:g} s")
        except (InvalidURI, InvalidHandshake, OSError, EOFError) as exc:
            error = ProviderUnavailable(f"{self._who} cannot be reached: {type(exc).__name__}: {exc}")
        except ProtocolError as exc:
            error = ProviderUnavailable(f"{self._who}: {exc}")
        except Exception as exc:  # of whom we called: ours or a user's fault, and the connection ends here
            log.exception("%s: the socket ends, as taking its message failed", self._who)
            error = ProviderUnavailable(f"{self._who}: {type(exc).__name__}: {exc}")
        if not self._ended:
            self._ended = True
            self.open = False
            self._on_end(error)

    def _refused(self, exc: InvalidStatus) -> ProviderError:
        self.refused_with = exc.response.status_code
        if self._explain is not None:
            return self._explain(exc.response.status_code, bytes(exc.response.body or b""))
        return refusal(self._who, exc)

    def _closed(self, socket: ClientConnection) -> ProviderError:
        code, reason = socket.close_code, socket.close_reason or ""
        if code is None or code == 1006:
            return ProviderUnavailable(f"{self._who}: the connection was lost")
        if self._explain_close is not None:
            return self._explain_close(code, reason)
        return ProviderUnavailable(f"{self._who} closed the socket (code {code}{f', {reason}' if reason else ''})")

    def _connect(self) -> connect:
        parts = urlsplit(self._url)
        return connect(
            self._url,
            additional_headers=self._headers,
            compression=None,
            open_timeout=self._connect_timeout,
            close_timeout=CLOSE_TIMEOUT,
            ping_interval=PING_EVERY,
            max_size=LARGEST,
            ssl=_tls() if parts.scheme == "wss" else None,
            proxy=None if parts.hostname in LOOPBACK else True,
        )

    async def _serve(self, socket: ClientConnection) -> None:
        writer = asyncio.get_running_loop().create_task(self._write(socket), name=f"{self._who} writer")
        try:
            async for message in socket:
                self._on_message(message)
        except asyncio.CancelledError:
            with contextlib.suppress(ConnectionClosed, TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    for message in self._goodbye:
                        await socket.send(message)
                    await socket.close()  # or leaving by a cancellation would tell the peer of an internal error
            raise
        except ConnectionClosed:
            pass  # the reason is read from the socket
        finally:
            writer.cancel()

    async def _write(self, socket: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):  # the reader reports it
            while True:
                await self._filled.wait()
                while self._outbox:
                    await socket.send(self._outbox.popleft())
                self._filled.clear()
