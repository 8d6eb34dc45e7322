"""How calls on the local phone end."""

from __future__ import annotations

import asyncio
import hashlib
from base64 import b64encode

import pytest
from twilio.request_validator import RequestValidator

from lineside.errors import LocalProtocolError
from lineside.standin.phone import Phone, PhoneSettings
from lineside.standin.phone_life import Step
from standin.phone_server import SECOND, TOKEN, TinyServer, about, now, open_call


async def test_a_caller_who_hangs_up_sends_stop_and_then_closes_with_1000(phone: Phone, server: TinyServer) -> None:
    call, socket = await open_call(phone, server)
    await socket.play(SECOND)
    await socket.mark("never")
    await asyncio.sleep(0.5)
    await call.hang_up()
    await call.ended(10)
    last = socket.got[-1][1]
    assert last.keys() == {"event", "sequenceNumber", "streamSid", "stop"}
    assert last["event"] == "stop"
    assert last["stop"] == {"accountSid": phone.settings.account_sid, "callSid": call.call_sid}
    assert socket.connection.close_code == 1000
    assert (call.status, call.ended_by, call.over) == ("completed", "caller", True)
    assert socket.all("mark") == []
    assert call.heard().count(0x21) == 4000
    assert call.warnings == {}
    with pytest.raises(LocalProtocolError):
        call.speak(b"x")
    await call.hang_up()


async def test_pending_marks_may_be_echoed_before_the_stop(phone: Phone, server: TinyServer) -> None:
    call, socket = await open_call(phone, server, echo_marks_at_end=True)
    await socket.play(SECOND)
    await socket.mark("pending")
    await asyncio.sleep(0.5)
    await call.hang_up()
    await call.ended(10)
    assert [message["event"] for _, message in socket.got[-2:]] == ["mark", "stop"]


async def test_the_connects_action_is_asked_in_vain_when_the_caller_hung_up(phone: Phone, server: TinyServer) -> None:
    server.twiml["/voice"] = server.connect(action="/after")
    server.twiml["/after"] = server.connect()
    call, _ = await open_call(phone, server)
    await call.hang_up()
    await call.ended(10)
    (after,) = server.asked_at("/after")
    assert after.fields["CallStatus"] == "completed"
    assert RequestValidator(TOKEN).validate(after.url, after.fields, after.headers["X-Twilio-Signature"])
    assert len(call.streams) == 1
    call, _ = await open_call(phone, server, action_after_hang_up=False)
    await call.hang_up()
    await call.ended(10)
    assert len(server.asked_at("/after")) == 1


async def test_a_server_that_closes_gets_31921_and_the_next_verb_runs(phone: Phone, server: TinyServer) -> None:
    server.twiml["/voice"] = server.connect(after="<Pause length='2'/><Hangup/>")
    call, socket = await open_call(phone, server)
    await socket.play(SECOND)
    await socket.connection.close()
    await call.ended(60)
    assert call.warnings == {"31921": 1}
    assert call.transcript == ["ConnectStream", "Pause", "Hangup"]
    assert (call.status, call.ended_by) == ("completed", "twiml")
    assert socket.all("stop") == []
    assert call.heard().count(0x21) < 100


async def test_a_close_waits_behind_the_messages_before_it(phone: Phone, server: TinyServer) -> None:
    call, socket = await open_call(phone, server, round_trip_s=2.0)
    closed = now()
    await socket.play(SECOND)
    await socket.connection.close()
    await call.ended(60)
    assert call.queue.accepted == 8000
    assert now() == about(closed + 1.0, within=0.1)


async def test_after_the_stream_the_action_is_asked_and_may_open_another(phone: Phone, server: TinyServer) -> None:
    server.twiml["/voice"] = server.connect(action="/after")
    server.twiml["/after"] = server.connect()
    call, first = await open_call(phone, server)
    await first.play(SECOND)
    await asyncio.sleep(1.5)
    await first.connection.close()
    await call.connected(2)
    second = server.sockets[1]
    start = await second.until("start")
    (after,) = server.asked_at("/after")
    assert (after.fields["CallStatus"], after.fields["CallSid"]) == ("in-progress", call.call_sid)
    assert start["start"]["callSid"] == call.call_sid
    assert start["streamSid"] == call.stream_sid != first.stream_sid
    assert start["sequenceNumber"] == "1"
    await second.play(SECOND)
    await second.mark("end")
    await second.until("mark")
    assert call.heard().count(0x21) == 16000
    assert len(call.streams) == 2


async def test_a_dropped_connection_is_31903_and_the_call_goes_on(phone: Phone, server: TinyServer) -> None:
    server.twiml["/voice"] = server.connect(action="/after", stream='statusCallback="/stream-status"')
    server.twiml["/after"] = "<Response><Hangup/></Response>"
    call, socket = await open_call(phone, server)
    await call.drop()
    await call.ended(10)
    assert call.warnings == {"31903": 1}
    assert socket.connection.close_code == 1006
    assert server.asked_at("/after")[0].fields["CallStatus"] == "in-progress"
    events = [asked.fields["StreamEvent"] for asked in server.asked_at("/stream-status")]
    assert events == ["stream-started", "stream-error", "stream-stopped"]


async def test_a_server_that_vanishes_is_31903(phone: Phone, server: TinyServer) -> None:
    call, socket = await open_call(phone, server)
    socket.connection.transport.abort()
    await call.ended(10)
    assert call.warnings == {"31903": 1}


@pytest.mark.parametrize("frame", [b"\x83\x01x", b"\x09\x01x", b"\x81\x01\xff"])
async def test_a_server_that_breaks_rfc_6455_is_31924(phone: Phone, server: TinyServer, frame: bytes) -> None:
    call, socket = await open_call(phone, server)
    socket.connection.transport.write(frame)
    await call.ended(10)
    assert call.warnings == {"31924": 1}


async def test_the_carrier_may_stop_and_leave_the_socket_open(phone: Phone, server: TinyServer) -> None:
    call, socket = await open_call(phone, server, status_url=f"{server.http}/status")
    await call.stop_without_close()
    await socket.until("stop")
    await asyncio.sleep(5)
    assert socket.connection.close_code is None
    assert server.asked_at("/status")[-1].fields["CallStatus"] == "completed"
    await socket.connection.close()
    await call.ended(1)
    assert call.warnings == {}


async def test_a_socket_that_nobody_closes_is_dropped_after_a_while(phone: Phone, server: TinyServer) -> None:
    call, socket = await open_call(phone, server, linger_s=7.0)
    began = now()
    await call.stop_without_close()
    await call.ended(10)
    assert now() - began == about(7.0, within=0.1)
    assert socket.connection.close_code == 1006


async def test_the_carrier_may_close_without_a_stop(phone: Phone, server: TinyServer) -> None:
    call, socket = await open_call(phone, server, round_trip_s=0.1)
    await socket.until("media", 3)
    await call.close_without_stop()
    await call.ended(10)
    assert socket.all("stop") == []
    assert socket.connection.close_code == 1000


@pytest.mark.parametrize("steps", [("status", "stop", "close"), ("stop", "status", "close"), ("status",), ("stop",)])
async def test_stop_close_and_status_come_in_any_order(
    phone: Phone, server: TinyServer, steps: tuple[Step, ...]
) -> None:
    call, socket = await open_call(phone, server, status_url=f"{server.http}/status", status_events=("completed",))
    await call.hang_up(steps)
    await call.ended(60)
    assert len(server.asked_at("/status")) == ("status" in steps)
    assert len(socket.all("stop")) == ("stop" in steps)
    assert call.status == "completed"


async def test_a_server_that_does_not_answer_the_close_is_cut_off(phone: Phone, server: TinyServer) -> None:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        key = next(line[19:] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
        accept = b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
        writer.write(b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(deaf, "127.0.0.1", 0) as server_socket:
        port = server_socket.sockets[0].getsockname()[1]
        server.twiml["/voice"] = server.connect(stream=f'url="ws://127.0.0.1:{port}/"')
        call = await phone.dial()
        await call.connected()
        await call.hang_up()
        await call.ended(5)
        assert call.warnings == {"close_unfinished": 1}


async def test_a_caller_may_hang_up_while_it_rings(phone: Phone, server: TinyServer) -> None:
    server.delay["/voice"] = 10
    call = await phone.dial()
    await asyncio.sleep(3)
    await call.hang_up()
    await call.ended(1)
    assert (call.ended_by, call.status, call.streams) == ("caller", "completed", [])


async def test_a_caller_may_hang_up_during_a_pause(phone: Phone, server: TinyServer) -> None:
    server.twiml["/voice"] = "<Response><Pause length='600'/><Say>never</Say></Response>"
    call = await phone.dial()
    await asyncio.sleep(3)
    await call.hang_up()
    await call.ended(1)
    assert call.transcript == ["Pause"]


async def test_hanging_up_during_a_stall_arrives_after_it(phone: Phone, server: TinyServer) -> None:
    call, socket = await open_call(phone, server)
    call.stall(3.0)
    until = now() + 3.0
    await call.hang_up()
    await call.ended(10)
    assert socket.times("stop") == [about(until)]


async def test_leaving_the_phone_hangs_up(server: TinyServer) -> None:
    async with Phone(PhoneSettings(server.voice)) as phone:
        call, socket = await open_call(phone, server)
    assert socket.all("stop")
    assert call.ended_by == "caller"


async def test_leaving_the_phone_by_an_error_keeps_nothing_running(server: TinyServer) -> None:
    async def fail() -> None:
        async with Phone(PhoneSettings(server.voice)) as phone:
            await open_call(phone, server)
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await fail()
    (socket,) = server.sockets
    await socket.connection.wait_closed()
    assert socket.connection.close_code == 1006
