"""TwiML as the carrier reads it."""

from __future__ import annotations

import pytest

from lineside.standin.twiml_reader import (
    ConnectStream,
    Dial,
    Document,
    Hangup,
    NotPlayed,
    Pause,
    Play,
    Redirect,
    Reject,
    Say,
    TwimlError,
    read_twiml,
)


def read(inside: str) -> Document:
    return read_twiml(f'<?xml version="1.0" encoding="UTF-8"?><Response>{inside}</Response>'.encode())


def test_a_connect_with_a_stream_and_parameters_is_read() -> None:
    document = read(
        '<Connect action="/after" method="GET"><Stream url="wss://h/m" name="agent-1" track="inbound_track" '
        'statusCallback="https://h/s" statusCallbackMethod="GET">'
        '<Parameter name="tenant" value="a &amp; b &lt;c&gt;"/></Stream></Connect><Hangup/>'
    )
    assert document.verbs == (
        ConnectStream("wss://h/m", "agent-1", {"tenant": "a & b <c>"}, "/after", "GET", "https://h/s", "GET"),
        Hangup(),
    )
    assert document.remarks == ()


@pytest.mark.parametrize(
    ("xml", "verb"),
    [
        ('<Stream url="wss://h/m"/>', None),
        ("<Play>https://h/a.wav</Play>", Play("https://h/a.wav")),
        ('<Play digits="ww1"/>', Play("", "ww1")),
        ("<Say>Good <emphasis>day</emphasis></Say>", Say("Good day")),
        ("<Pause/>", Pause(1.0)),
        ('<Pause length="5"/>', Pause(5.0)),
        ('<Redirect method="GET">/next</Redirect>', Redirect("/next", "GET")),
        ("<Dial>+15555550123</Dial>", Dial(("+15555550123",))),
        ('<Dial action="/d"><Number>1</Number><Client>bob</Client></Dial>', Dial(("1", "bob"), {"action": "/d"})),
        ("<Hangup/>", Hangup()),
        ('<Reject reason="busy"/>', Reject("busy")),
        ("<Gather/>", NotPlayed("Gather")),
    ],
)
def test_verbs(xml: str, verb: object) -> None:
    if verb is None:
        with pytest.raises(TwimlError):
            read(xml)
    else:
        assert read(xml).verbs == (verb,)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "12100"),
        (b"<Response>", "12100"),
        (b"hello", "12100"),
        (b"<response/>", "12100"),
        (b"<Response><connect/></Response>", "12100"),
        (b"<Response><Say>\xff</Say></Response>", "12100"),
        ("<Response/>".encode("utf-16"), "12100"),
        (b'<!DOCTYPE r [<!ENTITY a "b">]><Response><Say>&a;</Say></Response>', "12100"),
        (b"\n<?xml version='1.0'?><Response/>", "12100"),
        (b"<Response><Say>" + b"a" * 65_536 + b"</Say></Response>", "11750"),
        (b'<Response><Pause length="soon"/></Response>', "12100"),
    ],
)
def test_documents_that_the_carrier_refuses(body: bytes, code: str) -> None:
    with pytest.raises(TwimlError) as error:
        read_twiml(body)
    assert error.value.code == code


@pytest.mark.parametrize(
    ("connect", "code"),
    [
        ("<Connect/>", "12100"),
        ('<Connect><Stream url="wss://a/"/><Stream url="wss://b/"/></Connect>', "12100"),
        ('<Connect><ConversationRelay url="wss://a/"/></Connect>', "unsupported_noun"),
        ('<Connect><Stream url="wss://a/" track="both_tracks"/></Connect>', "31941"),
        ('<Connect><Stream url="wss://a/" connectorName="x"/></Connect>', "31940"),
        ("<Connect><Stream/></Connect>", "31923"),
        ('<Connect><Stream url="wss://a/"><Parameter name="a"/></Stream></Connect>', "12100"),
        ('<Connect><Stream url="wss://a/"><Say>no</Say></Stream></Connect>', "12100"),
    ],
)
def test_connects_that_the_carrier_refuses(connect: str, code: str) -> None:
    with pytest.raises(TwimlError) as error:
        read(connect)
    assert error.value.code == code


@pytest.mark.parametrize(("size", "fits"), [(499 - 4, True), (500 - 4, False)])
def test_a_parameter_must_stay_below_500_characters_with_its_name(size: int, fits: bool) -> None:
    xml = f'<Connect><Stream url="wss://a/"><Parameter name="name" value="{"v" * size}"/></Stream></Connect>'
    if fits:
        assert read(xml).verbs
    else:
        with pytest.raises(TwimlError, match="parameter_too_long"):
            read(xml)


def test_attributes_that_nobody_documents_are_remarked() -> None:
    assert read('<Connect><Stream url="wss://a/" bidirectional="true"/></Connect>').remarks == ("Stream bidirectional",)


@pytest.mark.parametrize(
    ("content_type", "fits"),
    [("text/xml", True), ("application/xml; charset=utf-8", True), ("text/html", False), ("", False)],
)
def test_twiml_must_come_as_xml(content_type: str, fits: bool) -> None:
    if fits:
        assert read_twiml(b"<Response/>", content_type) == Document(())
    else:
        with pytest.raises(TwimlError, match="content_type"):
            read_twiml(b"<Response/>", content_type)


def test_a_declared_encoding_does_not_change_how_the_body_is_read() -> None:
    body = '<?xml version="1.0" encoding="ISO-8859-1"?><Response><Say>naïve</Say></Response>'.encode()
    assert read_twiml(body).verbs == (Say("naïve"),)
