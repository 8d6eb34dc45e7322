"""Deepgram's listen socket, `/v1/listen`, served strictly.

Sources: https://developers.deepgram.com/docs/live-streaming-audio,
https://developers.deepgram.com/docs/stt-troubleshooting-websocket-data-and-net-errors,
https://developers.deepgram.com/docs/audio-keep-alive, https://developers.deepgram.com/docs/close-stream
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from lineside.standin.deepgram_upgrade import check_key, refusal
from lineside.standin.endpoint import Admission, Refusal, Socket, Studio, Upgrade
from lineside.standin.recogniser.deepgram_query import MOST_KEYTERM_TOKENS, ListenSettings, read_listen
from lineside.standin.recogniser.deepgram_results import Results
from lineside.standin.recogniser.line import Ending, Line
from lineside.standin.recogniser.listened import Listened
from lineside.standin.recogniser.outlet import Say, now

CHUNK_S = (0.02, 0.25)  # https://developers.deepgram.com/docs/measuring-streaming-latency

KEYS = {
    "KeepAlive": {"type"},
    "Finalize": {"type", "channel"},
    "CloseStream": {"type"},
    "Configure": {"type", "keyterms", "features"},
}

ENDINGS = {
    "DATA-0000": (1008, "Payload cannot be decoded as audio."),
    "NET-0000": (
        1011,
        "Deepgram did not provide a response message within the timeout window. See https://dpgr.am/net0000",
    ),
    "NET-0001": (
        1011,
        "Deepgram did not receive audio data or a text message within the timeout window. See https://dpgr.am/net0001",
    ),
}


class DeepgramListen:
    """The endpoint: judges handshakes, makes sessions."""

    pattern = re.compile("/v1/listen")

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._n_open = 0

    def admit(self, upgrade: Upgrade) -> Admission:
        studio = self._studio
        if studio.faults.recogniser.refuse:
            raise self.refuse(studio.faults.recogniser.refuse.pop(0))
        check_key(upgrade.headers, studio)
        settings = read_listen(upgrade.query, studio.faults, studio.record.breach)
        if 0 < studio.faults.recogniser.max_connections <= self._n_open:
            raise self.refuse(429, "max_connections")
        request_id = str(uuid4())

        async def serve(socket: Socket, number: int) -> None:
            self._n_open += 1
            try:
                listened = Listened(number, "listen")
                studio.record.listens(listened)
                line = Line(socket, studio, listened, settings.encoding or "mulaw", settings.rate, chunk_s=CHUNK_S)
                await line.run(_Session(line, settings, request_id).converse)
            finally:
                self._n_open -= 1

        return Admission(serve, {"dg-request-id": request_id})

    def refuse(self, status: int, breach: str = "") -> Refusal:
        return refusal(status, "TOO_MANY_REQUESTS" if status == 429 else "", breach=breach)


class _Session:
    """One connection."""

    def __init__(self, line: Line, settings: ListenSettings, request_id: str) -> None:
        self._line = line
        self._faults = line.faults
        self._settings = settings
        self._request_id = request_id
        self._results = Results(settings, line.faults, request_id)
        self._sha256 = hashlib.sha256()
        self._opened_at = self._message_at = now()
        self._created = datetime.now(UTC)
        self._closing = False

    async def converse(self) -> None:
        """Take messages until the connection ends.

        Raises:
            ConnectionClosed: always, unless this side has ended it.
        """
        try:
            while True:
                message = await self._line.receive(math.inf if self._closing else self._wake_at())
                if self._closing:
                    self._line.breach("after_close")
                elif message is None:
                    self._check_time()
                else:
                    self._message_at = now()
                    await self._take(message)
        except Ending as ending:
            self._end(ending)
            await self._line.socket.wait_closed()

    # -- time --------------------------------------------------------------------------------------------------------

    def _wake_at(self) -> float:
        return min(self._silent_at(), self._unheard_at())

    def _silent_at(self) -> float:
        """When a client that says nothing has been silent for too long."""
        return self._message_at + (self._faults.keepalive_s or math.inf)

    def _unheard_at(self) -> float:
        """When a client that has sent no audio has gone without for too long."""
        return math.inf if self._line.audio_s else self._opened_at + (self._faults.no_audio_s or math.inf)

    def _check_time(self) -> None:
        if now() >= self._silent_at():
            raise Ending("NET-0001", "no_keepalive")
        if now() >= self._unheard_at():
            raise Ending("NET-0000", "no_audio")

    # -- messages ----------------------------------------------------------------------------------------------------

    async def _take(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            await self._take_audio(message)
            return
        try:
            body = _parse(message)
        except Ending as ending:
            self._line.say([_schema_error(message)])
            if self._faults.bad_message == "close":
                raise
            self._line.breach(ending.breach)
            return
        match body["type"]:
            case "KeepAlive":
                pass
            case "Finalize":
                self._hear_rest()
                self._line.say(self._results.finalize())
            case "Configure":
                self._line.say([self._configure(body)])
            case "CloseStream":
                self._close()

    async def _take_audio(self, audio: bytes) -> None:
        if not audio:  # once the sign for the end of the stream, and still taken as such
            self._line.breach("empty_frame")
            self._close()
            return
        if self._settings.encoding is None:
            raise Ending("DATA-0000", "undecodable_audio")
        if audio.startswith(b'{"type"'):
            self._line.breach("text_as_audio")
        self._sha256.update(audio)
        for moment in await self._line.listen(audio):
            self._line.say(self._results.hear(moment))
        if self._line.fails():
            failure = {"type": "Error", "variant": "InternalServerError", "description": "The service has failed."}
            self._line.say([Say(failure)])
            raise Ending("NET-0000")

    def _hear_rest(self) -> None:
        for moment in self._line.rest():
            self._line.say(self._results.hear(moment))

    def _configure(self, body: dict[str, Any]) -> Say:
        keyterms = body.get("keyterms")
        answer: dict[str, Any] = {"type": "ConfigureSuccess", "request_id": self._request_id}
        if keyterms is not None:
            answer["keyterms"] = keyterms
        if keyterms is not None and not self._settings.model.startswith("nova-3"):
            answer = self._failure("CONFIGURE_KEYTERMS_NOT_SUPPORTED", "This model takes no keyterms on the way.")
        elif sum(len(term.split()) for term in keyterms or ()) > MOST_KEYTERM_TOKENS:
            answer = self._failure("CONFIGURE_KEYTERM_LIMIT_EXCEEDED", "There are too many keyterms.")
        return Say(answer)

    def _failure(self, code: str, description: str) -> dict[str, Any]:
        self._line.breach("bad_configure")
        return {"type": "ConfigureFailure", "request_id": self._request_id, "code": code, "description": description}

    # -- the end -----------------------------------------------------------------------------------------------------

    def _close(self) -> None:
        self._closing = True
        self._hear_rest()
        self._line.say([*self._results.rest(), Say(self._metadata())])
        self._line.close()

    def _metadata(self) -> dict[str, Any]:
        return {
            "type": "Metadata",
            "transaction_key": "deprecated",
            "request_id": self._request_id,
            "sha256": self._sha256.hexdigest(),
            "created": self._created.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "duration": round(self._line.audio_s, 6),
            "channels": 1,
        }

    def _end(self, ending: Ending) -> None:
        """Close the connection for what the client did, or failed to do."""
        faults = self._line.studio.faults
        if ending.breach:
            self._line.breach(ending.breach)
        close_code, sentence = ENDINGS[ending.code]
        if faults.error_before_close:
            self._line.say([Say({"type": "Error", "variant": ending.code, "description": sentence})])
        by_code = faults.close_reason == "code"
        self._line.close(close_code, ending.code if by_code else f"{ending.code}: {sentence}"[:123])


def _parse(message: str) -> dict[str, Any]:
    """Read a client's text message.

    Raises:
        Ending: there is no such message.
    """
    try:
        body = json.loads(message)
    except (ValueError, RecursionError):
        raise Ending("DATA-0000", "bad_json") from None
    if not isinstance(body, dict) or "type" not in body:
        raise Ending("DATA-0000", "bad_json")
    kind = body["type"]
    if not isinstance(kind, str) or kind not in KEYS:
        raise Ending("DATA-0000", "unknown_type")
    if not body.keys() <= KEYS[kind]:
        raise Ending("DATA-0000", "unknown_key")
    if body.get("channel", 0) != 0:  # there is one
        raise Ending("DATA-0000", "bad_channel")
    keyterms, features = body.get("keyterms") or [], body.get("features") or {}
    if not (isinstance(keyterms, list) and all(isinstance(term, str) for term in keyterms)):
        raise Ending("DATA-0000", "bad_configure")
    if not (isinstance(features, dict) and all(isinstance(value, bool) for value in features.values())):
        raise Ending("DATA-0000", "bad_configure")
    return body


def _schema_error(message: str) -> Say:
    error = {"type": "Error", "variant": "SchemaError", "description": "Could not parse the message."}
    return Say(error | {"message": message[:1000]})
