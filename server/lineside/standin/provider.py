"""The provider stand-in: speech providers' sockets on loopback, with a voice of our own, a record, and faults to order.

In a test it is a context manager in the test's own loop; for a demo, load or somebody's CI it is a process:

    python -m lineside.standin.provider --port 0 --voice tone

Besides the providers' paths it answers plain HTTP GET: `/standin/health`; `/standin/record`, the record as JSON
(`?audio=false` without the audio); `/standin/faults`, the faults as JSON, after setting those named in the query.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Self, cast
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from lineside.errors import LinesideError, SettingsError
from lineside.standin.deepgram_speak import DeepgramSpeak
from lineside.standin.elevenlabs_speech import ElevenLabsSpeech
from lineside.standin.endpoint import Endpoint, Refusal, Socket, Studio, Upgrade
from lineside.standin.espeak import EspeakVoice
from lineside.standin.faults import Faults
from lineside.standin.recogniser.deepgram_flux import DeepgramFlux
from lineside.standin.recogniser.deepgram_listen import DeepgramListen
from lineside.standin.recogniser.scribe import Scribe
from lineside.standin.record import Record
from lineside.standin.tone import ToneVoice
from lineside.standin.voice import StandinVoice

HOST = "127.0.0.1"  # it lets anyone in, and obeys them
MAX_MESSAGE = 16 << 20  # bytes; protects us only: what the service itself refuses is one of the faults
CLOSE_TIMEOUT = 2.0  # s; a client that has not answered our close frame by then is gone

ENDPOINTS: tuple[Callable[[Studio], Endpoint], ...] = (
    DeepgramSpeak,
    ElevenLabsSpeech,
    DeepgramListen,
    DeepgramFlux,
    Scribe,
)


class Provider:
    """Serves from entering to leaving; leaving closes every connection with 1001.

    Args:
        voice: a `ToneVoice` when None.
        keys: the API keys that are let in; None: any but those that begin with `bad`.
        port: 0 for any that is free.
    """

    def __init__(
        self,
        voice: StandinVoice | None = None,
        faults: Faults | None = None,
        keys: Collection[str] | None = None,
        *,
        record: Record | None = None,
        port: int = 0,
        endpoints: Sequence[Callable[[Studio], Endpoint]] = ENDPOINTS,
    ) -> None:
        self._studio = Studio(
            voice=voice or ToneVoice(),
            faults=faults or Faults(),
            record=record or Record(),
            keys=None if keys is None else frozenset(keys),
        )
        self._endpoints = [endpoint(self._studio) for endpoint in endpoints]
        self._port = port
        self._leaving = asyncio.Event()
        self._server: Server | None = None

    @property
    def record(self) -> Record:
        return self._studio.record

    @property
    def faults(self) -> Faults:
        return self._studio.faults

    @property
    def url(self) -> str:
        """Where it serves, as `ws://127.0.0.1:port`; the same address answers HTTP."""
        return f"ws://{HOST}:{self._port}"

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._serve,
            HOST,
            self._port,
            process_request=self._receive_request,
            process_response=_add_headers,
            select_subprotocol=_select_subprotocol,
            create_connection=Socket,
            compression=None,
            open_timeout=None,  # a delayed handshake is one of the faults
            ping_interval=None,  # the services answer pings, and send none that their papers speak of
            close_timeout=CLOSE_TIMEOUT,
            max_size=MAX_MESSAGE,
        )
        self._port = next(iter(self._server.sockets)).getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._leaving.set()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, connection: ServerConnection) -> None:
        socket = cast(Socket, connection)  # what create_connection makes
        number = self.record.opened()
        try:
            await socket.admission.serve(socket, number)
        finally:
            self.record.closed()

    # -- requests ----------------------------------------------------------------------------------------------------

    async def _receive_request(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer plain HTTP and refused handshakes; None lets a handshake go on."""
        url = urlsplit(request.path)
        query = tuple(parse_qsl(url.query, keep_blank_values=True))
        if url.path.startswith("/standin/"):
            return self._control(url.path, query)
        for endpoint in self._endpoints:
            if path := endpoint.pattern.fullmatch(url.path):
                break
        else:
            return _json(404, {"error": f"nothing is served at {url.path}"})
        if "Upgrade" not in request.headers:
            return None  # websockets explains that itself
        try:
            await self._delay_handshake()
            if status := self.faults.take_refusal():
                raise endpoint.refuse(status)
            cast(Socket, connection).admission = endpoint.admit(Upgrade(path, query, request.headers))
        except Refusal as refusal:
            self.record.refused[refusal.status] += 1
            if refusal.breach:
                self.record.breach(refusal.breach)
            return _json(refusal.status, refusal.body, refusal.headers)
        return None

    async def _delay_handshake(self) -> None:
        if self.faults.handshake_delay_s > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(self.faults.handshake_delay_s):
                    await self._leaving.wait()

    def _control(self, path: str, query: Sequence[tuple[str, str]]) -> Response:
        match path:
            case "/standin/health":
                return _response(200, b"ok", {"Content-Type": "text/plain; charset=utf-8"})
            case "/standin/record":
                return _json(200, self.record.as_json(audio=("audio", "false") not in query))
            case "/standin/faults":
                try:
                    for name, text in query:
                        self.faults.set(name, text)
                except SettingsError as exc:
                    return _json(400, {"error": str(exc)})
                return _json(200, self.faults.as_json())
        return _json(404, {"error": f"nothing is served at {path}"})


def _add_headers(connection: ServerConnection, request: Request, response: Response) -> None:
    if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
        response.headers.update(cast(Socket, connection).admission.headers)


def _select_subprotocol(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Browsers send their key as a second sub-protocol; the first one, which names the scheme, is the answer."""
    return offered[0] if offered else None


def _json(status: int, body: Any, headers: Mapping[str, str] | None = None) -> Response:
    return _response(status, json.dumps(body).encode(), {"Content-Type": "application/json", **(headers or {})})


def _response(status: int, body: bytes, headers: dict[str, str]) -> Response:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    return Response(status, phrase, Headers({"Connection": "close", "Content-Length": str(len(body)), **headers}), body)


# -- as a process ----------------------------------------------------------------------------------------------------


async def _run(voice: StandinVoice, port: int) -> None:
    """Serve until SIGTERM or SIGINT, or until stdin ends: with the pipe to it, its parent is gone."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(NotImplementedError):  # Windows
            loop.add_signal_handler(number, stop.set)
    threading.Thread(target=_watch_stdin, args=(loop, stop), daemon=True).start()
    async with Provider(voice, port=port) as provider:
        sys.stdout.write(f"listening on {provider.url}\n")
        sys.stdout.flush()
        await stop.wait()


def _watch_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    with suppress(OSError):
        # The descriptor itself: a daemon thread inside sys.stdin would hold its lock when the interpreter ends.
        while os.read(0, 4096):
            pass
    with suppress(RuntimeError):  # the loop has ended by itself
        loop.call_soon_threadsafe(stop.set)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the stand-in as this process. Returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m lineside.standin.provider", description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0, help="0: any that is free (default)")
    parser.add_argument("--voice", choices=("espeak", "tone"), default="tone")
    options = parser.parse_args(arguments)
    try:
        voice = EspeakVoice() if options.voice == "espeak" else ToneVoice()
    except LinesideError as exc:
        sys.stderr.write(f"{exc}\n")
        return 2
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    with suppress(ImportError):  # not on Windows
        import uvloop

        loop_factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(_run(voice, options.port))
    return 0


if __name__ == "__main__":
    sys.exit(main())
