"""The local phone as a whole."""

from __future__ import annotations

import asyncio

import pytest

from lineside.errors import RemoteProtocolError
from lineside.standin.phone import Phone, PhoneSettings
from lineside.standin.phone_record import Event
from standin.phone_server import SECOND, Socket, TinyServer, listen, open_call


async def test_a_listener_hears_every_event_as_it_happens(phone: Phone, server: TinyServer) -> None:
    heard: list[Event] = []
    call, socket = await open_call(phone, server, listener=heard.append)
    await socket.play(SECOND)
    await socket.mark("x")
    await socket.until("mark")
    await call.hang_up()
    await call.ended(10)
    assert heard == call.events
    kinds = [event.kind for event in heard]
    for kind in (
        "status",
        "webhook",
        "verb",
        "connecting",
        "started",
        "audio",
        "mark",
        "mark_reached",
        "stop",
        "ended",
    ):
        assert kind in kinds


async def test_warnings_may_be_fatal(server: TinyServer) -> None:
    async def misbehave() -> None:
        async with Phone(PhoneSettings(server.voice, fatal_warnings=True)) as phone:
            _, socket = await open_call(phone, server)
            await socket.raw("{}")
            await asyncio.sleep(0.1)

    with pytest.raises(RemoteProtocolError, match="31951"):
        await misbehave()
    async with Phone(PhoneSettings(server.voice, fatal_warnings=True)) as phone:
        call, socket = await open_call(phone, server)
        await socket.connection.close()
        await call.ended(10)
    assert call.warnings == {"31921": 1}


async def test_two_calls_do_not_mix(phone: Phone, server: TinyServer) -> None:
    first, first_socket = await open_call(phone, server)
    second, second_socket = await open_call(phone, server, caller="+15555550177")
    await first_socket.play(b"\x01" * 800)
    await second_socket.play(b"\x02" * 800)
    await asyncio.sleep(0.5)
    assert set(first.heard()) == {0xFF, 0x01}
    assert set(second.heard()) == {0xFF, 0x02}
    assert first.call_sid != second.call_sid
    assert server.asked[1].fields["From"] == "+15555550177"


async def test_an_early_message_of_the_server_is_for_no_stream_that_it_can_know(
    phone: Phone, server: TinyServer
) -> None:
    async def eager(socket: Socket) -> None:
        await socket.send("clear")
        await listen(socket)

    server.script = eager
    call, socket = await open_call(phone, server)
    message = await socket.until("media")
    assert message["media"]["chunk"] == "1"
    assert call.warnings == {"31951": 1}


async def test_the_carrier_answers_pings(phone: Phone, server: TinyServer) -> None:
    _, socket = await open_call(phone, server)
    async with asyncio.timeout(1):
        await (await socket.connection.ping(b"there?"))


async def test_the_carrier_may_ping(phone: Phone, server: TinyServer) -> None:
    call, socket = await open_call(phone, server, ping_interval_s=5.0)
    await asyncio.sleep(60)
    assert socket.connection.close_code is None
    assert call.warnings == {}
