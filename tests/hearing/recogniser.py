"""A scripted recogniser on a loopback socket: it records what it hears, and says what a test makes it say."""

from __future__ import annotations

import asyncio
import json
import random
from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from lineside.events import EarWarned, HearingEvent
from lineside.hearing.deepgram import deepgram_ear
from lineside.hearing.deepgram_flux import deepgram_flux_ear
from lineside.hearing.elevenlabs import elevenlabs_ear
from lineside.ports import Ear, Hearing

FRAME = 160  # bytes, 20 ms
SPEECH = random.Random(7).randbytes(8000 * 60).replace(b"\xff", b"\xfe")  # a minute in which no byte means silence
KINDS = ("nova", "flux", "scribe")
CHUNKS = {"nova": 480, "flux": 640, "scribe": 800}


def now() -> float:
    return asyncio.get_running_loop().time()


@dataclass
class Connection:
    """What came over one socket."""

    socket: ServerConnection
    opened_at: float
    audio: bytearray = field(default_factory=bytearray)
    frames: list[tuple[float, int]] = field(default_factory=list)
    """When a message with audio came, and how many bytes it had."""
    texts: list[tuple[float, str]] = field(default_factory=list)
    """Messages without audio: their type."""

    @property
    def request(self) -> Request:
        assert self.socket.request is not None
        return self.socket.request

    def take(self, message: str | bytes) -> None:
        if isinstance(message, str):
            body = json.loads(message)
            if "audio_base_64" not in body:
                self.texts.append((now(), body["type"]))
                return
            message = b64decode(body["audio_base_64"], validate=True)
        self.audio += message
        self.frames.append((now(), len(message)))

    async def say(self, *messages: str | bytes | dict[str, Any]) -> None:
        for message in messages:
            await self.socket.send(json.dumps(message) if isinstance(message, dict) else message)

    def abort(self) -> None:
        self.socket.transport.abort()


class Recogniser:
    """A server whose connections are kept in order.

    Args:
        statuses: HTTP statuses of the first handshakes; 101 lets one pass, as do all after the last.
        greet: what a connection says when it opens.
        answer: what it says to each message with audio.
    """

    def __init__(
        self,
        *,
        statuses: list[int] | None = None,
        greet: Callable[[Connection], list[Any]] | None = None,
        answer: Callable[[Connection], list[Any]] | None = None,
        reads: bool = True,
    ) -> None:
        self.statuses = statuses or []
        self.handshake_s = 0.0
        self.connections: list[Connection] = []
        self.attempts: list[float] = []
        self._greet = greet
        self._answer = answer
        self._reads = reads
        self._server: Server | None = None
        self._stopped = asyncio.Event()
        self.port = 0

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Recogniser:
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen; after a stop at the same port as before."""
        self._server = await serve(
            self._serve, "127.0.0.1", self.port, process_request=self._admit, ping_interval=None, compression=None
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        """Abort every connection and take no more."""
        self._stopped.set()
        for connection in self.connections:
            connection.abort()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _admit(self, socket: ServerConnection, request: Request) -> Response | None:
        self.attempts.append(now())
        await asyncio.sleep(self.handshake_s)
        status = self.statuses.pop(0) if self.statuses else 101
        return None if status == 101 else socket.respond(HTTPStatus(status), "no")

    async def _serve(self, socket: ServerConnection) -> None:
        connection = Connection(socket, now())
        self.connections.append(connection)
        try:
            if self._greet is not None:
                await connection.say(*self._greet(connection))
            if not self._reads:
                await self._stopped.wait()
            async for message in socket:
                connection.take(message)
                if self._answer is not None and self._counts(message):
                    await connection.say(*self._answer(connection))
        except ConnectionClosed:
            pass

    @staticmethod
    def _counts(message: str | bytes) -> bool:
        return isinstance(message, bytes) or "audio_base_64" in message


class Told(list[tuple[float, HearingEvent]]):
    """A listener that keeps what it is told, and when."""

    def __call__(self, event: HearingEvent) -> None:
        self.append((now(), event))

    @property
    def events(self) -> list[HearingEvent]:
        return [event for _, event in self]

    @property
    def warned(self) -> list[str]:
        return [event.code for event in self.events if isinstance(event, EarWarned)]

    @property
    def said(self) -> list[HearingEvent]:
        """Everything but warnings."""
        return [event for event in self.events if not isinstance(event, EarWarned)]


def make_ear(kind: str, url: str) -> Ear:
    match kind:
        case "nova":
            return deepgram_ear("the-key", url)
        case "flux":
            return deepgram_flux_ear("the-key", url)
    return elevenlabs_ear("the-key", url)


@asynccontextmanager
async def listening(kind: str, server: Recogniser, *, settle: float = 0.2) -> AsyncIterator[tuple[Hearing, Told]]:
    """An ear of this kind whose socket has had time to open."""
    told = Told()
    async with make_ear(kind, server.url).connect(told) as hearing:
        await asyncio.sleep(settle)
        yield hearing, told


async def speak(hearing: Hearing, start_s: float, seconds: float) -> None:
    """Feed this part of SPEECH as a carrier does: a frame every 20 ms."""
    first = round(start_s * 50)
    for n in range(first, first + round(seconds * 50)):
        hearing.feed(SPEECH[n * FRAME : (n + 1) * FRAME])
        await asyncio.sleep(0.02)


def results(text: str, start: float, duration: float, **more: Any) -> dict[str, Any]:
    """A message of Nova's."""
    alternatives = [{"transcript": text, "confidence": 0.9, "words": []}]
    body = {"type": "Results", "start": start, "duration": duration, "channel": {"alternatives": alternatives}}
    return body | {"is_final": False, "speech_final": False} | more


def final(text: str, start: float, duration: float, *, speech_final: bool = False) -> dict[str, Any]:
    return results(text, start, duration, is_final=True, speech_final=speech_final)


def turn_info(event: str, text: str = "", *, turn: int = 0, end: float = 1.0) -> dict[str, Any]:
    """A message of Flux'."""
    return {
        "type": "TurnInfo",
        "event": event,
        "turn_index": turn,
        "audio_window_start": 0.0,
        "audio_window_end": end,
        "transcript": text,
        "words": [],
    }


def alive(kind: str, connection: Connection) -> list[dict[str, Any]]:
    """What a sound recogniser says to a chunk in which nothing is said."""
    heard = len(connection.audio) / 8000
    match kind:
        case "nova":
            return [results("", max(0.0, heard - 1), min(1.0, heard))]
        case "flux":
            return [turn_info("Update", end=heard)]
    return [{"message_type": "session_started", "session_id": "0", "config": {}}] if len(connection.frames) == 1 else []
