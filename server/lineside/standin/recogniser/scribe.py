"""ElevenLabs' listening socket, `/v1/speech-to-text/realtime` (Scribe), served strictly.

A bad key does not fail the handshake.

Source: https://elevenlabs.io/docs/api-reference/speech-to-text/v-1-speech-to-text-realtime
"""

from __future__ import annotations

import binascii
import json
import math
import re
from base64 import b64decode
from typing import Any
from uuid import uuid4

from lineside.standin.elevenlabs_upgrade import refusal, response_headers
from lineside.standin.endpoint import Admission, Refusal, Socket, Studio, Upgrade
from lineside.standin.recogniser.line import Ending, Line
from lineside.standin.recogniser.listened import Listened
from lineside.standin.recogniser.outlet import Say, now
from lineside.standin.recogniser.scribe_query import ScribeSettings, find_key, read_scribe
from lineside.standin.recogniser.scribe_segments import Segments

KEYS = {"message_type", "audio_base_64", "commit", "sample_rate", "previous_text"}
LONGEST_PREVIOUS_TEXT = 50

SENTENCES = {
    "auth_error": "You must be authenticated to use this endpoint.",
    "quota_exceeded": "You have exceeded your quota.",
    "commit_throttled": "Commit request ignored.",
    "input_error": "The message does not follow the schema.",
    "insufficient_audio_activity": "No audio was received for too long.",
}
ALWAYS_CLOSE = {"auth_error": "", "commit_throttled": "commit_throttled"}  # and the reason of the close


class Scribe:
    """The endpoint: judges handshakes, makes sessions."""

    pattern = re.compile("/v1/speech-to-text/realtime")

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._n_open = 0

    def admit(self, upgrade: Upgrade) -> Admission:
        studio = self._studio
        if studio.faults.recogniser.refuse:
            raise self.refuse(studio.faults.recogniser.refuse.pop(0))
        settings = read_scribe(upgrade.query, studio.record.breach)
        if 0 < studio.faults.recogniser.max_connections <= self._n_open:
            raise refusal(429, "concurrent_limit_exceeded", breach="max_connections")
        known = studio.knows_key(find_key(upgrade.headers, upgrade.query))

        async def serve(socket: Socket, number: int) -> None:
            self._n_open += 1
            try:
                listened = Listened(number, "scribe")
                studio.record.listens(listened)
                line = Line(socket, studio, listened, settings.encoding, settings.rate, limited=False)
                await line.run(_Session(line, settings, known=known).converse)
            finally:
                self._n_open -= 1

        return Admission(serve, response_headers())

    def refuse(self, status: int) -> Refusal:
        return refusal(status)


class _Session:
    """One connection.

    Args:
        known: its key is.
    """

    def __init__(self, line: Line, settings: ScribeSettings, *, known: bool) -> None:
        self._line = line
        self._faults = line.faults
        self._settings = settings
        self._known = known
        self._segments = Segments(settings, line.faults)
        self._audio_at = now()

    async def converse(self) -> None:
        """Take messages until the connection ends.

        Raises:
            ConnectionClosed: always, unless this side has ended it.
        """
        try:
            self._greet()
            while True:
                message = await self._line.receive(self._idle_at())
                if message is None:
                    raise Ending("insufficient_audio_activity", "idle")
                try:
                    await self._take(message)
                except Ending as ending:
                    if self._faults.errors_close or ending.code in ALWAYS_CLOSE:
                        raise
                    self._tell(ending)
        except Ending as ending:
            self._tell(ending)
            self._line.close(1000, ALWAYS_CLOSE.get(ending.code, ending.code))
            await self._line.socket.wait_closed()

    def _greet(self) -> None:
        if not self._known:
            raise Ending("auth_error", "bad_key")
        started = {"message_type": "session_started", "session_id": uuid4().hex, "config": self._settings.config()}
        self._line.say([Say(started, latency_s=0.0)])

    def _idle_at(self) -> float:
        return self._audio_at + (self._faults.scribe_idle_s or math.inf)

    # -- messages ----------------------------------------------------------------------------------------------------

    async def _take(self, message: str | bytes) -> None:
        body = self._parse(message)
        audio = self._audio(body)
        if audio:
            self._audio_at = now()
            for moment in await self._line.listen(audio):
                self._line.say(self._segments.hear(moment))
        if body.get("commit"):
            for moment in self._line.rest():
                self._line.say(self._segments.hear(moment))
            self._line.say(self._segments.commit())
        if self._line.fails():
            raise Ending(self._faults.scribe_error)

    def _parse(self, message: str | bytes) -> dict[str, Any]:
        if isinstance(message, bytes):
            raise Ending("input_error", "binary")
        try:
            body = json.loads(message)
        except (ValueError, RecursionError):
            raise Ending("input_error", "bad_json") from None
        if not isinstance(body, dict):
            raise Ending("input_error", "bad_json")
        kind = body.get("message_type")
        if kind == "commit" and self._faults.commit_message == "accept":
            return {"audio_base_64": "", "commit": True}
        if kind != "input_audio_chunk":
            raise Ending("input_error", "unknown_type")
        if not body.keys() <= KEYS:
            self._line.breach("unknown_key")
        commit, rate = body.get("commit"), body.get("sample_rate")
        if not isinstance(commit, bool | None) or isinstance(rate, bool) or not isinstance(rate, int | None):
            raise Ending("input_error", "bad_message")
        if rate not in (None, self._settings.rate):
            self._line.breach("wrong_sample_rate")
        self._check_previous(body.get("previous_text"))
        return body

    def _check_previous(self, text: object) -> None:
        if text is None:
            return
        if not isinstance(text, str):
            raise Ending("input_error", "bad_message")
        if self._line.audio_s:
            raise Ending("input_error", "late_previous_text", "previous_text goes with the first chunk.")
        if len(text) > LONGEST_PREVIOUS_TEXT:
            self._line.breach("long_previous_text")

    def _audio(self, body: dict[str, Any]) -> bytes:
        try:
            return b64decode(body["audio_base_64"], validate=True)
        except (KeyError, TypeError, ValueError, binascii.Error):
            raise Ending("input_error", "bad_audio") from None

    def _tell(self, ending: Ending) -> None:
        if ending.breach:
            self._line.breach(ending.breach)
        sentence = " ".join(filter(None, (SENTENCES.get(ending.code, "The request failed."), ending.detail)))
        self._line.say([Say({"message_type": ending.code, "error": sentence})])
