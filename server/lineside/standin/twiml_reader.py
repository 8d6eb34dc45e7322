"""TwiML in, verbs out: what the carrier does with the answer to a webhook. No I/O.

Refused: more than 64 kB, anything that is not UTF-8 XML, a document type (entities have no place in TwiML), unknown
verbs, and a `<Connect>` that the carrier would not open.

Source: https://www.twilio.com/docs/voice/twiml, https://www.twilio.com/docs/voice/twiml/stream,
https://www.twilio.com/docs/voice/twiml/connect, https://www.twilio.com/docs/api/errors/11750
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree  # entities need a document type, which is refused before parsing
from xml.etree.ElementTree import Element

from lineside.errors import RemoteProtocolError

LIMIT_BYTES = 64 * 1024
PARAMETER_LIMIT = 500  # characters of a <Parameter>'s name and value together must stay below
CONTENT_TYPES = ("text/xml", "application/xml")
STREAM_ATTRIBUTES = {"url", "name", "track", "statusCallback", "statusCallbackMethod", "connectorName"}
CONNECT_ATTRIBUTES = {"action", "method"}
NOT_PLAYED = {"Start", "Stop", "Gather", "Record", "Enqueue", "Leave", "Queue", "Refer", "Pay", "Prompt", "Message"}


class TwimlError(RemoteProtocolError):
    """The carrier would not run this document. `code` is its error code, or a word where none is documented."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(f"{code}: {why}")
        self.code = code


@dataclass(frozen=True, slots=True)
class ConnectStream:
    """`<Connect><Stream>`: hand the call's audio to a WebSocket until it closes."""

    url: str
    name: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    action: str | None = None
    """Where to ask for the next document when the stream ended; None: the next verb."""
    method: str = "POST"
    status_callback: str | None = None
    status_callback_method: str = "POST"


@dataclass(frozen=True, slots=True)
class Play:
    url: str
    digits: str = ""


@dataclass(frozen=True, slots=True)
class Say:
    text: str


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Redirect:
    url: str
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Dial:
    """Connect the caller to somebody else."""

    targets: tuple[str, ...]
    """Numbers, `client:` names, SIP URIs or conference names."""
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def action(self) -> str | None:
        return self.attributes.get("action")

    @property
    def method(self) -> str:
        return self.attributes.get("method", "POST")


@dataclass(frozen=True, slots=True)
class Hangup:
    pass


@dataclass(frozen=True, slots=True)
class Reject:
    reason: str = "rejected"


@dataclass(frozen=True, slots=True)
class NotPlayed:
    """A verb that the carrier knows and the stand-in passes over."""

    tag: str


Verb = ConnectStream | Play | Say | Pause | Redirect | Dial | Hangup | Reject | NotPlayed


@dataclass(frozen=True, slots=True)
class Document:
    verbs: tuple[Verb, ...]
    remarks: tuple[str, ...] = ()
    """Attributes that the carrier does not document."""


def read_twiml(body: bytes, content_type: str = "text/xml") -> Document:
    """Read one document.

    Raises:
        TwimlError: the carrier would not run it.
    """
    if content_type.partition(";")[0].strip().lower() not in CONTENT_TYPES:
        raise TwimlError("content_type", f"expected one of {CONTENT_TYPES}, got {content_type!r}")
    root = _parse(body)
    if root.tag != "Response":
        raise TwimlError("12100", f"the root is <{root.tag}>, not <Response>")
    remarks: list[str] = []
    return Document(tuple(_verb(element, remarks) for element in root), tuple(remarks))


def _parse(body: bytes) -> Element:
    if len(body) > LIMIT_BYTES:
        raise TwimlError("11750", f"{len(body)} bytes of TwiML, at most {LIMIT_BYTES} are read")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise TwimlError("12100", "not UTF-8") from exc
    if "<!DOCTYPE" in text:
        raise TwimlError("12100", "a document type is not allowed")
    try:
        return ElementTree.fromstring(text)  # noqa: S314 - bounded, and without a document type
    except ElementTree.ParseError as exc:
        raise TwimlError("12100", f"not XML: {exc}") from exc


def _verb(element: Element, remarks: list[str]) -> Verb:
    text = "".join(element.itertext()).strip()
    match element.tag:
        case "Connect":
            return _connect(element, remarks)
        case "Play":
            return Play(text, element.get("digits", ""))
        case "Say":
            return Say(text)
        case "Pause":
            return Pause(_seconds(element.get("length", "1")))
        case "Redirect":
            return Redirect(text, element.get("method", "POST"))
        case "Dial":
            children = tuple("".join(child.itertext()).strip() for child in element)
            return Dial(children or (text,), dict(element.attrib))
        case "Hangup":
            return Hangup()
        case "Reject":
            return Reject(element.get("reason", "rejected"))
        case tag if tag in NOT_PLAYED:
            return NotPlayed(tag)
    raise TwimlError("12100", f"<{element.tag}> is not a verb")


def _seconds(length: str) -> float:
    if not length.isdecimal():
        raise TwimlError("12100", f"a pause of {length!r} seconds")
    return float(length)


def _connect(connect: Element, remarks: list[str]) -> ConnectStream:
    if len(connect) != 1:
        raise TwimlError("12100", f"<Connect> takes one child, this has {len(connect)}")
    stream = connect[0]
    if stream.tag != "Stream":
        raise TwimlError("unsupported_noun", f"<Connect><{stream.tag}> is not played here, only <Stream>")
    for element, known in ((connect, CONNECT_ATTRIBUTES), (stream, STREAM_ATTRIBUTES)):
        remarks += [f"{element.tag} {name}" for name in element.attrib if name not in known]
    if (track := stream.get("track", "inbound_track")) != "inbound_track":
        raise TwimlError("31941", f"track {track!r} with <Connect>")
    if stream.get("connectorName") is not None:
        raise TwimlError("31940", "no connector of that name is installed")
    if not (url := stream.get("url", "").strip()):
        raise TwimlError("31923", "<Stream> without a url")
    return ConnectStream(
        url=url,
        name=stream.get("name"),
        parameters=_parameters(stream),
        action=connect.get("action"),
        method=connect.get("method", "POST"),
        status_callback=stream.get("statusCallback"),
        status_callback_method=stream.get("statusCallbackMethod", "POST"),
    )


def _parameters(stream: Element) -> dict[str, str]:
    parameters = {}
    for child in stream:
        name, value = child.get("name"), child.get("value")
        if child.tag != "Parameter" or name is None or value is None:
            raise TwimlError("12100", "<Stream> takes <Parameter name= value=> and nothing else")
        if len(name) + len(value) >= PARAMETER_LIMIT:
            raise TwimlError(
                "parameter_too_long", f"parameter {name[:40]!r}: name and value must be below 500 characters"
            )
        parameters[name] = value
    return parameters
