"""Twilio Media Streams messages: JSON text in, typed events out, and back. No I/O.

The carrier writes `sequenceNumber`, `chunk` and `timestamp` as strings and the media format's figures as numbers; both
spellings are taken everywhere. Keys come in any order. Messages of errors name the field and never quote what callers
or custom parameters may hold.

Source: https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from lineside.errors import LocalProtocolError, RemoteProtocolError

MAX_MESSAGE = 65_536  # characters; a 20 ms frame needs about 350, and no limit of the carrier's is documented
MAX_TEXT = 1024  # characters of any other text field; a custom parameter's name and value are below 500 together
MAX_MARK_NAME = 128  # characters; ours are far shorter, the carrier documents no limit
MAX_PARAMETERS = 256
MAX_TRACKS = 8

ENCODING, RATE, CHANNELS = "audio/x-mulaw", 8000, 1
DIGITS = frozenset("0123456789*#ABCD")

_SID = re.compile(r"(AC|CA|MZ)[0-9a-fA-F]{32}")
_NUMBER = re.compile(r"[0-9]{1,18}")
_MEDIA = '"event":"media"'
_MEDIA_FIRST = "{" + _MEDIA


@dataclass(frozen=True, slots=True)
class Connected:
    """The socket's first message; it names no stream."""

    protocol: str
    version: str


@dataclass(frozen=True, slots=True)
class Started:
    """The stream begins. Sent once, after `Connected`."""

    stream_id: str
    call_id: str
    account_id: str
    sequence: int
    tracks: tuple[str, ...]
    parameters: Mapping[str, str]
    """What `<Parameter>`s of our TwiML said; empty when there were none."""


@dataclass(frozen=True, slots=True)
class Media:
    """Caller audio: mu-law, 8 kHz, mono; 160 bytes (20 ms) in practice, which the carrier does not promise."""

    stream_id: str
    sequence: int
    track: str
    chunk: int
    """Counts from 1."""
    at_ms: int
    """Since the stream started. The first is not 0 and steps are not exactly 20: trust differences only."""
    audio: bytes


@dataclass(frozen=True, slots=True)
class Pressed:
    """One key of the caller's phone: 0-9, *, #, or A-D."""

    stream_id: str
    sequence: int
    digit: str


@dataclass(frozen=True, slots=True)
class Marked:
    """Playout reached `name`, or a clear dropped it. The carrier does not say which."""

    stream_id: str
    sequence: int
    name: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The stream has ended; the last message. No reason is given."""

    stream_id: str
    call_id: str
    account_id: str
    sequence: int


Message = Connected | Started | Media | Pressed | Marked | Stopped


def parse(message: str) -> Message | None:
    """Decode one message; None for an event that we do not know (the carrier may add some).

    Raises:
        RemoteProtocolError: not a JSON object, too long, or a known event lacks a field or breaks its shape. Names
            the field.
    """
    body = _body(message)
    match _text(body, "event"):
        case "media":
            return _media(body)
        case "mark":
            name = _text(_object(body, "mark"), "mark.name", MAX_MARK_NAME)
            return Marked(_stream_id(body), _number(body, "sequenceNumber"), name)
        case "dtmf":
            digit = _text(_object(body, "dtmf"), "dtmf.digit")
            if digit not in DIGITS:
                raise RemoteProtocolError("dtmf.digit must be one of 0-9, *, #, A-D")
            return Pressed(_stream_id(body), _number(body, "sequenceNumber"), digit)
        case "start":
            return _started(body)
        case "stop":
            stop = _object(body, "stop")
            return Stopped(
                stream_id=_stream_id(body),
                call_id=sid(stop.get("callSid"), "CA", "stop.callSid"),
                account_id=sid(stop.get("accountSid"), "AC", "stop.accountSid"),
                sequence=_number(body, "sequenceNumber"),
            )
        case "connected":
            return Connected(_text(body, "protocol"), _text(body, "version"))
    return None


def is_media(message: str) -> bool:
    """Whether this is caller audio, told without reading the JSON. False may also mean an unusual spelling: `parse` it.

    True does not say that the rest of the message is sound.

    The text looked for cannot stand inside a JSON string, where its second quote would be written `\\"` and not match.
    So it is a key with its value; at the very start, as the carrier writes it, it is the message's own. Elsewhere it
    might belong to an inner object, or to a key that ends in `\\"event`. Only the custom parameters of a start message
    have keys of others' choosing, and every start message contains `"start"`; the rest is media with its keys in
    another order.
    """
    return message.startswith(_MEDIA_FIRST) or (_MEDIA in message and '"start"' not in message)


def media_audio(message: str) -> bytes:
    """The audio of a message that `is_media`; the fast way, which looks at nothing else. Its track is not checked: a
    two-way stream has only the inbound one.

    Raises:
        RemoteProtocolError: not a media message, or its payload is not base64.
    """
    body = _body(message)
    if body.get("event") != "media":
        raise RemoteProtocolError("event must be 'media'")
    return _payload(_object(body, "media"))


class Outgoing:
    """Writes messages for one stream: exactly the fields that the carrier allows, an extra one is its warning 31951.

    Source: https://www.twilio.com/docs/api/errors/31951
    """

    __slots__ = ("_clear", "_mark", "_media")

    def __init__(self, stream_id: str) -> None:
        """
        Raises:
            LocalProtocolError: `stream_id` is not a StreamSid.
        """
        if not is_sid(stream_id, "MZ"):
            raise LocalProtocolError("a stream's id is MZ and 32 hexadecimal digits")
        self._media = f'{{"event":"media","streamSid":"{stream_id}","media":{{"payload":"'
        self._mark = f'{{"event":"mark","streamSid":"{stream_id}","mark":{{"name":'
        self._clear = f'{{"event":"clear","streamSid":"{stream_id}"}}'

    def media(self, audio: bytes) -> str:
        """Append mu-law audio, 8 kHz mono without any header, to the carrier's queue.

        Raises:
            LocalProtocolError: no audio.
        """
        if not audio:
            raise LocalProtocolError("a media message needs audio")
        return f'{self._media}{b2a_base64(audio, newline=False).decode("ascii")}"}}}}'

    def media_b64(self, payload: str) -> str:
        """As `media`, with audio that is base64 already: padded, one line. Of that only the length is checked.

        Raises:
            LocalProtocolError: empty, or not a multiple of 4 characters.
        """
        if not payload or len(payload) % 4:
            raise LocalProtocolError("a media message needs audio, in padded base64")
        return f'{self._media}{payload}"}}}}'

    def mark(self, name: str) -> str:
        """Ask for `name` back when all audio before it was played, or was dropped by a clear.

        Raises:
            LocalProtocolError: the name is empty, longer than MAX_MARK_NAME, or not encodable as UTF-8.
        """
        if not 0 < len(name) <= MAX_MARK_NAME:
            raise LocalProtocolError(f"a mark's name has 1 to {MAX_MARK_NAME} characters, not {len(name)}")
        try:
            return f"{self._mark}{orjson.dumps(name).decode()}}}}}"
        except orjson.JSONEncodeError as exc:
            raise LocalProtocolError("a mark's name must be encodable as UTF-8") from exc

    def clear(self) -> str:
        """Drop all audio that was not played yet. Its marks come back at once, looking as if played."""
        return self._clear


def is_sid(value: object, prefix: str) -> bool:
    """Whether `value` has the shape of the carrier's identifiers: prefix (AC, CA or MZ) and 32 hexadecimal digits."""
    return isinstance(value, str) and value.startswith(prefix) and _SID.fullmatch(value) is not None


def sid(value: object, prefix: str, where: str) -> str:
    """`value` as an identifier.

    Raises:
        RemoteProtocolError: it is none. Names `where`.
    """
    if not isinstance(value, str) or not is_sid(value, prefix):
        raise RemoteProtocolError(f"{where} must be {prefix} and 32 hexadecimal digits")
    return value


def _stream_id(body: dict[str, Any]) -> str:
    return sid(body.get("streamSid"), "MZ", "streamSid")


def _media(body: dict[str, Any]) -> Media:
    media = _object(body, "media")
    return Media(
        stream_id=_stream_id(body),
        sequence=_number(body, "sequenceNumber"),
        track=_text(media, "media.track"),
        chunk=_number(media, "media.chunk"),
        at_ms=_number(media, "media.timestamp"),
        audio=_payload(media),
    )


def _started(body: dict[str, Any]) -> Started:
    start = _object(body, "start")
    stream_id = _stream_id(body)
    if start.get("streamSid", stream_id) != stream_id:
        raise RemoteProtocolError("start.streamSid must be the message's streamSid")
    _check_format(_object(start, "start.mediaFormat"))
    return Started(
        stream_id=stream_id,
        call_id=sid(start.get("callSid"), "CA", "start.callSid"),
        account_id=sid(start.get("accountSid"), "AC", "start.accountSid"),
        sequence=_number(body, "sequenceNumber"),
        tracks=_tracks(start.get("tracks")),
        parameters=_parameters(start.get("customParameters")),
    )


def _check_format(media_format: dict[str, Any]) -> None:
    encoding = _text(media_format, "start.mediaFormat.encoding")
    rate = _number(media_format, "start.mediaFormat.sampleRate")
    channels = _number(media_format, "start.mediaFormat.channels")
    if (encoding, rate, channels) != (ENCODING, RATE, CHANNELS):
        raise RemoteProtocolError(
            f"start.mediaFormat must be {ENCODING} {RATE} {CHANNELS}, got {encoding[:40]!r} {rate} {channels}"
        )


def _tracks(tracks: object) -> tuple[str, ...]:
    if (
        not isinstance(tracks, list)
        or len(tracks) > MAX_TRACKS
        or not all(isinstance(track, str) and len(track) <= MAX_TEXT for track in tracks)
    ):
        raise RemoteProtocolError(f"start.tracks must be a list of at most {MAX_TRACKS} texts")
    return tuple(tracks)


def _parameters(parameters: object) -> dict[str, str]:
    if parameters is None:  # the documentation does not say what stands here when our TwiML has none
        return {}
    if not isinstance(parameters, dict) or len(parameters) > MAX_PARAMETERS:
        raise RemoteProtocolError(f"start.customParameters must be an object of at most {MAX_PARAMETERS} texts")
    for name, value in parameters.items():
        if not isinstance(value, str) or len(name) + len(value) > MAX_TEXT:
            raise RemoteProtocolError(f"start.customParameters must be texts of at most {MAX_TEXT} characters")
    return parameters


def _payload(media: dict[str, Any]) -> bytes:
    payload = media.get("payload")
    if not isinstance(payload, str):
        raise RemoteProtocolError("media.payload must be text")
    try:
        audio = a2b_base64(payload, strict_mode=True)
    except ValueError as exc:
        raise RemoteProtocolError(f"media.payload must be base64: {exc}") from exc
    if len(payload) != (len(audio) + 2) // 3 * 4:  # Python 3.11 is not strict about surplus padding
        raise RemoteProtocolError("media.payload must be base64: its padding is wrong")
    return audio


def _body(message: str) -> dict[str, Any]:
    if len(message) > MAX_MESSAGE:
        raise RemoteProtocolError(f"a stream message has at most {MAX_MESSAGE} characters, not {len(message)}")
    try:
        body = orjson.loads(message)
    except orjson.JSONDecodeError as exc:
        # Without its cause, which carries the whole message.
        raise RemoteProtocolError(f"a stream message must be JSON, which fails at character {exc.pos}") from None
    if not isinstance(body, dict):
        raise RemoteProtocolError("a stream message must be a JSON object")
    return body


# The functions below look up the last part of a path such as `start.callSid` in the object that holds it.


def _object(parent: dict[str, Any], path: str) -> dict[str, Any]:
    value = parent.get(path.rpartition(".")[2])
    if not isinstance(value, dict):
        raise RemoteProtocolError(f"{path} must be an object")
    return value


def _text(parent: dict[str, Any], path: str, limit: int = MAX_TEXT) -> str:
    value = parent.get(path.rpartition(".")[2])
    if not isinstance(value, str) or not 0 < len(value) <= limit:
        raise RemoteProtocolError(f"{path} must be text of 1 to {limit} characters")
    return value


def _number(parent: dict[str, Any], path: str) -> int:
    value = parent.get(path.rpartition(".")[2])
    if type(value) is int and 0 <= value < 10**18:  # not isinstance: True is an int
        return value
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return int(value)
    raise RemoteProtocolError(f"{path} must be a whole number of at most 18 digits, from 0")
