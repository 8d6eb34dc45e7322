"""How the local phone follows TwiML."""

from __future__ import annotations

import pytest

from lineside.standin import phone_script
from lineside.standin.phone import Phone
from lineside.standin.phone_record import Event
from standin.phone_server import TinyServer, about, now, open_call


async def test_verbs_run_one_after_another(phone: Phone, server: TinyServer) -> None:
    server.twiml["/voice"] = (
        "<Response><Play>/sorry.wav</Play><Say>Good day to you.</Say><Pause length='7'/>"
        "<Gather/><Redirect>/next</Redirect><Say>never</Say></Response>"
    )
    server.twiml["/next"] = "<Response><Hangup/><Say>never</Say></Response>"
    began = now()
    call = await phone.dial()
    await call.ended(60)
    assert call.transcript == ["Play", "Say", "Pause", "Gather", "Redirect", "Hangup"]
    assert call.played_urls == [f"{server.http}/sorry.wav"]
    assert 8 < now() - began < 10
    assert call.warnings == {"verb_not_played": 1}
    assert (call.status, call.ended_by) == ("completed", "twiml")


@pytest.mark.parametrize(("reason", "status"), [("rejected", "no-answer"), ("busy", "busy")])
async def test_a_rejected_call_was_never_answered(phone: Phone, server: TinyServer, reason: str, status: str) -> None:
    server.twiml["/voice"] = f'<Response><Reject reason="{reason}"/></Response>'
    call = await phone.dial()
    await call.ended(60)
    assert call.status == status
    assert call.record.answered_at is None


async def test_broken_twiml_ends_the_call(phone: Phone, server: TinyServer) -> None:
    server.twiml["/voice"] = "<Response><Connect></Response>"
    call = await phone.dial()
    await call.ended(60)
    assert (call.status, call.warnings["12100"]) == ("failed", 1)


async def test_an_endless_redirect_ends(phone: Phone, server: TinyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phone_script, "MAX_DOCUMENTS", 10)
    server.twiml["/voice"] = "<Response><Redirect>/voice</Redirect></Response>"
    call = await phone.dial()
    await call.ended(3600)
    assert call.warnings["endless"] == 1


async def test_a_dial_reports_its_result_to_its_action(phone: Phone, server: TinyServer) -> None:
    server.twiml["/voice"] = '<Response><Dial action="/dialled"><Number>+15555550123</Number></Dial></Response>'
    server.twiml["/dialled"] = server.connect()
    call, _ = await open_call(phone, server, dial_s=12.0)
    fields = server.asked_at("/dialled")[0].fields
    assert (fields["DialCallStatus"], fields["DialCallDuration"]) == ("completed", "12")
    assert fields["DialCallSid"].startswith("CA")
    assert Event(about(now(), within=13), "dial", "+15555550123") in call.events
    await call.hang_up()
    call = await phone.dial(dial_status="busy")
    await call.connected()
    fields = server.asked_at("/dialled")[1].fields
    assert fields["DialCallStatus"] == "busy"
    assert "DialCallDuration" not in fields
