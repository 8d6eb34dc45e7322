"""Where the server listens, and where it does not."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

import aiohttp
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from lineside.web.serving import serving

V4 = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", 0))
SECOND = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.2", 0))
ELSEWHERE = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("192.0.2.1", 0))


async def hello(_: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


APP = Starlette(routes=[Route("/", hello)])


def resolve_to(monkeypatch: pytest.MonkeyPatch, *found: Any) -> None:
    async def getaddrinfo(*_: object, **__: object) -> list[Any]:
        return list(found)

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)


async def greeted(address: str) -> bool:
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}/") as response:
        return await response.text() == "hello"


async def test_it_says_where_it_listens_and_stops_when_it_is_left() -> None:
    async with serving(APP) as address:
        assert address.startswith("127.0.0.1:")
        assert await greeted(address)
    with pytest.raises(aiohttp.ClientConnectorError):
        await greeted(address)


async def test_it_listens_on_every_address_of_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, V4, SECOND, V4)
    async with serving(APP, "here.example") as address:
        port = address.rpartition(":")[2]
        assert await greeted(f"127.0.0.1:{port}")
        assert await greeted(f"127.0.0.2:{port}")


async def test_an_address_that_this_machine_has_not_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, ELSEWHERE, V4)
    async with serving(APP, "localhost") as address:
        assert await greeted(address)


async def test_a_name_without_an_address_of_ours_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for found in ([ELSEWHERE], []):
        resolve_to(monkeypatch, *found)
        with pytest.raises(OSError) as info:
            async with serving(APP, "there.example", 8080):
                pass
        assert (info.value.errno, info.value.filename) == (errno.EADDRNOTAVAIL, "there.example:8080")


async def test_a_port_that_is_taken_is_refused_and_nothing_stays_open(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.2", 0)) as taken:
        port = taken.getsockname()[1]
        resolve_to(monkeypatch, V4, SECOND)
        with pytest.raises(OSError) as info:
            async with serving(APP, "localhost", port):
                pass
        assert info.value.errno == errno.EADDRINUSE
        socket.create_server(("127.0.0.1", port)).close()  # the first address is free again
