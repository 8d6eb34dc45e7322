"""Deepgram's listen socket that takes turns, `/v2/listen` (Flux), served strictly.

Sources: https://developers.deepgram.com/docs/flux/quickstart, https://developers.deepgram.com/docs/flux/configuration,
https://developers.deepgram.com/reference/speech-to-text/listen-flux
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from typing import Any
from uuid import uuid4

from lineside.standin.deepgram_upgrade import check_key, refusal
from lineside.standin.endpoint import Admission, Refusal, Socket, Studio, Upgrade
from lineside.standin.recogniser.deepgram_query import (
    FLUX_EAGER_EOT,
    FLUX_EOT,
    FLUX_TIMEOUT_MS,
    MOST_KEYTERMS,
    FluxSettings,
    Thresholds,
    read_flux,
)
from lineside.standin.recogniser.deepgram_turns import Turns
from lineside.standin.recogniser.line import Ending, Line
from lineside.standin.recogniser.listened import Listened
from lineside.standin.recogniser.outlet import Message, Say, now

CHUNK_S = (0.08, 0.08)  # "strongly recommended"
KEYS = {
    "Configure": {"type", "thresholds", "keyterms", "language_hints", "numerals"},
    "ForceEndTurn": {"type"},
    "CloseStream": {"type"},
}
RANGES = {"eot_threshold": FLUX_EOT, "eager_eot_threshold": FLUX_EAGER_EOT, "eot_timeout_ms": FLUX_TIMEOUT_MS}

ENDINGS = {
    "UNPARSABLE_CLIENT_MESSAGE": (1008, "The message could not be parsed."),
    "INTERNAL_SERVER_ERROR": (1011, "An internal error occurred."),
    "DATA-0000": (1008, "Payload cannot be decoded as audio."),
    "NET-0001": (1011, "Did not receive audio data, a message or a ping within the timeout window."),
}


class DeepgramFlux:
    """The endpoint: judges handshakes, makes sessions."""

    pattern = re.compile("/v2/listen")

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._n_open = 0

    def admit(self, upgrade: Upgrade) -> Admission:
        studio = self._studio
        if studio.faults.recogniser.refuse:
            raise self.refuse(studio.faults.recogniser.refuse.pop(0))
        check_key(upgrade.headers, studio)
        settings = read_flux(upgrade.query, studio.faults)
        if 0 < studio.faults.recogniser.max_connections <= self._n_open:
            raise self.refuse(429, "max_connections")
        request_id = str(uuid4())

        async def serve(socket: Socket, number: int) -> None:
            self._n_open += 1
            try:
                listened = Listened(number, "flux")
                studio.record.listens(listened)
                line = Line(
                    socket,
                    studio,
                    listened,
                    settings.encoding or "mulaw",
                    settings.rate,
                    chunk_s=CHUNK_S,
                    stamp=_Numbers().stamp,
                )
                await line.run(_Session(line, settings, request_id).converse)
            finally:
                self._n_open -= 1

        return Admission(serve, {"dg-request-id": request_id})

    def refuse(self, status: int, breach: str = "") -> Refusal:
        return refusal(status, "TOO_MANY_REQUESTS" if status == 429 else "", breach=breach)


class _Numbers:
    """Counts the messages of a connection as they leave."""

    def __init__(self) -> None:
        self._next = 0

    def stamp(self, message: Message) -> Message:
        self._next += 1
        return message | {"sequence_id": self._next - 1}


class _Session:
    """One connection."""

    def __init__(self, line: Line, settings: FluxSettings, request_id: str) -> None:
        self._line = line
        self._faults = line.faults
        self._settings = settings
        self._request_id = request_id
        self._turns = Turns(settings, line.faults, request_id)
        self._message_at = now()
        self._warned = False
        self._closing = False

    async def converse(self) -> None:
        """Take messages until the connection ends.

        Raises:
            ConnectionClosed: always, unless this side has ended it.
        """
        self._line.say([self._say({"type": "Connected", "request_id": self._request_id}, 0.0)])
        try:
            while True:
                message = await self._line.receive(math.inf if self._closing else self._idle_at())
                if self._closing:
                    self._line.breach("after_close")
                elif message is not None:
                    self._message_at = now()
                    await self._take(message)
                elif now() >= self._idle_at():  # a ping may have put it off meanwhile
                    raise Ending("NET-0001", "idle")
        except Ending as ending:
            self._end(ending)
            await self._line.socket.wait_closed()

    def _idle_at(self) -> float:
        return max(self._message_at, self._line.socket.pinged_at) + (self._faults.flux_idle_s or math.inf)

    # -- messages ----------------------------------------------------------------------------------------------------

    async def _take(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            await self._take_audio(message)
            return
        body = _parse(message)
        match body["type"]:
            case "Configure":
                self._line.say([self._configure(body)])
            case "ForceEndTurn":
                self._hear_rest()
                self._line.say(self._turns.force_end() or [self._no_turn()])
            case "CloseStream":
                self._closing = True
                self._hear_rest()
                self._line.say(self._turns.rest())
                self._line.close(None)

    async def _take_audio(self, audio: bytes) -> None:
        if not audio:
            self._line.breach("empty_frame")
            return
        if self._settings.encoding is None:
            raise Ending("DATA-0000", "undecodable_audio")
        if audio.startswith(b'{"type"'):
            self._line.breach("text_as_audio")
        for moment in await self._line.listen(audio):
            self._line.say(self._turns.hear(moment))
        self._warn()
        if self._line.fails():
            raise Ending("INTERNAL_SERVER_ERROR")

    def _hear_rest(self) -> None:
        for moment in self._line.rest():
            self._line.say(self._turns.hear(moment))

    def _warn(self) -> None:
        after_s = self._faults.warning_after_s
        if after_s is not None and not self._warned and self._line.audio_s >= after_s:
            self._warned = True
            self._line.say([self._warning("NEVER_HEARD_OF", "A condition that no paper speaks of.")])

    def _no_turn(self) -> Say:
        self._line.breach("no_active_turn")
        return self._warning("FORCE_END_TURN_NO_ACTIVE_TURN", "There is no active turn to end.")

    def _configure(self, body: dict[str, Any]) -> Say:
        given = body.get("thresholds") or {}
        why = self._unfit(body, given)
        if why:
            self._line.breach("bad_configure")
            failure = {"code": "INVALID_CONFIGURATION", "description": why}
            return self._say({"type": "ConfigureFailure", "request_id": self._request_id, **failure})
        self._turns.thresholds = _changed(self._turns.thresholds, given)
        hints = body.get("language_hints")
        self._turns.language_hints = self._turns.language_hints if hints is None else tuple(hints)
        keyterms, numerals = body.get("keyterms"), body.get("numerals")
        self._settings = replace(
            self._settings,
            keyterms=self._settings.keyterms if keyterms is None else tuple(keyterms),
            numerals=self._settings.numerals if numerals is None else numerals,
        )
        return self._say(self._success())

    def _unfit(self, body: dict[str, Any], given: dict[str, Any]) -> str:
        """Why a Configure of the right form cannot be followed; empty when it can. All of it is, or nothing."""
        for name, value in given.items():
            low, high = RANGES[name]
            if value is not None and not low <= value <= high:
                return f"{name} is {low:g} to {high:g}"
        thresholds = _changed(self._turns.thresholds, given)
        if thresholds.eager_eot is not None and thresholds.eager_eot > thresholds.eot:
            return "eager_eot_threshold is at most eot_threshold"
        if len(body.get("keyterms") or ()) > MOST_KEYTERMS:
            return f"there are more than {MOST_KEYTERMS} keyterms"
        if body.get("language_hints") and self._settings.model != "flux-general-multi":
            return "language_hints are for flux-general-multi"
        return ""

    def _success(self) -> dict[str, Any]:
        thresholds = self._turns.thresholds
        told: dict[str, Any] = {"eot_threshold": thresholds.eot, "eot_timeout_ms": thresholds.timeout_ms}
        if thresholds.eager_eot is not None:
            told["eager_eot_threshold"] = thresholds.eager_eot
        answer: dict[str, Any] = {
            "type": "ConfigureSuccess",
            "request_id": self._request_id,
            "thresholds": told,
            "keyterms": list(self._settings.keyterms),
            "numerals": self._settings.numerals,
        }
        if self._settings.model == "flux-general-multi":
            answer["language_hints"] = list(self._turns.language_hints)
        return answer

    # -- saying ------------------------------------------------------------------------------------------------------

    def _warning(self, code: str, description: str) -> Say:
        return self._say({"type": "Warning", "request_id": self._request_id, "code": code, "description": description})

    def _say(self, message: dict[str, Any], latency_s: float | None = None) -> Say:
        return Say(message, latency_s=self._faults.flux_latency_s if latency_s is None else latency_s)

    def _end(self, ending: Ending) -> None:
        """Close the connection for what the client did, or failed to do."""
        faults = self._line.studio.faults
        if ending.breach:
            self._line.breach(ending.breach)
        close_code, sentence = ENDINGS[ending.code]
        if not re.match("NET|DATA", ending.code) or faults.error_before_close:
            self._line.say([self._say({"type": "Error", "code": ending.code, "description": sentence})])
        by_code = faults.close_reason == "code"
        self._line.close(close_code, ending.code if by_code else f"{ending.code}: {sentence}")


def _changed(thresholds: Thresholds, given: dict[str, Any]) -> Thresholds:
    eot, eager_eot, timeout_ms = (
        given.get(name) for name in ("eot_threshold", "eager_eot_threshold", "eot_timeout_ms")
    )
    return Thresholds(
        eot=thresholds.eot if eot is None else eot,
        eager_eot=thresholds.eager_eot if eager_eot is None else eager_eot,
        timeout_ms=thresholds.timeout_ms if timeout_ms is None else timeout_ms,
    )


def _parse(message: str) -> dict[str, Any]:
    """Read a client's text message.

    Raises:
        Ending: there is no such message.
    """
    try:
        body = json.loads(message)
    except (ValueError, RecursionError):
        raise _unparsable("bad_json") from None
    if not isinstance(body, dict) or "type" not in body:
        raise _unparsable("bad_json")
    kind = body["type"]
    if kind == "KeepAlive":  # of /v1/listen; this socket is kept open by pings
        raise _unparsable("keepalive")
    if not isinstance(kind, str) or kind not in KEYS:
        raise _unparsable("unknown_type")
    if not body.keys() <= KEYS[kind]:
        raise _unparsable("unknown_key")
    if not _is_configuration(body):
        raise _unparsable("bad_configure")
    return body


def _is_configuration(body: dict[str, Any]) -> bool:
    thresholds = {} if body.get("thresholds") is None else body["thresholds"]
    if not isinstance(thresholds, dict) or not thresholds.keys() <= RANGES.keys():
        return False
    if any(isinstance(value, bool) or not isinstance(value, int | float | None) for value in thresholds.values()):
        return False
    for name in ("keyterms", "language_hints"):
        terms = body.get(name)
        if terms is not None and not (isinstance(terms, list) and all(isinstance(term, str) for term in terms)):
            return False
    return isinstance(body.get("numerals"), bool | None)


def _unparsable(breach: str) -> Ending:
    return Ending("UNPARSABLE_CLIENT_MESSAGE", breach)
