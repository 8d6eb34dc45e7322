"""Text messages that reach their reader by a plain call, on real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from lineside.web.direct import EXTENSION, DirectProtocol
from lineside.web.serving import serving

Serve = Callable[[WebSocket, DirectProtocol], Awaitable[None]]


def app(serve: Serve) -> ASGIApp:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        websocket = WebSocket(scope, receive, send)
        await websocket.accept()
        await serve(websocket, scope["extensions"][EXTENSION])

    return answer


@asynccontextmanager
async def talking(serve: Serve) -> AsyncIterator[ClientConnection]:
    """A client of a server that does this with its socket."""
    async with (
        serving(app(serve)) as address,
        connect(f"ws://{address}/", ping_interval=None, compression=None, close_timeout=1, max_queue=None) as client,
    ):
        yield client


async def gone(websocket: WebSocket) -> None:
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


async def test_messages_that_came_before_anybody_listened_come_first_and_once() -> None:
    got: list[str] = []

    async def serve(websocket: WebSocket, direct: DirectProtocol) -> None:
        await asyncio.sleep(1)
        direct.listen(got.append)
        await gone(websocket)

    async with talking(serve) as client:
        for n in range(50):
            await client.send(str(n))
        await asyncio.sleep(2)
        for n in range(50, 100):
            await client.send(str(n))
        await asyncio.sleep(1)
    assert got == [str(n) for n in range(100)]


async def test_one_message_may_come_in_many_frames() -> None:
    got: list[str] = []

    async def serve(websocket: WebSocket, direct: DirectProtocol) -> None:
        direct.listen(got.append)
        await gone(websocket)

    async with talking(serve) as client:
        await client.send(["frag", "men", "ted ", "\N{GREEK SMALL LETTER ALPHA}"])
        await client.send(["", "x"])
        await client.send("whole")
        await asyncio.sleep(1)
    assert got == ["fragmented \N{GREEK SMALL LETTER ALPHA}", "x", "whole"]


async def test_binary_messages_are_passed_over() -> None:
    got: list[str] = []

    async def serve(websocket: WebSocket, direct: DirectProtocol) -> None:
        direct.listen(got.append)
        await gone(websocket)

    async with talking(serve) as client:
        for _ in range(100):
            await client.send(b"\x00" * 100)
        await client.send([b"a", b"b"])
        await client.send("text")
        await asyncio.sleep(1)
    assert got == ["text"]


async def test_text_that_is_not_utf_8_ends_the_socket_and_reaches_nobody() -> None:
    got: list[str] = []

    async def serve(websocket: WebSocket, direct: DirectProtocol) -> None:
        direct.listen(got.append)
        await gone(websocket)

    async with talking(serve) as client:
        await client.send(b"\xff\xfe", text=True)
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(client.recv(), 5)
        assert client.close_code == 1007
    assert got == []


async def test_a_message_that_is_too_large_ends_the_socket() -> None:
    got: list[str] = []

    async def serve(websocket: WebSocket, direct: DirectProtocol) -> None:
        direct.listen(got.append)
        await gone(websocket)

    for message in ("x" * 70_000, ["x" * 40_000, "x" * 40_000]):
        async with talking(serve) as client:
            await client.send("x" * 60_000)
            await asyncio.sleep(1)
            await client.send(message)
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(client.recv(), 5)
            assert client.close_code == 1009
    assert [len(each) for each in got] == [60_000, 60_000]


async def test_what_is_sent_arrives_in_order_and_then_the_close() -> None:
    async def serve(websocket: WebSocket, direct: DirectProtocol) -> None:
        direct.listen(lambda _: None)
        for n in range(100):
            direct.send_text(str(n))
        direct.close()
        direct.close()
        direct.send_text("too late")
        await gone(websocket)

    async with talking(serve) as client:
        assert [str(message) async for message in client] == [str(n) for n in range(100)]
        assert client.close_code == 1000


async def test_sending_after_the_peer_has_closed_is_nothing() -> None:
    sent = asyncio.Event()

    async def serve(websocket: WebSocket, direct: DirectProtocol) -> None:
        direct.listen(lambda _: None)
        await gone(websocket)
        direct.send_text("too late")
        direct.close()
        sent.set()

    async with talking(serve) as client:
        await client.close()
        await asyncio.wait_for(sent.wait(), 5)


async def test_a_lost_connection_is_noticed_and_takes_nothing_more() -> None:
    noticed = asyncio.Event()

    async def serve(websocket: WebSocket, direct: DirectProtocol) -> None:
        direct.listen(lambda _: None)
        await gone(websocket)
        direct.send_text("too late")
        direct.close()
        noticed.set()

    async with talking(serve) as client:
        client.transport.abort()
        await asyncio.wait_for(noticed.wait(), 5)


async def test_small_messages_are_not_held_back_for_larger_ones() -> None:
    held_back: list[int] = []

    async def serve(websocket: WebSocket, direct: DirectProtocol) -> None:
        transport_socket = direct.transport.get_extra_info("socket")
        held_back.append(transport_socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        direct.listen(lambda _: None)
        direct.close()
        await gone(websocket)

    async with talking(serve) as client:
        await asyncio.wait_for(client.wait_closed(), 5)
    assert held_back == [1]


@pytest.mark.parametrize("reads", [True, False], ids=["reads", "does not read"])
async def test_a_peer_that_never_finishes_the_close_is_cut_off(reads: bool) -> None:
    lost_at: list[float] = []
    closed_at: list[float] = []
    now = asyncio.get_running_loop().time

    class Cut(DirectProtocol):
        def connection_lost(self, exc: Exception | None) -> None:
            lost_at.append(now())
            super().connection_lost(exc)

    async def serve(websocket: WebSocket, direct: DirectProtocol) -> None:
        direct.__class__ = Cut
        direct.listen(lambda _: None)
        direct.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        for _ in range(1 if reads else 1_000):
            direct.send_text("x" * 1000)
        assert (direct.backlog == 0) is reads
        closed_at.append(now())
        direct.close()
        await gone(websocket)

    async with serving(app(serve)) as address:
        host, port = address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
        writer.write(
            b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        if reads:
            await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(30)
        assert lost_at[0] - closed_at[0] == pytest.approx(10, abs=0.1)
        writer.transport.abort()
