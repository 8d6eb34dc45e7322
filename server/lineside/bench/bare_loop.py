"""The bare loop: the least that lets a caller hear a provider's voice. The yardstick for what Lineside costs.

What a competent sample does on the same stack: one endpoint, JSON and base64, one provider socket a call, audio passed
on as it comes. No signatures, no pacing, no agent; one mark at the end of a turn. A key that comes while a voice is
still to be heard clears it, at the carrier and at the provider; that is all there is of barge-in. With ears, a second
socket a call takes what the caller says, and the answers are read; nothing is done about them.

    python -m lineside.bench.bare_loop --provider ws://127.0.0.1:9000 [--ears]
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect

from lineside.bench.script import ANSWERS
from lineside.bench.serving import HOST, arguments, serve

PATH = "/media"
SPEAK = "/v1/speak?model=aura-2-thalia-en&encoding=mulaw&sample_rate=8000"
LISTEN = (
    "/v1/listen?model=nova-3&encoding=mulaw&sample_rate=8000&interim_results=true&endpointing=300"
    "&utterance_end_ms=1000&vad_events=true"
)
RATE = 8000  # bytes a second
CHUNK = 480  # bytes of a caller's audio a message, 60 ms: as many as Lineside sends


class Media:
    """The endpoint.

    Args:
        provider: the speech provider, as ws://host:port.
        ears: have it hear the callers, too.
    """

    def __init__(self, provider: str, *, ears: bool = False) -> None:
        self._provider = provider
        self._ears = ears

    async def serve(self, websocket: WebSocket) -> None:
        await websocket.accept()
        async with self._connect(SPEAK) as speech, self._hearing() as hear:
            carrier = _Carrier(websocket, await _started(websocket))
            speaking = asyncio.create_task(_pass_on(speech, carrier))
            try:
                with suppress(WebSocketDisconnect, RuntimeError):  # the latter if `_pass_on` noticed it first
                    await _listen(carrier, speech, hear)
            finally:
                speaking.cancel()
                await asyncio.wait([speaking])

    def _connect(self, path: str) -> connect:
        headers = {"Authorization": "Token bench"}
        return connect(self._provider + path, additional_headers=headers, compression=None, proxy=None)

    @asynccontextmanager
    async def _hearing(self) -> AsyncIterator[ClientConnection | None]:
        """The call's socket to the recogniser, whose answers are read; None without ears."""
        if not self._ears:
            yield None
            return
        async with self._connect(LISTEN) as ear:
            reading = asyncio.create_task(_read(ear))
            try:
                yield ear
            finally:
                reading.cancel()
                await asyncio.wait([reading])


class _Carrier:
    """The call's stream."""

    def __init__(self, websocket: WebSocket, stream_id: str) -> None:
        self.receive = websocket.receive_text
        self._websocket = websocket
        self._stream_id = stream_id
        self._loop = asyncio.get_running_loop()
        self._plays_until = 0.0  # loop time

    async def send(self, event: str, **rest: object) -> None:
        await self._websocket.send_text(json.dumps({"event": event, "streamSid": self._stream_id} | rest))

    async def play(self, audio: bytes) -> None:
        self._plays_until = max(self._plays_until, self._loop.time()) + len(audio) / RATE
        await self.send("media", media={"payload": b64encode(audio).decode("ascii")})

    async def clear(self) -> bool:
        """Fall silent; whether there was anything to be heard."""
        if self._plays_until <= self._loop.time():
            return False
        self._plays_until = 0.0
        await self.send("clear")
        return True


async def _read(ear: ClientConnection) -> None:
    async for message in ear:
        json.loads(message)


async def _started(websocket: WebSocket) -> str:
    while True:
        message = json.loads(await websocket.receive_text())
        if message["event"] == "start":
            return str(message["streamSid"])


async def _listen(carrier: _Carrier, speech: ClientConnection, ear: ClientConnection | None) -> None:
    """Take what the carrier sends; a key is answered by speech. Raises WebSocketDisconnect at the end."""
    heard = bytearray()
    while True:
        message = json.loads(await carrier.receive())
        match message["event"]:
            case "media":
                heard += b64decode(message["media"]["payload"])
                if len(heard) >= CHUNK:
                    if ear is not None:
                        await ear.send(bytes(heard))
                    heard.clear()
            case "dtmf":
                if await carrier.clear():
                    await speech.send('{"type":"Clear"}')
                text = ANSWERS[message["dtmf"]["digit"]]
                await speech.send(json.dumps({"type": "Speak", "text": text}))
                await speech.send('{"type":"Flush"}')


async def _pass_on(speech: ClientConnection, carrier: _Carrier) -> None:
    """The provider's audio to the caller, and a mark behind each answer."""
    n_answers = 0
    with suppress(WebSocketDisconnect):
        async for message in speech:
            if isinstance(message, bytes):
                await carrier.play(message)
            elif json.loads(message)["type"] == "Flushed":
                n_answers += 1
                await carrier.send("mark", mark={"name": f"answer-{n_answers}"})


def main() -> None:
    """Run as this process until stdin ends."""
    given = arguments("The bare loop, to be compared with")
    app = Starlette(routes=[WebSocketRoute(PATH, Media(given.provider, ears=given.ears).serve)])
    config = uvicorn.Config(
        app, HOST, given.port, loop="uvloop", ws="websockets-sansio", log_level="warning", access_log=False
    )
    serve(config, core=given.core)


if __name__ == "__main__":
    main()
