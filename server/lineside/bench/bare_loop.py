"""The bare loop: the least that lets a caller hear a provider's voice. The yardstick for what Lineside costs.

What a competent sample does on the same stack: one endpoint, JSON and base64, one provider socket a call, audio passed
on as it comes. No signatures, no pacing, no agent, no barge-in; one mark at the end of a turn.

    python -m lineside.bench.bare_loop --provider ws://127.0.0.1:9000
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from contextlib import suppress

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect

from lineside.bench.script import ANSWERS
from lineside.bench.serving import HOST, arguments, serve

PATH = "/media"
SPEAK = "/v1/speak?model=aura-2-thalia-en&encoding=mulaw&sample_rate=8000"


class Media:
    """The endpoint.

    Args:
        provider: the speech provider, as ws://host:port.
    """

    def __init__(self, provider: str) -> None:
        self._url = provider + SPEAK

    async def serve(self, websocket: WebSocket) -> None:
        await websocket.accept()
        headers = {"Authorization": "Token bench"}
        async with connect(self._url, additional_headers=headers, compression=None, proxy=None) as speech:
            stream_id = await _started(websocket)
            speaking = asyncio.create_task(_pass_on(speech, websocket, stream_id))
            try:
                with suppress(WebSocketDisconnect, RuntimeError):  # the latter if `_pass_on` noticed it first
                    await _listen(websocket, speech)
            finally:
                speaking.cancel()
                await asyncio.wait([speaking])


async def _started(websocket: WebSocket) -> str:
    while True:
        message = json.loads(await websocket.receive_text())
        if message["event"] == "start":
            return str(message["streamSid"])


async def _listen(websocket: WebSocket, speech: ClientConnection) -> None:
    """Take what the carrier sends; a key is answered by speech. Raises WebSocketDisconnect at the end."""
    n_bytes = 0
    while True:
        message = json.loads(await websocket.receive_text())
        match message["event"]:
            case "media":
                n_bytes += len(b64decode(message["media"]["payload"]))  # where a recogniser would get it
            case "dtmf":
                text = ANSWERS[message["dtmf"]["digit"]]
                await speech.send(json.dumps({"type": "Speak", "text": text}))
                await speech.send('{"type":"Flush"}')


async def _pass_on(speech: ClientConnection, websocket: WebSocket, stream_id: str) -> None:
    """The provider's audio to the caller, and a mark behind each answer."""
    n_answers = 0
    with suppress(WebSocketDisconnect):
        async for message in speech:
            if isinstance(message, bytes):
                payload = b64encode(message).decode("ascii")
                media = {"event": "media", "streamSid": stream_id, "media": {"payload": payload}}
                await websocket.send_text(json.dumps(media))
            elif json.loads(message)["type"] == "Flushed":
                n_answers += 1
                mark = {"event": "mark", "streamSid": stream_id, "mark": {"name": f"answer-{n_answers}"}}
                await websocket.send_text(json.dumps(mark))


def main() -> None:
    """Run as this process until stdin ends."""
    given = arguments("The bare loop, to be compared with")
    app = Starlette(routes=[WebSocketRoute(PATH, Media(given.provider).serve)])
    config = uvicorn.Config(
        app, HOST, given.port, loop="uvloop", ws="websockets-sansio", log_level="warning", access_log=False
    )
    serve(config, core=given.core)


if __name__ == "__main__":
    main()
