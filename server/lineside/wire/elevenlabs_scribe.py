"""ElevenLabs' real-time speech-to-text protocol (Scribe): options, messages, the text not yet committed. No I/O.

JSON in text frames both ways, audio as base64 inside. A bad key does not fail the handshake: the error comes as a
message, and the close after it says 1000 as if all were well.

Source: https://elevenlabs.io/docs/api-reference/speech-to-text/v-1-speech-to-text-realtime
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson

from lineside.errors import LocalProtocolError, ProviderRefused, ProviderUnavailable, RemoteProtocolError, SettingsError
from lineside.events import EarWarned, EndOfTurn, HearingEvent, Partial
from lineside.wire.arrived import Arrived, untold
from lineside.wire.elevenlabs import provider_error

RATE = 8000  # bytes of mu-law a second
MAX_KEYTERMS = 50
MAX_KEYTERM_CHARS = 20
COMMIT_MIN_S = 0.3  # s of new audio; a commit with less ends the session
ANSWER_S = (0.33, 1.0)  # s from a commit to its text, at least and at most (measured by others: 0.335 to 0.93)
UNSEEN_S = 5.0  # s; words that were said so long ago have shown in a partial text

REFUSALS = frozenset({"auth_error", "quota_exceeded", "unaccepted_terms", "unaccepted_terms_error"})
"""Errors that a later try will not change."""
ENDS = frozenset(
    {
        "error",
        "queue_overflow",
        "rate_limited",
        "resource_exhausted",
        "session_time_limit_exceeded",
        "transcriber_error",
    }
)
"""Errors after which this session is of no more use, but a new one may be."""
WARNINGS = frozenset(
    {
        "chunk_size_exceeded",
        "commit_throttled",
        "input_error",
        "insufficient_audio_activity",
        "invalid_request",
        "warning",
    }
)
"""Complaints. Some of them end the session: then the close says so."""

# -- options and address -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ScribeOptions:
    """How to listen, and how much silence ends what the caller says. The service's own voice detection commits.

    Raises:
        SettingsError: a value that the service refuses; names field, value and range.
    """

    model_id: str = "scribe_v2_realtime"
    language_code: str | None = None
    """ISO 639-1 or 639-3. None: the service finds out."""
    vad_silence_threshold_secs: float = 1.5
    """s of silence that end a turn."""
    vad_threshold: float = 0.4
    min_speech_duration_ms: int = 100
    min_silence_duration_ms: int = 100
    keyterms: tuple[str, ...] = ()
    no_verbatim: bool = False
    filter_background_audio: bool = False
    include_timestamps: bool = False
    """Have the times of words with each turn's text, so that it is known when the caller's last one was here. A turn is
    then told by the message that has them, some 20 ms after the one that has not."""
    enable_logging: bool = True
    """False is zero retention, which needs an Enterprise plan."""

    def __post_init__(self) -> None:
        if not self.model_id:
            raise _wrong("model_id", self.model_id, "the name of a model, such as scribe_v2_realtime")
        if self.language_code is not None and not re.fullmatch("[a-z]{2,3}", self.language_code):
            raise _wrong("language_code", self.language_code, "two or three letters of ISO 639, such as 'en' or 'eng'")
        _number("vad_silence_threshold_secs", self.vad_silence_threshold_secs, 0.3, 3.0)
        _number("vad_threshold", self.vad_threshold, 0.1, 0.9)
        _number("min_speech_duration_ms", self.min_speech_duration_ms, 50, 2000, whole=True)
        _number("min_silence_duration_ms", self.min_silence_duration_ms, 50, 2000, whole=True)
        _check_keyterms(self.keyterms)


def _wrong(name: str, value: object, expected: str) -> SettingsError:
    return SettingsError(f"ElevenLabs listening: {name} is {value!r}; expected {expected}")


def _number(name: str, value: object, low: float, high: float, *, whole: bool = False) -> None:
    kind = int if whole else int | float
    if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:
        raise _wrong(name, value, f"a {'whole ' if whole else ''}number from {low} to {high}")


def _check_keyterms(terms: object) -> None:
    if not isinstance(terms, list | tuple) or len(terms) > MAX_KEYTERMS:  # a bare string would be a list of letters
        raise _wrong("keyterms", terms, f"a list of at most {MAX_KEYTERMS} terms")
    for term in terms:
        if not isinstance(term, str) or not 0 < len(term.strip()) <= MAX_KEYTERM_CHARS:
            raise _wrong("keyterms", term, f"terms of 1 to {MAX_KEYTERM_CHARS} characters")


def scribe_url(base_url: str, options: ScribeOptions) -> str:
    """The address of a session for a phone call's audio: mu-law, 8 kHz, mono.

    Raises:
        SettingsError: a base that is not a WebSocket or HTTP URL.
    """
    try:
        parts = urlsplit(base_url)
    except ValueError as exc:
        raise SettingsError("ELEVENLABS_BASE_URL is not a URL that begins with wss:// or ws://") from exc
    scheme = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}.get(parts.scheme)
    if scheme is None or not parts.netloc:
        raise SettingsError("ELEVENLABS_BASE_URL is not a URL that begins with wss:// or ws://")
    query: list[tuple[str, str]] = [
        ("model_id", options.model_id),
        ("audio_format", "ulaw_8000"),
        ("commit_strategy", "vad"),
        ("vad_silence_threshold_secs", str(options.vad_silence_threshold_secs)),
        ("vad_threshold", str(options.vad_threshold)),
        ("min_speech_duration_ms", str(options.min_speech_duration_ms)),
        ("min_silence_duration_ms", str(options.min_silence_duration_ms)),
    ]
    if options.language_code is not None:
        query.append(("language_code", options.language_code))
    switches = ("no_verbatim", "filter_background_audio", "include_timestamps")
    query += [(name, "true") for name in switches if getattr(options, name)]
    if not options.enable_logging:
        query.append(("enable_logging", "false"))
    query += [("keyterms", term) for term in options.keyterms]
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}/v1/speech-to-text/realtime?{urlencode(query)}"


# -- messages ----------------------------------------------------------------------------------------------------------


def input_audio_chunk(audio: bytes, *, commit: bool = False) -> str:
    """Caller audio, mu-law 8 kHz. With `commit` the service makes the text up to here final."""
    payload = b2a_base64(audio, newline=False).decode()
    return (
        f'{{"message_type":"input_audio_chunk","audio_base_64":"{payload}",'
        f'"commit":{"true" if commit else "false"},"sample_rate":{RATE}}}'
    )


def _decode(message: str | bytes) -> tuple[str, dict[str, Any]]:
    # What came is not quoted in the errors: it holds what the caller says.
    if isinstance(message, bytes):
        raise RemoteProtocolError(f"ElevenLabs listening: expected text, got a binary frame of {len(message)} bytes")
    try:
        body = orjson.loads(message)
        kind = body["message_type"]
    except (ValueError, TypeError, KeyError) as exc:
        raise RemoteProtocolError(
            f"ElevenLabs listening: expected a JSON object with a message_type, got {len(message)} other characters"
        ) from exc
    if not isinstance(kind, str):
        raise RemoteProtocolError("ElevenLabs listening: expected text as message_type")
    return kind, body


def _text(kind: str, body: Mapping[str, Any]) -> str:
    text = body.get("text")
    if not isinstance(text, str):
        raise RemoteProtocolError(f"ElevenLabs listening: {kind} without text")
    return text.strip()


class ScribeWire:
    """What is said and not committed, over a call's sockets, one after the other."""

    def __init__(self, options: ScribeOptions, arrived: Arrived = untold) -> None:
        self._arrived = arrived
        self._timed = options.include_timestamps
        # Text comes this long after its audio at least, and the silence that ended it lies before that.
        self._margin = min(ANSWER_S[1], ANSWER_S[0] + options.vad_silence_threshold_secs)
        self._text = ""
        self._untimed = ""  # committed, and its times are still to come
        self._unsettled = ""  # what the last socket had not committed: it will be heard again
        self._told = ""
        self._committed_from = self._committed_to = 0.0  # s; where the audio lies that was committed last
        self._n_sent = 0  # bytes of audio on this socket
        self._n_committed = 0
        self._last = ("", 0)  # the text that was committed last, and how much was sent by then
        self._settled = 0.0

    @property
    def unfinished(self) -> bool:
        """Something was said that is not part of an `EndOfTurn` yet."""
        return bool(self._text or self._untimed)

    @property
    def settled(self) -> float:
        """Seconds of this socket's audio that need not be heard again should it die.

        Messages carry no times, so this is told by when they come, with a margin for the time that they take.
        """
        if self.unfinished:
            return self._settled
        return max(self._settled, self._n_sent / RATE - UNSEEN_S)

    def audio(self, chunk: bytes) -> str:
        """A message with this audio."""
        self._n_sent += len(chunk)
        return input_audio_chunk(chunk)

    def commit(self) -> str:
        """End what is being said, now.

        Raises:
            LocalProtocolError: too little audio since the last commit, for which the service ends the session.
        """
        new = (self._n_sent - self._n_committed) / RATE
        if new < COMMIT_MIN_S:
            raise LocalProtocolError(f"a commit takes {COMMIT_MIN_S} s of new audio, not {new:.2f}")
        self._n_committed = self._n_sent
        return input_audio_chunk(b"", commit=True)

    def receive(self, message: str | bytes) -> list[HearingEvent]:
        """What a message tells; nothing for one of a type that we do not know.

        A committed text comes a second time with timestamps if they were asked for: then that twin tells the turn, or
        whatever comes in its place.

        Raises:
            RemoteProtocolError: broken.
            ProviderRefused: key, quota or terms; trying again is of no use.
            ProviderUnavailable: this session is over.
        """
        kind, body = _decode(message)
        match kind:
            case "partial_transcript":
                return self._partial(_text(kind, body))
            case "committed_transcript":
                return self._committed(_text(kind, body))
            case "committed_transcript_with_timestamps" if self._untimed:
                return self._turn(self._spoken_by(body.get("words")))
        if kind in REFUSALS | ENDS | WARNINGS:
            return self._complaint(kind, body)
        return []

    def lost(self) -> list[HearingEvent]:
        """The socket is gone. The next one hears the audio that is not settled."""
        self._unsettled = f"{self._untimed} {self._text}".strip()
        self._text = self._untimed = self._told = ""
        self._n_sent = self._n_committed = 0
        self._last = ("", 0)
        self._settled = self._committed_from = self._committed_to = 0.0
        return []

    def finish(self, *, deaf: bool) -> list[HearingEvent]:
        """After `lost`: end the turn with what was understood, since nobody else can.

        Args:
            deaf: no socket will hear the uncommitted part again, so that its text as it stood is better than none.
        """
        text = ""
        if deaf:
            text, self._unsettled = self._unsettled, ""
        return [EndOfTurn(text)] if text else []

    def _partial(self, text: str) -> list[HearingEvent]:
        events = self._turn(None)
        if text and not self._text:
            self._settled = self.settled
        self._text = text
        if not text or text == self._told:
            return events
        self._told = text
        return [*events, Partial(text)]

    def _committed(self, text: str) -> list[HearingEvent]:
        last, n_sent = self._last
        self._last = (text, self._n_sent)
        if text == last and self._n_sent - n_sent < COMMIT_MIN_S * RATE:
            return []  # the same again: there is no commit of so little audio
        events = self._turn(None)
        self._committed_from, self._committed_to = self._committed_to, self._n_sent / RATE - self._margin
        self._n_committed = self._n_sent
        self._text = self._told = ""
        self._untimed = text
        return events if text and self._timed else [*events, *self._turn(None)]

    def _turn(self, spoken_by: float | None) -> list[HearingEvent]:
        """The end of the turn whose text was committed, if it was not told yet."""
        text, self._untimed = self._untimed, ""
        self._settled = max(self._settled, self._committed_to)
        return [EndOfTurn(text, spoken_by)] if text else []

    def _spoken_by(self, words: object) -> float | None:
        """When the last word was here. Whether times count from the session's start is not published: those that would
        lie in an earlier segment do not."""
        if not isinstance(words, list):
            return None
        for word in reversed(words):
            match word:
                case {"type": "word", "end": int() | float() as end}:
                    return self._arrived(end) if end > self._committed_from else None
        return None

    def _complaint(self, kind: str, body: Mapping[str, Any]) -> list[HearingEvent]:
        text = str(body.get("error") or body.get("warning") or "")
        error = provider_error(kind, text)  # without what looks like a key
        if kind in REFUSALS:
            raise ProviderRefused(str(error))
        if kind in ENDS:
            raise ProviderUnavailable(str(error))
        return [EarWarned(kind, str(error))]
