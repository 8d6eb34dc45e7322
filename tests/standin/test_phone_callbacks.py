"""Callbacks of the local phone."""

from __future__ import annotations

import asyncio
from email.utils import parsedate_to_datetime
from typing import Any

from twilio.request_validator import RequestValidator

from lineside.standin.phone import Phone
from standin.phone_server import TOKEN, TinyServer, open_call


async def statuses(phone: Phone, server: TinyServer, **overrides: Any) -> list[dict[str, str]]:
    call, _ = await open_call(phone, server, status_url=f"{server.http}/status", **overrides)
    await asyncio.sleep(61)
    await call.hang_up()
    await call.ended(60)
    return [dict(asked.fields) for asked in server.asked_at("/status")]


async def test_status_callbacks_tell_the_calls_way(phone: Phone, server: TinyServer) -> None:
    ringing, answered, completed = await statuses(phone, server)
    told = [(fields["CallStatus"], fields["SequenceNumber"]) for fields in (ringing, answered, completed)]
    assert told == [("ringing", "0"), ("in-progress", "1"), ("completed", "2")]
    assert ringing["CallbackSource"] == "call-progress-events"
    assert "CallDuration" not in answered
    assert (completed["CallDuration"], completed["Duration"]) == ("61", "2")
    took = parsedate_to_datetime(completed["Timestamp"]) - parsedate_to_datetime(answered["Timestamp"])
    assert 60 <= took.total_seconds() <= 62
    first = server.asked_at("/status")[0]
    assert RequestValidator(TOKEN).validate(first.url, first.fields, first.headers["X-Twilio-Signature"])


async def test_status_callbacks_may_be_off(phone: Phone, server: TinyServer) -> None:
    assert await statuses(phone, server, status_callbacks=False) == []


async def test_status_callbacks_may_come_out_of_order_and_twice(phone: Phone, server: TinyServer) -> None:
    told = await statuses(phone, server, status_order="terminal first", status_duplicates=True)
    assert [(fields["CallStatus"], fields["SequenceNumber"]) for fields in told] == [
        ("completed", "2"),
        ("completed", "2"),
        ("in-progress", "1"),
        ("in-progress", "1"),
        ("ringing", "0"),
        ("ringing", "0"),
    ]


async def test_a_refused_callback_is_a_warning(phone: Phone, server: TinyServer) -> None:
    server.status["/status"] = 403
    await statuses(phone, server, status_events=("completed",))
    (call,) = phone.calls.values()
    assert call.warnings == {"11200": 1}


async def test_stream_status_callbacks_have_iso_times(phone: Phone, server: TinyServer) -> None:
    server.twiml["/voice"] = server.connect(stream=f'name="agent-1" statusCallback="{server.http}/stream-status"')
    call, _ = await open_call(phone, server)
    await call.hang_up()
    await call.ended(10)
    started, stopped = server.asked_at("/stream-status")
    assert (
        started.fields.items()
        >= {
            "AccountSid": phone.settings.account_sid,
            "CallSid": call.call_sid,
            "StreamSid": call.stream_sid,
            "StreamName": "agent-1",
            "StreamEvent": "stream-started",
        }.items()
    )
    assert stopped.fields["StreamEvent"] == "stream-stopped"
    assert "T" in started.fields["Timestamp"]
    assert started.fields["Timestamp"].endswith("Z")
