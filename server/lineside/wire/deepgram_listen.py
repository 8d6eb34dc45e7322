"""Deepgram's listen protocol (`/v1/listen`, the Nova models): options, messages, what its results add up to. No I/O.

Audio goes up in binary frames; results come down as JSON. A result is final for a stretch of audio, not for what the
caller wanted to say: an utterance is all finals in a row, up to the sign that the caller has paused.

Sources:
https://developers.deepgram.com/reference/speech-to-text/listen-streaming
https://developers.deepgram.com/docs/understand-endpointing-interim-results
https://developers.deepgram.com/docs/understanding-end-of-speech-detection
https://developers.deepgram.com/docs/audio-keep-alive
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard
from urllib.parse import urlencode, urlsplit

import orjson

from lineside.errors import ProviderUnavailable, RemoteProtocolError, SettingsError
from lineside.events import EarWarned, EndOfTurn, HearingEvent, Partial, SpeechStarted
from lineside.wire.arrived import Arrived, untold

KEYTERM_TOKENS = 500  # of all keyterms together
SAME_S = 0.02  # s; times of one instant differ by rounding
ONSET_S = 1.0  # s; a word that has begun may not be in a result yet
QUIET_S = 2.0  # s of a new socket's audio without a word, after which nothing more belongs to what the old one heard

KEEP_ALIVE = '{"type":"KeepAlive"}'
CLOSE_STREAM = '{"type":"CloseStream"}'

# -- options and address -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenOptions:
    """How to listen to a phone call. Interim results are always asked for: barge-in needs them.

    Raises:
        SettingsError: a value that the service refuses or that cannot work; names field, value and range.
    """

    model: str = "nova-3"
    language: str = "en"
    """BCP-47, or `multi` for callers who switch languages."""
    endpointing_ms: int | None = 300
    """ms of silence after which the caller is taken to have finished. None: never by silence alone."""
    utterance_end_ms: int | None = 1000
    """ms between words after which the caller is taken to have finished; works under noise too. None: off."""
    vad_events: bool = True
    """Tell when speech starts, before a word is known."""
    smart_format: bool = True
    """Punctuation and written numbers; may hold a phone number back until it is complete."""
    numerals: bool = False
    profanity_filter: bool = False
    keyterms: tuple[str, ...] = ()
    """Words to expect. Nova-3 only."""
    mip_opt_out: bool = False
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.model:
            raise wrong("model", self.model, "the name of a model, such as nova-3 or nova-2-phonecall")
        if not re.fullmatch(r"multi|[a-z]{2,3}(-[A-Za-z0-9]{2,8})*", self.language):
            raise wrong("language", self.language, "a language tag such as en, es-419 or multi")
        check_number("endpointing_ms", self.endpointing_ms, 10, 5000, whole=True)
        check_number("utterance_end_ms", self.utterance_end_ms, 1000, 5000, whole=True)
        if self.endpointing_ms is None and self.utterance_end_ms is None:
            raise wrong("endpointing_ms", None, "a number, as utterance_end_ms is off too: no turn would ever end")
        check_terms("keyterms", self.keyterms)
        if self.keyterms and not self.model.startswith("nova-3"):
            raise wrong("keyterms", list(self.keyterms), f"none: {self.model} does not know them, only nova-3 does")
        if (count := sum(len(term.split()) for term in self.keyterms)) > KEYTERM_TOKENS:
            raise wrong("keyterms", f"{count} words", f"at most {KEYTERM_TOKENS} tokens in all")
        check_terms("tags", self.tags)


def wrong(name: str, value: object, expected: str) -> SettingsError:
    return SettingsError(f"Deepgram listening: {name} is {value!r}; expected {expected}")


def check_number(name: str, value: object, low: float, high: float, *, whole: bool = False) -> None:
    """None passes; whatever else is no number within the range raises SettingsError."""
    if value is None:
        return
    kind = int if whole else int | float
    if isinstance(value, bool) or not isinstance(value, kind) or not low <= value <= high:
        raise wrong(name, value, f"a {'whole ' if whole else ''}number from {low} to {high}")


def check_terms(name: str, terms: object) -> None:
    """A bare string would be taken for a sequence of letters."""
    if not isinstance(terms, list | tuple) or not all(isinstance(term, str) and term.strip() for term in terms):
        raise wrong(name, terms, "a list of words or phrases, none of them empty")


def listen_url(base_url: str, options: ListenOptions) -> str:
    """The address of a listen socket for a phone call's audio: mu-law, 8 kHz, mono.

    Raises:
        SettingsError: a base that is not a WebSocket or HTTP URL.
    """
    query: list[tuple[str, str]] = [
        ("model", options.model),
        ("language", options.language),
        ("encoding", "mulaw"),
        ("sample_rate", "8000"),
        ("channels", "1"),
        ("interim_results", "true"),
        ("endpointing", "false" if options.endpointing_ms is None else str(options.endpointing_ms)),
    ]
    if options.utterance_end_ms is not None:
        query.append(("utterance_end_ms", str(options.utterance_end_ms)))
    switches = ("vad_events", "smart_format", "numerals", "profanity_filter", "mip_opt_out")
    query += [(name, "true") for name in switches if getattr(options, name)]
    query += [("keyterm", term) for term in options.keyterms]
    query += [("tag", tag) for tag in options.tags]
    return address(base_url, "/v1/listen", query)


def address(base_url: str, path: str, query: Sequence[tuple[str, str]]) -> str:
    try:
        parts = urlsplit(base_url)
    except ValueError as exc:
        raise SettingsError("DEEPGRAM_BASE_URL is not a URL that begins with wss:// or ws://") from exc
    scheme = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}.get(parts.scheme)
    if scheme is None or not parts.netloc:
        raise SettingsError("DEEPGRAM_BASE_URL is not a URL that begins with wss:// or ws://")
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}{path}?{urlencode(query)}"


# -- what we send ------------------------------------------------------------------------------------------------------


def finalize(channel: int | None = None) -> str:
    """Make results final up to the audio sent so far. With little audio pending nothing may come of it."""
    return encode({"type": "Finalize"} if channel is None else {"type": "Finalize", "channel": channel})


def configure(*, keyterms: Sequence[str] | None = None, features: Mapping[str, bool] | None = None) -> str:
    """Change an open socket. Keyterms replace those there are; an empty list leaves none.

    Raises:
        SettingsError: nothing to change, or terms that are not words.
    """
    body: dict[str, object] = {"type": "Configure"}
    if keyterms is not None:
        check_terms("keyterms", keyterms)
        body["keyterms"] = list(keyterms)
    if features is not None:
        body["features"] = dict(features)
    if len(body) == 1:
        raise wrong("configure", None, "keyterms or features to change")
    return encode(body)


def encode(body: Mapping[str, object]) -> str:
    return orjson.dumps(body).decode()


# -- what comes back ---------------------------------------------------------------------------------------------------


def decode(message: str | bytes) -> tuple[str, dict[str, Any]]:
    """A message's type and body. What came is not quoted in the error: it holds what the caller says.

    Raises:
        RemoteProtocolError: a binary frame, or text that is not a JSON object with a type.
    """
    if isinstance(message, bytes):
        raise RemoteProtocolError(f"Deepgram listening: expected text, got a binary frame of {len(message)} bytes")
    try:
        body = orjson.loads(message)
        kind = body["type"]
    except (ValueError, TypeError, KeyError) as exc:
        raise RemoteProtocolError(
            f"Deepgram listening: expected a JSON object with a type, got {len(message)} other characters"
        ) from exc
    if not isinstance(kind, str):
        raise RemoteProtocolError("Deepgram listening: expected text as type")
    return kind, body


def is_time(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def seconds(kind: str, body: Mapping[str, Any], name: str) -> float:
    """A time in s that the message must have.

    Raises:
        RemoteProtocolError: absent, or not a number.
    """
    value = body.get(name)
    if not is_time(value):
        raise RemoteProtocolError(f"Deepgram listening: {kind} without a number as {name}")
    return float(value)


def warning(kind: str, body: Mapping[str, Any]) -> EarWarned:
    code = body.get("code") or body.get("warn_code") or kind
    text = body.get("description") or body.get("warn_msg") or body.get("message") or ""
    return EarWarned(str(code)[:80], str(text)[:300])


def failure(body: Mapping[str, Any]) -> ProviderUnavailable:
    code = body.get("code") or body.get("variant") or "Error"
    return ProviderUnavailable(f"Deepgram reports {str(code)[:80]}: {str(body.get('description') or '')[:300]}")


def _heard(body: Mapping[str, Any]) -> tuple[str, float | None]:
    """A result's text, and where its last word ends in s, if that is told."""
    try:
        alternatives = body["channel"]["alternatives"]
        best = alternatives[0] if alternatives else {"transcript": ""}
        text, words = best["transcript"], best.get("words")
    except (KeyError, TypeError, IndexError, AttributeError) as exc:
        raise RemoteProtocolError("Deepgram listening: Results without a transcript") from exc
    if not isinstance(text, str):
        raise RemoteProtocolError("Deepgram listening: expected text as transcript")
    match words:
        case [*_, {"end": end}] if is_time(end):
            return text.strip(), float(end)
    return text.strip(), None


class ListenWire:
    """What the results of a call's sockets, one after the other, add up to."""

    def __init__(self, arrived: Arrived = untold) -> None:
        self._arrived = arrived
        self._finals: list[str] = []  # of the open utterance
        self._finals_by: float | None = None  # loop time at which the last word of them was here
        self._interim = ""
        self._interim_by: float | None = None
        self._told = ""
        self._since = -1.0  # s; where the first of the finals begins
        self._final_start = -1.0
        self._final_end = 0.0
        self._carried = False  # the finals are an earlier socket's, and this one has heard no word
        self.settled = 0.0
        """Seconds of this socket's audio that are in final results, or have no word in them."""

    @property
    def unfinished(self) -> bool:
        """Something was said that is not part of an `EndOfTurn` yet."""
        return bool(self._finals or self._interim)

    def audio(self, chunk: bytes) -> bytes:
        """A frame of audio. Never empty: an empty frame makes the service close the socket."""
        return chunk

    def receive(self, message: str | bytes) -> list[HearingEvent]:
        """What a message tells; nothing for one of a type that we do not know.

        Raises:
            RemoteProtocolError: broken.
            ProviderUnavailable: the service says that it cannot go on.
        """
        kind, body = decode(message)
        match kind:
            case "Results":
                return self._results(body)
            case "SpeechStarted":
                return [SpeechStarted()]
            case "UtteranceEnd":
                return self._utterance_end(seconds(kind, body, "last_word_end"))
            case "ConfigureFailure" | "Warning":
                return [warning(kind, body)]
            case "Error":
                raise failure(body)
        return []

    def lost(self) -> list[HearingEvent]:
        """The socket is gone. The next one's time starts at zero, with the first audio that is not settled."""
        self._since = self._final_start = -1.0
        self._final_end = self.settled = 0.0
        self._carried = bool(self._finals)
        return []

    def finish(self, *, deaf: bool) -> list[HearingEvent]:
        """After `lost`: end the turn with what was understood, since nobody else can.

        Args:
            deaf: no socket will hear the rest again, so that a text that was not final is better than none.
        """
        if deaf and self._interim:
            self._finals.append(self._interim)
            self._finals_by = self._interim_by
            self._interim = ""
        return self._end()

    def _results(self, body: Mapping[str, Any]) -> list[HearingEvent]:
        text, word_end = _heard(body)
        by = None if word_end is None else self._arrived(word_end)
        start = seconds("Results", body, "start")
        end = start + seconds("Results", body, "duration")
        if text:
            self._carried = False
        if body.get("is_final") is True:
            self._final(text, start, end, by)
            if body.get("speech_final") is True:
                return self._end()
        elif start >= self._final_end - SAME_S:  # or it was overtaken by the final result
            self._interim, self._interim_by = text, by
            if not text:
                self.settled = max(self.settled, end - ONSET_S)
        if self._carried and end >= QUIET_S:
            return self._end()
        return self._partial()

    def _final(self, text: str, start: float, end: float, by: float | None) -> None:
        if start <= self._final_start + SAME_S:
            return  # the same again
        if end > start:
            self._final_start, self._final_end = start, end
        self.settled = max(self.settled, end)
        self._interim = ""
        if text:
            if not self._finals:
                self._since = start
            self._finals.append(text)
            self._finals_by = by

    def _utterance_end(self, last_word_end: float) -> list[HearingEvent]:
        # It may come late, after the next utterance has begun; -1 stands for a word end that is not known.
        if 0 <= last_word_end <= self._since:
            return []
        if self._finals_by is None:
            self._finals_by = self._arrived(last_word_end)
        return self._end()

    def _partial(self) -> list[HearingEvent]:
        text = " ".join([*self._finals, self._interim]).strip()
        if not text or text == self._told:
            return []
        self._told = text
        return [Partial(text)]

    def _end(self) -> list[HearingEvent]:
        text, by = " ".join(self._finals), self._finals_by
        self._finals.clear()
        self._finals_by = None
        self._told = ""
        self._since = -1.0
        self._carried = False
        return [EndOfTurn(text, by)] if text else []
