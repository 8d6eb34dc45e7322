"""TwiML: the answers to the carrier's voice webhooks, as `text/xml`.

Only what a call here needs. Nothing follows a `<Connect>`: its `action` decides what the caller gets next, while a verb
left behind would run by itself when the stream ends (a `<Pause>` there is a silent line).

Sources: https://www.twilio.com/docs/voice/twiml/stream, https://www.twilio.com/docs/voice/twiml/connect
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from twilio.twiml.voice_response import VoiceResponse

from lineside.errors import LocalProtocolError

MAX_BODY = 64_000  # bytes; 64 kB is the carrier's limit (error 11750)
MAX_PARAMETER = 499  # characters of a name and its value together: they must stay under 500

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, section 2.2


def connect_stream(
    url: str,
    action: str,
    status_callback: str | None,
    parameters: Mapping[str, str],
    *,
    name: str | None = None,
    allow_ws: bool = False,
) -> str:
    """Connect the call to a two-way media stream, then do what `action` answers.

    Args:
        url: `wss://` URL of the stream. The carrier drops query strings, so it must have none.
        action: asked what to do when the stream has ended; absolute http(s) URL, or a path on the host that answers.
        status_callback: told when the stream starts, stops and fails; absolute http(s) URL, None for nobody.
        parameters: come back in the stream's start message. Together below 500 characters each.
        name: of the stream, unique within the call; the carrier takes the StreamSid by default.
        allow_ws: take `ws://` too, which only a local phone accepts.

    Raises:
        LocalProtocolError: one of these does not hold, a text cannot stand in XML, or the answer is too large.
    """
    _check_stream_url(url, allow_ws)
    _check_url("action", action, relative=True)
    if status_callback is not None:
        _check_url("statusCallback", status_callback, relative=False)
    if name is not None:
        _check_text("a stream's name", name)
    response = VoiceResponse()
    stream = response.connect(action=action).stream(url=url, name=name, status_callback=status_callback)
    for key, value in parameters.items():
        if not key or len(key) + len(value) > MAX_PARAMETER:
            raise LocalProtocolError(
                f"a parameter needs a name, and at most {MAX_PARAMETER} characters with its value,"
                f" not {len(key) + len(value)}: {key[:40]!r}"
            )
        _check_text("a parameter", key + value)
        stream.parameter(name=key, value=value)
    return _body(response)


def hang_up() -> str:
    """End the call."""
    response = VoiceResponse()
    response.hangup()
    return _body(response)


def play_and_hang_up(url: str) -> str:
    """Play a recording, then end the call.

    Args:
        url: of an audio file that the carrier can fetch; absolute http(s) URL, or a path on the host that answers.

    Raises:
        LocalProtocolError: it is neither, or too long.
    """
    _check_url("Play", url, relative=True)
    response = VoiceResponse()
    response.play(url)
    response.hangup()
    return _body(response)


def _body(response: VoiceResponse) -> str:
    body = str(response)
    size = len(body.encode())
    if size >= MAX_BODY:
        raise LocalProtocolError(f"a TwiML answer must be smaller than {MAX_BODY} bytes, not {size}")
    return body


def _check_stream_url(url: str, allow_ws: bool) -> None:
    """Never quotes the URL: its path holds a token."""
    schemes = ("wss", "ws") if allow_ws else ("wss",)
    if _host_of(url, schemes) is None:
        raise LocalProtocolError(f"a stream's URL must be {' or '.join(f'{scheme}://' for scheme in schemes)}HOST/...")
    if "?" in url or "#" in url:
        raise LocalProtocolError("a stream's URL must have no query string: the carrier drops it")


def _check_url(what: str, url: str, *, relative: bool) -> None:
    on_this_host = relative and re.fullmatch(r"/(?!/)[\x21-\x7e]*", url)
    if not on_this_host and _host_of(url, ("https", "http")) is None:
        raise LocalProtocolError(f"{what} must be an http(s) URL{' or a path beginning with /' if relative else ''}")


def _host_of(url: str, schemes: tuple[str, ...]) -> str | None:
    if not re.fullmatch(r"[\x21-\x7e]+", url):  # urlsplit would drop line breaks silently
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for a port that is no number
    except ValueError:
        return None
    return parts.hostname if parts.scheme in schemes else None


def _check_text(what: str, text: str) -> None:
    if _NOT_XML.search(text):
        raise LocalProtocolError(f"{what} holds a character that XML does not allow")
