"""What the phone's room does to the caller's audio, and what the way to the ear does to the server's."""

from __future__ import annotations

import asyncio
from base64 import b64decode

import numpy as np
import pytest

from lineside.audio import mulaw
from lineside.standin.phone import Phone
from lineside.standin.recogniser.modem import encode
from lineside.standin.recogniser.sounds import music
from standin.phone_server import SECOND, Socket, TinyServer, about, now, open_call
from standin.recogniser.test_modem import dbfs, read

AGENT = encode("welcome to lineside")  # words, so that one can tell where they come back


def inbound(socket: Socket) -> bytes:
    return b"".join(b64decode(message["media"]["payload"]) for message in socket.all("media"))


async def test_what_the_phone_plays_comes_back_later_and_quieter(phone: Phone, server: TinyServer) -> None:
    call, socket = await open_call(phone, server, echo_db=-12.0, echo_delay_s=0.25)
    await asyncio.sleep(0.5)
    played_at = now()
    await socket.play(AGENT)
    await asyncio.sleep(2)
    heard = inbound(socket)
    echo_began = round((played_at + 0.25 - call.stream.began - 0.073) * 8000)
    assert not np.any(mulaw.decode(heard[: echo_began - 1]))
    back = heard[echo_began : echo_began + len(AGENT)]
    assert dbfs(back) == pytest.approx(dbfs(AGENT) - 12, abs=0.3)
    assert read(heard) == (["welcome", "to", "lineside"], [])
    assert call.said()[584:].startswith(heard)


async def test_what_was_cleared_does_not_come_back(phone: Phone, server: TinyServer) -> None:
    _, socket = await open_call(phone, server, echo_db=-12.0, echo_delay_s=0.1)
    await socket.play(SECOND)
    await asyncio.sleep(0.4)
    await socket.send("clear")
    await asyncio.sleep(1)
    assert np.count_nonzero(mulaw.decode(inbound(socket))) == about(3200, within=200)


async def test_the_caller_is_read_through_echo_noise_and_music(phone: Phone, server: TinyServer) -> None:
    call, socket = await open_call(
        phone, server, echo_db=-20.0, echo_delay_s=0.06, noise_db=-40.0, background=music(2, -38)
    )
    await socket.play(SECOND)
    call.speak(encode("I want to cancel"))
    await asyncio.sleep(2)
    assert read(inbound(socket)) == (["I", "want", "to", "cancel"], [])
    assert dbfs(inbound(socket)[-4000:]) == pytest.approx(-36, abs=1.5)


async def test_a_phone_without_a_room_sends_what_the_caller_says(phone: Phone, server: TinyServer) -> None:
    call, socket = await open_call(phone, server)
    await socket.play(SECOND)
    speech = encode("yes")
    call.speak(speech)
    await asyncio.sleep(1)
    assert inbound(socket).strip(b"\xff") == speech.strip(b"\xff")


async def test_the_caller_knows_until_when_they_speak(phone: Phone, server: TinyServer) -> None:
    call, socket = await open_call(phone, server)
    await socket.until("media", 5)
    begins = call.stream.speaks_until
    assert begins == about(now(), within=0.02)
    call.speak(bytes(4000))
    assert call.stream.speaks_until == about(begins + 0.5)
    await asyncio.sleep(1)
    spoke = [event.at for event in call.events if event.kind == "caller_speaks"]
    assert spoke == [about(begins)]


async def test_the_ear_hears_later_than_the_mark_says(phone: Phone, server: TinyServer) -> None:
    call, socket = await open_call(phone, server, mark_to_ear_s=0.3)
    sent = now()
    await socket.play(SECOND)
    await socket.mark("over")
    await socket.until("mark")
    assert socket.times("mark") == [about(sent + 1.0)]  # the mark does not know
    assert [(span.at, len(span.audio)) for span in call.heard_spans()] == [(about(sent + 0.3), 5600)]
    await asyncio.sleep(1)
    began = call.stream.began
    assert call.heard().index(SECOND) == about((sent + 0.3 - began) * 8000, within=1)


async def test_what_is_on_its_way_when_the_call_ends_is_not_heard(phone: Phone, server: TinyServer) -> None:
    call, socket = await open_call(phone, server, mark_to_ear_s=0.3)
    await socket.play(SECOND)
    await socket.mark("over")
    await socket.until("mark")
    await socket.connection.close()
    await call.ended(timeout=10)
    assert call.heard().count(0x21) == about(5600, within=1)
    assert sum(len(span.audio) for span in call.queue.spans(now())) == 8000


async def test_what_was_on_its_way_when_the_server_cleared_is_heard(phone: Phone, server: TinyServer) -> None:
    call, socket = await open_call(phone, server, mark_to_ear_s=0.3)
    await socket.play(SECOND)
    await asyncio.sleep(0.5)
    await socket.send("clear")
    await asyncio.sleep(1)
    assert call.heard().count(0x21) == 4000
