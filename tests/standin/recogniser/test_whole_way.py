"""From a caller's script through the phone and a bridge of the simplest kind to the recogniser."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from lineside.standin.phone import Phone, PhoneCall, PhoneSettings
from lineside.standin.provider import Provider
from lineside.standin.recogniser.caller import AfterAgent, At, Caller, Say, Sound, Wait
from lineside.standin.recogniser.listened import Listened
from lineside.standin.tone import ToneVoice
from standin.phone_server import TOKEN, Socket, TinyServer, about
from standin.recogniser.client import LISTEN, Client, dial

AGENT = ToneVoice().speak("Thank you for calling Lineside. How can I help you today?").audio("mulaw", 8000)

Damage = Callable[[int, bytes], bytes]


@asynccontextmanager
async def bridge(damage: Damage, **overrides: Any) -> AsyncIterator[tuple[PhoneCall, Socket, Client]]:
    """A call whose every frame goes to the recogniser, after `damage` was done to it."""
    async with Provider() as provider, dial(provider, LISTEN + "&utterance_end_ms=1000") as client:

        async def relay(socket: Socket) -> None:
            n = 0
            async for text in socket.connection:
                message = json.loads(text)
                socket.stream_sid = message.get("streamSid", "")
                if message["event"] == "start":
                    started.set()
                if message["event"] == "media":
                    if audio := damage(n, b64decode(message["media"]["payload"])):
                        await client.send_audio(audio)
                    n += 1

        started = asyncio.Event()
        server = TinyServer(relay, reads=False)
        async with server, Phone(PhoneSettings(server.voice, auth_token=TOKEN)) as phone:
            call = await phone.dial(**overrides)
            await call.connected()
            socket = await server.latest()
            await started.wait()
            yield call, socket, client


def whole(n: int, frame: bytes) -> bytes:
    return frame


def heard(client: Client) -> Listened:
    return client.listened


async def test_what_the_caller_says_is_what_is_heard_and_when() -> None:
    async with bridge(whole) as (call, _, client):
        caller = Caller(call, [At(1), Say("I would like to cancel"), Wait(2), Say("thank you"), Wait(2)])
        await caller.run()
        listened = heard(client)
        assert listened.text == "I would like to cancel thank you"
        first, second = caller.said
        began = call.stream.began + 0.073
        assert listened.words[0].start_s == about(first.began_at - began)
        assert listened.words[-1].end_s == about(second.ended_at - began)
        assert listened.words[-1].at == about(second.ended_at, within=0.021)
        finals = [m for m in client.messages if m["type"] == "Results" and m["speech_final"]]
        texts = [m["channel"]["alternatives"][0]["transcript"] for m in finals]
        assert texts == ["i would like to cancel", "thank you"]
        assert listened.behind_s == about(0, within=0.001)
        assert not client.breaches


@pytest.mark.parametrize(
    "room", [{"echo_db": -20.0, "echo_delay_s": 0.4}, {"echo_db": -10.0, "echo_delay_s": 0.05, "noise_db": -40.0}]
)
async def test_the_caller_is_heard_while_the_agent_echoes(room: dict[str, float]) -> None:
    async with bridge(whole, **room) as (call, socket, client):
        caller = Caller(call, [At(0.5), Say("no wait I want something else"), AfterAgent(), Sound(), Wait(1)])
        running = asyncio.create_task(caller.run())
        await socket.play(AGENT)
        await running
        assert heard(client).text == "no wait I want something else"
        assert not heard(client).losses


async def test_a_frame_that_the_bridge_loses_loses_its_word() -> None:
    async with bridge(lambda n, frame: b"" if n == 52 else frame) as (call, _, client):
        caller = Caller(call, [At(1), Say("one two three four"), Wait(1)])
        await caller.run()
        assert heard(client).text == "two three four"
        (loss,) = heard(client).losses
        assert (loss.how, loss.n_samples) == ("missing", 160)


async def test_frames_that_the_bridge_swaps_lose_their_word() -> None:
    kept: list[bytes] = []

    def swap(n: int, frame: bytes) -> bytes:
        if n == 52:
            kept.append(frame)
            return b""
        return frame + kept.pop() if kept else frame

    async with bridge(swap) as (call, _, client):
        caller = Caller(call, [At(1), Say("one two three four"), Wait(1)])
        await caller.run()
        assert heard(client).text == "two three four"
        assert len(heard(client).losses) == 1
