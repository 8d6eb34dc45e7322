"""The carrier's webhooks: what to do with a call, and what became of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import cache
from importlib.resources import files

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from lineside.calls import TooManyCalls
from lineside.errors import AuthError, LocalProtocolError, RemoteProtocolError
from lineside.events import CallInfo
from lineside.web.desk import Desk
from lineside.web.media import MediaEndpoint
from lineside.wire import twiml, webhook
from lineside.wire.webhook import VoiceRequest

log = logging.getLogger(__name__)

RINGING = 8.0  # s to wait for a voice with room; the carrier gives a webhook 15
_NOT_PARAMETERS = frozenset({"CallToken"})  # a credential, of no use to an agent

Endpoint = Callable[[Request], Awaitable[Response]]


def routes(desk: Desk) -> list[BaseRoute]:
    """Everything the carrier calls."""
    voice = VoiceEndpoints(desk)
    return [
        Route("/twilio/voice", _guarded(voice.voice), methods=["POST"]),
        Route("/twilio/after", _guarded(voice.after), methods=["POST"]),
        Route("/twilio/status", _guarded(voice.status), methods=["POST"]),
        Route("/twilio/stream-status", _guarded(voice.stream_status), methods=["POST"]),
        Route("/twilio/apology.wav", _apology, methods=["GET"]),
        WebSocketRoute("/twilio/media/{token}", MediaEndpoint(desk).answer),
    ]


def _guarded(endpoint: Endpoint) -> Endpoint:
    """Answers for requests that prove nothing or say nothing: one line each, and no hint for a stranger."""

    async def answer(request: Request) -> Response:
        path = request.url.path
        try:
            return await endpoint(request)
        except AuthError as exc:
            log.warning("%s refused: %s", path, exc)
            return Response("not signed by an account that this server serves\n", 403, media_type="text/plain")
        except RemoteProtocolError as exc:
            log.warning("%s refused: %s", path, exc)
            return Response(f"{exc}\n", 400, media_type="text/plain")
        except LocalProtocolError as exc:
            log.error("%s cannot be answered: %s; is LINESIDE_PUBLIC_URL the address that it was sent to?", path, exc)
            return Response(status_code=500)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody is there to read it

    return answer


def _xml(body: str) -> Response:
    return Response(body, media_type="text/xml")


class VoiceEndpoints:
    """The webhooks of a call. Each may be repeated, and may come in any order."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def voice(self, request: Request) -> Response:
        """A call has come: prepare it, and have the carrier connect its audio."""
        asked = webhook.parse_voice(await self._desk.guard.form(request))
        call = self._desk.call_of(asked.call_id, asked.account_id)
        if call is None and self._desk.is_past(asked.call_id):
            return _xml(twiml.hang_up())
        if call is None:
            try:
                call = self._desk.open_call(_info(asked), lambda token: self._stream(request, token))
            except TooManyCalls as exc:
                log.error("call %s turned away: %s", asked.call_id, exc)
                return self._turn_away(request)
        if not await call.admit(RINGING):
            if call.over:  # the caller gave up while it rang
                return _xml(twiml.hang_up())
            log.error("call %s turned away: no voice had room for it within %g s", asked.call_id, RINGING)
            call.end("no capacity")
            return self._turn_away(request)
        return _xml(self._desk.answer_to(call))

    def _turn_away(self, request: Request) -> Response:
        return _xml(twiml.play_and_hang_up(self._desk.guard.url(request, path="/twilio/apology.wav")))

    async def after(self, request: Request) -> Response:
        """The stream has ended: what does the caller get next?"""
        asked = webhook.parse_voice(await self._desk.guard.form(request))
        call = self._desk.call_of(asked.call_id, asked.account_id)
        if call is not None and asked.status in webhook.TERMINAL:
            call.finished_at_carrier(asked.status)
        if call is None or call.over or call.leaving or asked.status != "in-progress":
            return _xml(twiml.hang_up())
        if not self._desk.may_reconnect(call):
            call.end("lost")
            return _xml(twiml.hang_up())
        return _xml(self._stream(request, self._desk.new_pass(asked.call_id)))

    async def status(self, request: Request) -> Response:
        """The call's own status; only its end matters here."""
        update = webhook.parse_status(await self._desk.guard.form(request))
        call = self._desk.call_of(update.call_id, update.account_id)
        if call is not None and update.terminal:
            call.finished_at_carrier(update.status)
        return Response(status_code=204)

    async def stream_status(self, request: Request) -> Response:
        """The stream's status: what the carrier says of an error is nowhere else to be had."""
        update = webhook.parse_stream_status(await self._desk.guard.form(request))
        call = self._desk.call_of(update.call_id, update.account_id)
        if call is not None:
            call.timeline.note("stream_status", event=update.event, error=update.error)
        return Response(status_code=204)

    def _stream(self, request: Request, token: str) -> str:
        guard = self._desk.guard
        return twiml.connect_stream(
            guard.url(request, path=f"/twilio/media/{token}", upgrade=True),
            guard.url(request, path="/twilio/after"),
            guard.url(request, path="/twilio/stream-status"),
            {},
            allow_ws=self._desk.allow_plain,
        )


def _info(asked: VoiceRequest) -> CallInfo:
    return CallInfo(
        call_id=asked.call_id,
        caller=asked.caller,
        called=asked.called,
        account_id=asked.account_id,
        direction=asked.direction,
        parameters={name: value for name, value in asked.parameters.items() if name not in _NOT_PARAMETERS},
    )


@cache
def _apology_wav() -> bytes:
    return files("lineside").joinpath("assets/apology.wav").read_bytes()


async def _apology(_: Request) -> Response:
    return Response(await asyncio.to_thread(_apology_wav), media_type="audio/wav")
