"""What the local phone says on a stream."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from datetime import UTC, datetime

import pytest

from lineside.errors import LocalProtocolError
from lineside.standin.phone import Phone, PhoneSettings
from lineside.standin.phone_record import CallRecord, Direction
from lineside.standin.phone_stream import CarrierStream
from standin.phone_server import Socket, TinyServer, about, now, open_call


async def test_connected_and_start_come_first_and_say_what_the_documents_say(phone: Phone, server: TinyServer) -> None:
    server.twiml["/voice"] = server.connect('<Parameter name="tenant" value="a &amp; b"/>')
    call, socket = await open_call(phone, server)
    await socket.until("media")
    assert [message["event"] for _, message in socket.got] == ["connected", "start", "media"]
    assert socket.got[0][1] == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    assert socket.got[1][1] == {
        "event": "start",
        "sequenceNumber": "1",
        "streamSid": call.stream_sid,
        "start": {
            "accountSid": phone.settings.account_sid,
            "streamSid": call.stream_sid,
            "callSid": call.call_sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": {"tenant": "a & b"},
        },
    }
    assert call.stream_sid.startswith("MZ")
    assert len(call.stream_sid) == 34


async def test_parameters_may_be_absent_when_there_are_none(phone: Phone, server: TinyServer) -> None:
    _, socket = await open_call(phone, server)
    assert socket.all("start")[0]["start"]["customParameters"] == {}
    _, socket = await open_call(phone, server, custom_parameters_when_none="absent")
    assert "customParameters" not in socket.all("start")[0]["start"]


async def test_frames_come_every_20_ms_with_strings_for_numbers(phone: Phone, server: TinyServer) -> None:
    call, socket = await open_call(phone, server)
    await socket.until("media", 500)
    frames = socket.all("media")
    assert [frame["sequenceNumber"] for frame in frames] == [str(n) for n in range(2, 502)]
    assert [frame["media"]["chunk"] for frame in frames] == [str(n) for n in range(1, 501)]
    assert [frame["media"]["timestamp"] for frame in frames] == [str(73 + 20 * n) for n in range(500)]
    assert {frame["media"]["track"] for frame in frames} == {"inbound"}
    assert {b64decode(frame["media"]["payload"]) for frame in frames} == {b"\xff" * 160}
    began = call.stream.began
    assert socket.times("media") == [about(began + 0.073 + 0.02 * n, within=1e-5) for n in range(1, 501)]
    assert max(call.lateness) < 1e-6
    assert len(call.lateness) == 500


async def test_late_ticks_are_made_up_for_and_recorded() -> None:
    record = CallRecord(PhoneSettings("http://127.0.0.1/"), Direction("inbound", "a", "b"), datetime.now(UTC))
    stream = CarrierStream(record, "MZ1", {}, now=50.0)
    assert len(stream.step(50.0)) == 2
    assert stream.next_due == about(50.093)
    assert len(stream.step(50.140)) == 3
    assert list(stream.lateness) == pytest.approx([0.047, 0.027, 0.007])
    assert stream.next_due == about(50.153)


async def test_the_callers_words_travel_in_the_frames(phone: Phone, server: TinyServer) -> None:
    call, socket = await open_call(phone, server, silence_byte=0x7E)
    speech = bytes(range(1, 201))
    call.speak(speech)
    await socket.until("media", 3)
    payloads = b"".join(b64decode(message["media"]["payload"]) for message in socket.all("media")[:3])
    assert payloads == speech + b"\x7e" * 280
    assert call.said() == b"\xff" * 584 + payloads
    began = call.stream.began
    kinds = [(event.kind, event.at - began) for event in call.events if event.kind.startswith("caller")]
    assert kinds == [("caller_speaks", about(0.073)), ("caller_silent", about(0.073 + 200 / 8000))]


async def test_a_key_is_sent_now_and_counted_in_the_sequence(phone: Phone, server: TinyServer) -> None:
    call, socket = await open_call(phone, server)
    await socket.until("media", 2)
    call.press("#")
    pressed = now()
    message = await socket.until("dtmf")
    assert message == {
        "event": "dtmf",
        "sequenceNumber": "4",
        "streamSid": call.stream_sid,
        "dtmf": {"track": "inbound_track", "digit": "#"},
    }
    assert socket.times("dtmf") == [pressed]
    assert (await socket.until("media", 3))["sequenceNumber"] == "5"
    with pytest.raises(LocalProtocolError):
        call.press("x")


async def test_key_order_may_vary_and_nothing_else_does(phone: Phone, server: TinyServer) -> None:
    _, plain = await open_call(phone, server)
    orders = set()

    async def look(socket: Socket) -> None:
        async for text in socket.connection:
            message = json.loads(text)
            if message["event"] == "media":
                orders.add((*message, *message["media"]))
                assert message.keys() == plain.all("media")[0].keys()

    server.script, server.reads = look, False
    await plain.until("media")
    call = await phone.dial(key_order_varies=True)
    await call.connected()
    await asyncio.sleep(2)
    assert len(orders) > 20
