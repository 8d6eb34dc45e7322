"""What ElevenLabs' two text-to-speech sockets share: options, address, opening message, server messages. No I/O.

Both speak JSON in text frames, audio as base64 inside. The service sends null for what is absent, and member names
differ between documents and deployments, so every known spelling is read.

Sources:
https://elevenlabs.io/docs/api-reference/text-to-speech/v-1-text-to-speech-voice-id-stream-input
https://elevenlabs.io/docs/api-reference/text-to-speech/v-1-text-to-speech-voice-id-multi-stream-input
https://elevenlabs.io/docs/developer-guides/models
https://elevenlabs.io/docs/developers/resources/error-messages
"""

from __future__ import annotations

import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote, urlencode, urlsplit

import orjson

from lineside.audio.formats import CARRIER_FORMAT, RATES, AudioFormat
from lineside.errors import (
    ProviderError,
    ProviderRefused,
    ProviderSilent,
    ProviderUnavailable,
    RemoteProtocolError,
    SettingsError,
)
from lineside.events import Audio, Finished, Flushed, Lost, SpeechEvent, Warned
from lineside.wire.alignment import Alignment, AlignmentClock, read

MAX_MESSAGE = 16 * 1024 * 1024  # bytes, the service's own limit; frames over the 1 MiB default of clients do come
MAX_IDLE_S = 180
MAX_DICTIONARIES = 3

Endpoint = Literal["stream-input", "multi-stream-input"]
KeyPlace = Literal["header", "message", "authorization", "single_use_token"]
Normalization = Literal["auto", "on", "off"]

OUTPUT_FORMATS = {"ulaw_8000": CARRIER_FORMAT} | {f"pcm_{rate}": AudioFormat("linear16", rate) for rate in RATES}
"""Formats that we can play, of those that the service has."""


# -- options -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceOptions:
    """How a voice is to speak. None leaves the choice to the service.

    Raises:
        SettingsError: a value that the service refuses or that we cannot play; names field, value and range.
    """

    api_key: str = field(repr=False)
    api_key_in: KeyPlace = "header"
    """`header` and `message` carry an API key, `authorization` a bearer token, `single_use_token` one of its kind."""
    model_id: str = "eleven_flash_v2_5"
    language_code: str | None = None
    """ISO 639-1. Flash and Turbo v2.5 heed it, other models ignore or refuse it."""
    output_format: str = "ulaw_8000"
    inactivity_timeout: int = MAX_IDLE_S
    """s without a text message after which the service ends a context or the socket; its own default is 20."""
    sync_alignment: bool = False
    """Timings with every frame. Without it they come with the first frame of a segment, which is all we need."""
    auto_mode: bool = False
    """Every message is generated on its own, with nothing buffered."""
    apply_text_normalization: Normalization | None = None
    apply_language_text_normalization: bool | None = None
    enable_ssml_parsing: bool = False
    enable_logging: bool = True
    """False is zero retention, which needs an Enterprise plan."""
    seed: int | None = None
    stability: float | None = None
    similarity_boost: float | None = None
    style: float | None = None
    use_speaker_boost: bool | None = None
    speed: float | None = None
    chunk_length_schedule: tuple[int, ...] = ()
    """Characters that start a generation: of the first buffer fill, the second and so on, the last one repeated."""
    pronunciation_dictionaries: tuple[tuple[str, str], ...] = ()
    """Pairs of `pronunciation_dictionary_id` and `version_id`."""

    def __post_init__(self) -> None:
        if not self.api_key or not all("!" <= char <= "~" for char in self.api_key):
            raise SettingsError("ELEVENLABS_API_KEY is empty or has characters that no key has; copy it again")
        _one_of("api_key_in", self.api_key_in, ("header", "message", "authorization", "single_use_token"))
        _check_model(self.model_id)
        if self.language_code is not None and not re.fullmatch("[a-z]{2}", self.language_code):
            raise _wrong("language_code", self.language_code, "two letters of ISO 639-1, such as 'en'")
        _one_of("output_format", self.output_format, OUTPUT_FORMATS)
        _whole("inactivity_timeout", self.inactivity_timeout, 1, MAX_IDLE_S)
        if self.apply_text_normalization is not None:
            _one_of("apply_text_normalization", self.apply_text_normalization, ("auto", "on", "off"))
        _whole("seed", self.seed, 0, 2**32 - 1)
        for name in ("stability", "similarity_boost", "style"):
            _number(name, getattr(self, name), 0.0, 1.0)
        _number("speed", self.speed, 0.7, 1.2)
        for length in self.chunk_length_schedule:
            _whole("chunk_length_schedule", length, 50, 500)
        if self.auto_mode and self.chunk_length_schedule:
            raise _wrong("chunk_length_schedule", list(self.chunk_length_schedule), "none: auto_mode turns it off")
        if len(self.pronunciation_dictionaries) > MAX_DICTIONARIES:
            count = len(self.pronunciation_dictionaries)
            raise _wrong("pronunciation_dictionaries", f"{count} pairs", f"at most {MAX_DICTIONARIES}")
        for pair in self.pronunciation_dictionaries:
            _check_pair(pair)

    @property
    def audio(self) -> AudioFormat:
        """What `output_format` means."""
        return OUTPUT_FORMATS[self.output_format]

    def clock(self) -> AlignmentClock:
        """The clock of a new utterance."""
        return AlignmentClock(self.audio.bytes_in(1.0), normalized=bool(self.pronunciation_dictionaries))


def _wrong(name: str, value: object, expected: str) -> SettingsError:
    return SettingsError(f"ElevenLabs {name} is {value!r}; expected {expected}")


def _one_of(name: str, value: object, known: Collection[str]) -> None:
    if not isinstance(value, str) or value not in known:
        raise _wrong(name, value, "one of " + ", ".join(known))


def _number(name: str, value: object, low: float, high: float, kind: str = "number") -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise _wrong(name, value, f"a {kind} from {low} to {high}")


def _whole(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, float):
        raise _wrong(name, value, f"a whole number from {low} to {high}")
    _number(name, value, low, high, "whole number")


def _check_pair(pair: Sequence[str]) -> None:
    if isinstance(pair, str) or len(pair) != 2 or not all(pair):
        raise _wrong("pronunciation_dictionaries", pair, "pairs of a dictionary id and a version id")


def _check_model(model_id: str) -> None:
    if not model_id:
        raise _wrong("model_id", model_id, "the name of a model, such as eleven_flash_v2_5")
    if model_id.startswith(("eleven_v3", "eleven_v4")):
        raise _wrong(
            "model_id",
            model_id,
            "a model of the text-to-speech sockets, such as eleven_flash_v2_5 or eleven_multilingual_v2 "
            "(v3 and v4 models speak on the text-to-dialogue sockets only)",
        )


# -- what we send ------------------------------------------------------------------------------------------------------


_BAD_BASE = "ELEVENLABS_BASE_URL is not a URL that begins with wss:// or ws://"


def url(base_url: str, voice_id: str, options: VoiceOptions, endpoint: Endpoint) -> str:
    """The socket's address. It holds a secret when the key is not in a header or message: never log it whole.

    Raises:
        SettingsError: no voice, or a base that is not a WebSocket or HTTP URL.
    """
    try:
        parts = urlsplit(base_url)
    except ValueError as exc:
        raise SettingsError(_BAD_BASE) from exc
    scheme = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}.get(parts.scheme)
    if scheme is None or not parts.netloc:
        raise SettingsError(_BAD_BASE)
    if not voice_id:
        raise SettingsError("ELEVENLABS_VOICE_ID is empty; expected the id of a voice of your library")
    path = f"{parts.path.rstrip('/')}/v1/text-to-speech/{quote(voice_id, safe='')}/{endpoint}"
    return f"{scheme}://{parts.netloc}{path}?{urlencode(_query(options))}"


def _query(options: VoiceOptions) -> dict[str, str]:
    values: dict[str, str | int | bool | None] = {
        "model_id": options.model_id,
        "output_format": options.output_format,
        "inactivity_timeout": options.inactivity_timeout,
        "auto_mode": options.auto_mode,
        "sync_alignment": options.sync_alignment,
        "language_code": options.language_code,
        "apply_text_normalization": options.apply_text_normalization,
        "apply_language_text_normalization": options.apply_language_text_normalization,
        "enable_ssml_parsing": options.enable_ssml_parsing or None,
        "enable_logging": None if options.enable_logging else False,
        "seed": options.seed,
        "authorization": options.api_key if options.api_key_in == "authorization" else None,
        "single_use_token": options.api_key if options.api_key_in == "single_use_token" else None,
    }
    return {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in values.items()
        if value is not None
    }


def headers(options: VoiceOptions) -> dict[str, str]:
    """What the upgrade request carries beyond the usual."""
    return {"xi-api-key": options.api_key} if options.api_key_in == "header" else {}


def opening(options: VoiceOptions) -> dict[str, object]:
    """The first message of a stream or context, but for a context's id.

    Voice settings go here and nowhere else: a later message that changes them closes the socket with 1008.
    """
    settings = {
        "stability": options.stability,
        "similarity_boost": options.similarity_boost,
        "style": options.style,
        "use_speaker_boost": options.use_speaker_boost,
        "speed": options.speed,
    }
    body: dict[str, object] = {"text": " "}
    if given := {name: value for name, value in settings.items() if value is not None}:
        body["voice_settings"] = given
    if options.chunk_length_schedule:
        body["generation_config"] = {"chunk_length_schedule": list(options.chunk_length_schedule)}
    if options.pronunciation_dictionaries:
        body["pronunciation_dictionary_locators"] = [
            {"pronunciation_dictionary_id": dictionary, "version_id": version}
            for dictionary, version in options.pronunciation_dictionaries
        ]
    if options.api_key_in == "message":
        body["xi_api_key"] = options.api_key
    return body


def encode(body: dict[str, object]) -> str:
    return orjson.dumps(body).decode()


def words(text: str) -> str:
    """Text as it is sent: whole words, then one space; empty when there is nothing to speak.

    The service joins messages as they are, so that without the space `end` and `of` become `endof`. Half a surrogate
    pair, which JSON cannot carry, becomes a replacement character.
    """
    whole = text.strip().encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return whole + " " if whole else ""


# -- what comes back ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Frame:
    """Audio in the chosen format, timings, or the end: any of them may be missing."""

    context_id: str | None = None
    payload_b64: str = field(default="", repr=False)
    """The audio as it came: mu-law may go to the carrier in this very form."""
    final: bool = False
    alignment: Alignment | None = None
    normalized: Alignment | None = None

    def audio(self) -> bytes:
        """Decode the payload, each time anew.

        Raises:
            RemoteProtocolError: not base64.
        """
        try:
            if len(self.payload_b64) % 4:  # strict mode takes too much padding up to Python 3.11
                raise Base64Error("the length is not a multiple of four")
            return a2b_base64(self.payload_b64, strict_mode=True)
        except (Base64Error, ValueError) as exc:
            raise RemoteProtocolError("ElevenLabs message: expected base64 in audio") from exc


@dataclass(frozen=True, slots=True)
class Failure:
    """The service refuses to go on."""

    error: ProviderError
    code: str
    context_id: str | None = None
    closes: bool = True
    """The socket is about to be closed for it."""


def parse(message: str) -> Frame | Failure | None:
    """Decode one server message; None for a kind that we do not know.

    Raises:
        RemoteProtocolError: not a JSON object, or a known member holds what it must not. What came is not quoted: it
            holds what the agent says.
    """
    try:
        body = orjson.loads(message)
    except orjson.JSONDecodeError as exc:
        raise RemoteProtocolError(f"ElevenLabs message: expected JSON, got {len(message)} other characters") from exc
    if not isinstance(body, dict):
        raise RemoteProtocolError(f"ElevenLabs message: expected an object, got {type(body).__name__}")
    context_id = _text(body, "contextId", "context_id")
    if body.get("error") or (body.get("message") and body.get("code")):
        return _failure(body, context_id)
    names = ("audio", "isFinal", "is_final", "alignment", "normalizedAlignment", "normalized_alignment")
    if not any(name in body for name in names):
        return None
    return Frame(
        context_id,
        _text(body, "audio") or "",
        _flag(body, "isFinal", "is_final"),
        read(body.get("alignment")),
        read(next((body[name] for name in names[-2:] if body.get(name) is not None), None)),
    )


def _text(body: dict[str, object], *names: str) -> str | None:
    for name in names:
        value = body.get(name)
        if isinstance(value, str):
            return value
        if value is not None:
            raise RemoteProtocolError(f"ElevenLabs message: expected text in {name}, got {type(value).__name__}")
    return None


def _flag(body: dict[str, object], *names: str) -> bool:
    for name in names:
        value = body.get(name)
        if isinstance(value, bool):
            return value
        if value is not None:
            raise RemoteProtocolError(f"ElevenLabs message: expected a boolean in {name}, got {type(value).__name__}")
    return False


def _failure(body: dict[str, object], context_id: str | None) -> Failure:
    code, message = body.get("error"), body.get("message")
    code = code if isinstance(code, str) and code else "unknown"
    error = provider_error(code, message if isinstance(message, str) else "")
    # `code` is the close code that follows. An error of one context alone has been seen by other clients, without it.
    return Failure(error, code, context_id, closes=context_id is None or body.get("code") is not None)


# -- errors ------------------------------------------------------------------------------------------------------------

REFUSALS = frozenset(
    {
        "authentication_required",
        "detected_unusual_activity",
        "invalid_api_key",
        "invalid_output_format",
        "max_character_limit_exceeded",
        "quota_exceeded",
        "subscription_required",
        "unauthorized",
        "unsupported_model",
        "voice_does_not_exist",
        "voice_id_does_not_exist",
        "voice_not_found",
    }
)
"""Codes, of sockets and of refused upgrades, that a later try will not change."""

# What a close says when the error message before it was lost; reasons are cut after about 120 bytes.
_REASONS = {
    "invalid api key": "invalid_api_key",
    "does not exist": "voice_id_does_not_exist",
    "unusual activity": "detected_unusual_activity",
    "exceeds your quota": "quota_exceeded",
}

_SECRET = re.compile(r"\bsk_\w+|(?=[\w-]*\d)[\w-]{24,}|\+?\d{7,}")


def provider_error(code: str, message: str) -> ProviderError:
    """The error for one of the service's codes. What looks like a key or a phone number is left out of its text."""
    text = _SECRET.sub("[…]", f"{code[:80]}: {message[:1000]}" if message else code[:80])
    kind = ProviderRefused if code in REFUSALS else ProviderUnavailable
    return kind(f"ElevenLabs: {text[:300]}")


def upgrade_error(status: int, body: bytes) -> ProviderError:
    """The error for an upgrade that was answered with an HTTP status other than 101."""
    code, message = _detail(body)
    if code in REFUSALS:
        return provider_error(code, message)
    kind = ProviderUnavailable if status in (408, 425, 429) or status >= 500 else ProviderRefused
    return kind(f"{provider_error(code or 'no code', message)} (HTTP {status})")


def _detail(body: bytes) -> tuple[str, str]:
    try:
        detail = orjson.loads(body)["detail"]
        if isinstance(detail, str):
            return "", detail
        code, message = detail.get("code") or detail.get("status"), detail.get("message")
    except (orjson.JSONDecodeError, AttributeError, IndexError, KeyError, TypeError):
        return "", ""
    return (code if isinstance(code, str) else "", message if isinstance(message, str) else "")


def closed_error(code: int, reason: str) -> ProviderError:
    """The error for a socket that was closed while an utterance wanted it."""
    known = next((name for words, name in _REASONS.items() if words in reason.lower()), "")
    return provider_error(known or f"closed with {code}", reason)


# -- one utterance, on either socket -----------------------------------------------------------------------------------


def spoken(frame: Frame, clock: AlignmentClock) -> list[SpeechEvent]:
    """What a frame tells its utterance: timings first, as they are needed to place marks in the audio.

    `Audio` holds the bytes of the chosen output format: anything but `ulaw_8000` has to be converted on its way.
    """
    audio = frame.audio()
    events: list[SpeechEvent] = []
    if aligned := clock.frame(len(audio), frame.alignment, frame.normalized):
        events.append(aligned)
    if audio:
        events.append(Audio(audio))
    return events + [Flushed()] * clock.answered()


def ended(clock: AlignmentClock) -> list[SpeechEvent]:
    """What the end of a finished utterance tells it.

    Text in, no audio out: a close that overtook the text on the service's side, or a spent quota, which the
    multi-context socket does not report otherwise (https://github.com/pipecat-ai/pipecat/issues/5271).
    """
    if not clock.silent and not clock.n_bytes:
        return [Lost(ProviderSilent("ElevenLabs: final without audio; the quota is spent or the text was overtaken"))]
    if clock.cut_short:
        return [Lost(ProviderSilent("ElevenLabs: the end came before the last words were spoken"))]
    events: list[SpeechEvent] = [Flushed()] * clock.settle()
    if clock.missing:
        events.append(Warned("unaligned_text", f"the end came with {clock.missing} characters not accounted for"))
    return [*events, Finished()]
