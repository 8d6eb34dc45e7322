"""The handshake of Deepgram's speak socket: who may come in, and what a query may ask for. No I/O.

Sources: https://developers.deepgram.com/reference/text-to-speech/speak-streaming,
https://developers.deepgram.com/docs/tts-media-output-settings, https://developers.deepgram.com/docs/tts-models,
https://developers.deepgram.com/docs/using-the-sec-websocket-protocol, https://developers.deepgram.com/docs/errors
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args
from uuid import uuid4

from websockets.datastructures import Headers

from lineside.standin.endpoint import Refusal, Studio
from lineside.standin.voice import Encoding

DEFAULT_MODEL = "aura-asteria-en"
RATES: dict[Encoding, tuple[int, ...]] = {
    "linear16": (8000, 16000, 24000, 32000, 48000),
    "mulaw": (8000, 16000),
    "alaw": (8000, 16000),
}
DEFAULT_RATES: dict[Encoding, int] = {"linear16": 24000, "mulaw": 8000, "alaw": 8000}
AURA_1 = frozenset(
    ("angus", "arcas", "asteria", "athena", "helios", "hera", "luna", "orion", "orpheus", "perseus", "stella", "zeus")
)
AURA_2 = {
    language: frozenset(voices.split())
    for language, voices in {
        "en": "amalthea andromeda apollo arcas aries asteria athena atlas aurora callista cora cordelia delia draco "
        "electra harmonia helena hera hermes hyperion iris janus juno jupiter luna mars minerva neptune odysseus "
        "ophelia orion orpheus pandora phoebe pluto saturn selene thalia theia vesta zeus",
        "es": "agustina alvaro antonia aquila carina celeste diana estrella gloria javier luciano nestor olivia "
        "selena silvia sirio valerio",
        "de": "aurelia elara fabian julius kara lara viktoria",
        "nl": "beatrix cornelia daphne hestia lars leda rhea roman sander",
        "fr": "agathe hector",
        "it": "cesare cinzia demetra dionisio elio flavio livia maia melia perseo",
        "ja": "ama ebisu fujin izanami uzume",
    }.items()
}
SPEED_LANGUAGES = ("en", "es")
REST_ONLY = frozenset(("bit_rate", "callback", "callback_method"))

REFUSALS = {
    400: ("Bad Request", "Bad request."),
    401: ("INVALID_AUTH", "Invalid credentials."),
    402: ("PAYMENT_REQUIRED", "Project does not have enough credits for this request."),
    403: ("INSUFFICIENT_PERMISSIONS", "Project does not have access to the requested model."),
    429: ("Too Many Requests", "Too many requests. Please try again later."),
    503: ("Service Unavailable", "Service unavailable. Please try again later."),
}

_MODEL = re.compile(r"aura(?P<two>-2)?-(?P<voice>[a-z]+)-(?P<language>[a-z]+)")
_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+")


@dataclass(frozen=True, slots=True)
class SpeakSettings:
    """What a socket's query settled for its whole life."""

    model: str
    encoding: Encoding
    rate: int
    speed: float


def refusal(status: int, code: str = "", message: str = "", breach: str = "") -> Refusal:
    """A failed upgrade in Deepgram's form; code and message default to the usual ones of the status."""
    usual_code, usual_message = REFUSALS.get(status, ("Error", "The request failed."))
    message, request_id = message or usual_message, str(uuid4())
    body = {"err_code": code or usual_code, "err_msg": message, "request_id": request_id}
    return Refusal(status, {"dg-request-id": request_id, "dg-error": message}, body, breach)


def check_key(headers: Headers, studio: Studio) -> None:
    """Let in `Authorization: Token KEY` or `Bearer JWT` in any case, or the sub-protocol `token, KEY`.

    Raises:
        Refusal: 401.
    """
    scheme, _, key = " ".join(headers.get_all("Authorization")).partition(" ")
    if not scheme:
        scheme, _, key = ",".join(headers.get_all("Sec-WebSocket-Protocol")).partition(",")
        if scheme != "token":
            raise refusal(401, breach="bad_key")
    key = key.strip()
    if scheme.lower() == "bearer" and not (studio.faults.bearer_takes_keys or _JWT.fullmatch(key)):
        raise refusal(401, message="Bearer takes a temporary token; an API key goes with Token.", breach="bad_key")
    if scheme.lower() not in ("token", "bearer") or not studio.knows_key(key):
        raise refusal(401, breach="bad_key")


def read_query(query: Iterable[tuple[str, str]], *, unknown: Literal["refuse", "ignore"]) -> SpeakSettings:
    """Read the query of the upgrade.

    Raises:
        Refusal: 400, and what is wrong with it.
    """
    given: dict[str, str] = {}
    for name, value in query:
        if name == "tag":  # any number of any strings
            continue
        if name in given:
            raise _bad_query(f"{name} is given twice")
        given[name] = value
    if rest_only := REST_ONLY & given.keys():
        raise _bad_query(f"{min(rest_only)} is not for the socket")

    encoding = _encoding(given.pop("encoding", "linear16"))
    rate = _whole("sample_rate", given.pop("sample_rate", str(DEFAULT_RATES[encoding])))
    if rate not in RATES[encoding]:
        raise _bad_format(f"{encoding} at {rate} Hz; it takes {', '.join(map(str, RATES[encoding]))}")
    if (container := given.pop("container", "none")) != "none":
        raise _bad_format(f"container {container!a}; the socket takes none")
    if given.pop("mip_opt_out", "false") not in ("true", "false"):
        raise _bad_query("mip_opt_out is true or false")
    model = given.pop("model", DEFAULT_MODEL)
    speed = _speed(given.pop("speed", None), model=model, is_aura_2=_check_model(model))
    if given and unknown == "refuse":
        raise _bad_query(f"unknown parameter {min(given)!a}")
    return SpeakSettings(model, encoding, rate, speed)


def _encoding(name: str) -> Encoding:
    for encoding in get_args(Encoding):
        if name == encoding:
            return encoding  # type: ignore[no-any-return]
    raise _bad_format(f"encoding {name!a}; the socket takes linear16, mulaw, alaw")


def _check_model(model: str) -> bool:
    """Whether a model that exists is of the second generation."""
    match = _MODEL.fullmatch(model)
    if match and match["two"] and match["voice"] in AURA_2.get(match["language"], ()):
        return True
    if match and not match["two"] and match["language"] == "en" and match["voice"] in AURA_1:
        return False
    raise refusal(400, message="No such model/version combination found.", breach="bad_query")


def _speed(text: str | None, *, model: str, is_aura_2: bool) -> float:
    if text is None:
        return 1.0
    try:
        speed = float(text)
    except ValueError:
        raise _bad_query("speed is a number") from None
    if not 0.7 <= speed <= 1.5:
        raise _bad_query("speed is 0.7 to 1.5")
    if speed != 1.0 and not (is_aura_2 and model.endswith(SPEED_LANGUAGES)):
        raise _bad_query(f"{model} has no speed")
    return speed


def _whole(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise _bad_query(f"{name} is a whole number")
    return int(text)


def _bad_query(what: str) -> Refusal:
    return refusal(400, "INVALID_QUERY_PARAMETER", f"Failed to deserialize query parameters: {what}.", "bad_query")


def _bad_format(what: str) -> Refusal:
    return refusal(400, "UNSUPPORTED_AUDIO_FORMAT", f"Unsupported audio format: {what}.", "bad_query")
