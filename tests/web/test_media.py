"""A stream's messages, good and bad, under our own WebSocket protocol and under any other."""

from __future__ import annotations

import asyncio
import json
import logging
import socket as sockets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from calls.stage import FRAME, House, Memory, Stranger, house, new_sid, saying, start
from lineside.call import Call
from lineside.events import CallerPressed
from lineside.standin.phone_messages import Writer

LONG = "The harbour is quiet today and the ferry leaves at noon from the old pier. " * 40
FALLBACK = "websockets-sansio"


@dataclass
class Line:
    """A stream that has started and hears the greeting."""

    place: House
    carrier: Stranger
    socket: ClientConnection
    writer: Writer
    memory: Memory

    @property
    def call(self) -> Call:
        call = self.place.bridge.calls.get(self.writer.call_sid)
        assert call is not None
        return call

    @property
    def digits(self) -> str:
        cues = self.memory.of(self.writer.call_sid)
        return "".join(cue.digit for cue in cues if isinstance(cue, CallerPressed))

    async def dial(self, *messages: str | bytes | list[str] | list[bytes]) -> None:
        """Send messages, let them arrive."""
        for message in messages:
            await self.socket.send(message)
        await asyncio.sleep(1)

    async def closed(self) -> int | None:
        """Wait until the server has closed; its code."""
        await asyncio.wait_for(self.socket.wait_closed(), 20)
        return self.socket.close_code


@pytest.fixture(params=["direct", FALLBACK])
def ws(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param != "direct":
        monkeypatch.setattr("lineside.web.serving.DirectProtocol", request.param)
    return str(request.param)


@asynccontextmanager
async def started(text: str = LONG) -> AsyncIterator[Line]:
    memory = Memory(saying(text))
    async with house(memory.agent) as place, Stranger.at(place) as carrier:
        writer = carrier.writer(new_sid())
        url = (await carrier.voice(writer.call_sid)).stream_url
        async with carrier.stream(url) as socket:
            await start(socket, writer)
            line = Line(place, carrier, socket, writer, memory)
            await asyncio.wait_for(socket.recv(), 5)
            yield line


@pytest.fixture
async def line(ws: str) -> AsyncIterator[Line]:
    async with started() as line:
        yield line


async def test_the_right_way_in_is_taken(line: Line, ws: str) -> None:
    leg: Any = line.call.leg
    assert type(leg._socket).__name__ == ("DirectProtocol" if ws == "direct" else "AsgiSocket")


async def test_keys_arrive_also_right_behind_the_start(ws: str) -> None:
    memory = Memory(saying("Hello."))
    async with house(memory.agent) as place, Stranger.at(place) as carrier:
        writer = carrier.writer(new_sid())
        async with carrier.stream((await carrier.voice(writer.call_sid)).stream_url) as socket:
            await start(socket, writer)
            for n, digit in enumerate("12"):
                await socket.send(writer.dtmf(n + 2, digit))
            await asyncio.sleep(3)
        assert [cue.digit for cue in memory.of(writer.call_sid) if isinstance(cue, CallerPressed)] == ["1", "2"]


async def test_a_message_in_fragments_is_one_message(line: Line) -> None:
    key = line.writer.dtmf(2, "7")
    await line.dial([key[:10], key[10:11], key[11:]])
    assert line.digits == "7"


async def test_messages_that_we_do_not_know_are_passed_over(line: Line) -> None:
    await line.dial(
        '{"event":"something-new","sequenceNumber":"2"}',
        '{"event":"start"}'.replace("start", "stopped"),
        line.writer.connected(),
        b"\x00\x01\x02",
        [b"a", b"b"],
        line.writer.dtmf(3, "5"),
    )
    assert line.digits == "5"
    assert line.call.connected


async def test_messages_that_cannot_be_read_are_passed_over_and_told_once(
    line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    broken = ("", "nonsense", "[]", "{}", '{"event":1}', '{"event":"dtmf"}', "[" * 10_000, '{"event":"mark","mark":{}}')
    await line.dial(*broken, line.writer.dtmf(3, "5"))
    assert line.digits == "5"
    told = [record for record in caplog.records if "unreadable" in record.getMessage()]
    assert len(told) == 1


async def test_media_is_not_even_read_while_nobody_listens(line: Line) -> None:
    await line.dial(*['{"event":"media","media":{"payload":"?"}}'] * 300, line.writer.dtmf(3, "5"))
    assert line.digits == "5"
    assert line.call.connected


async def test_messages_of_other_streams_and_calls_are_not_ours(line: Line) -> None:
    elsewhere = line.carrier.writer(line.writer.call_sid)
    other_call = Writer(line.carrier.account, new_sid(), line.writer.stream_sid)
    await line.dial(elsewhere.dtmf(2, "1"), elsewhere.mark(3, "t1s1-1"), other_call.stop(4), line.writer.dtmf(5, "2"))
    assert line.digits == "2"
    assert not line.call.over


async def test_a_flood_of_broken_messages_closes_the_stream_and_not_the_call(
    line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(100):
        await line.socket.send("nonsense")
    await asyncio.sleep(1)
    for _ in range(10_000):  # it goes on for as long as it can
        try:
            await line.socket.send("nonsense")
        except ConnectionClosed:
            break
    await asyncio.wait_for(line.socket.wait_closed(), 20)
    assert not line.call.connected
    assert not line.call.over
    assert len([record for record in caplog.records if "unreadable" in record.getMessage()]) == 2
    reply = await line.carrier.after(line.writer.call_sid)
    async with line.carrier.stream(reply.stream_url) as socket:
        again = line.carrier.writer(line.writer.call_sid)
        await start(socket, again)
        await asyncio.wait_for(socket.recv(), 5)
        assert line.call.connected


async def test_a_message_that_is_too_large_is_not_taken(line: Line) -> None:
    await line.socket.send("x" * 70_000)
    assert await line.closed() == 1009
    await asyncio.sleep(1)
    assert not line.call.connected
    assert not line.call.over


async def test_a_peer_that_does_not_read_is_not_filled_up_and_is_cut_off_at_the_end(
    ws: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lineside.web import serving

    listen_as_ever = serving._listen

    async def listen_narrowly(host: str, port: int) -> list[sockets.socket]:
        listeners = await listen_as_ever(host, port)
        for each in listeners:
            each.setsockopt(sockets.SOL_SOCKET, sockets.SO_SNDBUF, 4096)  # what it accepts inherits it
        return listeners

    monkeypatch.setattr(serving, "_listen", listen_narrowly)
    memory = Memory(saying(LONG))
    async with house(memory.agent) as place, Stranger.at(place) as carrier:
        writer = carrier.writer(new_sid())
        url = (await carrier.voice(writer.call_sid)).stream_url
        narrow = sockets.socket(sockets.AF_INET, sockets.SOCK_STREAM, sockets.IPPROTO_TCP)
        narrow.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 65_536)  # below a segment the kernel's own time counts
        host, port = place.address.split(":")
        narrow.connect((host, int(port)))
        narrow.setblocking(False)
        async with carrier.stream(url, sock=narrow) as socket:
            await start(socket, writer)
            await asyncio.wait_for(socket.recv(), 5)
            leg: Any = place.bridge.calls.get(writer.call_sid).leg  # type: ignore[union-attr]
            socket.transport.pause_reading()
            backlogs = []
            for n in range(2000):  # forty seconds
                await socket.send(writer.media(n + 2, n + 1, 20 * n, FRAME))
                await asyncio.sleep(0.02)
                backlogs.append(leg.backlog)
            assert 32_768 < max(backlogs) < 64_000
            await carrier.status(writer.call_sid, "completed")
            await asyncio.sleep(12)
            assert len(place.bridge.calls) == 0
            assert not [task for task in asyncio.all_tasks() if task.get_name() == "leg sender"]
            socket.transport.abort()


async def test_the_servers_own_close_is_a_close_and_not_a_loss(line: Line) -> None:
    line.call.end("agent")
    assert await line.closed() == 1000


async def test_nothing_is_logged_as_an_error_of_ours(ws: str, caplog: pytest.LogCaptureFixture) -> None:
    async with started("Hello.") as line:
        line.socket.transport.abort()
        await asyncio.sleep(1)
        reply = await line.carrier.after(line.writer.call_sid)
        async with line.carrier.stream(reply.stream_url) as socket:
            writer = line.carrier.writer(line.writer.call_sid)
            await start(socket, writer)
            await socket.send(writer.stop(4))
            await asyncio.sleep(1)
            await socket.close()
        await asyncio.sleep(12)
    assert not [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_frame_of_the_carriers_is_far_below_the_limit() -> None:
    message = Writer("AC" + "0" * 32, "CA" + "0" * 32, "MZ" + "0" * 32).media(10**9, 10**9, 10**9, FRAME)
    assert len(message) < 500
    assert json.loads(message)["event"] == "media"
