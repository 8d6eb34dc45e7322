"""No stranger gets further than the door, and nobody's secret gets out of it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import os
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from calls.stage import ACCOUNT, TOKEN, House, Memory, Stranger, house, new_sid, saying, settings, signature, start
from lineside.events import HangUp
from lineside.settings import TwilioAccount
from lineside.standin.phone import PhoneSettings
from lineside.testing import simulation
from lineside.wire import token

SECRET = "an open secret of some length"
OTHER = "AC000000000000000000000000000000ff"
ROTATED = TwilioAccount(sid=ACCOUNT, auth_token=SecretStr("the next token"), auth_token_secondary=SecretStr(TOKEN))
TENANT = TwilioAccount(sid=OTHER, auth_token=SecretStr("the tenant's token"))


def minted(call_id: str, *, secret: str = SECRET, worker: str = "w0", life: float = 60) -> str:
    return token.mint(secret.encode(), call_id, worker, time.time() + life, os.urandom(12))


async def refused(carrier: Stranger, url: str, **how: Any) -> int:
    """The status of an upgrade that is refused before it is accepted."""
    with pytest.raises(InvalidStatus) as info:
        await carrier.stream(url, **how)
    return info.value.response.status_code


@pytest.fixture
async def place() -> AsyncIterator[House]:
    async with house(secret=SecretStr(SECRET)) as place:
        yield place


@pytest.fixture
async def carrier(place: House) -> AsyncIterator[Stranger]:
    async with Stranger.at(place) as carrier:
        yield carrier


# -- streams: the pass -------------------------------------------------------------------------------------------------


async def test_a_pass_lets_in_one_stream_only(carrier: Stranger) -> None:
    call_id = new_sid()
    url = (await carrier.voice(call_id)).stream_url
    async with carrier.stream(url) as socket:
        await start(socket, carrier.writer(call_id))
        await socket.recv()
        assert await refused(carrier, url) == 403
    assert await refused(carrier, url) == 403


async def test_two_streams_with_one_pass_at_the_same_time_are_one_stream(carrier: Stranger) -> None:
    url = (await carrier.voice(new_sid())).stream_url
    outcomes = await asyncio.gather(*(carrier.stream(url).__aenter__() for _ in range(5)), return_exceptions=True)
    accepted = [outcome for outcome in outcomes if isinstance(outcome, ClientConnection)]
    assert len(accepted) == 1
    for outcome in outcomes:
        if isinstance(outcome, InvalidStatus):
            assert outcome.response.status_code == 403
    await accepted[0].close()


@pytest.mark.parametrize(
    "presented",
    [
        "x",
        "%00",
        "AAAA" * 20,
        "A" * 5_000,
        "..%2f..%2fetc%2fpasswd",
        "{call}",
        "{good}x",
        "{good}%20",
        "{good}/",
        "{good}/more",
        "%20{good}",
    ],
)
async def test_what_is_no_pass_of_ours_is_refused_before_accept(
    carrier: Stranger, place: House, presented: str
) -> None:
    call_id = new_sid()
    await carrier.voice(call_id)
    path = presented.replace("{call}", call_id).replace("{good}", minted(call_id))
    assert await refused(carrier, f"ws://{place.address}/twilio/media/{path}") in (403, 404)
    assert not place.bridge.calls.get(call_id).connected  # type: ignore[union-attr]


async def test_a_path_that_cannot_be_read_does_not_keep_its_connection(carrier: Stranger, place: House) -> None:
    with pytest.raises(InvalidMessage):
        await asyncio.wait_for(carrier.stream(f"ws://{place.address}/twilio/media/{'A' * 60_000}"), 1)


@pytest.mark.parametrize(
    "how",
    [
        {"life": -1},
        {"secret": "another open secret of some length"},
        {"worker": "w1"},
    ],
)
async def test_a_pass_that_is_not_for_here_and_now_is_refused(
    carrier: Stranger, place: House, how: dict[str, Any]
) -> None:
    call_id = new_sid()
    await carrier.voice(call_id)
    assert await refused(carrier, f"ws://{place.address}/twilio/media/{minted(call_id, **how)}") == 403
    async with carrier.stream(f"ws://{place.address}/twilio/media/{minted(call_id)}") as socket:
        await start(socket, carrier.writer(call_id))
        await socket.recv()


async def test_a_pass_for_a_call_that_is_not_here_is_refused(carrier: Stranger, place: House) -> None:
    assert await refused(carrier, f"ws://{place.address}/twilio/media/{minted(new_sid())}") == 403


# -- streams: the signature --------------------------------------------------------------------------------------------


async def test_an_upgrade_that_is_not_signed_right_is_refused_and_costs_the_pass_nothing(carrier: Stranger) -> None:
    call_id = new_sid()
    url = (await carrier.voice(call_id)).stream_url
    for signed in (
        "",
        "x",
        "A" * 28,
        signature("not the token", url),
        signature(TOKEN, url.replace("ws://", "http://")),
        signature(TOKEN, url + "?x=1"),
        signature(TOKEN, url + "//"),
        signature(TOKEN, url)[:-1],
    ):
        assert await refused(carrier, url, signed=signed) == 403
    async with carrier.stream(url) as socket:
        await start(socket, carrier.writer(call_id))
        await socket.recv()


async def test_an_upgrade_may_be_signed_with_a_slash_at_the_end(carrier: Stranger) -> None:
    call_id = new_sid()
    url = (await carrier.voice(call_id)).stream_url
    async with carrier.stream(url, signed=signature(TOKEN, url + "/")) as socket:
        await start(socket, carrier.writer(call_id))
        await socket.recv()


# -- streams: the start ------------------------------------------------------------------------------------------------


async def closed(socket: ClientConnection) -> int | None:
    """The code that the server closes with, whatever it says before."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            await socket.recv()
    return socket.close_code


async def test_a_stream_that_starts_for_another_call_is_closed(carrier: Stranger, place: House) -> None:
    call_id, stranger_id = new_sid(), new_sid()
    for other in (
        carrier.writer(stranger_id),
        Stranger(place.address, carrier.session, account=OTHER).writer(call_id),
    ):
        url = (await carrier.voice(call_id)).stream_url if other.call_sid != call_id else None
        async with carrier.stream(url or f"ws://{place.address}/twilio/media/{minted(call_id)}") as socket:
            await start(socket, other)
            assert await closed(socket) == 1008
    call = place.bridge.calls.get(call_id)
    assert call is not None
    assert call.n_legs == 0
    assert not call.over


async def test_a_stream_that_does_not_start_within_five_seconds_is_closed(carrier: Stranger, place: House) -> None:
    now = asyncio.get_running_loop().time
    call_id = new_sid()
    await carrier.voice(call_id)
    writer = carrier.writer(call_id)
    for talk in ([], [writer.connected()], [writer.connected(), '{"event":"something-new"}']):
        async with carrier.stream(f"ws://{place.address}/twilio/media/{minted(call_id)}") as socket:
            began = now()
            for message in talk:
                await socket.send(message)
            assert await closed(socket) == 1008
            assert now() - began == pytest.approx(5, abs=0.1)


@pytest.mark.parametrize("first", ["nonsense", "{}", "[1]", '{"event":"media"}', '{"event":"start"}', "x" * 60_000])
async def test_a_stream_that_begins_with_nonsense_is_closed_at_once(
    carrier: Stranger, place: House, first: str
) -> None:
    call_id = new_sid()
    await carrier.voice(call_id)
    async with carrier.stream(f"ws://{place.address}/twilio/media/{minted(call_id)}") as socket:
        await socket.send(first)
        assert await asyncio.wait_for(closed(socket), 0.1) == 1008


async def test_talk_before_the_start_does_not_put_it_off(carrier: Stranger, place: House) -> None:
    now = asyncio.get_running_loop().time
    call_id = new_sid()
    await carrier.voice(call_id)
    async with carrier.stream(f"ws://{place.address}/twilio/media/{minted(call_id)}") as socket:
        began = now()
        with contextlib.suppress(ConnectionClosed):
            while True:
                await socket.send('{"event":"something-new"}')
                await asyncio.sleep(0.1)
        assert now() - began == pytest.approx(5, abs=0.3)


# -- webhooks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/twilio/voice", "/twilio/after", "/twilio/status", "/twilio/stream-status"])
async def test_a_webhook_that_nobody_we_know_has_signed_is_refused(carrier: Stranger, place: House, path: str) -> None:
    call_id = new_sid()
    fields = carrier.fields(call_id)
    url = carrier.signed_url(path)
    for signed in (
        "",
        "x",
        signature("not the token", url, fields),
        signature(TOKEN, url),
        signature(TOKEN, url + "/", fields),
        signature(TOKEN, url.replace("http:", "https:"), fields),
        signature(TOKEN, url, fields | {"To": "+15555550123"}),
    ):
        assert (await carrier.post(path, fields, signed=signed)).status == 403
    assert (await carrier.post(path, fields | {"AccountSid": OTHER})).status == 403
    assert (await carrier.post(path, {"CallSid": call_id})).status == 403
    assert (await carrier.post(path, {})).status == 403
    assert len(place.bridge.calls) == 0
    assert place.sockets == (0, 0)


async def test_refusals_give_a_stranger_no_hint(carrier: Stranger) -> None:
    unknown = await carrier.post("/twilio/voice", carrier.fields(new_sid()) | {"AccountSid": OTHER})
    unsigned = await carrier.post("/twilio/voice", carrier.fields(new_sid()), signed="")
    assert unknown == unsigned


async def test_both_tokens_count_while_they_are_rotated() -> None:
    async with house(accounts=[ROTATED]) as place:
        for valid in (TOKEN, "the next token"):
            async with Stranger.at(place, token=valid) as carrier:
                call_id = new_sid()
                async with carrier.stream((await carrier.voice(call_id)).stream_url) as socket:
                    await start(socket, carrier.writer(call_id))
                    await socket.recv()
        async with Stranger.at(place, token="the last token") as stranger:
            assert (await stranger.voice(new_sid())).status == 403


async def test_accounts_have_their_calls_to_themselves() -> None:
    memory = Memory(saying("A story that is rather long and goes on for some time. " * 3))
    async with (
        house(memory.agent, accounts=[TENANT]) as place,
        Stranger.at(place) as ours,
        Stranger.at(place, account=OTHER, token="the tenant's token") as theirs,
    ):
        call_id, their_id = new_sid(), new_sid()
        url = (await ours.voice(call_id)).stream_url
        their_url = (await theirs.voice(their_id)).stream_url
        for reply in (
            await theirs.voice(call_id),
            await theirs.after(call_id),
            await theirs.status(call_id, "completed"),
            await theirs.post("/twilio/stream-status", theirs.fields(call_id, StreamEvent="stream-error")),
        ):
            assert reply.status == 403
        assert await refused(ours, their_url) == 403  # signed by the wrong one of the two
        assert await refused(theirs, url) == 403
        async with ours.stream(url) as one, theirs.stream(their_url) as other:
            await start(one, ours.writer(call_id))
            await start(other, theirs.writer(their_id))
            await one.recv()
            await other.recv()
        assert not memory.ends(call_id)


async def test_a_json_webhook_is_signed_over_its_hash(carrier: Stranger) -> None:
    call_id = new_sid()
    body = json.dumps(carrier.fields(call_id)).encode()
    path = f"/twilio/voice?bodySHA256={hashlib.sha256(body).hexdigest()}"
    as_json = {"Content-Type": "application/json; charset=utf-8"}
    reply = await carrier.post(path, body=body, headers=as_json)
    assert reply.status == 200
    assert reply.stream_url
    assert (await carrier.post(path, body=body + b" ", headers=as_json)).status == 403
    assert (await carrier.post("/twilio/voice", body=body, headers=as_json)).status == 403
    assert (await carrier.post(path, body=body)).status == 403  # as a form it has no account


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"\xff\xfe=1", "application/x-www-form-urlencoded"),
        (b"&".join(b"a=1" for _ in range(1000)), "application/x-www-form-urlencoded"),
        (b"x" * 70_000, "application/x-www-form-urlencoded"),
        (b"not json", "application/json"),
        (b"[]", "application/json"),
        (b'{"AccountSid": 1}', "application/json"),
        (b"[" * 10_000, "application/json"),
    ],
)
async def test_a_body_that_is_no_form_is_refused(carrier: Stranger, body: bytes, kind: str) -> None:
    assert (await carrier.post("/twilio/voice", body=body, headers={"Content-Type": kind})).status == 400


@pytest.mark.parametrize(
    "change", [{"CallSid": "CA1"}, {"CallSid": ""}, {"CallStatus": "!"}, {"Direction": "x" * 40}, {"X": "x" * 9000}]
)
async def test_a_signed_form_that_says_nothing_is_refused(
    carrier: Stranger, place: House, change: dict[str, str]
) -> None:
    assert (await carrier.post("/twilio/voice", carrier.fields(new_sid()) | change)).status == 400
    assert len(place.bridge.calls) == 0


async def test_a_body_that_comes_too_slowly_is_not_waited_for(carrier: Stranger, place: House) -> None:
    host, port = place.address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    began = asyncio.get_running_loop().time()
    writer.write(b"POST /twilio/voice HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\na=")
    assert b" 400 " in await reader.readline()
    assert asyncio.get_running_loop().time() - began == pytest.approx(10, abs=0.5)
    writer.close()
    await writer.wait_closed()


async def test_a_peer_that_leaves_in_the_middle_of_a_body_is_no_error_of_ours(
    place: House, caplog: pytest.LogCaptureFixture
) -> None:
    host, port = place.address.split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /twilio/voice HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\na=")
    await asyncio.sleep(0.1)
    writer.transport.abort()
    await asyncio.sleep(1)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_only_posts_are_webhooks(carrier: Stranger, place: House) -> None:
    for path in ("/twilio/voice", "/twilio/after", "/twilio/status", "/twilio/stream-status"):
        async with carrier.session.get(f"http://{place.address}{path}") as response:
            assert response.status == 405


# -- behind proxies ----------------------------------------------------------------------------------------------------

FORWARDED = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "voice.example.net"}


async def round_trip(carrier: Stranger) -> str:
    """A webhook, its stream, and what follows the stream; gives the stream's URL."""
    call_id = new_sid()
    reply = await carrier.voice(call_id)
    assert reply.status == 200
    async with carrier.stream(reply.stream_url) as socket:
        await start(socket, carrier.writer(call_id))
        await socket.recv()
    action = reply.text.partition('action="')[2].partition('"')[0]
    assert action == carrier.signed_url(carrier.prefix + "/twilio/after")
    assert (await carrier.after(call_id)).stream_url
    return reply.stream_url


async def test_a_trusted_proxy_says_by_what_name_we_were_reached() -> None:
    async with (
        house(trusted_proxies=["127.0.0.0/8"], allow_plain=False) as place,
        Stranger.at(place, origin="https://voice.example.net", headers=FORWARDED) as carrier,
    ):
        assert (await round_trip(carrier)).startswith("wss://voice.example.net/twilio/media/")


async def test_whoever_is_not_a_trusted_proxy_may_say_what_they_like() -> None:
    async with house(trusted_proxies=["10.0.0.0/8"]) as place:
        async with Stranger.at(place, origin="https://voice.example.net", headers=FORWARDED) as stranger:
            assert (await stranger.voice(new_sid())).status == 403
        async with Stranger.at(place, headers=FORWARDED) as carrier:
            assert (await round_trip(carrier)).startswith(f"ws://{place.address}/")


async def test_a_configured_address_wins_over_everything_that_a_request_says() -> None:
    async with (
        house(public_url="https://voice.example.net", trusted_proxies=["127.0.0.1"], allow_plain=False) as place,
        Stranger.at(
            place, origin="https://voice.example.net", headers={"X-Forwarded-Host": "evil.example", "Host": "other"}
        ) as carrier,
    ):
        assert (await round_trip(carrier)).startswith("wss://voice.example.net/twilio/media/")


async def test_a_configured_address_may_have_a_path_that_a_proxy_strips() -> None:
    async with (
        house(public_url="https://voice.example.net/bots/one", allow_plain=False) as place,
        Stranger.at(place, origin="https://voice.example.net/bots/one", stripped="/bots/one") as carrier,
    ):
        assert (await round_trip(carrier)).startswith("wss://voice.example.net/bots/one/twilio/media/")


async def test_a_port_that_the_carrier_leaves_out_or_not_makes_no_difference() -> None:
    async with (
        house(public_url="https://voice.example.net", allow_plain=False) as place,
        Stranger.at(place, origin="https://voice.example.net:443") as carrier,
    ):
        assert (await carrier.voice(new_sid())).status == 200


async def test_a_stream_without_encryption_is_not_offered_and_the_log_says_what_to_set(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with house(allow_plain=False) as place, Stranger.at(place) as carrier:
        reply = await carrier.voice(new_sid())
        assert reply.status == 500
        assert reply.body == b""
        assert len(place.bridge.calls) == 0
        assert place.sockets == (0, 0)
    assert "LINESIDE_PUBLIC_URL" in caplog.text
    assert "Traceback" not in caplog.text


async def test_a_request_that_does_not_name_its_host_is_refused(carrier: Stranger, place: House) -> None:
    fields = carrier.fields(new_sid())
    for host in ("a/b", "user@host", ""):
        reply = await carrier.post("/twilio/voice", fields, headers={"Host": host})
        assert reply.status == 403


# -- what gets out -----------------------------------------------------------------------------------------------------


async def test_no_log_line_of_a_whole_call_holds_a_secret_or_a_number(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    phone = PhoneSettings(
        "", auth_token="secret-auth-token", caller="+15557654321", called="+15551234567", upgrade_signature="good"
    )
    memory = Memory(saying("My number is one two three.", HangUp()))
    async with simulation(memory.agent, phone=phone, settings=settings()) as sim:
        sim.phone.rest.refuse_with = 500
        call = await sim.phone.dial()
        await call.connected()
        await asyncio.sleep(0.5)
        await call.drop()
        await call.connected(2)
        call.press("8")
        await call.ended(60)
        await sim.idle()
        passes = {document.partition("/twilio/media/")[2].partition('"')[0] for document in call.documents}
        async with Stranger.at(sim) as stranger:
            for presented in passes:
                if presented:
                    await refused(stranger, f"ws://{sim.address}/twilio/media/{presented}")
    lines = [f"{record.name} {record.getMessage()} {record.exc_text or ''}" for record in caplog.records]
    logged = "\n".join(lines)
    assert len(passes) >= 2
    assert "ended reason=agent" in logged
    for presented in passes - {""}:
        assert presented not in logged
    for secret in ("secret-auth-token", "simulated", "5557654321", "5551234567"):
        assert secret not in logged, secret
    for line in lines:
        assert not (line.startswith("lineside") and "My number" in line)
