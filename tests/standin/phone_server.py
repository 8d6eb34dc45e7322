"""The smallest server that a call can reach: a webhook that answers with fixed TwiML, and a scripted socket."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl

import pytest
from aiohttp import web
from multidict import CIMultiDictProxy
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from lineside.standin.phone import Phone, PhoneCall

TOKEN = "12345"
SECOND = bytes([0x21]) * 8000  # no silence in it, so that it can be counted

Message = dict[str, Any]


@dataclass
class Asked:
    """One request to a webhook."""

    at: float
    method: str
    url: str
    headers: CIMultiDictProxy[str]
    fields: Mapping[str, str]


class Socket:
    """The server's end of a stream. Reads everything into `got` in the background."""

    def __init__(self, connection: ServerConnection) -> None:
        self.connection = connection
        self.got: list[tuple[float, Message]] = []
        self.stream_sid = ""
        self._news = asyncio.Event()

    async def read(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            async for text in self.connection:
                message = json.loads(text)
                self.got.append((loop.time(), message))
                if message["event"] == "start":
                    self.stream_sid = message["streamSid"]
                self._news.set()
                self._news = asyncio.Event()
        except ConnectionClosed:
            pass

    async def until(self, event: str, n: int = 1) -> Message:
        """The nth message of this event, as soon as it is here."""
        while len(found := self.all(event)) < n:
            await self._news.wait()
        return found[n - 1]

    def all(self, event: str) -> list[Message]:
        return [message for _, message in self.got if message["event"] == event]

    def times(self, event: str) -> list[float]:
        return [at for at, message in self.got if message["event"] == event]

    async def send(self, event: str, **rest: object) -> None:
        await self.raw(json.dumps({"event": event, "streamSid": self.stream_sid, **rest}))

    async def raw(self, message: str | bytes) -> None:
        await self.connection.send(message)

    async def play(self, audio: bytes) -> None:
        await self.send("media", media={"payload": b64encode(audio).decode()})

    async def mark(self, name: str) -> None:
        await self.send("mark", mark={"name": name})


Script = Callable[[Socket], Awaitable[None]]


async def listen(socket: Socket) -> None:
    """A server that only reads."""
    await socket.connection.wait_closed()


class TinyServer:
    """`twiml` per path; what is asked is in `asked`, streams in `sockets`, upgrade requests in `upgrades`."""

    def __init__(self, script: Script = listen, *, reads: bool = True) -> None:
        self.script = script
        self.reads = reads
        self.twiml: dict[str, str] = {}
        self.status: dict[str, int] = {}
        self.delay: dict[str, float] = {}
        self.content_type = "text/xml"
        self.refuse: int | None = None
        self.asked: list[Asked] = []
        self.sockets: list[Socket] = []
        self.upgrades: list[Request] = []
        self._connected = asyncio.Event()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", self._answer)
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.http = f"http://127.0.0.1:{runner.addresses[0][1]}"
            server = serve(
                self._socket, "127.0.0.1", 0, process_request=self._upgrade, compression=None, ping_interval=None
            )
            self._server = await stack.enter_async_context(server)
            self.ws = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
            self._stack = stack.pop_all()
        self.twiml.setdefault("/voice", self.connect())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, exc, trace)

    @property
    def voice(self) -> str:
        return f"{self.http}/voice"

    async def latest(self) -> Socket:
        """The latest stream's socket."""
        await self._connected.wait()
        return self.sockets[-1]

    def connect(self, inside: str = "", *, after: str = "", action: str | None = None, stream: str = "") -> str:
        """A document that connects to this server's socket."""
        connect = "<Connect>" if action is None else f'<Connect action="{action}">'
        url = f'url="{self.ws}/media"' if "url=" not in stream else ""
        return f"<Response>{connect}<Stream {url} {stream}>{inside}</Stream></Connect>{after}</Response>"

    def asked_at(self, path: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.url.partition("?")[0].endswith(path)]

    async def _answer(self, request: web.Request) -> web.Response:
        now = asyncio.get_running_loop().time()
        body = (await request.read()).decode()
        fields = dict(parse_qsl(body or request.query_string, keep_blank_values=True))
        self.asked.append(Asked(now, request.method, str(request.url), request.headers, fields))
        await asyncio.sleep(self.delay.get(request.path, 0.0))
        text = self.twiml.get(request.path, "")
        status = self.status.get(request.path, 200)
        return web.Response(text=text, status=status, content_type=self.content_type)

    def _upgrade(self, connection: ServerConnection, request: Request) -> Response | None:
        self.upgrades.append(request)
        return None if self.refuse is None else connection.respond(self.refuse, "no")

    async def _socket(self, connection: ServerConnection) -> None:
        socket = Socket(connection)
        self.sockets.append(socket)
        self._connected.set()
        if not self.reads:
            await self.script(socket)
            return
        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(socket.read())
            try:
                await self.script(socket)
            except ConnectionClosed:
                pass
            finally:
                await connection.close()
                reader.cancel()


def about(value: float, within: float = 1e-6) -> Any:
    """Equal but for rounding, or but for `within`."""
    return pytest.approx(value, rel=0, abs=within)


def now() -> float:
    return asyncio.get_running_loop().time()


async def open_call(phone: Phone, server: TinyServer, **overrides: Any) -> tuple[PhoneCall, Socket]:
    """Dial, and wait until both sides know the stream."""
    streams = len(server.sockets)
    call = await phone.dial(**overrides)
    await call.connected()
    socket = await server.latest()
    assert len(server.sockets) == streams + 1
    await socket.until("start")
    return call, socket
