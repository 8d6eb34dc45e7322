"""The carrier's side of the stream messages: what it says, and how strictly it reads. No I/O.

Source: https://www.twilio.com/docs/voice/media-streams/websocket-messages,
https://www.twilio.com/docs/api/errors/31950, https://www.twilio.com/docs/api/errors/31951
"""

from __future__ import annotations

import json
import random
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KEYS = {
    "media": {"event", "streamSid", "media"},
    "mark": {"event", "streamSid", "mark"},
    "clear": {"event", "streamSid"},
}


@dataclass(frozen=True, slots=True)
class Media:
    """Audio to play: mu-law, 8 kHz, any length but none."""

    audio: bytes


@dataclass(frozen=True, slots=True)
class Mark:
    name: str


@dataclass(frozen=True, slots=True)
class Clear:
    pass


@dataclass(frozen=True, slots=True)
class Complaint:
    """The message is ignored, and the server is warned."""

    code: str
    why: str


def read(message: str | bytes, stream_sid: str) -> Media | Mark | Clear | Complaint:
    """Read one message of the server. Keys must be exactly those of the documents: 31951 names extra fields too."""
    if isinstance(message, bytes):
        return Complaint("31950", "a binary frame")
    try:
        body = json.loads(message)
    except (ValueError, RecursionError):
        return Complaint("31951", f"not JSON: {message[:60]!r}")
    if not isinstance(body, dict):
        return Complaint("31951", "not a JSON object")
    event = body.get("event")
    if not isinstance(event, str) or event not in KEYS:
        return Complaint("31951", f"unknown event {str(event)[:40]!r}")
    if fault := _keys_fault(event, body, KEYS[event]):
        return fault
    if body["streamSid"] != stream_sid:
        return Complaint("31951", f"{event} for another stream")
    match event:
        case "media":
            return _media(body["media"])
        case "mark":
            return _mark(body["mark"])
    return Clear()


def _keys_fault(what: str, body: Any, keys: set[str]) -> Complaint | None:
    if not isinstance(body, dict):
        return Complaint("31951", f"{what} is not an object")
    if missing := keys - body.keys():
        return Complaint("31951", f"{what} lacks {sorted(missing)}")
    if extra := body.keys() - keys:
        return Complaint("31951", f"{what} has extra fields {sorted(extra)}")
    return None


def _media(media: Any) -> Media | Complaint:
    if fault := _keys_fault("media.media", media, {"payload"}):
        return fault
    try:
        audio = b64decode(media["payload"], validate=True)
    except (TypeError, ValueError):
        return Complaint("31951", "the payload is not base64")
    return Media(audio) if audio else Complaint("31951", "the payload is empty")


def _mark(mark: Any) -> Mark | Complaint:
    if fault := _keys_fault("mark.mark", mark, {"name"}):
        return fault
    name = mark["name"]
    return Mark(name) if isinstance(name, str) else Complaint("31951", "the mark's name is not a string")


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes one stream's messages. Numbers are strings where the carrier's are."""

    account_sid: str
    call_sid: str
    stream_sid: str
    shuffle: random.Random | None = None
    """Vary the order of keys by this; None: the order of the documents."""

    def connected(self) -> str:
        return self._write({"event": "connected", "protocol": "Call", "version": "1.0.0"})

    def start(self, sequence: int, parameters: Mapping[str, str] | None) -> str:
        start: dict[str, Any] = {
            "accountSid": self.account_sid,
            "streamSid": self.stream_sid,
            "callSid": self.call_sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        }
        if parameters is not None:
            start["customParameters"] = dict(parameters)
        return self._event("start", sequence, {"start": start})

    def media(self, sequence: int, chunk: int, timestamp_ms: int, audio: bytes) -> str:
        payload = b64encode(audio).decode()
        media = {"track": "inbound", "chunk": str(chunk), "timestamp": str(timestamp_ms), "payload": payload}
        return self._event("media", sequence, {"media": media})

    def dtmf(self, sequence: int, digit: str) -> str:
        return self._event("dtmf", sequence, {"dtmf": {"track": "inbound_track", "digit": digit}})

    def mark(self, sequence: int, name: str) -> str:
        return self._event("mark", sequence, {"mark": {"name": name}})

    def stop(self, sequence: int) -> str:
        return self._event("stop", sequence, {"stop": {"accountSid": self.account_sid, "callSid": self.call_sid}})

    def _event(self, event: str, sequence: int, rest: dict[str, Any]) -> str:
        return self._write({"event": event, "sequenceNumber": str(sequence), "streamSid": self.stream_sid, **rest})

    def _write(self, message: dict[str, Any]) -> str:
        if self.shuffle is not None:
            message = _shuffled(message, self.shuffle)
        return json.dumps(message, separators=(",", ":"))


def _shuffled(message: dict[str, Any], by: random.Random) -> dict[str, Any]:
    keys = list(message)
    by.shuffle(keys)
    return {key: _shuffled(message[key], by) if isinstance(message[key], dict) else message[key] for key in keys}
