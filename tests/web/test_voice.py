"""What the carrier is told, and what it tells."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from xml.etree import ElementTree

import pytest

from calls.stage import House, Memory, Stranger, house, new_sid, saying
from lineside.events import CallInfo, Cue, Line


@pytest.fixture
async def place() -> AsyncIterator[House]:
    async with house(Memory(saying("Hello.")).agent) as place:
        yield place


@pytest.fixture
async def carrier(place: House) -> AsyncIterator[Stranger]:
    async with Stranger.at(place) as carrier:
        yield carrier


async def test_the_answer_is_one_stream_and_nothing_behind_it(carrier: Stranger, place: House) -> None:
    reply = await carrier.voice(new_sid())
    assert reply.kind == "text/xml"
    response = ElementTree.fromstring(reply.body)
    (connect,) = response
    assert connect.tag == "Connect"
    assert connect.attrib == {"action": f"http://{place.address}/twilio/after"}
    (stream,) = connect
    assert stream.tag == "Stream"
    assert stream.attrib["url"].startswith(f"ws://{place.address}/twilio/media/")
    assert "?" not in stream.attrib["url"]
    assert stream.attrib["statusCallback"] == f"http://{place.address}/twilio/stream-status"
    assert list(stream) == []


async def test_what_the_webhook_says_reaches_the_agent_but_for_credentials() -> None:
    infos: list[CallInfo] = []

    async def agent(call: CallInfo, cue: Cue) -> AsyncIterator[Line]:
        infos.append(call)
        yield "Hello."

    async with house(agent) as place, Stranger.at(place) as carrier:
        call_id = new_sid()
        await carrier.voice(call_id, CallToken="a credential", FromCity="", CallerName="Ann", Direction="outbound-api")
        async with carrier.stream((await carrier.voice(call_id)).stream_url):
            pass
        while not infos:
            await carrier.status(call_id, "in-progress")
    assert infos[0].call_id == call_id
    assert infos[0].caller == "+15555550100"
    assert infos[0].called == "+15555550199"
    assert infos[0].direction == "outbound-api"
    assert infos[0].parameters == {"FromCity": "", "CallerName": "Ann"}


@pytest.mark.parametrize("caller", ["", "anonymous", "client:ann", "sip:ann@example.net", "+266696687", "Restricted"])
async def test_callers_are_called_all_sorts_of_things(carrier: Stranger, caller: str) -> None:
    assert (await carrier.voice(new_sid(), From=caller)).stream_url


@pytest.mark.parametrize(
    ("status", "goes_on", "over"),
    [
        ("in-progress", True, False),
        ("ringing", False, False),
        ("something-new", False, False),
        ("completed", False, True),
        ("failed", False, True),
        ("busy", False, True),
        ("no-answer", False, True),
        ("canceled", False, True),
    ],
)
async def test_after_a_stream_the_call_goes_on_if_it_is_still_there(
    carrier: Stranger, place: House, status: str, goes_on: bool, over: bool
) -> None:
    call_id = new_sid()
    await carrier.voice(call_id)
    call = place.bridge.calls.get(call_id)
    assert call is not None
    reply = await carrier.after(call_id, CallStatus=status)
    assert reply.hangs_up is not goes_on
    assert call.over is over


async def test_after_the_agent_hung_up_there_is_nothing_more(carrier: Stranger, place: House) -> None:
    call_id = new_sid()
    await carrier.voice(call_id)
    place.bridge.calls.get(call_id).leaving = True  # type: ignore[union-attr]
    assert (await carrier.after(call_id)).hangs_up


async def test_a_call_that_we_never_saw_is_hung_up_after_its_stream(carrier: Stranger) -> None:
    assert (await carrier.after(new_sid())).hangs_up


async def test_callbacks_are_answered_shortly(carrier: Stranger) -> None:
    call_id = new_sid()
    for known in (False, True):
        for reply in (
            await carrier.status(call_id, "in-progress"),
            await carrier.post("/twilio/stream-status", carrier.fields(call_id, StreamEvent="stream-started")),
        ):
            assert (reply.status, reply.body) == (204, b"")
        if not known:
            await carrier.voice(call_id)


async def test_what_the_carrier_says_of_a_stream_that_failed_is_logged(
    carrier: Stranger, caplog: pytest.LogCaptureFixture
) -> None:
    call_id = new_sid()
    await carrier.voice(call_id)
    url = (await carrier.voice(call_id)).stream_url
    error = f"Stream - Websocket - Handshake Error {url}"
    for event, said in (("stream-started", ""), ("stream-error", error), ("stream-stopped", "")):
        fields = carrier.fields(call_id, StreamEvent=event, StreamError=said, StreamSid=new_sid("MZ"))
        assert (await carrier.post("/twilio/stream-status", fields)).status == 204
    (line,) = [record.getMessage() for record in caplog.records if "Handshake Error" in record.getMessage()]
    assert call_id in line
    assert url.rpartition("/")[2] not in line


async def test_the_apology_is_a_wav_that_anybody_may_fetch(carrier: Stranger, place: House) -> None:
    for _ in range(2):
        async with carrier.session.get(f"http://{place.address}/twilio/apology.wav") as response:
            body = await response.read()
            assert response.content_type == "audio/wav"
            assert body[:4] == b"RIFF"
            assert len(body) > 8000


async def test_health_is_told_to_anybody(carrier: Stranger, place: House) -> None:
    for path in ("/healthz", "/readyz"):
        async with carrier.session.get(f"http://{place.address}{path}") as response:
            assert response.status == 200


async def test_a_call_that_is_turned_away_is_logged_without_its_number(caplog: pytest.LogCaptureFixture) -> None:
    async with house(calls_waiting_max=1) as place, Stranger.at(place) as carrier:
        await carrier.voice(new_sid())
        call_id = new_sid()
        await carrier.voice(call_id)
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert call_id in record.getMessage()
    assert "5555550100" not in caplog.text
