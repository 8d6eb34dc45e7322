"""Deepgram's speak protocol (`/v1/speak`): what goes over one socket, in memory. No I/O, no clock.

Binary frames carry audio and no id, so all meaning lies in the order of things: flushes are answered first come, first
served, and whatever audio arrives between a Clear and its Cleared belongs to what was cleared.

Source: https://developers.deepgram.com/docs/tts-websocket and https://developers.deepgram.com/docs/tts-ws-clear
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

import orjson

from lineside.audio.formats import AudioFormat
from lineside.errors import LocalProtocolError, ProviderSilent, ProviderUnavailable, RemoteProtocolError
from lineside.events import Audio, Flushed, Lost, SpeechEvent, Warned

MAX_SPEAK_CHARS = 2000
FLUSHES_PER_MINUTE = 20
CHARS_PER_MINUTE = 2400  # 12,000 in two minutes until May 2025, when it was announced as this
SESSION_S = 3600.0

_FLUSH = '{"type":"Flush"}'
_CLEAR = '{"type":"Clear"}'
_CLOSE = '{"type":"Close"}'


def speak_url(base_url: str, model: str, audio: AudioFormat, tags: Sequence[str] = (), **options: str) -> str:
    """The URL of a speak socket. Voice and format are fixed for its life.

    Args:
        base_url: `wss://host`, without a path.
        tags: each becomes a `tag` parameter.
        options: further query parameters (`speed`, `mip_opt_out`); empty ones are left out.
    """
    query = [("model", model), ("encoding", audio.encoding), ("sample_rate", str(audio.rate))]
    query += [(name, value) for name, value in options.items() if value]
    query += [("tag", tag) for tag in tags]
    return f"{base_url.rstrip('/')}/v1/speak?{urlencode(query)}"


@dataclass(frozen=True, slots=True)
class Opened:
    """The service is ready; its id for this connection is what its support asks for."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Cleared:
    """The service has dropped what a Clear asked it to drop."""


class SpeakWire:
    """One speak socket, from its handshake to its end."""

    def __init__(self) -> None:
        self._unanswered: list[bool] = []  # flushes in order; whether each has words
        self._heard_any = False  # audio came for the oldest unanswered flush
        self.clears = 0  # sent
        self.clears_confirmed = 0
        self._owed = 0  # answers to flushes that a Clear overtook: they may come late, or never
        self._words = False

    @property
    def unanswered(self) -> int:
        """Flushes whose answer is still to come."""
        return len(self._unanswered)

    @property
    def clearing(self) -> bool:
        """A Clear is not confirmed: what arrives belongs to what it dropped."""
        return self.clears > self.clears_confirmed

    # -- to the service ----------------------------------------------------------------------------

    def speak(self, text: str) -> str:
        """Raises:
        LocalProtocolError: over the limit, or empty: the service would refuse or drop it.
        """
        if not 0 < len(text) <= MAX_SPEAK_CHARS:
            raise LocalProtocolError(f"a Speak takes 1 to {MAX_SPEAK_CHARS} characters, not {len(text)}")
        self._words = self._words or any(char.isalnum() for char in text)
        # Halves of surrogate pairs, as a token stream may hold, cannot be sent: two are joined, one is replaced.
        whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return orjson.dumps({"type": "Speak", "text": whole}).decode()

    def flush(self) -> str:
        self._unanswered.append(self._words)
        self._words = False
        return _FLUSH

    def clear(self) -> str:
        """Drop everything said so far, spoken or not. Audio is ignored until the service confirms."""
        self._owed += len(self._unanswered)
        self._unanswered.clear()
        self._words = self._heard_any = False
        self.clears += 1
        return _CLEAR

    def close(self) -> str:
        return _CLOSE

    # -- from the service --------------------------------------------------------------------------

    def receive(self, message: str | bytes) -> SpeechEvent | Opened | Cleared | None:
        """Decode one frame; None for one that changes nothing.

        `Audio` is in the format that was asked for at connect. `Lost` means that the socket is of no more use: what was
        flushed and not answered will not be spoken on it.

        Raises:
            RemoteProtocolError: a text frame that is not a JSON object with a type.
        """
        if isinstance(message, bytes):
            if self.clearing or not message:
                return None
            self._heard_any = True
            return Audio(message)
        try:
            body = orjson.loads(message)
            kind = body["type"]
        except (ValueError, TypeError, KeyError) as exc:
            raise RemoteProtocolError(f"not a message of the speak protocol: {message[:80]!r}") from exc
        match kind:
            case "Flushed":
                return self._answered()
            case "Cleared":
                self.clears_confirmed = min(self.clears, self.clears_confirmed + 1)
                return Cleared()
            case "Warning":
                return self._warned(body)
            case "Metadata":
                return Opened(str(body.get("request_id", "")))
            case "Error":
                text = body.get("err_msg") or body.get("description") or body.get("message")
                return Lost(ProviderUnavailable(f"the service reports an error: {text}"))
        return None

    def _answered(self) -> SpeechEvent | None:
        if self.clearing:
            self._owed = max(0, self._owed - 1)
            return None
        if self._owed and not self._heard_any:
            # Either the late answer to a flush that was cleared, or ours came without any audio. The first is what
            # services do; the second is caught by the deadline on the answer.
            self._owed -= 1
            return None
        if not self._unanswered:
            return None
        words, heard = self._unanswered.pop(0), self._heard_any
        self._heard_any = False
        self._owed = 0  # answers come in order, so nothing older can follow
        if words and not heard:
            return Lost(ProviderSilent("the service called a flush complete without giving any audio for its text"))
        return Flushed()

    def _warned(self, body: dict[str, object]) -> SpeechEvent:
        # The wire says warn_code and warn_msg, the published schema code and description.
        code = str(body.get("warn_code") or body.get("code") or "")
        text = str(body.get("warn_msg") or body.get("description") or "")
        if code == "EXCESSIVE_FLUSH" and self.clearing:
            self._owed = max(0, self._owed - 1)
        elif code == "EXCESSIVE_FLUSH" and self._unanswered:
            # The answer to a refused flush: no Flushed follows, and whether its text is kept is not documented.
            return Lost(ProviderUnavailable(f"the service refused a flush ({code}: {text})"))
        return Warned(code, text)
