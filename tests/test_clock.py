"""The test clock itself."""

from __future__ import annotations

import asyncio
import time

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve


async def test_an_hour_takes_no_time() -> None:
    loop, began = asyncio.get_running_loop(), time.monotonic()
    before = loop.time()
    for _ in range(3600):
        await asyncio.sleep(1)
    assert 3600 <= loop.time() - before < 3601
    assert time.monotonic() - began < 5


async def test_real_sockets_work_between_peers_of_the_same_loop() -> None:
    async def echo(socket: ServerConnection) -> None:
        async for message in socket:
            await asyncio.sleep(10)
            await socket.send(message)

    loop = asyncio.get_running_loop()
    async with serve(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}") as socket:
            before = loop.time()
            await socket.send("hello")
            assert await socket.recv() == "hello"
            assert 10 <= loop.time() - before < 10.1


async def test_time_waits_for_work_in_a_thread() -> None:
    loop = asyncio.get_running_loop()
    before = loop.time()
    await asyncio.to_thread(sum, range(100_000))
    assert loop.time() == before
