"""A bare client of the recognisers' sockets, for the tests of the stand-in."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from lineside.standin.faults import Faults
from lineside.standin.provider import Provider
from lineside.standin.recogniser.listened import Listened

LISTEN = "/v1/listen?model=nova-3&encoding=mulaw&sample_rate=8000&interim_results=true&endpointing=300"
FLUX = "/v2/listen?model=flux-general-en&encoding=mulaw&sample_rate=8000"
SCRIBE = "/v1/speech-to-text/realtime?model_id=scribe_v2_realtime&audio_format=ulaw_8000"
KEYS = {"Authorization": "Token key", "xi-api-key": "key"}

Message = dict[str, Any]


class Client:
    """Everything that comes, with the time at which it came."""

    def __init__(self, socket: ClientConnection, provider: Provider, path: str) -> None:
        self.socket = socket
        self.provider = provider
        self.got: list[tuple[float, Message]] = []
        self.strange: list[str | bytes] = []
        self.closed: tuple[int, str] | None = None
        """Code and reason of the server's close; 1006 without one."""
        self.closed_at = 0.0
        self.audio_at = 0.0
        """When the latest audio was sent."""
        self._scribe = path.startswith("/v1/speech-to-text")
        self._news = asyncio.Event()

    async def read(self) -> None:
        try:
            async for text in self.socket:
                try:
                    message = json.loads(text)
                    self.got.append((now(), message))
                except ValueError:
                    self.strange.append(text)
                self._wake()
        except ConnectionClosed:
            pass
        frame = self.socket.protocol.close_rcvd
        self.closed = (frame.code, frame.reason) if frame else (1006, "")
        self.closed_at = now()
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    # -- to the server -----------------------------------------------------------------------------------------------

    async def send(self, kind: str, **rest: Any) -> None:
        await self.socket.send(json.dumps({"type": kind, **rest}))

    async def hear(self, audio: bytes, *, chunk: int = 160, pace: float = 1.0, rate: int = 8000) -> None:
        """Send audio as it is said: each chunk when its last sample was taken."""
        for start in range(0, len(audio), chunk):
            piece = audio[start : start + chunk]
            if pace:
                await asyncio.sleep(len(piece) / rate / pace)
            await self.send_audio(piece)

    async def send_audio(self, audio: bytes, **rest: Any) -> None:
        self.audio_at = now()
        if self._scribe:
            await self.socket.send(json.dumps(chunk_message(audio, **rest)))
        else:
            await self.socket.send(audio)

    async def commit(self) -> None:
        await self.socket.send(json.dumps(chunk_message(b"", commit=True)))

    # -- from the server ---------------------------------------------------------------------------------------------

    @property
    def messages(self) -> list[Message]:
        return [message for _, message in self.got]

    async def until(self, condition: Callable[[Message], bool], n: int = 1) -> tuple[float, Message]:
        """The nth message of which this holds, and when it came."""
        while len(found := [(at, message) for at, message in self.got if condition(message)]) < n:
            assert self.closed is None, (self.closed, self.got)
            await self._news.wait()
        return found[n - 1]

    async def until_closed(self) -> tuple[int, str]:
        while self.closed is None:
            await self._news.wait()
        return self.closed

    @property
    def listened(self) -> Listened:
        """What the stand-in has on record of its latest connection."""
        return next(reversed(self.provider.record.listened.values()))

    @property
    def breaches(self) -> dict[str, int]:
        return dict(self.provider.record.breaches)


@asynccontextmanager
async def dial(provider: Provider, path: str, headers: dict[str, str] | None = None) -> AsyncIterator[Client]:
    async with connect(
        provider.url + path, additional_headers=KEYS if headers is None else headers, ping_interval=None
    ) as socket:
        client = Client(socket, provider, path)
        reader = asyncio.create_task(client.read())
        try:
            yield client
        finally:
            await socket.close()
            await reader


@asynccontextmanager
async def session(path: str, faults: Faults | None = None) -> AsyncIterator[Client]:
    """A stand-in and one client."""
    async with Provider(faults=faults) as provider, dial(provider, path) as client:
        yield client


async def refused(provider: Provider, path: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
    """Status and body of a handshake that is not let in."""
    with pytest.raises(InvalidStatus) as caught:
        async with dial(provider, path, headers):
            pass
    response = caught.value.response
    return response.status_code, json.loads(response.body or b"{}")


def chunk_message(audio: bytes, *, commit: bool = False, **rest: Any) -> Message:
    """What Scribe takes audio in."""
    encoded = b64encode(audio).decode()
    return {
        "message_type": "input_audio_chunk",
        "audio_base_64": encoded,
        "commit": commit,
        "sample_rate": 8000,
        **rest,
    }


def now() -> float:
    return asyncio.get_running_loop().time()
