"""A caller who follows a script."""

from __future__ import annotations

import asyncio
from base64 import b64decode

import pytest

from lineside.standin.phone import Phone
from lineside.standin.recogniser.caller import (
    AfterAgent,
    At,
    Caller,
    DuringAgent,
    HangUp,
    Press,
    Say,
    Sound,
    Wait,
)
from lineside.standin.recogniser.modem import encode
from standin.phone_server import SECOND, Socket, TinyServer, about, now, open_call
from standin.recogniser.test_modem import read

FRAME_S = 0.02


def inbound(socket: Socket) -> bytes:
    return b"".join(b64decode(message["media"]["payload"]) for message in socket.all("media"))


async def test_a_caller_says_words_at_a_time(phone: Phone, server: TinyServer) -> None:
    call, socket = await open_call(phone, server)
    caller = Caller(call, [At(1.5), Say("good morning"), Wait(0.5), Say("bye", seconds_per_word=0.5)])
    await caller.run()
    first, second = caller.said
    assert first.text == "good morning"
    assert first.began_at == about(call.stream.began + 1.5, within=FRAME_S)
    assert first.ended_at - first.began_at == about(len(encode("good morning")) / 8000)
    assert second.began_at == about(first.ended_at + 0.5, within=2 * FRAME_S)
    assert second.ended_at - second.began_at == about(0.5, within=0.016)
    assert now() == about(second.ended_at)
    await asyncio.sleep(0.1)
    assert read(inbound(socket)) == (["good", "morning", "bye"], [])
    spoke = [event.at for event in call.events if event.kind == "caller_speaks"]
    assert spoke == [about(said.began_at) for said in caller.said]


async def test_a_caller_answers_when_the_agent_has_fallen_silent(phone: Phone, server: TinyServer) -> None:
    call, socket = await open_call(phone, server)
    caller = Caller(call, [AfterAgent(0.7), Say("hello"), AfterAgent(0.4), Say("thanks")])
    running = asyncio.create_task(caller.run())
    await asyncio.sleep(3)  # nothing is said before the agent speaks
    greeted_at = now()
    await socket.play(SECOND)
    await asyncio.sleep(4)
    assert [said.text for said in caller.said] == ["hello"]  # and not again before it answers
    assert caller.said[0].began_at == about(greeted_at + 1.7, within=2 * FRAME_S)
    answered_at = now()
    await socket.play(SECOND * 2)
    await running
    assert caller.said[1].began_at == about(answered_at + 2.4, within=2 * FRAME_S)
    assert not caller.left


async def test_a_caller_interrupts_at_an_offset_of_the_agents_turn(phone: Phone, server: TinyServer) -> None:
    call, socket = await open_call(phone, server)
    caller = Caller(call, [DuringAgent(1.2), Say("wait"), AfterAgent(0.3), Say("go on")])
    running = asyncio.create_task(caller.run())
    await asyncio.sleep(1)
    began_at = now()
    await socket.play(SECOND * 3)
    await asyncio.sleep(1.7)
    assert [said.text for said in caller.said] == ["wait"]
    assert caller.said[0].began_at == about(began_at + 1.2, within=2 * FRAME_S)
    await running
    assert caller.said[1].began_at == about(began_at + 3.3, within=2 * FRAME_S)


async def test_a_short_pause_of_the_agent_is_not_the_end_of_its_turn(phone: Phone, server: TinyServer) -> None:
    call, socket = await open_call(phone, server)
    caller = Caller(call, [DuringAgent(1.6), Say("wait")])
    running = asyncio.create_task(caller.run())
    began_at = now()
    await socket.play(SECOND + b"\xff" * 3000 + SECOND)
    await running
    assert caller.said[0].began_at == about(began_at + 1.6, within=2 * FRAME_S)


async def test_the_caller_reacts_to_what_reaches_the_ear(phone: Phone, server: TinyServer) -> None:
    call, socket = await open_call(phone, server, mark_to_ear_s=0.4)
    caller = Caller(call, [AfterAgent(0.5), Say("hello")])
    running = asyncio.create_task(caller.run())
    played_at = now()
    await socket.play(SECOND)
    await running
    assert caller.said[0].began_at == about(played_at + 1.9, within=2 * FRAME_S)


async def test_a_caller_coughs_presses_keys_and_hangs_up(phone: Phone, server: TinyServer) -> None:
    call, socket = await open_call(phone, server)
    caller = Caller(call, [Sound(), Press("12#"), Wait(0.1), HangUp()])
    await caller.run()
    await call.ended(timeout=5)
    assert [message["dtmf"]["digit"] for message in socket.all("dtmf")] == ["1", "2", "#"]
    first, second, third = socket.times("dtmf")
    assert first == about(caller.said[0].ended_at)
    assert (second, third) == (about(first + 0.3), about(first + 0.6))
    assert caller.said[0].text == ""
    assert read(inbound(socket)) == ([], [])
    assert call.ended_by == "caller"


async def test_a_quieter_caller_is_quieter(phone: Phone, server: TinyServer) -> None:
    call, socket = await open_call(phone, server)
    await Caller(call, [Say("psst", quieter_db=20), Wait(0.1)]).run()
    assert max(inbound(socket), key=lambda byte: 0x7F - (byte & 0x7F)) & 0x7F > 0x1F  # far from full scale
    assert read(inbound(socket)) == (["psst"], [])


async def test_an_agent_that_does_not_come_is_an_error(phone: Phone, server: TinyServer) -> None:
    call, _ = await open_call(phone, server)
    caller = Caller(call, [Wait(1), AfterAgent(patience_s=5), HangUp()])
    began_at = now()
    with pytest.raises(TimeoutError, match="AfterAgent"):
        await caller.run()
    assert now() == about(began_at + 6)
    assert len(caller.left) == 2


async def test_the_rest_of_the_script_is_left_when_the_call_ends(phone: Phone, server: TinyServer) -> None:
    call, socket = await open_call(phone, server)
    caller = Caller(call, [Say("one"), Wait(5), Say("two")])
    running = asyncio.create_task(caller.run())
    await asyncio.sleep(1)
    await socket.connection.close()
    await running
    assert [said.text for said in caller.said] == ["one"]
    assert list(caller.left) == [Wait(5), Say("two")]


async def test_a_caller_may_dial_before_anything_is_connected(phone: Phone, server: TinyServer) -> None:
    server.delay["/voice"] = 2.0
    caller = Caller(await phone.dial(), [Say("hello")])
    await caller.run()
    assert [said.text for said in caller.said] == ["hello"]
