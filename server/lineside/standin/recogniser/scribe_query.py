"""The handshake of ElevenLabs' listening socket: what a query may ask for, and where a key may be. No I/O.

Source: https://elevenlabs.io/docs/api-reference/speech-to-text/v-1-speech-to-text-realtime
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from websockets.datastructures import Headers

from lineside.standin.elevenlabs_upgrade import FORMATS, refusal
from lineside.standin.endpoint import Refusal
from lineside.standin.recogniser.query import Query
from lineside.standin.voice import Encoding

MODELS = ("scribe_v2_realtime",)
AUDIO = tuple(name for name in FORMATS if name not in ("alaw_8000", "pcm_32000"))
DEFAULT_AUDIO = "pcm_16000"
MOST_KEYTERMS, LONGEST_KEYTERM = 50, 20  # of clients that enforce it; the service's own are not published
_FREE = ("entity_detection", "entity_redaction", "entity_redaction_mode", "transcript_edit", "token")


@dataclass(frozen=True, slots=True)
class ScribeSettings:
    """What the query settled."""

    model: str
    audio_format: str
    vad: bool
    """Segments are committed when the speaker falls silent, not by the client alone."""
    silence_s: float
    vad_threshold: float
    min_speech_ms: int
    min_silence_ms: int
    language: str | None
    secondary_languages: tuple[str, ...]
    timestamps: bool
    language_detection: bool
    no_verbatim: bool
    logging: bool
    filter_background: bool
    keyterms: tuple[str, ...]

    @property
    def encoding(self) -> Encoding:
        return FORMATS[self.audio_format][0]

    @property
    def rate(self) -> int:
        return FORMATS[self.audio_format][1]

    def config(self) -> dict[str, Any]:
        """As `session_started` tells it; the names are those of the wire, and not all of them the schema's."""
        return {
            "model_id": self.model,
            "audio_format": self.audio_format,
            "sample_rate": self.rate,
            "language_code": self.language,
            "secondary_languages": list(self.secondary_languages),
            "timestamps_granularity": "word",
            "include_timestamps": self.timestamps,
            "include_language_detection": self.language_detection,
            "vad_commit_strategy": self.vad,
            "vad_silence_threshold_secs": self.silence_s,
            "vad_threshold": self.vad_threshold,
            "min_speech_duration_ms": self.min_speech_ms,
            "min_silence_duration_ms": self.min_silence_ms,
            "max_tokens_to_recompute": 5,
            "disable_logging": not self.logging,
            "entity_detection": None,
            "filter_background_audio": self.filter_background,
            "keyterms": list(self.keyterms),
            "no_verbatim": self.no_verbatim,
        }


def find_key(headers: Headers, query: Iterable[tuple[str, str]]) -> str:
    """The key or single-use token that came with the handshake; empty without one."""
    return headers.get("xi-api-key") or dict(query).get("token") or ""


def read_scribe(query: Iterable[tuple[str, str]], note: Callable[[str], None]) -> ScribeSettings:
    """Read the query of the upgrade.

    Args:
        note: told of what the service lets pass and a careful client avoids.

    Raises:
        Refusal: 400, and what is wrong with it.
    """
    given = Query(query, _bad)
    if not given.has("model_id"):
        note("no_model")
    model = given.choice("model_id", MODELS, MODELS[0])
    language = given.one("language_code")
    if language is not None and not re.fullmatch("[a-z]{2,3}", language):
        raise _bad(f"language_code is an ISO 639 code, not {language!a}")
    keyterms = tuple(given.all("keyterms"))
    if len(keyterms) > MOST_KEYTERMS or any(len(term) > LONGEST_KEYTERM for term in keyterms):
        note("keyterm_limit")
    settings = ScribeSettings(
        model=model,
        audio_format=given.choice("audio_format", AUDIO, DEFAULT_AUDIO),
        vad=given.choice("commit_strategy", ("manual", "vad"), "manual") == "vad",
        silence_s=given.number("vad_silence_threshold_secs", 0.3, 3.0) or 1.5,
        vad_threshold=given.number("vad_threshold", 0.1, 0.9) or 0.4,
        min_speech_ms=given.whole("min_speech_duration_ms", 50, 2000) or 100,
        min_silence_ms=given.whole("min_silence_duration_ms", 50, 2000) or 100,
        language=language,
        secondary_languages=tuple(given.all("secondary_languages")),
        timestamps=given.flag("include_timestamps"),
        language_detection=given.flag("include_language_detection"),
        no_verbatim=given.flag("no_verbatim"),
        logging=given.flag("enable_logging", default=True),
        filter_background=given.flag("filter_background_audio"),
        keyterms=keyterms,
    )
    for name in _FREE:
        given.all(name)
    if given.unread():
        note("unknown_query")
    return settings


def _bad(what: str) -> Refusal:
    return refusal(400, "invalid_parameter", f"{what}.", breach="bad_query")
