"""Ending a call by REST, on a real socket."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from lineside.carriers.twilio_rest import DEADLINE, Account, TwilioRest
from lineside.errors import CarrierError

ACCOUNT, CALL = "AC" + "1" * 32, "CA" + "2" * 32

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def twilio(answer: Answer, **account: Any) -> AsyncIterator[TwilioRest]:
    """A client of a server that answers like this."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with TwilioRest({ACCOUNT: Account(ACCOUNT, ("token", "old"), base_url=url, **account)}) as rest:
            yield rest
    finally:
        await runner.cleanup()


def refusal(status: int, code: object) -> Answer:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"code": code, "status": status, "message": "no"}, status=status)

    return answer


async def test_a_call_is_completed() -> None:
    asked: list[tuple[str, str, str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        body = await request.text()
        asked.append((request.method, request.path, body, request.headers["Authorization"]))
        return web.json_response({"sid": CALL, "status": "completed"})

    async with twilio(answer) as rest:
        await rest.hang_up(CALL, ACCOUNT)
    basic = "Basic " + b64encode(f"{ACCOUNT}:token".encode()).decode()
    path = f"/2010-04-01/Accounts/{ACCOUNT}/Calls/{CALL}.json"
    assert asked == [("POST", path, "Status=completed", basic)]


async def test_an_api_key_is_used_where_there_is_one() -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.headers["Authorization"])
        return web.json_response({})

    async with twilio(answer, api_key="SK1", api_secret="secret") as rest:
        await rest.hang_up(CALL, ACCOUNT)
    assert asked == ["Basic " + b64encode(b"SK1:secret").decode()]


async def test_a_call_that_is_over_has_been_hung_up() -> None:
    async with twilio(refusal(404, 20404)) as rest:
        await rest.hang_up(CALL, ACCOUNT)


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, 20003), (404, None), (404, "20404"), (400, 21220), (429, 20429), (500, 20500), (302, None)],
)
async def test_any_other_refusal_is_an_error_that_names_status_and_code(status: int, code: object) -> None:
    async with twilio(refusal(status, code)) as rest:
        with pytest.raises(CarrierError, match=f"HTTP {status}"):
            await rest.hang_up(CALL, ACCOUNT)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b'{"code":', b"\xff\xfe"])
async def test_a_refusal_that_is_no_json_is_an_error_too(body: bytes) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, status=503)

    async with twilio(answer) as rest:
        with pytest.raises(CarrierError, match="HTTP 503, code None"):
            await rest.hang_up(CALL, ACCOUNT)


@pytest.mark.parametrize("headers_first", [False, True])
async def test_an_answer_is_not_waited_for_longer_than_the_deadline(headers_first: bool) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=500, headers={"Content-Length": "100"})
        if headers_first:
            await response.prepare(request)
        await asyncio.sleep(60)
        return response

    now = asyncio.get_running_loop().time
    async with twilio(answer) as rest:
        began = now()
        with pytest.raises(CarrierError, match="did not answer within 3 s"):
            await rest.hang_up(CALL, ACCOUNT)
        assert now() - began == pytest.approx(DEADLINE, abs=0.05)


async def test_nobody_there_is_an_error_at_once() -> None:
    async with TwilioRest({ACCOUNT: Account(ACCOUNT, ("token",), base_url="http://127.0.0.1:9")}) as rest:
        with pytest.raises(CarrierError, match="cannot be reached"):
            await rest.hang_up(CALL, ACCOUNT)


async def test_a_connection_that_timed_out_just_now_is_tried_once_more() -> None:
    n_asked = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal n_asked
        n_asked += 1
        if n_asked == 2:
            assert request.transport is not None
            request.transport.close()
        return web.json_response({})

    async with twilio(answer) as rest:
        for _ in range(2):
            await rest.hang_up(CALL, ACCOUNT)
    assert n_asked == 3


async def test_a_connection_that_always_breaks_is_given_up() -> None:
    async def answer(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.close()
        return web.json_response({})

    async with twilio(answer) as rest:
        with pytest.raises(CarrierError, match="cannot be reached: ServerDisconnectedError"):
            await rest.hang_up(CALL, ACCOUNT)


async def test_a_call_of_an_account_that_we_have_no_credentials_for_cannot_be_hung_up() -> None:
    async with TwilioRest({}) as rest:
        with pytest.raises(CarrierError, match="no credentials"):
            await rest.hang_up(CALL, ACCOUNT)


async def test_a_client_that_is_not_open_says_so() -> None:
    with pytest.raises(CarrierError, match="not open"):
        await TwilioRest({ACCOUNT: Account(ACCOUNT, ("token",))}).hang_up(CALL, ACCOUNT)


async def test_errors_hold_no_credentials() -> None:
    async with twilio(refusal(401, 20003)) as rest:
        with pytest.raises(CarrierError) as info:
            await rest.hang_up(CALL, ACCOUNT)
    assert "token" not in str(info.value)
