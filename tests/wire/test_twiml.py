"""The answers to voice webhooks."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineside.errors import LocalProtocolError
from lineside.wire.twiml import MAX_BODY, connect_stream, hang_up, play_and_hang_up

URL = "wss://voice.example.net/twilio/media/ONE-TIME_TOKEN"
STATUS = "https://voice.example.net/twilio/stream-status"
HEAD = '<?xml version="1.0" encoding="UTF-8"?><Response>'


def parameters_of(document: str) -> dict[str, str]:
    found = ET.fromstring(document).findall("./Connect/Stream/Parameter")
    return {parameter.attrib["name"]: parameter.attrib["value"] for parameter in found}


def test_connect_stream_in_full() -> None:
    assert connect_stream(URL, "/twilio/after", STATUS, {"tenant": "acme", "line": "1"}, name="agent-1") == (
        f'{HEAD}<Connect action="/twilio/after">'
        f'<Stream name="agent-1" statusCallback="{STATUS}" url="{URL}">'
        '<Parameter name="tenant" value="acme" /><Parameter name="line" value="1" />'
        "</Stream></Connect></Response>"
    )


def test_connect_stream_at_its_least() -> None:
    assert connect_stream(URL, "https://voice.example.net/twilio/after", None, {}) == (
        f'{HEAD}<Connect action="https://voice.example.net/twilio/after"><Stream url="{URL}" /></Connect></Response>'
    )


def test_hang_up() -> None:
    assert hang_up() == f"{HEAD}<Hangup /></Response>"


def test_play_and_hang_up() -> None:
    url = "https://voice.example.net/apology.wav?a=1&b=2"
    escaped = url.replace("&", "&amp;")
    assert play_and_hang_up(url) == f"{HEAD}<Play>{escaped}</Play><Hangup /></Response>"
    assert ET.fromstring(play_and_hang_up(url)).findtext("Play") == url


def test_nothing_follows_the_connect() -> None:
    response = ET.fromstring(connect_stream(URL, "/twilio/after", STATUS, {"a": "b"}))
    assert [verb.tag for verb in response] == ["Connect"]
    assert [noun.tag for noun in response[0]] == ["Stream"]
    assert [noun.tag for noun in response[0][0]] == ["Parameter"]


def test_the_stream_has_no_attribute_that_a_two_way_stream_refuses() -> None:
    stream = ET.fromstring(connect_stream(URL, "/twilio/after", STATUS, {}, name="a")).find("./Connect/Stream")
    assert stream is not None
    assert set(stream.attrib) == {"url", "name", "statusCallback"}


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        " a  b ",
        "<&>\"'",
        "]]>",
        "&amp;",
        "</Stream>",
        '"/><Hangup/>',
        "é",
        "\U0001f600",
        "a\tb\nc\rd",
        "\ud7ff",
    ],
    ids=ascii,
)
def test_a_parameter_arrives_as_given(value: str) -> None:
    parameters = {"name": value, f"x{value}": "y"}
    assert parameters_of(connect_stream(URL, "/a", None, parameters)) == parameters


XML_TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff", include_characters="\t\n\r"),
    max_size=20,
)


@given(st.dictionaries(XML_TEXT.filter(bool), XML_TEXT, max_size=5))
def test_any_parameters_arrive_as_given(parameters: dict[str, str]) -> None:
    assert parameters_of(connect_stream(URL, "/a", None, parameters)) == parameters


@given(st.dictionaries(st.text(), st.text(), max_size=3), st.none() | st.text())
def test_any_texts_make_a_document_or_are_ours_to_mend(parameters: dict[str, str], name: str | None) -> None:
    try:
        document = connect_stream(URL, "/a", None, parameters, name=name)
    except LocalProtocolError:
        return
    assert parameters_of(document) == parameters


@pytest.mark.parametrize(("n_name", "n_value"), [(1, 498), (499, 0), (250, 249)])
def test_a_parameter_may_have_499_characters(n_name: int, n_value: int) -> None:
    assert parameters_of(connect_stream(URL, "/a", None, {"n" * n_name: "é" * n_value})) == {
        "n" * n_name: "é" * n_value
    }


@pytest.mark.parametrize(("n_name", "n_value"), [(1, 499), (500, 0), (250, 250), (0, 1), (0, 0), (1, 100_000)])
def test_a_parameter_of_500_characters_or_without_a_name_is_refused(n_name: int, n_value: int) -> None:
    with pytest.raises(LocalProtocolError, match="parameter"):
        connect_stream(URL, "/a", None, {"n" * n_name: "v" * n_value})


NOT_XML = ["\x00", "\x01", "\x08", "\x0b", "\x1f", "\ud800", "\udfff", "\ufffe", "\uffff"]


@pytest.mark.parametrize("junk", NOT_XML, ids=ascii)
def test_a_character_that_xml_does_not_allow_is_refused(junk: str) -> None:
    for parameters in ({"a": f"b{junk}"}, {f"a{junk}": "b"}):
        with pytest.raises(LocalProtocolError, match="XML"):
            connect_stream(URL, "/a", None, parameters)
    with pytest.raises(LocalProtocolError, match="XML"):
        connect_stream(URL, "/a", None, {}, name=f"n{junk}")


def test_a_refused_parameter_does_not_show_its_value() -> None:
    for value in ("+15550100" * 100, "+15550100\x00"):
        with pytest.raises(LocalProtocolError) as refused:
            connect_stream(URL, "/a", None, {"caller": value})
        assert "555" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["wss://h", "wss://h/", "wss://h:8443/a", "wss://127.0.0.1/a%20b", "wss://[::1]/a", "WSS://h"]
)
def test_a_secure_stream_url_is_taken(url: str) -> None:
    stream = ET.fromstring(connect_stream(url, "/a", None, {})).find("./Connect/Stream")
    assert stream is not None
    assert stream.attrib["url"] == url


NO_STREAM_URLS = ["", "h/a", "//h/a", "/a", "https://h/a", "http://h/a", "wss:", "wss://", "wss:///a", "wss:/h/a"]
NO_STREAM_URLS += ["wss://:443/a", "wss://h:port/a", "wss://h:99999/a", "wss://[::1/a", "wss://h/a b", " wss://h/a"]
NO_STREAM_URLS += [
    "wss://h/a\n",
    "wss://h/a\x00",
    "wss://é/a",
    "ws s://h/a",
    "wss://h/a?b=c",
    "wss://h/a?",
    "wss://h/a#b",
]


@pytest.mark.parametrize("url", NO_STREAM_URLS, ids=ascii)
@pytest.mark.parametrize("allow_ws", [False, True])
def test_another_stream_url_is_refused(url: str, allow_ws: bool) -> None:
    with pytest.raises(LocalProtocolError, match="stream's URL"):
        connect_stream(url, "/a", None, {}, allow_ws=allow_ws)


def test_a_refused_stream_url_is_not_quoted() -> None:
    for url in (URL + "?a", URL.replace("wss", "ws"), URL + " "):
        with pytest.raises(LocalProtocolError) as refused:
            connect_stream(url, "/a", None, {})
        assert "ONE-TIME" not in str(refused.value)


def test_a_plain_stream_url_needs_permission() -> None:
    url = "ws://127.0.0.1:8080/twilio/media/x"
    with pytest.raises(LocalProtocolError, match="wss://HOST"):
        connect_stream(url, "/a", None, {})
    assert f'url="{url}"' in connect_stream(url, "/a", None, {}, allow_ws=True)
    assert f'url="{URL}"' in connect_stream(URL, "/a", None, {}, allow_ws=True)


ABSOLUTE = ["https://h/a", "http://127.0.0.1:8080/a", "https://h/a?b=c&d=%20"]
RELATIVE = ["/", "/a", "/a?b=c"]
NO_URLS = ["", "a", "//h/a", "ftp://h/a", "wss://h/a", "javascript:a", "https://", "https:///a", "https://h:x/", "/a b"]
NO_URLS += ["/a\n", "https://h/\x00", "https://h/é", "/é"]


@pytest.mark.parametrize("url", ABSOLUTE + RELATIVE)
def test_an_action_or_recording_may_be_a_url_or_a_path(url: str) -> None:
    connect = ET.fromstring(connect_stream(URL, url, None, {})).find("Connect")
    assert connect is not None
    assert connect.attrib == {"action": url}
    assert ET.fromstring(play_and_hang_up(url)).findtext("Play") == url


@pytest.mark.parametrize("url", NO_URLS, ids=ascii)
def test_an_action_or_recording_is_nothing_else(url: str) -> None:
    with pytest.raises(LocalProtocolError, match="action"):
        connect_stream(URL, url, None, {})
    with pytest.raises(LocalProtocolError, match="Play"):
        play_and_hang_up(url)


@pytest.mark.parametrize("url", ABSOLUTE)
def test_a_status_callback_is_an_absolute_url(url: str) -> None:
    stream = ET.fromstring(connect_stream(URL, "/a", url, {})).find("./Connect/Stream")
    assert stream is not None
    assert stream.attrib["statusCallback"] == url


@pytest.mark.parametrize("url", RELATIVE + NO_URLS, ids=ascii)
def test_a_status_callback_is_nothing_else(url: str) -> None:
    with pytest.raises(LocalProtocolError, match="statusCallback"):
        connect_stream(URL, "/a", url, {})


def test_an_answer_stays_below_what_the_carrier_takes() -> None:
    parameters = {f"name-{i}": "é" * 400 for i in range(70)}
    assert len(connect_stream(URL, "/a", None, parameters).encode()) < MAX_BODY
    parameters |= {f"more-{i}": "é" * 400 for i in range(70)}
    with pytest.raises(LocalProtocolError, match="64000"):
        connect_stream(URL, "/a", None, parameters)
    with pytest.raises(LocalProtocolError, match="64000"):
        play_and_hang_up("/" + "a" * MAX_BODY)
