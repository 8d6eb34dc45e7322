"""A bare client of ElevenLabs' sockets, for the tests of the stand-in."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from lineside.standin.faults import Faults
from lineside.standin.provider import Provider
from lineside.standin.tone import ToneVoice

MULTI = "multi-stream-input"
STREAM = "stream-input"
PHONE = "model_id=eleven_flash_v2_5&output_format=ulaw_8000"
KEY = {"xi-api-key": "key"}
INIT = {"text": " "}
CLOSE = {"text": ""}
FLUSH = {"flush": True}


def url(provider: Provider, kind: str, query: str = "", voice_id: str = "voice") -> str:
    return f"{provider.url}/v1/text-to-speech/{voice_id}/{kind}?{PHONE}&{query}"


@asynccontextmanager
async def dial(
    provider: Provider,
    kind: str,
    query: str = "",
    *,
    voice_id: str = "voice",
    headers: dict[str, str] | None = None,
    max_size: int = 1 << 20,
) -> AsyncIterator[ClientConnection]:
    async with connect(
        url(provider, kind, query, voice_id),
        additional_headers=KEY if headers is None else headers,
        max_size=max_size,
        ping_interval=None,
    ) as socket:
        yield socket


@asynccontextmanager
async def session(
    kind: str, faults: Faults | None = None, query: str = ""
) -> AsyncIterator[tuple[ClientConnection, Provider]]:
    """A stand-in and one client."""
    async with Provider(faults=faults) as provider, dial(provider, kind, query) as socket:
        yield socket, provider


async def send(socket: ClientConnection, *messages: dict[str, Any]) -> None:
    for message in messages:
        await socket.send(json.dumps(message))


def text(text: str, context_id: str | None = None, /, **more: Any) -> dict[str, Any]:
    return {"text": text} | ({"context_id": context_id} if context_id else {}) | more


def init(context_id: str, **more: Any) -> dict[str, Any]:
    return text(" ", context_id, **more)


def flush(context_id: str) -> dict[str, Any]:
    return {"context_id": context_id, "flush": True}


def close(context_id: str) -> dict[str, Any]:
    return {"context_id": context_id, "close_context": True}


async def receive(socket: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(await socket.recv())
    return message


async def until_final(socket: ClientConnection, context_id: str | None = None) -> list[dict[str, Any]]:
    """Everything up to the final (of a context), which is the last one."""
    got = []
    while True:
        got.append(await receive(socket))
        if got[-1].get("isFinal") and got[-1].get("contextId") == context_id:
            return got


async def rest(socket: ClientConnection) -> tuple[list[dict[str, Any]], int, str]:
    """Everything up to the close, and its code and reason."""
    got = []
    try:
        while True:
            got.append(await receive(socket))
    except ConnectionClosed as closed:
        return got, (closed.rcvd.code if closed.rcvd else 1006), (closed.rcvd.reason if closed.rcvd else "")


async def for_a_while(socket: ClientConnection, seconds: float) -> list[dict[str, Any]]:
    """Everything that comes within so many seconds."""
    got: list[dict[str, Any]] = []
    try:
        async with asyncio.timeout(seconds):
            while True:
                got.append(await receive(socket))
    except TimeoutError:
        return got


def audio(got: list[dict[str, Any]], context_id: str | None = None) -> bytes:
    """The audio (of a context) in what came."""
    return b"".join(b64decode(each.get("audio") or "") for each in got if each.get("contextId") == context_id)


def recorded(provider: Provider) -> bytes:
    """All audio on record."""
    return b"".join(spoken.audio for spoken in provider.record.spoken)


def voiced(text: str) -> bytes:
    """What a text is when it is whole."""
    return ToneVoice().speak(text).audio("mulaw", 8000)


def now() -> float:
    return asyncio.get_running_loop().time()
