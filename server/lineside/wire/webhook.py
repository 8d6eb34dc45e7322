"""The forms that the carrier posts: a call arrives, a call's status changes, a stream's does. Pure, bounded.

Check the signature first, over all fields as received. Errors name the field, never what it holds.

Sources: https://www.twilio.com/docs/voice/twiml#request-parameters,
https://www.twilio.com/docs/voice/api/call-resource#statuscallback, https://www.twilio.com/docs/voice/twiml/stream
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lineside.errors import RemoteProtocolError
from lineside.wire.twilio import sid

MAX_FIELDS = 200
MAX_NAME = 128  # characters
MAX_VALUE = 8192  # characters

TERMINAL = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})

_WORD = re.compile(r"[a-z][a-z-]{0,31}")  # call statuses, directions, stream events; new ones may appear
_NUMBER = re.compile(r"[0-9]{1,9}")
_VOICE_FIELDS = frozenset({"CallSid", "AccountSid", "From", "To", "CallStatus", "Direction"})

Params = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class VoiceRequest:
    """A call asks what to do: it arrived, was answered, or its last verb ended."""

    call_id: str
    account_id: str
    caller: str
    """E.164 number, `client:name` or SIP URI; odd or empty for anonymous callers."""
    called: str
    status: str
    direction: str
    """`inbound`, `outbound-api`, `outbound-dial`."""
    parameters: Mapping[str, str]
    """Every other field, under the carrier's name. Of a repeated one the last value."""


@dataclass(frozen=True, slots=True)
class StatusUpdate:
    """A call's status changed."""

    call_id: str
    account_id: str
    status: str
    """`queued`, `initiated`, `ringing`, `in-progress`, one of TERMINAL, or what the carrier adds."""
    sequence: int | None
    """Counts from 0 for each call. Updates arrive out of order: a lower one is old news."""
    terminal: bool
    """The call is over, whatever arrives later."""


@dataclass(frozen=True, slots=True)
class StreamUpdate:
    """A media stream's status changed."""

    call_id: str
    account_id: str
    stream_id: str
    """Empty when the stream could not be opened."""
    event: str
    """`stream-started`, `stream-stopped`, `stream-error`, or what the carrier adds."""
    error: str
    """The carrier's words; empty but for `stream-error`."""


def parse_voice(params: Params) -> VoiceRequest:
    """Read the voice webhook's form.

    Args:
        params: every field, in order, repeated ones too.

    Raises:
        RemoteProtocolError: too many or too long fields, a field that we need is missing, given twice or out of shape.
    """
    form = _form(params)
    return VoiceRequest(
        call_id=sid(form.get("CallSid"), "CA", "CallSid"),
        account_id=sid(form.get("AccountSid"), "AC", "AccountSid"),
        caller=form.get("From", ""),
        called=form.get("To", ""),
        status=_word(form, "CallStatus"),
        direction=_word(form, "Direction"),
        parameters={name: value for name, value in form.items() if name not in _VOICE_FIELDS},
    )


def parse_status(params: Params) -> StatusUpdate:
    """Read the call status callback's form. Arguments and errors are those of `parse_voice`."""
    form = _form(params)
    status = _word(form, "CallStatus")
    return StatusUpdate(
        call_id=sid(form.get("CallSid"), "CA", "CallSid"),
        account_id=sid(form.get("AccountSid"), "AC", "AccountSid"),
        status=status,
        sequence=_number(form, "SequenceNumber"),
        terminal=status in TERMINAL,
    )


def parse_stream_status(params: Params) -> StreamUpdate:
    """Read the stream status callback's form. Arguments and errors are those of `parse_voice`."""
    form = _form(params)
    return StreamUpdate(
        call_id=sid(form.get("CallSid"), "CA", "CallSid"),
        account_id=sid(form.get("AccountSid"), "AC", "AccountSid"),
        stream_id=sid(form["StreamSid"], "MZ", "StreamSid") if form.get("StreamSid") else "",
        event=_word(form, "StreamEvent"),
        error=form.get("StreamError", ""),
    )


_SINGLE = _VOICE_FIELDS | {"SequenceNumber", "StreamSid", "StreamEvent", "StreamError"}


def _form(params: Params) -> dict[str, str]:
    if len(params) > MAX_FIELDS:
        raise RemoteProtocolError(f"a form has at most {MAX_FIELDS} fields, not {len(params)}")
    form: dict[str, str] = {}
    for name, value in params:
        if len(name) > MAX_NAME:
            raise RemoteProtocolError(f"a field's name has at most {MAX_NAME} characters, not {len(name)}")
        if len(value) > MAX_VALUE:
            raise RemoteProtocolError(f"{name!r} has at most {MAX_VALUE} characters, not {len(value)}")
        if name in _SINGLE and name in form:  # which of the two would the rest of us believe?
            raise RemoteProtocolError(f"{name} must be given once")
        form[name] = value
    return form


def _word(form: Mapping[str, str], name: str) -> str:
    value = form.get(name, "")
    if not _WORD.fullmatch(value):
        raise RemoteProtocolError(f"{name} must be a word of at most 32 lower-case letters and dashes")
    return value


def _number(form: Mapping[str, str], name: str) -> int | None:
    value = form.get(name)
    if value is None:
        return None
    if not _NUMBER.fullmatch(value):
        raise RemoteProtocolError(f"{name} must be a whole number of at most 9 digits, from 0")
    return int(value)
