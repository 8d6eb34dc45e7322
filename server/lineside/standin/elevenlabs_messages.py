"""What a client sends on ElevenLabs' TTS sockets, read strictly. No I/O.

Sources: https://elevenlabs.io/docs/api-reference/text-to-speech/v-1-text-to-speech-voice-id-stream-input,
https://elevenlabs.io/docs/api-reference/text-to-speech/v-1-text-to-speech-voice-id-multi-stream-input
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from lineside.standin.elevenlabs_errors import Ending

SETTINGS = {"stability": (0.0, 1.0), "similarity_boost": (0.0, 1.0), "style": (0.0, 1.0), "speed": (0.7, 1.2)}
SCHEDULE_ITEM = (50, 500)  # characters

_Kind = TypeVar("_Kind")


@dataclass(frozen=True, slots=True)
class Message:
    """A client's message. What it lacks, or gives as null, is None or False."""

    text: str | None = None
    flush: bool = False
    try_trigger: bool = False
    context_id: str | None = None
    close_context: bool = False
    close_socket: bool = False
    voice_settings: Mapping[str, Any] | None = None
    schedule: tuple[float, ...] | None = None
    has_dictionaries: bool = False
    key: str | None = None
    out_of_range: bool = False
    """A setting or a schedule is beyond its published range."""


def parse(message: str | bytes, *, multi: bool) -> Message:
    """Read a client's message; members that we do not know are ignored.

    Raises:
        Ending: it is not JSON, or not of the schema.
    """
    body = _json(message)
    settings = _member(body, "voice_settings", dict)
    schedule = _schedule(body)
    parsed = Message(
        text=_text(body),
        flush=_flag(body, "flush"),
        try_trigger=_flag(body, "try_trigger_generation"),
        context_id=_either(body, "context_id", "contextId") if multi else None,
        close_context=multi and _flag(body, "close_context"),
        close_socket=multi and _flag(body, "close_socket"),
        voice_settings=settings,
        schedule=schedule,
        has_dictionaries=_has_dictionaries(body),
        key=_either(body, "xi_api_key", "xi-api-key") or _member(body, "authorization", str),
        out_of_range=_out_of_range(settings or {}, schedule or ()),
    )
    if not (parsed.text is not None or parsed.flush or parsed.close_context or parsed.close_socket):
        raise _bad()
    # A flush without text, and a close, must say which context they are for.
    needs_id = multi and not parsed.close_socket and (parsed.text is None or parsed.close_context)
    if needs_id and parsed.context_id is None:
        raise _bad()
    return parsed


def _json(message: str | bytes) -> dict[str, Any]:
    if isinstance(message, bytes):
        raise _bad()
    try:
        body = json.loads(message)
    except (ValueError, RecursionError):
        raise _bad() from None
    if not isinstance(body, dict):
        raise _bad()
    return body


def _text(body: dict[str, Any]) -> str | None:
    text = _member(body, "text", str)
    # JSON can spell halves of surrogate pairs, but no one can speak them.
    if text is not None and any("\ud800" <= char <= "\udfff" for char in text):
        raise _bad()
    return text


def _schedule(body: dict[str, Any]) -> tuple[float, ...] | None:
    """The guide and the schema name the same member differently."""
    for name in ("generation_config", "generator_config"):
        config = _member(body, name, dict)
        items = _member(config, "chunk_length_schedule", list) if config else None
        if items is not None:
            if not items or not all(_is_number(item) for item in items):
                raise _bad()
            return tuple(items)
    return None


def _has_dictionaries(body: dict[str, Any]) -> bool:
    locators = _member(body, "pronunciation_dictionary_locators", list)
    for locator in locators or ():
        if not isinstance(locator, dict):
            raise _bad()
        if not all(_member(locator, name, str) for name in ("pronunciation_dictionary_id", "version_id")):
            raise _bad()
    return bool(locators)


def _out_of_range(settings: dict[str, Any], schedule: tuple[float, ...]) -> bool:
    _flag(settings, "use_speaker_boost")
    for name, (low, high) in SETTINGS.items():
        value = settings.get(name)
        if value is None:
            continue
        if not _is_number(value):
            raise _bad()
        if not low <= value <= high:
            return True
    return not all(SCHEDULE_ITEM[0] <= item <= SCHEDULE_ITEM[1] for item in schedule)


def _either(body: dict[str, Any], name: str, other: str) -> str | None:
    value = _member(body, name, str)
    return value if value is not None else _member(body, other, str)


def _flag(body: dict[str, Any], name: str) -> bool:
    return _member(body, name, bool) or False


def _member(body: dict[str, Any], name: str, kind: type[_Kind]) -> _Kind | None:
    value = body.get(name)
    if value is not None and not isinstance(value, kind):
        raise _bad()
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _bad() -> Ending:
    return Ending("invalid_input_message", "bad_message")
