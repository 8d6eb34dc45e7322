"""The handshake of ElevenLabs' TTS sockets: what a query may ask for, and where a key may be. No I/O.

A bad key or voice does not fail the handshake; a model or format that the socket does not have does.

Sources: https://elevenlabs.io/docs/api-reference/text-to-speech/v-1-text-to-speech-voice-id-stream-input,
https://elevenlabs.io/docs/models, https://elevenlabs.io/docs/eleven-api/resources/errors
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from websockets.datastructures import Headers

from lineside.standin.elevenlabs_faults import ElevenLabsFaults
from lineside.standin.endpoint import Refusal
from lineside.standin.voice import Encoding

FORMATS: dict[str, tuple[Encoding, int]] = {
    "ulaw_8000": ("mulaw", 8000),
    "alaw_8000": ("alaw", 8000),
    **{f"pcm_{rate}": ("linear16", rate) for rate in (8000, 16000, 22050, 24000, 32000, 44100, 48000)},
}
COMPRESSED = re.compile("mp3_(22050_32|24000_48|44100_(32|64|96|128|192))|opus_48000_(32|64|96|128|192)")
DEFAULT_FORMAT = "mp3_44100_128"  # the papers say mp3_44100, which is not among the formats that they list
V2_5 = frozenset(("eleven_flash_v2_5", "eleven_turbo_v2_5"))
MODELS = V2_5 | {"eleven_flash_v2", "eleven_turbo_v2", "eleven_multilingual_v2"}
DEFAULT_MODEL = "eleven_multilingual_v2"  # that of the REST side; the sockets' own is not published
DIALOGUE_MODEL = re.compile(r"eleven_v[34](_\w+)?")
LONGEST_TIMEOUT_S = 180
ENTERPRISE_ONLY = "enterprise_only"

REFUSALS = {
    400: ("validation_error", "bad_request", "Bad request."),
    401: ("authentication_error", "unauthorized", "You must be authenticated to use this endpoint."),
    402: ("payment_error", "payment_required", "A payment is due."),
    403: ("authorization_error", "subscription_required", "Your subscription does not include this."),
    429: ("rate_limit_error", "rate_limit_exceeded", "Too many requests. Please try again later."),
    503: ("internal_error", "service_unavailable", "The service is unavailable. Please try again later."),
}

_UNUSED = ("seed", "optimize_streaming_latency")  # taken, and without effect on our voice


@dataclass(frozen=True, slots=True)
class SocketSettings:
    """What the path and the query settled for a socket's whole life."""

    voice_id: str
    multi: bool
    model: str
    encoding: Encoding
    rate: int
    inactivity_s: float
    auto_mode: bool
    sync_alignment: bool
    expands_numbers: bool

    @property
    def sample_bytes(self) -> int:
        return 2 if self.encoding == "linear16" else 1

    @property
    def bytes_per_s(self) -> int:
        return self.rate * self.sample_bytes


def refusal(
    status: int,
    code: str = "",
    message: str = "",
    *,
    param: str | None = None,
    breach: str = "",
    headers: dict[str, str] | None = None,
) -> Refusal:
    """A failed upgrade in ElevenLabs' form; code and message default to the usual ones of the status."""
    kind, usual_code, usual_message = REFUSALS.get(status, ("error", "error", "The request failed."))
    request_id = uuid4().hex
    detail = {
        "type": kind,
        "code": code or usual_code,
        "message": message or usual_message,
        "status": code or usual_code,
        "request_id": request_id,
        "param": param,
    }
    return Refusal(status, {"x-trace-id": request_id, **(headers or {})}, {"detail": detail}, breach)


def find_key(headers: Headers, query: Iterable[tuple[str, str]]) -> str | None:
    """The key or token that came with the handshake; None leaves it to the first message."""
    given = dict(query)
    for key in (headers.get("xi-api-key"), given.get("authorization"), given.get("single_use_token")):
        if key:
            return bare(key)
    return None


def bare(authorization: str) -> str:
    """A token without its scheme."""
    scheme, _, token = authorization.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else authorization.strip()


def read_query(
    voice_id: str,
    kind: str,
    query: Iterable[tuple[str, str]],
    *,
    faults: ElevenLabsFaults,
    note: Callable[[str], None],
) -> SocketSettings:
    """Read the query of the upgrade.

    Args:
        kind: the path's end, `stream-input` or `multi-stream-input`.
        note: told of what the service lets pass and a careful client avoids.

    Raises:
        Refusal: 400, and what is wrong with it.
    """
    given: dict[str, str] = {}
    for name, value in query:
        if name in given:
            note("repeated_query")
        given[name] = value
    for name in ("authorization", "single_use_token", *_UNUSED):
        given.pop(name, None)

    model = _model(given.pop("model_id", None), note)
    encoding, rate = _format(given.pop("output_format", DEFAULT_FORMAT))
    inactivity_s = _inactivity(given.pop("inactivity_timeout", "20"), faults)
    flags = {name: _flag(name, given.pop(name, "false")) for name in ("auto_mode", "sync_alignment")}
    _flag("enable_ssml_parsing", given.pop("enable_ssml_parsing", "false"))
    _flag("apply_language_text_normalization", given.pop("apply_language_text_normalization", "false"))
    if not _flag("enable_logging", given.pop("enable_logging", "true")):
        note(ENTERPRISE_ONLY)
    _check_language(given.pop("language_code", None), model, note)
    expands_numbers = _expands_numbers(given.pop("apply_text_normalization", "auto"), model, faults, note)
    if given:
        note("unknown_query")
    return SocketSettings(
        voice_id=voice_id,
        multi=kind == "multi-stream-input",
        model=model,
        encoding=encoding,
        rate=rate,
        inactivity_s=inactivity_s,
        expands_numbers=expands_numbers,
        **flags,
    )


def _model(model: str | None, note: Callable[[str], None]) -> str:
    if model is None:
        note("no_model")
        return DEFAULT_MODEL
    if model in MODELS:
        return model
    what = f"Model {model!a} is not available on this socket."
    if DIALOGUE_MODEL.fullmatch(model):
        what += " Please use the text-to-dialogue socket."
    raise _bad("unsupported_model", what, "model_id")


def _format(name: str) -> tuple[Encoding, int]:
    if name in FORMATS:
        return FORMATS[name]
    if COMPRESSED.fullmatch(name):
        raise _bad("invalid_output_format", f"This stand-in has no encoder for {name}.", "output_format")
    raise _bad("invalid_output_format", f"There is no output format {name!a}.", "output_format")


def _inactivity(text: str, faults: ElevenLabsFaults) -> float:
    if not re.fullmatch("[0-9]{1,9}", text) or not int(text):
        raise _bad_value("inactivity_timeout", "a number of seconds, at least 1")
    if int(text) > LONGEST_TIMEOUT_S and faults.long_inactivity_timeout == "refuse":
        raise _bad_value("inactivity_timeout", f"at most {LONGEST_TIMEOUT_S}")
    return float(min(int(text), LONGEST_TIMEOUT_S))


def _flag(name: str, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise _bad_value(name, "true or false")
    return text.lower() == "true"


def _check_language(code: str | None, model: str, note: Callable[[str], None]) -> None:
    if code is None:
        return
    if not re.fullmatch("[a-z]{2}", code):
        raise _bad_value("language_code", "an ISO 639-1 code")
    if model not in V2_5:  # the others hear the language from the text
        note("language_ignored")


def _expands_numbers(mode: str, model: str, faults: ElevenLabsFaults, note: Callable[[str], None]) -> bool:
    if mode not in ("auto", "on", "off"):
        raise _bad_value("apply_text_normalization", "auto, on or off")
    if mode == "on" and model in V2_5:
        note(ENTERPRISE_ONLY)
    if faults.expand_numbers != "model":
        return faults.expand_numbers == "always"
    return mode == "on" or (mode == "auto" and model not in V2_5)


def _bad_value(name: str, what: str) -> Refusal:
    return _bad("invalid_parameter", f"{name} must be {what}.", name)


def _bad(code: str, message: str, param: str) -> Refusal:
    return refusal(400, code, message, param=param, breach="bad_query")


def response_headers() -> dict[str, Any]:
    """What the 101 answer carries besides the usual."""
    return {"x-region": "loopback", "x-trace-id": uuid4().hex}
