"""The carrier's REST side, as much of it as a call needs: place, change and end a call, record it.

Source: https://www.twilio.com/docs/voice/api/call-resource, https://www.twilio.com/docs/voice/api/recording,
https://www.twilio.com/docs/api/errors/20404
"""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from aiohttp import web
from multidict import MultiMapping

from lineside.standin.phone_call import PhoneCall
from lineside.standin.phone_life import EVERY_STEP, Order, Placement
from lineside.standin.phone_record import Direction
from lineside.standin.phone_script import Fetch, Given, Source
from lineside.standin.phone_settings import PhoneSettings

BASE = "/2010-04-01/Accounts/{account}"
MAX_TWIML = 4000  # characters of a `Twiml` parameter
RECORDING_STATUSES = {"paused", "in-progress", "stopped"}

Form = MultiMapping[Any]


@dataclass(frozen=True, slots=True)
class RestRequest:
    """One request that the stand-in got. `at` is the loop's time."""

    at: float
    path: str
    fields: Mapping[str, str]


class RestStub:
    """The HTTP server. `delay_s` and `refuse_with` may be changed at any time."""

    def __init__(
        self,
        settings: PhoneSettings,
        calls: Mapping[str, PhoneCall],
        place: Callable[[PhoneSettings, Placement], PhoneCall],
    ) -> None:
        """
        Args:
            calls: by CallSid; the owner adds to it.
            place: begins a call.
        """
        self.delay_s = 0.0
        """Each answer takes this long."""
        self.refuse_with: int | None = None
        """An HTTP status: every request is answered with it, and nothing is done."""
        self.requests: list[RestRequest] = []
        self.url = ""
        self._settings = settings
        self._calls = calls
        self._place = place

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.add_routes(
            [
                web.post(BASE + "/Calls.json", self._create),
                web.get(BASE + "/Calls/{call}.json", self._fetch),
                web.post(BASE + "/Calls/{call}.json", self._update),
                web.post(BASE + "/Calls/{call}/Recordings.json", self._record),
                web.post(BASE + "/Calls/{call}/Recordings/{recording}.json", self._change_recording),
            ]
        )
        app.middlewares.append(self._guard)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._settings.rest_host, self._settings.rest_port)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://{self._settings.rest_host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    # -- every request -------------------------------------------------------------------------------------------------

    @web.middleware
    async def _guard(self, request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
        now = asyncio.get_running_loop().time()
        form = await request.post()
        self.requests.append(RestRequest(now, request.path, {name: str(value) for name, value in form.items()}))
        await asyncio.sleep(self.delay_s)
        if self.refuse_with is not None:
            return error(self.refuse_with, 20500, "The stand-in was told to refuse.")
        settings = self._settings_for(request)
        if request.match_info.get("account") != settings.account_sid or not _authorized(request, settings):
            return error(401, 20003, "Authenticate")
        response: web.StreamResponse = await handler(request)
        return response

    def _settings_for(self, request: web.Request) -> PhoneSettings:
        call = self._calls.get(request.match_info.get("call", ""))
        return call.record.settings if call is not None else self._settings

    def _find(self, request: web.Request) -> PhoneCall | None:
        """The call of the path, unless it is over: the carrier forgets those for updates."""
        call = self._calls.get(request.match_info["call"])
        return None if call is None or call.over else call

    # -- calls ---------------------------------------------------------------------------------------------------------

    async def _create(self, request: web.Request) -> web.Response:
        form = await request.post()
        source = _source(form, self._settings)
        if not form.get("To") or not form.get("From"):
            return error(400, 21201, "No 'To' or 'From' number is specified")
        if source is None:
            return error(400, 21205, "Url or Twiml is required")
        if len(str(form.get("Twiml", ""))) > MAX_TWIML:
            return error(400, 21213, f"Twiml is limited to {MAX_TWIML} characters")
        detection = bool(form.get("MachineDetection"))
        placement = Placement(
            Direction("outbound-api", str(form["From"]), str(form["To"])),
            source,
            status_url=_text(form, "StatusCallback"),
            status_events=tuple(str(event) for event in form.getall("StatusCallbackEvent", ["completed"])),
            status_method=_text(form, "StatusCallbackMethod") or "POST",
            time_limit_s=_number(form, "TimeLimit"),
            ring_timeout_s=_number(form, "Timeout") or 60.0,
            amd=("background" if form.get("AsyncAmd") == "true" else "blocking") if detection else "",
            amd_url=_text(form, "AsyncAmdStatusCallback"),
        )
        return web.json_response(_call_body(self._place(self._settings, placement)), status=201)

    async def _fetch(self, request: web.Request) -> web.Response:
        call = self._calls.get(request.match_info["call"])
        return not_found(request) if call is None else web.json_response(_call_body(call))

    async def _update(self, request: web.Request) -> web.Response:
        form = await request.post()
        if (call := self._find(request)) is None:
            return not_found(request)
        status = _text(form, "Status")
        if "Twiml" in form and "Url" in form:
            return error(400, 21218, "Url and Twiml exclude each other")
        if len(str(form.get("Twiml", ""))) > MAX_TWIML:
            return error(400, 21213, f"Twiml is limited to {MAX_TWIML} characters")
        if status not in (None, "completed", "canceled"):
            return error(400, 21218, f"Status {status!r} is neither completed nor canceled")
        if status == "canceled" and call.record.answered_at is not None:
            return error(400, 21220, "The call is in progress and cannot be canceled")
        if (limit := _number(form, "TimeLimit")) is not None:
            call.life.limit(limit)
        if status is not None:
            await call.life.order(Order("rest", EVERY_STEP, status=status))
        elif (source := _source(form, call.record.settings, twiml_first=True)) is not None:
            await call.life.order(Order("rest", ("stop", "close"), source))
        return web.json_response(_call_body(call))

    # -- recordings --------------------------------------------------------------------------------------------------

    async def _record(self, request: web.Request) -> web.Response:
        form = await request.post()
        if (call := self._find(request)) is None:
            return not_found(request)
        recording = call.life.record_call(
            _text(form, "RecordingStatusCallback"),
            _text(form, "RecordingStatusCallbackMethod") or "POST",
            tuple((_text(form, "RecordingStatusCallbackEvent") or "completed").split()),
            "2" if form.get("RecordingChannels") == "dual" else "1",
        )
        return web.json_response(_recording_body(call, recording.sid), status=201)

    async def _change_recording(self, request: web.Request) -> web.Response:
        form = await request.post()
        call = self._find(request)
        if call is None or (recording := call.life.recordings.get(request.match_info["recording"])) is None:
            return not_found(request)
        status = str(form.get("Status", ""))
        if status not in RECORDING_STATUSES:
            return error(400, 20001, f"Status {status!r} is not one of {sorted(RECORDING_STATUSES)}")
        if status == "stopped":
            recording.finish(asyncio.get_running_loop().time())
        else:
            recording.status = status
        return web.json_response(_recording_body(call, recording.sid))


def error(status: int, code: int, message: str) -> web.Response:
    """An error as the carrier words it."""
    body = {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    return web.json_response(body, status=status)


def not_found(request: web.Request) -> web.Response:
    return error(404, 20404, f"The requested resource {request.path} was not found")


def _authorized(request: web.Request, settings: PhoneSettings) -> bool:
    """Basic auth with the account's token or with its API key."""
    kind, _, credentials = request.headers.get("Authorization", "").partition(" ")
    try:
        user, _, password = b64decode(credentials, validate=True).decode().partition(":")
    except ValueError:
        return False
    allowed = {(settings.account_sid, settings.auth_token), (settings.api_key_sid, settings.api_key_secret)}
    return kind.lower() == "basic" and (user, password) in allowed


def _source(form: Form, settings: PhoneSettings, *, twiml_first: bool = False) -> Source | None:
    """Where the document comes from. On create the carrier ignores `Twiml` when there is a `Url`."""
    url, twiml = _text(form, "Url"), _text(form, "Twiml")
    if twiml is not None and (twiml_first or url is None):
        return Given(twiml)
    if url is None:
        return None
    by_machine = {"AnsweredBy": settings.answered_by, "MachineDetectionDuration": str(round(settings.amd_s * 1000))}
    blocking = bool(form.get("MachineDetection")) and form.get("AsyncAmd") != "true"
    return Fetch(url, _text(form, "Method") or "POST", by_machine if blocking else {})


def _text(form: Form, name: str) -> str | None:
    value = form.get(name)
    return None if value is None else str(value)


def _number(form: Form, name: str) -> float | None:
    value = str(form.get(name, ""))
    return float(value) if value.isdecimal() else None


def _call_body(call: PhoneCall) -> dict[str, Any]:
    record = call.record
    account = record.settings.account_sid
    return {
        "sid": call.call_sid,
        "account_sid": account,
        "api_version": "2010-04-01",
        "direction": record.direction.name,
        "from": record.direction.from_,
        "to": record.direction.to,
        "status": call.status,
        "uri": f"/2010-04-01/Accounts/{account}/Calls/{call.call_sid}.json",
    }


def _recording_body(call: PhoneCall, sid: str) -> dict[str, Any]:
    recording = call.life.recordings[sid]
    return {
        "sid": sid,
        "account_sid": call.record.settings.account_sid,
        "call_sid": call.call_sid,
        "status": recording.status,
        "channels": int(recording.channels),
        "source": "StartCallRecordingAPI",
    }
