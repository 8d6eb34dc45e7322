"""Signed webhooks of the local phone."""

from __future__ import annotations

from base64 import b64encode

import pytest
from twilio.request_validator import RequestValidator

from lineside.errors import RemoteProtocolError
from lineside.standin.phone import Phone
from lineside.standin.phone_webhook import url_to_sign
from standin.phone_server import TOKEN, TinyServer, now, open_call


async def test_the_voice_webhook_is_a_signed_form_with_the_carriers_fields(phone: Phone, server: TinyServer) -> None:
    call, _ = await open_call(phone, server, extra_fields={"Odd": "a b+c&d=é"})
    (asked,) = server.asked
    assert asked.method == "POST"
    assert asked.headers["Content-Type"].startswith("application/x-www-form-urlencoded")
    assert (
        asked.fields.items()
        >= {
            "CallSid": call.call_sid,
            "AccountSid": phone.settings.account_sid,
            "ApiVersion": "2010-04-01",
            "From": "+15555550100",
            "Caller": "+15555550100",
            "To": "+15555550199",
            "Called": "+15555550199",
            "CallStatus": "ringing",
            "Direction": "inbound",
            "FromCity": "",
            "Odd": "a b+c&d=é",
        }.items()
    )
    assert call.call_sid.startswith("CA")
    assert len(call.call_sid) == 34
    assert RequestValidator(TOKEN).validate(server.voice, asked.fields, asked.headers["X-Twilio-Signature"])


async def test_signatures_may_be_missing_or_bad(phone: Phone, server: TinyServer) -> None:
    await open_call(phone, server, signature="missing")
    await open_call(phone, server, signature="bad")
    await open_call(phone, server, upgrade_signature="bad")
    missing, bad, good = (asked.headers.get("X-Twilio-Signature") for asked in server.asked)
    validate = RequestValidator(TOKEN).validate
    assert missing is None
    assert bad is not None
    assert not validate(server.voice, server.asked[1].fields, bad)
    assert validate(server.voice, server.asked[2].fields, good)
    assert "x-twilio-signature" not in server.upgrades[0].headers
    assert not validate(f"{server.ws}/media", {}, server.upgrades[2].headers["x-twilio-signature"])


@pytest.mark.parametrize(
    ("url", "signed"),
    [
        ("https://user:pass@h.example:8443/v?a=1#rc=2", "https://h.example/v?a=1"),
        ("http://user@h.example:8080/v", "http://h.example:8080/v"),
        ("https://[::1]:443/v", "https://[::1]/v"),
    ],
)
def test_the_signed_url_has_no_user_no_fragment_and_over_https_no_port(url: str, signed: str) -> None:
    assert url_to_sign(url) == signed


async def test_user_and_password_travel_in_a_header_and_are_not_signed(phone: Phone, server: TinyServer) -> None:
    await open_call(phone, server, voice_url=server.voice.replace("://", "://me:p%40ss@") + "?a=1&b=%2F#rc=2")
    (asked,) = server.asked
    assert asked.headers["Authorization"] == "Basic " + b64encode(b"me:p@ss").decode()
    assert asked.url == f"{server.voice}?a=1&b=%2F"
    assert RequestValidator(TOKEN).validate(asked.url, asked.fields, asked.headers["X-Twilio-Signature"])


async def test_a_get_webhook_signs_the_whole_url(phone: Phone, server: TinyServer) -> None:
    server.twiml["/voice"] = f'<Response><Redirect method="GET">{server.http}/second?x=1</Redirect></Response>'
    server.twiml["/second"] = "<Response><Hangup/></Response>"
    call = await phone.dial()
    await call.ended(60)
    asked = server.asked[-1]
    assert asked.method == "GET"
    assert asked.fields.items() >= {"x": "1", "CallSid": call.call_sid, "CallStatus": "in-progress"}.items()
    assert asked.headers["X-Twilio-Signature"]


async def test_a_webhook_that_does_not_answer_in_15_s_ends_the_call(phone: Phone, server: TinyServer) -> None:
    server.delay["/voice"] = 60
    began = now()
    call = await phone.dial()
    await call.ended(60)
    assert 15 <= now() - began < 16.1
    assert (call.status, call.ended_by, call.warnings["11200"]) == ("failed", "error", 1)
    with pytest.raises(RemoteProtocolError, match="11200"):
        await call.connected()


@pytest.mark.parametrize("status", [302, 403, 500])
async def test_a_webhook_that_is_refused_ends_the_call(phone: Phone, server: TinyServer, status: int) -> None:
    server.status["/voice"] = status
    call = await phone.dial()
    await call.ended(60)
    assert (call.status, call.warnings["11200"]) == ("failed", 1)


async def test_a_failed_webhook_is_asked_again_at_the_fallback(phone: Phone, server: TinyServer) -> None:
    server.status["/voice"] = 500
    server.twiml["/fallback"] = "<Response><Hangup/></Response>"
    call = await phone.dial(fallback_url=f"{server.http}/fallback")
    await call.ended(60)
    fields = server.asked_at("/fallback")[0].fields
    assert (fields["ErrorCode"], fields["ErrorUrl"]) == ("11200", server.voice)
    assert (call.status, call.ended_by) == ("completed", "twiml")


async def test_a_server_that_is_not_there_is_11205(phone: Phone) -> None:
    call = await phone.dial(voice_url="http://127.0.0.1:1/voice")
    await call.ended(60)
    assert call.warnings["11205"] == 1


async def test_a_retried_webhook_comes_again_for_the_same_call(phone: Phone, server: TinyServer) -> None:
    await open_call(phone, server, webhook_repeats=2)
    assert len({asked.fields["CallSid"] for asked in server.asked}) == 1
    assert len({asked.headers["I-Twilio-Idempotency-Token"] for asked in server.asked}) == 1
    assert len(server.asked) == 3
