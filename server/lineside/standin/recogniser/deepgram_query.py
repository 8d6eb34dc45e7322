"""The handshakes of Deepgram's two listen sockets: what a query may ask for. No I/O.

Sources: https://developers.deepgram.com/reference/speech-to-text/listen-streaming,
https://developers.deepgram.com/reference/speech-to-text/listen-flux,
https://developers.deepgram.com/docs/keyterm, https://developers.deepgram.com/docs/utterance-end
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lineside.standin.deepgram_upgrade import refusal
from lineside.standin.endpoint import Refusal
from lineside.standin.faults import Faults
from lineside.standin.recogniser.query import Query
from lineside.standin.voice import Encoding

ENCODINGS = (
    *("linear16", "linear32", "flac", "alaw", "mulaw", "amr-nb", "amr-wb", "opus", "ogg-opus"),
    *("speex", "g729"),
)
DEFAULT_ENDPOINTING_MS = 10
LONGEST_UTTERANCE_END_MS = 5000
USEFUL_UTTERANCE_END_MS = 1000
DEFAULT_MODEL = "base"
MODEL = re.compile(
    "(nova-3|nova-2|nova|enhanced|base|whisper)(-[a-z]+)?"
    "|general|meeting|phonecall|voicemail|finance|conversationalai|video|medical|drivethru|automotive"
    "|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"  # a customer's own
)
MOST_KEYTERM_TOKENS = 500
_FREE = (
    *("callback", "callback_method", "detect_entities", "diarize_model", "extra", "language", "language_hint"),
    *("redact", "replace", "search", "tag", "version"),
)
_FLAGS = ("diarize", "dictation", "mip_opt_out", "numerals", "profanity_filter")

FLUX_MODELS = ("flux-general-en", "flux-general-multi")
FLUX_ENCODINGS = ("linear16", "linear32", "mulaw", "alaw", "opus", "ogg-opus")
FLUX_RATES = (8000, 16000, 24000, 44100, 48000)
FLUX_EOT = (0.5, 1.0)
FLUX_DEFAULT_EOT = 0.7
FLUX_EAGER_EOT = (0.3, 0.9)
FLUX_TIMEOUT_MS = (500, 60000)
FLUX_DEFAULT_TIMEOUT_MS = 5000
FLUX_REDACT = {"numbers", "aggressive_numbers"}
MOST_KEYTERMS = 100


@dataclass(frozen=True, slots=True)
class ListenSettings:
    """What the query of `/v1/listen` settled."""

    model: str
    encoding: Encoding | None
    """None: the audio is said to come in a container."""
    rate: int
    interim_results: bool
    endpointing_s: float | None
    """Silence before `speech_final`; None: off."""
    utterance_end_s: float | None
    vad_events: bool
    punctuated: bool


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When a turn of Flux ends."""

    eot: float = FLUX_DEFAULT_EOT
    eager_eot: float | None = None
    timeout_ms: int = FLUX_DEFAULT_TIMEOUT_MS


@dataclass(frozen=True, slots=True)
class FluxSettings:
    """What the query of `/v2/listen` settled."""

    model: str
    encoding: Encoding | None
    """None: the audio is said to come in a container."""
    rate: int
    thresholds: Thresholds
    keyterms: tuple[str, ...]
    language_hints: tuple[str, ...]
    numerals: bool


def bad(what: str) -> Refusal:
    return refusal(400, "INVALID_QUERY_PARAMETER", f"Failed to deserialize query parameters: {what}.", "bad_query")


def read_listen(query: Iterable[tuple[str, str]], faults: Faults, note: Callable[[str], None]) -> ListenSettings:
    """Read the query of `/v1/listen`.

    Args:
        note: told of what the service lets pass and a careful client avoids.

    Raises:
        Refusal: 400, or 403 for a model that does not exist, and what is wrong.
    """
    given = Query(query, bad)
    model = _listen_model(given, note)
    audio = given.audio(ENCODINGS, ())
    _check_one_channel(given)
    interim = given.flag("interim_results")
    utterance_end_ms = given.whole("utterance_end_ms", 1, LONGEST_UTTERANCE_END_MS)
    if utterance_end_ms is not None:
        if not interim:
            raise bad("utterance_end_ms needs interim_results=true")
        if utterance_end_ms < USEFUL_UTTERANCE_END_MS:
            note("short_utterance_end")
    smart, punctuate = given.flag("smart_format"), given.flag("punctuate")
    settings = ListenSettings(
        model=model,
        encoding=audio[0] if audio else None,
        rate=audio[1] if audio else 8000,
        interim_results=interim,
        endpointing_s=_endpointing(given),
        utterance_end_s=None if utterance_end_ms is None else utterance_end_ms / 1000,
        vad_events=given.flag("vad_events"),
        punctuated=smart or punctuate,
    )
    for name in _FLAGS:
        given.flag(name)
    for name in _FREE:
        given.all(name)
    if given.has("no_delay"):  # in the vendor's samples, but not in its reference
        given.flag("no_delay")
        note("undocumented_query")
    _check_unread(given, faults)
    return settings


def _listen_model(given: Query, note: Callable[[str], None]) -> str:
    model = given.one("model")
    if model is None:
        note("no_model")
        model = DEFAULT_MODEL
    if model.startswith("flux"):
        raise bad(f"{model!a} is a model of /v2/listen")
    if not MODEL.fullmatch(model):  # misspelt ones are answered like those that are not yours
        raise refusal(403, breach="bad_model")
    keyterms = given.all("keyterm")
    if keyterms and not model.startswith("nova-3"):
        raise bad(f"{model} takes keywords, not keyterm")
    if sum(len(term.split()) for term in keyterms) > MOST_KEYTERM_TOKENS:
        raise bad(f"more than {MOST_KEYTERM_TOKENS} tokens of keyterm")
    if given.all("keywords") and model.startswith("nova-3"):
        raise bad(f"{model} takes keyterm, not keywords")
    return model


def _check_one_channel(given: Query) -> None:
    channels, multichannel = given.whole("channels", 1, 20), given.flag("multichannel")
    if multichannel or channels not in (None, 1):
        raise bad("this stand-in hears one channel")


def _endpointing(given: Query) -> float | None:
    text = given.one("endpointing", "true")
    if text == "false":
        return None
    if text == "true":
        return DEFAULT_ENDPOINTING_MS / 1000
    if not (text and text.isascii() and text.isdigit()):
        raise bad(f"endpointing is a whole number of ms or false, not {text!a}")
    return int(text) / 1000


def read_flux(query: Iterable[tuple[str, str]], faults: Faults) -> FluxSettings:
    """Read the query of `/v2/listen`.

    Raises:
        Refusal: 400, and what is wrong with it.
    """
    given = Query(query, bad)
    model = given.one("model")
    if model not in FLUX_MODELS:
        raise bad(f"model is one of {', '.join(FLUX_MODELS)}, not {model!a}")
    audio = given.audio(FLUX_ENCODINGS, FLUX_RATES)
    timeout_ms = given.whole("eot_timeout_ms", *FLUX_TIMEOUT_MS)
    thresholds = Thresholds(
        eot=given.number("eot_threshold", *FLUX_EOT) or FLUX_DEFAULT_EOT,
        eager_eot=given.number("eager_eot_threshold", *FLUX_EAGER_EOT),
        timeout_ms=timeout_ms or FLUX_DEFAULT_TIMEOUT_MS,
    )
    if thresholds.eager_eot is not None and thresholds.eager_eot > thresholds.eot:
        raise bad("eager_eot_threshold is at most eot_threshold")
    keyterms, hints = given.all("keyterm"), given.all("language_hint")
    if len(keyterms) > MOST_KEYTERMS:
        raise bad(f"more than {MOST_KEYTERMS} keyterms")
    if hints and model != "flux-general-multi":
        raise bad("language_hint is for flux-general-multi")
    if unknown := set(given.all("redact")) - FLUX_REDACT:
        raise bad(f"redact is one of {', '.join(sorted(FLUX_REDACT))}, not {min(unknown)!a}")
    numerals = given.flag("numerals")
    given.flag("profanity_filter")
    given.flag("mip_opt_out")
    given.all("tag")
    _check_unread(given, faults)
    return FluxSettings(
        model=model,
        encoding=audio[0] if audio else None,
        rate=audio[1] if audio else 8000,
        thresholds=thresholds,
        keyterms=tuple(keyterms),
        language_hints=tuple(hints),
        numerals=numerals,
    )


def _check_unread(given: Query, faults: Faults) -> None:
    if (unread := given.unread()) and faults.unknown_query == "refuse":
        raise bad(f"unknown parameter {unread[0]!a}")
