"""How the local phone opens a stream."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from twilio.request_validator import RequestValidator

from lineside.standin.phone import Phone
from standin.phone_server import TOKEN, TinyServer, now, open_call


async def test_the_upgrade_is_the_carriers(phone: Phone, server: TinyServer) -> None:
    await open_call(phone, server)
    (request,) = server.upgrades
    headers = request.headers
    assert headers["User-Agent"] == "Twilio.TmeWs/1.0"
    assert headers["Sec-WebSocket-Version"] == "13"
    for absent in ("Origin", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Cookie", "Authorization"):
        assert absent not in headers
    assert ("x-twilio-signature", RequestValidator(TOKEN).compute_signature(f"{server.ws}/media", {})) in list(
        headers.raw_items()
    )


async def test_the_upgrade_may_be_signed_with_a_slash_and_capitals(phone: Phone, server: TinyServer) -> None:
    await open_call(phone, server, sign_with_trailing_slash=True, lower_case_signature_header=False)
    signature = RequestValidator(TOKEN).compute_signature(f"{server.ws}/media/", {})
    assert ("X-Twilio-Signature", signature) in list(server.upgrades[0].headers.raw_items())
    assert server.upgrades[0].path == "/media"


async def test_a_query_is_dropped_from_the_streams_url(phone: Phone, server: TinyServer) -> None:
    server.twiml["/voice"] = server.connect(stream=f'url="{server.ws}/media?token=x"')
    call, _ = await open_call(phone, server)
    assert server.upgrades[0].path == "/media"
    signature = RequestValidator(TOKEN).compute_signature(f"{server.ws}/media", {})
    assert server.upgrades[0].headers["x-twilio-signature"] == signature
    assert call.warnings["stream_url_query"] == 1


@pytest.mark.parametrize(
    ("url", "overrides", "code"),
    [
        ("{ws}/media?x=1", {"query_in_stream_url": "fail"}, "31920"),
        ("{ws}/media", {"allow_ws": False}, "31922"),
        ("ws://voice.example.net/media", {}, "31922"),
        ("https://voice.example.net/media", {}, "31922"),
        ("wss://", {}, "31923"),
        ("ws://127.0.0.1:1/media", {}, "31902"),
        ("ws://no-such-host.invalid/media", {"ws_hosts": frozenset({"no-such-host.invalid"})}, "31904"),
        ("{wss}/media", {}, "31910"),
        ("ws://127.0.0.1:99999/media", {}, "31923"),
    ],
)
async def test_a_stream_that_cannot_be_opened_names_its_code_and_the_next_verb_runs(
    phone: Phone, server: TinyServer, url: str, overrides: dict[str, Any], code: str
) -> None:
    stream = f'url="{url.format(ws=server.ws, wss=server.ws.replace("ws", "wss", 1))}" statusCallback="/stream-status"'
    server.twiml["/voice"] = server.connect(stream=stream, after="<Pause/><Hangup/>")
    call = await phone.dial(**overrides)
    await call.ended(60)
    assert call.warnings == {code: 1}
    assert call.transcript == ["ConnectStream", "Pause", "Hangup"]
    (callback,) = server.asked_at("/stream-status")
    assert callback.fields["StreamEvent"] == "stream-error"
    assert code in callback.fields["StreamError"]


async def test_an_upgrade_that_is_refused_is_31920_and_may_end_the_call(phone: Phone, server: TinyServer) -> None:
    server.refuse = 403
    server.twiml["/voice"] = server.connect(after="<Pause/>")
    call = await phone.dial(after_failed_connect="end")
    await call.ended(60)
    assert call.warnings == {"31920": 1}
    assert call.transcript == ["ConnectStream"]
    assert server.sockets == []


async def test_a_redirect_of_the_upgrade_is_not_followed(phone: Phone, server: TinyServer) -> None:
    server.refuse = 307
    call = await phone.dial()
    await call.ended(60)
    assert call.warnings == {"31920": 1}
    assert len(server.upgrades) == 1


async def test_a_server_that_never_answers_the_upgrade_is_31901(phone: Phone, server: TinyServer) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as deaf:
        port = deaf.sockets[0].getsockname()[1]
        server.twiml["/voice"] = server.connect(stream=f'url="ws://127.0.0.1:{port}/media"')
        began = now()
        call = await phone.dial(connect_timeout_s=4.0)
        await call.ended(60)
        assert call.warnings == {"31901": 1}
        assert 4 <= now() - began < 5


async def test_a_relative_stream_url_is_resolved(phone: Phone, server: TinyServer) -> None:
    server.twiml["/voice"] = server.connect(stream='url="/media"')
    call = await phone.dial()
    await call.ended(60)
    assert server.asked[-1].url == f"{server.http}/media"  # it came as an upgrade, to the HTTP side
    assert call.warnings == {"31920": 1}
