"""What the local phone makes of the server's messages."""

from __future__ import annotations

import asyncio
import json

import pytest

from lineside.standin.carrier_queue import Gap
from lineside.standin.phone import Phone
from standin.phone_server import SECOND, TinyServer, about, now, open_call


async def test_audio_plays_and_its_mark_comes_back_when_it_was_played(phone: Phone, server: TinyServer) -> None:
    call, socket = await open_call(phone, server)
    sent = now()
    await socket.play(SECOND)
    await socket.mark("word")
    message = await socket.until("mark")
    assert message.keys() == {"event", "sequenceNumber", "streamSid", "mark"}
    assert message["mark"] == {"name": "word"}
    assert socket.times("mark") == [about(sent + 1.0, within=1e-6)]
    lead = round((sent - call.stream.began) * 8000)
    assert call.heard() == b"\xff" * lead + SECOND
    assert call.warnings == {}


async def test_a_mark_with_nothing_queued_comes_back_at_once(phone: Phone, server: TinyServer) -> None:
    _, socket = await open_call(phone, server)
    await socket.mark("now")
    sent = now()
    await socket.until("mark")
    assert socket.times("mark") == [sent]


@pytest.mark.parametrize(("order", "names"), [("fifo", ["a", "b", "after"]), ("lifo", ["b", "a", "after"])])
async def test_a_clear_brings_all_marks_back_at_once(
    phone: Phone, server: TinyServer, order: str, names: list[str]
) -> None:
    call, socket = await open_call(phone, server, mark_echo_order_on_clear=order)
    await socket.play(SECOND * 2)
    await socket.mark("a")
    await socket.mark("b")
    await asyncio.sleep(0.5)
    await socket.send("clear")
    await socket.mark("after")
    cleared = now()
    await socket.until("mark", 3)
    assert [message["mark"]["name"] for message in socket.all("mark")] == names
    assert socket.times("mark") == [cleared] * 3
    assert call.queue.clears[0].dropped == 12000
    assert [echo.cleared for echo in call.queue.echoes] == [True, True, False]
    await asyncio.sleep(3)
    assert call.heard().count(0x21) == 4000


async def test_half_the_round_trip_passes_each_way(phone: Phone, server: TinyServer) -> None:
    call, socket = await open_call(phone, server, round_trip_s=0.2)
    assert socket.times("start") == [about(call.stream.began + 0.1)]
    sent = now()
    await socket.play(SECOND)
    await socket.mark("word")
    await socket.until("mark")
    assert now() == about(sent + 0.1 + 1.0 + 0.1)
    assert call.queue.spans(now())[0].at == about(sent + 0.1)
    assert socket.times("media")[0] == about(call.stream.began + 0.093 + 0.1)


async def test_jitter_delays_but_never_reorders(phone: Phone, server: TinyServer) -> None:
    call, socket = await open_call(phone, server, jitter_s=0.15, seed=3)
    await socket.until("media", 200)
    frames = socket.all("media")
    assert [frame["media"]["chunk"] for frame in frames] == [str(n) for n in range(1, len(frames) + 1)]
    lates = [at - call.stream.began - 0.073 - 0.02 * n for n, at in enumerate(socket.times("media"), start=1)]
    assert min(lates) >= -1e-6
    assert 0.1 < max(lates) <= 0.15 + 1e-6


async def test_a_stalled_network_delivers_everything_later_and_in_order(phone: Phone, server: TinyServer) -> None:
    call, socket = await open_call(phone, server)
    await socket.until("media", 5)
    call.stall(2.0)
    until = now() + 2.0
    await socket.play(SECOND)
    call.press("1")
    await socket.until("dtmf")
    assert now() == about(until)
    await asyncio.sleep(0.1)
    assert len(socket.all("media")) > 100
    assert call.queue.spans(now())[0].at == about(until)


async def test_a_gap_in_the_servers_audio_is_on_record(phone: Phone, server: TinyServer) -> None:
    call, socket = await open_call(phone, server)
    await socket.play(SECOND)
    began = now()
    await asyncio.sleep(1.5)
    await socket.play(SECOND)
    await asyncio.sleep(0.1)
    assert call.queue.gaps == [Gap(about(began + 1.0), about(began + 1.5), None)]


MEDIA = '{"event":"media","streamSid":"SID","media":{"payload":"////"}}'


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (MEDIA.encode(), "31950"),
        ("hello", "31951"),
        ("[]", "31951"),
        ('{"event":"connected"}', "31951"),
        ('{"event":["media"],"streamSid":"SID"}', "31951"),
        (MEDIA.replace("SID", "MZ00"), "31951"),
        (MEDIA.replace('"streamSid":"SID",', ""), "31951"),
        (MEDIA.replace("}}", '},"sequenceNumber":"1"}'), "31951"),
        (MEDIA.replace("}}", ',"track":"outbound"}}'), "31951"),
        (MEDIA.replace("////", ""), "31951"),
        (MEDIA.replace("////", "///"), "31951"),
        (MEDIA.replace("////", "*///"), "31951"),
        (MEDIA.replace('"////"', "7"), "31951"),
        (MEDIA.replace('{"payload":"////"}', '"////"'), "31951"),
        ('{"event":"mark","streamSid":"SID"}', "31951"),
        ('{"event":"mark","streamSid":"SID","mark":{}}', "31951"),
        ('{"event":"mark","streamSid":"SID","mark":{"name":7}}', "31951"),
        ('{"event":"clear","streamSid":"SID","x":1}', "31951"),
    ],
)
async def test_a_bad_message_is_ignored_and_warned_about_once_a_stream(
    phone: Phone, server: TinyServer, message: str | bytes, code: str
) -> None:
    call, socket = await open_call(phone, server)
    if isinstance(message, str):
        message = message.replace("SID", call.stream_sid)
    await socket.raw(message)
    await socket.raw(message)
    await socket.mark("alive")
    await socket.until("mark")
    assert call.warnings == {code: 1}
    assert call.occurrences == {code: 2}
    assert call.queue.accepted == 0


async def test_a_message_in_fragments_is_one_message(phone: Phone, server: TinyServer) -> None:
    call, socket = await open_call(phone, server)
    text = json.dumps({"event": "mark", "streamSid": call.stream_sid, "mark": {"name": "é"}}, ensure_ascii=False)
    await socket.connection.send([text[:20], text[20:-4], text[-4:]])
    assert (await socket.until("mark"))["mark"]["name"] == "é"
    assert call.warnings == {}


async def test_odd_audio_is_counted_every_time(phone: Phone, server: TinyServer) -> None:
    call, socket = await open_call(phone, server)
    await socket.play(b"RIFF" + bytes(200))
    await socket.play(bytes(161))
    await socket.play(bytes(160 * 400))
    await socket.mark("done")
    await socket.until("mark")
    assert call.warnings == {"partial_frames": 2, "audio_header": 1, "large_messages": 1}
    assert call.queue.headers == {"RIFF": 1}


async def test_more_than_ten_minutes_is_discarded(phone: Phone, server: TinyServer) -> None:
    call, socket = await open_call(phone, server)
    for _ in range(3):
        await socket.play(bytes(2_400_000))
    await asyncio.sleep(0.1)
    assert call.warnings["31931"] == 1
    assert 2_390_000 < call.queue.discarded <= 2_400_000


async def test_a_server_that_does_not_read_loses_caller_audio(phone: Phone, server: TinyServer) -> None:
    server.reads = False
    call = await phone.dial(inbound_buffer_bytes=2000)
    await call.connected()
    for _ in range(10_000):
        await asyncio.sleep(1)
        if call.warnings:
            break
    assert call.warnings["31930"] == 1
    await asyncio.sleep(1)
    assert call.stream.dropped_frames > 50


async def test_delays_of_reply_and_barge_in_are_measured(phone: Phone, server: TinyServer) -> None:
    call, socket = await open_call(phone, server)
    call.speak(bytes(1600))
    await asyncio.sleep(0.073 + 0.2 + 0.4)
    await socket.play(SECOND * 5)
    await asyncio.sleep(1.0)
    call.speak(bytes(8000))
    await asyncio.sleep(0.3)
    await socket.send("clear")
    await asyncio.sleep(0.1)
    assert call.reply_delays() == [about(0.4, within=1e-3)]
    assert call.barge_in_delays() == [about(0.3, within=0.021)]
