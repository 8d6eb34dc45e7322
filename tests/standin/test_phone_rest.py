"""The carrier's REST side."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client

from lineside.standin.phone import Phone, PhoneCall, PhoneSettings
from standin.phone_server import TOKEN, TinyServer, about, now, open_call

SETTINGS = PhoneSettings("", auth_token=TOKEN)
Auth = tuple[str, str]


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        yield session


TOKEN_AUTH = (SETTINGS.account_sid, SETTINGS.auth_token)
KEY_AUTH = (SETTINGS.api_key_sid, SETTINGS.api_key_secret)


class Rest:
    """A plain client of the stand-in's REST side."""

    def __init__(self, phone: Phone, session: aiohttp.ClientSession) -> None:
        self.base = f"{phone.rest_url}/2010-04-01/Accounts/{SETTINGS.account_sid}"
        self.session = session

    async def post(self, path: str, fields: object, auth: Auth | None = TOKEN_AUTH) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": "Basic " + b64encode(":".join(auth).encode()).decode()} if auth else {}
        async with self.session.post(f"{self.base}{path}", data=fields, headers=headers) as response:
            return response.status, await response.json()

    async def update(self, call: PhoneCall, **fields: str) -> tuple[int, dict[str, Any]]:
        return await self.post(f"/Calls/{call.call_sid}.json", fields)


@pytest.fixture
def rest(phone: Phone, session: aiohttp.ClientSession) -> Rest:
    return Rest(phone, session)


async def test_status_completed_hangs_up(phone: Phone, server: TinyServer, rest: Rest) -> None:
    server.twiml["/voice"] = server.connect(after="<Say>never</Say>")
    call, socket = await open_call(phone, server, status_url=f"{server.http}/status")
    status, body = await rest.update(call, Status="completed")
    assert (status, body["sid"], body["status"]) == (200, call.call_sid, "completed")
    await call.ended(10)
    assert socket.got[-1][1]["event"] == "stop"
    assert socket.connection.close_code == 1000
    assert (call.ended_by, call.transcript) == ("rest", ["ConnectStream"])
    assert server.asked_at("/status")[-1].fields["CallStatus"] == "completed"
    assert call.warnings == {}


async def test_a_call_that_has_ended_is_404_with_20404(phone: Phone, server: TinyServer, rest: Rest) -> None:
    call, _ = await open_call(phone, server)
    await call.hang_up()
    status, body = await rest.update(call, Status="completed")
    assert (status, body["code"], body["status"]) == (404, 20404, 404)
    status, body = await rest.post(f"/Calls/CA{'0' * 32}.json", {"Status": "completed"})
    assert (status, body["code"]) == (404, 20404)


@pytest.mark.parametrize(
    ("auth", "status"),
    [
        (TOKEN_AUTH, 200),
        (KEY_AUTH, 200),
        (None, 401),
        ((SETTINGS.account_sid, "wrong"), 401),
        ((SETTINGS.account_sid, SETTINGS.api_key_secret), 401),
    ],
)
async def test_only_the_account_or_its_key_may_ask(
    phone: Phone, server: TinyServer, rest: Rest, auth: Auth | None, status: int
) -> None:
    call, _ = await open_call(phone, server)
    got, body = await rest.post(f"/Calls/{call.call_sid}.json", {"Status": "completed"}, auth)
    assert got == status
    assert call.over == (status == 200)
    if status == 401:
        assert body["code"] == 20003


async def test_another_account_may_not_touch_the_call(phone: Phone, server: TinyServer, rest: Rest) -> None:
    call, _ = await open_call(phone, server, account_sid="AC" + "9" * 32)
    assert (await rest.update(call, Status="completed"))[0] == 401
    assert not call.over


async def test_new_twiml_replaces_the_old(phone: Phone, server: TinyServer, rest: Rest) -> None:
    server.twiml["/voice"] = server.connect(after="<Say>never</Say>", action="/after")
    call, socket = await open_call(phone, server)
    status, body = await rest.update(call, Twiml="<Response><Dial>+15555550123</Dial></Response>")
    assert (status, body["status"]) == (200, "in-progress")
    await call.ended(10)
    assert socket.got[-1][1]["event"] == "stop"
    assert socket.connection.close_code == 1000
    assert call.transcript == ["ConnectStream", "Dial"]
    assert server.asked_at("/after") == []
    assert call.ended_by == "twiml"


async def test_a_new_url_is_fetched_and_may_connect_again(phone: Phone, server: TinyServer, rest: Rest) -> None:
    server.twiml["/other"] = server.connect()
    call, first = await open_call(phone, server)
    await rest.update(call, Url=f"{server.http}/other")
    await call.connected(2)
    assert call.stream_sid != first.stream_sid
    assert server.asked_at("/other")[0].fields["CallStatus"] == "in-progress"


@pytest.mark.parametrize(
    "fields",
    [
        {"Twiml": "<Response/>", "Url": "http://x/"},
        {"Status": "in-progress"},
        {"Status": "canceled"},
        {"Twiml": "<Response><Say>" + "a" * 4000 + "</Say></Response>"},
    ],
)
async def test_an_update_that_makes_no_sense_is_400_and_changes_nothing(
    phone: Phone, server: TinyServer, rest: Rest, fields: dict[str, str]
) -> None:
    call, socket = await open_call(phone, server)
    assert (await rest.update(call, **fields))[0] == 400
    await asyncio.sleep(1)
    assert socket.all("stop") == []
    assert not call.over


async def test_a_time_limit_ends_the_call(phone: Phone, server: TinyServer, rest: Rest) -> None:
    call, socket = await open_call(phone, server)
    answered = now()
    await asyncio.sleep(2)
    await rest.update(call, TimeLimit="10")
    await call.ended(60)
    assert now() - answered == about(10, within=0.2)
    assert call.ended_by == "time_limit"
    assert socket.all("stop")


async def test_the_rest_side_may_be_slow_or_refuse(phone: Phone, server: TinyServer, rest: Rest) -> None:
    call, _ = await open_call(phone, server)
    phone.rest.delay_s = 30.0
    phone.rest.refuse_with = 503
    began = now()
    assert (await rest.update(call, Status="completed"))[0] == 503
    assert now() - began == about(30, within=0.1)
    assert not call.over
    assert phone.rest.requests[-1].fields == {"Status": "completed"}
    assert phone.rest.requests[-1].path.endswith(f"/Calls/{call.call_sid}.json")


@pytest.mark.filterwarnings("ignore:.* deprecated and will be removed:DeprecationWarning")  # the vendor's own
async def test_the_vendors_client_hangs_up_and_sees_20404(phone: Phone, server: TinyServer) -> None:
    class HereClient(AsyncTwilioHttpClient):  # type: ignore[misc]  # the vendor's package has no types
        async def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Response:
            return await super().request(method, url.replace("https://api.twilio.com", phone.rest_url), *args, **kwargs)

    call, _ = await open_call(phone, server)
    async with HereClient() as http:
        client = Client(SETTINGS.api_key_sid, SETTINGS.api_key_secret, SETTINGS.account_sid, http_client=http)
        updated = await client.calls(call.call_sid).update_async(status="completed")
        assert (updated.sid, updated.status) == (call.call_sid, "completed")
        with pytest.raises(TwilioRestException) as error:
            await client.calls(call.call_sid).update_async(status="completed")
        assert (error.value.status, error.value.code) == (404, 20404)
        assert (await client.calls(call.call_sid).fetch_async()).status == "completed"


# -- calls that the server places ------------------------------------------------------------------------------------


async def create(rest: Rest, *more: tuple[str, str]) -> str:
    fields = [("To", "+15555550100"), ("From", "+15555550199"), *more]
    status, body = await rest.post("/Calls.json", fields)
    assert (status, body["status"], body["direction"]) == (201, "queued", "outbound-api")
    return str(body["sid"])


async def test_a_call_is_placed_and_its_way_told(phone: Phone, server: TinyServer, rest: Rest) -> None:
    events = [("StatusCallbackEvent", name) for name in ("initiated", "ringing", "answered", "completed")]
    callback = ("StatusCallback", f"{server.http}/status")
    sid = await create(
        rest, ("Url", f"{server.http}/voice"), ("Twiml", "<Response><Reject/></Response>"), callback, *events
    )
    call = phone.calls[sid]
    await call.connected()
    fields = server.asked_at("/voice")[0].fields
    told = (fields["Direction"], fields["CallStatus"], fields["From"], fields["To"])
    assert told == ("outbound-api", "in-progress", "+15555550199", "+15555550100")
    await call.hang_up()
    await call.ended(10)
    statuses = [asked.fields["CallStatus"] for asked in server.asked_at("/status")]
    assert statuses == ["initiated", "ringing", "in-progress", "completed"]


async def test_a_placed_call_may_bring_its_own_twiml(phone: Phone, server: TinyServer, rest: Rest) -> None:
    call = phone.calls[await create(rest, ("Twiml", server.connect()))]
    await call.connected()
    assert server.asked == []
    assert call.documents == [server.connect()]


@pytest.mark.parametrize(
    "fields", [[], [("Url", "http://x/")], [("To", "1"), ("From", "2")], [("To", "1"), ("Url", "http://x/")]]
)
async def test_a_call_without_its_parameters_is_400(rest: Rest, fields: list[tuple[str, str]]) -> None:
    assert (await rest.post("/Calls.json", fields))[0] == 400


@pytest.mark.parametrize("outcome", ["busy", "no-answer", "failed"])
async def test_a_placed_call_may_fail(server: TinyServer, session: aiohttp.ClientSession, outcome: Any) -> None:
    async with Phone(PhoneSettings(server.voice, auth_token=TOKEN, outcome=outcome, ring_s=5.0)) as phone:
        call = phone.calls[await create(Rest(phone, session), ("Twiml", server.connect()))]
        await call.ended(10)
        assert call.status == outcome
        assert call.streams == []


async def test_a_call_that_rings_too_long_is_not_answered(server: TinyServer, session: aiohttp.ClientSession) -> None:
    async with Phone(PhoneSettings(server.voice, auth_token=TOKEN, ring_s=90.0)) as phone:
        rest, began = Rest(phone, session), now()
        call = phone.calls[await create(rest, ("Twiml", server.connect()), ("Timeout", "30"))]
        await call.ended(60)
        assert (call.status, now() - began) == ("no-answer", about(30, within=0.1))


async def test_a_ringing_call_may_be_canceled(server: TinyServer, session: aiohttp.ClientSession) -> None:
    async with Phone(PhoneSettings(server.voice, auth_token=TOKEN, ring_s=20.0)) as phone:
        rest = Rest(phone, session)
        call = phone.calls[await create(rest, ("Twiml", server.connect()))]
        await asyncio.sleep(5)
        assert (await rest.update(call, Status="canceled"))[1]["status"] == "canceled"
        await call.ended(1)
        assert call.record.answered_at is None


async def test_machine_detection_in_the_background_does_not_hold_the_stream_up(
    phone: Phone, server: TinyServer, rest: Rest
) -> None:
    amd = [
        ("MachineDetection", "Enable"),
        ("AsyncAmd", "true"),
        ("AsyncAmdStatusCallback", f"{server.http}/amd"),
    ]
    began = now()
    call = phone.calls[await create(rest, ("Twiml", server.connect()), *amd)]
    await call.connected()
    assert now() - began < 0.1
    await asyncio.sleep(1.1)
    fields = server.asked_at("/amd")[0].fields
    assert fields["AnsweredBy"] == "human"
    assert fields["MachineDetectionDuration"] == "1000"
    assert fields["CallSid"] == call.call_sid


async def test_blocking_machine_detection_comes_before_the_webhook(
    phone: Phone, server: TinyServer, rest: Rest
) -> None:
    began = now()
    call = phone.calls[await create(rest, ("Url", server.voice), ("MachineDetection", "DetectMessageEnd"))]
    await call.connected()
    (asked,) = server.asked_at("/voice")
    assert asked.at - began >= 1.0
    assert asked.fields["AnsweredBy"] == "human"


# -- recordings ------------------------------------------------------------------------------------------------------


async def test_a_recording_reports_its_end_with_the_call(phone: Phone, server: TinyServer, rest: Rest) -> None:
    call, _ = await open_call(phone, server)
    path = f"/Calls/{call.call_sid}/Recordings"
    fields = {
        "RecordingStatusCallback": f"{server.http}/recording",
        "RecordingStatusCallbackEvent": "in-progress completed",
        "RecordingChannels": "dual",
    }
    status, body = await rest.post(f"{path}.json", fields)
    assert (status, body["status"], body["channels"]) == (201, "in-progress", 2)
    status, body = await rest.post(f"{path}/{body['sid']}.json", {"Status": "paused"})
    assert (status, body["status"]) == (200, "paused")
    assert (await rest.post(f"{path}/{body['sid']}.json", {"Status": "gone"}))[0] == 400
    await asyncio.sleep(30)
    await call.hang_up()
    await call.ended(10)
    began, ended = (asked.fields for asked in server.asked_at("/recording"))
    assert (began["RecordingStatus"], began["RecordingSid"]) == ("in-progress", body["sid"])
    assert (ended["RecordingStatus"], ended["RecordingDuration"], ended["RecordingChannels"]) == (
        "completed",
        "30",
        "2",
    )
    assert (await rest.post(f"{path}.json", fields))[0] == 404


async def test_a_stopped_recording_reports_at_once(phone: Phone, server: TinyServer, rest: Rest) -> None:
    call, _ = await open_call(phone, server)
    path = f"/Calls/{call.call_sid}/Recordings"
    _, body = await rest.post(f"{path}.json", {"RecordingStatusCallback": f"{server.http}/recording"})
    await rest.post(f"{path}/{body['sid']}.json", {"Status": "stopped"})
    await asyncio.sleep(0.1)
    await call.hang_up()
    await call.ended(10)
    assert [asked.fields["RecordingStatus"] for asked in server.asked_at("/recording")] == ["completed"]
