"""Media Streams messages: text in, events out, and back."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineside.errors import LocalProtocolError, RemoteProtocolError
from lineside.wire import twilio
from lineside.wire.twilio import (
    Connected,
    Marked,
    Media,
    Outgoing,
    Pressed,
    Started,
    Stopped,
    is_media,
    media_audio,
    parse,
)

STREAM = "MZ00000000000000000000000000000001"
CALL = "CA00000000000000000000000000000001"
ACCOUNT = "AC00000000000000000000000000000001"

CONNECTED = '{"event":"connected","protocol":"Call","version":"1.0.0"}'
START = (
    f'{{"event":"start","sequenceNumber":"1","streamSid":"{STREAM}",'
    f'"start":{{"accountSid":"{ACCOUNT}","streamSid":"{STREAM}",'
    f'"callSid":"{CALL}","tracks":["inbound"],'
    '"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1},"customParameters":{"tenant":"acme"}}}'
)
MEDIA = (
    f'{{"event":"media","sequenceNumber":"2","streamSid":"{STREAM}",'
    '"media":{"track":"inbound","chunk":"1","timestamp":"73","payload":"fn5+fn5+"}}'
)
DTMF = (
    f'{{"event":"dtmf","sequenceNumber":"311","streamSid":"{STREAM}","dtmf":{{"track":"inbound_track","digit":"5"}}}}'
)
MARK = f'{{"event":"mark","sequenceNumber":"402","streamSid":"{STREAM}","mark":{{"name":"utt-7"}}}}'
STOP = (
    f'{{"event":"stop","sequenceNumber":"977","streamSid":"{STREAM}",'
    f'"stop":{{"accountSid":"{ACCOUNT}","callSid":"{CALL}"}}}}'
)
KNOWN = {"connected": CONNECTED, "start": START, "media": MEDIA, "dtmf": DTMF, "mark": MARK, "stop": STOP}

GONE = object()


def changed(message: str, path: str, value: object) -> str:
    """The message with one field replaced, or taken away when `value` is GONE."""
    body = json.loads(message)
    *parents, last = path.split(".")
    at = body
    for parent in parents:
        at = at[parent]
    if value is GONE:
        del at[last]
    else:
        at[last] = value
    return json.dumps(body)


def reordered(value: Any) -> Any:
    """The same value with the keys of all its objects backwards."""
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    return value


# -- what the carrier says ---------------------------------------------------------------------------------------------


def test_connected_names_protocol_and_version() -> None:
    assert parse(CONNECTED) == Connected("Call", "1.0.0")


def test_start_names_stream_call_account_and_parameters() -> None:
    assert parse(START) == Started(STREAM, CALL, ACCOUNT, 1, ("inbound",), {"tenant": "acme"})


def test_media_is_decoded_audio_with_its_place_in_the_stream() -> None:
    assert parse(MEDIA) == Media(STREAM, 2, "inbound", 1, 73, b"\x7e" * 6)


def test_dtmf_is_a_pressed_key() -> None:
    assert parse(DTMF) == Pressed(STREAM, 311, "5")


def test_mark_comes_back_under_its_name() -> None:
    assert parse(MARK) == Marked(STREAM, 402, "utt-7")


def test_stop_names_the_call() -> None:
    assert parse(STOP) == Stopped(STREAM, CALL, ACCOUNT, 977)


def test_the_figures_of_a_live_capture_are_read() -> None:
    message = changed(changed(MEDIA, "sequenceNumber", "926"), "media.chunk", "925")
    media = parse(changed(message, "media.timestamp", "18553"))
    assert isinstance(media, Media)
    assert (media.sequence, media.chunk, media.at_ms) == (926, 925, 18553)


def test_a_frame_of_20_ms_is_160_bytes() -> None:
    frame = bytes(range(160))
    message = changed(MEDIA, "media.payload", base64.b64encode(frame).decode())
    media = parse(message)
    assert isinstance(media, Media)
    assert media.audio == frame


@pytest.mark.parametrize("message", KNOWN.values(), ids=KNOWN)
def test_the_order_of_keys_does_not_matter(message: str) -> None:
    assert parse(json.dumps(reordered(json.loads(message)))) == parse(message)


@pytest.mark.parametrize("message", KNOWN.values(), ids=KNOWN)
def test_white_space_does_not_matter(message: str) -> None:
    assert parse(json.dumps(json.loads(message), indent=4) + "\r\n ") == parse(message)


@pytest.mark.parametrize("message", KNOWN.values(), ids=KNOWN)
def test_fields_that_the_carrier_adds_are_ignored(message: str) -> None:
    body = json.loads(message)
    body["added"] = {"event": "stop", "deep": [[[None]]]}
    if isinstance(inner := body.get(body["event"]), dict):
        inner["added"] = 7
    assert parse(json.dumps(body)) == parse(message)


@pytest.mark.parametrize("name", ["refer", "Media", "MEDIA", " media", "media ", "stopped", "clear", "x" * 1000, "é"])
def test_an_unknown_event_is_none(name: str) -> None:
    assert parse(json.dumps({"event": name, "streamSid": 7})) is None


NUMBERS = ["start.sequenceNumber", "media.sequenceNumber", "media.media.chunk", "media.media.timestamp"]
NUMBERS += ["dtmf.sequenceNumber", "mark.sequenceNumber", "stop.sequenceNumber"]


@pytest.mark.parametrize("where", NUMBERS)
@pytest.mark.parametrize("written", [0, 1, 926, 10**18 - 1])
def test_a_number_may_be_written_as_number_or_text(where: str, written: int) -> None:
    event, _, path = where.partition(".")
    assert parse(changed(KNOWN[event], path, written)) == parse(changed(KNOWN[event], path, str(written)))


NO_NUMBERS: list[object] = [None, True, False, 1.0, -1, 10**18, 10**30, [], ["1"], {}, {"a": 1}]
NO_NUMBERS += ["", "-1", "+1", " 1", "1 ", "1_0", "1.0", "0x1", "1e3", "१", "²", "1\n", "9" * 19, "9" * 5000]


@pytest.mark.parametrize("where", NUMBERS)
@pytest.mark.parametrize("junk", NO_NUMBERS, ids=repr)
def test_a_number_that_is_none_is_refused_by_name(where: str, junk: object) -> None:
    event, _, path = where.partition(".")
    with pytest.raises(RemoteProtocolError, match=path.rpartition(".")[2]):
        parse(changed(KNOWN[event], path, junk))


@pytest.mark.parametrize("rate", [8000, "8000"])
@pytest.mark.parametrize("channels", [1, "1"])
def test_the_media_format_may_be_written_in_texts(rate: object, channels: object) -> None:
    message = changed(changed(START, "start.mediaFormat.sampleRate", rate), "start.mediaFormat.channels", channels)
    assert isinstance(parse(message), Started)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("encoding", "audio/x-l16", "'audio/x-l16' 8000 1"),
        ("encoding", "audio/x-mulaw ", "'audio/x-mulaw ' 8000 1"),
        ("encoding", "AUDIO/X-MULAW", "'AUDIO/X-MULAW' 8000 1"),
        ("sampleRate", 16000, "'audio/x-mulaw' 16000 1"),
        ("sampleRate", "48000", "'audio/x-mulaw' 48000 1"),
        ("sampleRate", 0, "'audio/x-mulaw' 0 1"),
        ("channels", 2, "'audio/x-mulaw' 8000 2"),
        ("channels", "0", "'audio/x-mulaw' 8000 0"),
    ],
)
def test_another_media_format_is_refused_and_named(field: str, value: object, said: str) -> None:
    with pytest.raises(RemoteProtocolError) as refused:
        parse(changed(START, f"start.mediaFormat.{field}", value))
    assert str(refused.value) == f"start.mediaFormat must be audio/x-mulaw 8000 1, got {said}"


@pytest.mark.parametrize("field", ["encoding", "sampleRate", "channels"])
@pytest.mark.parametrize("junk", [GONE, None, [], {}, "", 1.5])
def test_a_broken_media_format_is_refused_by_name(field: str, junk: object) -> None:
    with pytest.raises(RemoteProtocolError, match=rf"start\.mediaFormat\.{field}"):
        parse(changed(START, f"start.mediaFormat.{field}", junk))


@pytest.mark.parametrize("value", [GONE, None, {}], ids=["absent", "null", "empty"])
def test_no_custom_parameters_are_an_empty_mapping(value: object) -> None:
    started = parse(changed(START, "start.customParameters", value))
    assert isinstance(started, Started)
    assert started.parameters == {}


@pytest.mark.parametrize(
    "parameters",
    [
        {"event": "media"},
        {'"event': "media"},
        {"a": '"event":"media"'},
        {"": ""},
        {"é": "\U0001f600 <&>\x00\n"},
        {"n" * 250: "v" * 249},
        {f"n{i}": "v" for i in range(256)},
    ],
    ids=["event", "quote", "text", "empty", "unicode", "499", "many"],
)
def test_custom_parameters_arrive_as_they_are(parameters: dict[str, str]) -> None:
    started = parse(changed(START, "start.customParameters", parameters))
    assert isinstance(started, Started)
    assert started.parameters == parameters


NO_PARAMETERS: list[object] = [[], "", "a", 0, True, ["a"], {"a": 1}, {"a": None}, {"a": True}, {"a": ["b"]}]
NO_PARAMETERS += [{"a": {"b": "c"}}, {"a": "v" * 1024}, {"n" * 1024: "v"}, {f"n{i}": "v" for i in range(257)}]


@pytest.mark.parametrize("junk", NO_PARAMETERS, ids=lambda junk: repr(junk)[:30])
def test_custom_parameters_of_another_shape_are_refused(junk: object) -> None:
    with pytest.raises(RemoteProtocolError, match="customParameters"):
        parse(changed(START, "start.customParameters", junk))


def test_a_refused_start_does_not_quote_what_callers_said() -> None:
    message = changed(START, "start.customParameters", {"caller": "+15550100", "pin": 4711})
    with pytest.raises(RemoteProtocolError) as refused:
        parse(message)
    assert "555" not in str(refused.value)
    assert "4711" not in str(refused.value)


@pytest.mark.parametrize("tracks", [["inbound"], ["inbound", "outbound"], [], ["new"]])
def test_tracks_arrive_as_they_are(tracks: list[str]) -> None:
    started = parse(changed(START, "start.tracks", tracks))
    assert isinstance(started, Started)
    assert started.tracks == tuple(tracks)


@pytest.mark.parametrize("junk", [GONE, None, "inbound", {}, {"inbound": 1}, [1], [None], ["a"] * 9, ["a" * 1025]])
def test_tracks_of_another_shape_are_refused(junk: object) -> None:
    with pytest.raises(RemoteProtocolError, match="tracks"):
        parse(changed(START, "start.tracks", junk))


# -- identifiers -------------------------------------------------------------------------------------------------------

IDENTIFIERS = [
    (START, "streamSid", "MZ"),
    (START, "start.callSid", "CA"),
    (START, "start.accountSid", "AC"),
    (MEDIA, "streamSid", "MZ"),
    (DTMF, "streamSid", "MZ"),
    (MARK, "streamSid", "MZ"),
    (STOP, "streamSid", "MZ"),
    (STOP, "stop.callSid", "CA"),
    (STOP, "stop.accountSid", "AC"),
]
DIGITS_32 = "0123456789abcdefABCDEF0123456789"


@pytest.mark.parametrize(("message", "path", "prefix"), IDENTIFIERS)
def test_an_identifier_is_its_prefix_and_32_hexadecimal_digits(message: str, path: str, prefix: str) -> None:
    body = json.loads(changed(message, path, prefix + DIGITS_32))
    if path == "streamSid" and "start" in body:
        body["start"]["streamSid"] = prefix + DIGITS_32
    assert prefix + DIGITS_32 in repr(parse(json.dumps(body)))


@pytest.mark.parametrize(("message", "path", "prefix"), IDENTIFIERS)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda prefix: GONE,
        lambda prefix: None,
        lambda prefix: 7,
        lambda prefix: [prefix + DIGITS_32],
        lambda prefix: "",
        lambda prefix: prefix,
        lambda prefix: prefix + DIGITS_32[1:],
        lambda prefix: prefix + DIGITS_32 + "0",
        lambda prefix: prefix + DIGITS_32 + "\n",
        lambda prefix: prefix.lower() + DIGITS_32,
        lambda prefix: "RE" + DIGITS_32,
        lambda prefix: ("AC" if prefix != "AC" else "CA") + DIGITS_32,
        lambda prefix: prefix + "g" + DIGITS_32[1:],
        lambda prefix: prefix + "٠" * 32,
        lambda prefix: " " + prefix + DIGITS_32,
        lambda prefix: prefix + '"' + DIGITS_32[1:],
        lambda prefix: prefix + "0" * 60_000,
    ],
)
def test_anything_else_is_refused_by_name(message: str, path: str, prefix: str, spoil: Callable[[str], object]) -> None:
    with pytest.raises(RemoteProtocolError, match=path.rpartition(".")[2]):
        parse(changed(message, path, spoil(prefix)))


@pytest.mark.parametrize("other", ["MZ" + "0" * 31 + "2", None, 7, ""])
def test_a_start_that_names_two_streams_is_refused(other: object) -> None:
    with pytest.raises(RemoteProtocolError, match=r"start\.streamSid"):
        parse(changed(START, "start.streamSid", other))


def test_the_inner_stream_id_of_a_start_may_be_absent() -> None:
    assert parse(changed(START, "start.streamSid", GONE)) == parse(START)


# -- audio, keys, names ------------------------------------------------------------------------------------------------

BAD_PAYLOADS = [
    "A",
    "AA",
    "AAA",
    "AA=",
    "A===",
    "====",
    "AA=A",
    "AAAA=",
    "AAAA====",
    "AA==AA==",
    "AAAA\n",
    " AAAA",
    "AA AA",
]
BAD_PAYLOADS += ["AA-_", "éAAA", "AAAA\x00", "\x00\x01\x02\x03", "AA\\/A", "{}", "fn5+fn5+fn5"]


@pytest.mark.parametrize("read", [parse, media_audio])
@pytest.mark.parametrize("payload", BAD_PAYLOADS, ids=repr)
def test_a_payload_that_is_not_base64_is_refused(read: Callable[[str], object], payload: str) -> None:
    with pytest.raises(RemoteProtocolError, match=r"media\.payload"):
        read(changed(MEDIA, "media.payload", payload))


@pytest.mark.parametrize("read", [parse, media_audio])
@pytest.mark.parametrize("payload", [GONE, None, 7, True, [], ["fn5+"], {"a": "fn5+"}])
def test_a_payload_that_is_not_text_is_refused(read: Callable[[str], object], payload: object) -> None:
    with pytest.raises(RemoteProtocolError, match=r"media\.payload"):
        read(changed(MEDIA, "media.payload", payload))


@pytest.mark.parametrize(
    ("payload", "audio"),
    [("", b""), ("AA==", b"\x00"), ("//8=", b"\xff\xff"), ("fn5+", b"~~~"), (r"\/\/8=", b"\xff\xff")],
)
def test_a_payload_is_decoded_alike_on_both_ways(payload: str, audio: bytes) -> None:
    message = MEDIA.replace("fn5+fn5+", payload)
    media = parse(message)
    assert isinstance(media, Media)
    assert media.audio == media_audio(message) == audio


@pytest.mark.parametrize("digit", "0123456789*#ABCD")
def test_every_key_of_a_phone_is_known(digit: str) -> None:
    assert parse(changed(DTMF, "dtmf.digit", digit)) == Pressed(STREAM, 311, digit)


@pytest.mark.parametrize("digit", [GONE, None, 5, "", "a", "E", "w", "12", "*#", " ", "٥", "\x00", ["5"], "5" * 2000])
def test_what_is_no_key_is_refused(digit: object) -> None:
    with pytest.raises(RemoteProtocolError, match=r"dtmf\.digit"):
        parse(changed(DTMF, "dtmf.digit", digit))


@pytest.mark.parametrize("name", ["a", "utt-7", "é \"'\\\n", "\U0001f600", "n" * 128])
def test_a_mark_keeps_any_name_that_we_may_have_sent(name: str) -> None:
    assert parse(changed(MARK, "mark.name", name)) == Marked(STREAM, 402, name)


@pytest.mark.parametrize("name", [GONE, None, 7, "", "n" * 129, ["utt-7"], {"name": "utt-7"}])
def test_a_mark_without_a_usable_name_is_refused(name: object) -> None:
    with pytest.raises(RemoteProtocolError, match=r"mark\.name"):
        parse(changed(MARK, "mark.name", name))


@pytest.mark.parametrize("event", ["start", "media", "dtmf", "mark", "stop"])
@pytest.mark.parametrize("junk", [GONE, None, 7, "text", [], [{}], True])
def test_an_event_without_its_object_is_refused_by_name(event: str, junk: object) -> None:
    with pytest.raises(RemoteProtocolError, match=f"^{event} must be an object"):
        parse(changed(KNOWN[event], event, junk))


@pytest.mark.parametrize("event", ["start", "media", "dtmf", "mark", "stop"])
def test_an_event_with_an_empty_object_is_refused(event: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse(changed(KNOWN[event], event, {}))


@pytest.mark.parametrize("field", ["protocol", "version"])
@pytest.mark.parametrize("junk", [GONE, None, 1, "", "v" * 1025])
def test_connected_needs_its_fields(field: str, junk: object) -> None:
    with pytest.raises(RemoteProtocolError, match=field):
        parse(changed(CONNECTED, field, junk))


@pytest.mark.parametrize("junk", [GONE, None, 7, True, "", [], {}, ["media"], {"media": 1}, "e" * 1025])
def test_a_message_without_an_event_is_refused(junk: object) -> None:
    with pytest.raises(RemoteProtocolError, match=r"^event "):
        parse(changed(MEDIA, "event", junk))


NO_OBJECTS = ["", " ", "null", "true", "7", "1e999", "NaN", '"media"', "[]", "{", "}", "{]", "\x00\x01\x02\xff"]
NO_OBJECTS += [MEDIA[:-1], MEDIA + "}", MEDIA + MEDIA, f"[{MEDIA}]", "\ufeff" + MEDIA, "'" + MEDIA, "ID3\x03\x00RIFF"]
NO_OBJECTS += [
    "{'event':'media'}",
    '{"event":"media",}',
    '{"event":"\ud800"}',
    '{"event":"\\ud800"}',
    '{"event":"me\ndia"}',
]
NO_OBJECTS += ["[" * 5000, '{"a":' * 5000]


@pytest.mark.parametrize("read", [parse, media_audio])
@pytest.mark.parametrize("message", NO_OBJECTS, ids=lambda message: repr(message)[:24])
def test_what_is_no_json_object_is_refused(read: Callable[[str], object], message: str) -> None:
    with pytest.raises(RemoteProtocolError):
        read(message)


@pytest.mark.parametrize("read", [parse, media_audio])
def test_a_message_is_bounded_before_it_is_read(read: Callable[[str], object]) -> None:
    bare = len(changed(MEDIA, "media.payload", ""))
    longest = changed(MEDIA, "media.payload", "A" * ((twilio.MAX_MESSAGE - bare) // 4 * 4))
    longest += " " * (twilio.MAX_MESSAGE - len(longest))
    assert read(longest)
    with pytest.raises(RemoteProtocolError, match="65536"):
        read(longest + " ")


def refusal(read: Callable[[str], object], message: str) -> str:
    """What `read` says against the message, empty when it takes it. Any other error is the test's failure."""
    try:
        read(message)
    except RemoteProtocolError as refused:
        return str(refused)
    return ""


@given(st.text())
def test_any_text_is_refused_in_few_words(message: str) -> None:
    for read in (parse, media_audio):
        assert 0 < len(refusal(read, message)) < 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
PATHS = [
    (message, path)
    for message, paths in {
        START: "sequenceNumber streamSid start start.accountSid start.streamSid start.callSid start.tracks "
        "start.mediaFormat start.mediaFormat.encoding start.mediaFormat.sampleRate start.customParameters",
        MEDIA: "event sequenceNumber streamSid media media.track media.chunk media.timestamp media.payload",
        DTMF: "dtmf dtmf.digit streamSid",
        MARK: "mark mark.name sequenceNumber",
        STOP: "stop stop.accountSid stop.callSid",
    }.items()
    for path in paths.split()
]


@given(st.sampled_from(PATHS), JSON)
def test_junk_in_any_field_is_an_event_or_none_or_refused(where: tuple[str, str], junk: object) -> None:
    message = changed(*where, junk)
    for read in (parse, media_audio):
        assert len(refusal(read, message)) < 200


@given(JSON)
def test_any_json_without_a_text_for_its_event_is_refused(body: object) -> None:
    assert (isinstance(body, dict) and isinstance(body.get("event"), str)) or refusal(parse, json.dumps(body))


@given(st.sampled_from(sorted(KNOWN.values())), st.data())
def test_a_message_cut_short_is_refused(message: str, data: st.DataObject) -> None:
    with pytest.raises(RemoteProtocolError):
        parse(message[: data.draw(st.integers(0, len(message) - 1))])


# -- telling media from the rest without reading it --------------------------------------------------------------------


def test_media_is_told_by_its_beginning() -> None:
    assert is_media(MEDIA)
    assert media_audio(MEDIA) == b"\x7e" * 6


def test_media_is_told_with_its_keys_in_another_order() -> None:
    message = json.dumps(reordered(json.loads(MEDIA)), separators=(",", ":"))
    assert not message.startswith('{"event"')
    assert is_media(message)


@pytest.mark.parametrize("event", ["connected", "start", "dtmf", "mark", "stop"])
@pytest.mark.parametrize("order", [reordered, lambda body: body], ids=["reordered", "as sent"])
def test_other_events_are_not_media(event: str, order: Callable[[object], object]) -> None:
    assert not is_media(json.dumps(order(json.loads(KNOWN[event])), separators=(",", ":")))


@pytest.mark.parametrize(
    "parameters",
    [
        {"event": "media"},
        {'"event': "media"},
        {"a": '"event":"media"'},
        {'{"event': 'media"'},
        {"a": '{"event":"media"'},
    ],
)
@pytest.mark.parametrize("order", [reordered, lambda body: body], ids=["reordered", "as sent"])
def test_custom_parameters_cannot_pass_for_media(parameters: object, order: Callable[[object], object]) -> None:
    body = json.loads(changed(START, "start.customParameters", parameters))
    for ascii_only in (True, False):
        assert not is_media(json.dumps(order(body), separators=(",", ":"), ensure_ascii=ascii_only))


@pytest.mark.parametrize("name", ['"event":"media"', '{"event":"media"', '\\"event":"media"', 'event":"media'])
def test_the_name_of_a_mark_cannot_pass_for_media(name: str) -> None:
    body = json.loads(changed(MARK, "mark.name", name))
    for order in (body, reordered(body)):
        assert not is_media(json.dumps(order, separators=(",", ":")))


def test_spaced_media_is_left_to_the_parser() -> None:
    spaced = json.dumps(json.loads(MEDIA))
    assert not is_media(spaced)
    assert parse(spaced) == parse(MEDIA)


@pytest.mark.parametrize("message", ["", "media", '"event":"medias"', '{"event":"media2"}', '{"Event":"media"}', "{}"])
def test_what_is_not_media_is_not_taken_for_it(message: str) -> None:
    assert not is_media(message)


@pytest.mark.parametrize("event", ["connected", "start", "dtmf", "mark", "stop"])
def test_the_fast_way_refuses_other_events(event: str) -> None:
    with pytest.raises(RemoteProtocolError, match="event must be 'media'"):
        media_audio(KNOWN[event])


ODD = st.text(alphabet='"\\event:mdia{},', max_size=20) | st.sampled_from(
    ['"event":"media"', '{"event":"media"', "media"]
)


@given(st.dictionaries(ODD, ODD, max_size=4), ODD.filter(bool), st.booleans())
def test_only_media_is_ever_taken_for_media(parameters: dict[str, str], name: str, backwards: bool) -> None:
    bodies = [json.loads(changed(START, "start.customParameters", parameters))]
    bodies.append(json.loads(changed(MARK, "mark.name", name)))
    for body in bodies:
        message = json.dumps(reordered(body) if backwards else body, separators=(",", ":"))
        assert not isinstance(parse(message), Media)
        assert not is_media(message)


# -- what we say -------------------------------------------------------------------------------------------------------


def test_media_has_exactly_the_fields_that_the_carrier_allows() -> None:
    said = f'{{"event":"media","streamSid":"{STREAM}","media":{{"payload":"fn5+"}}}}'
    assert Outgoing(STREAM).media(b"~~~") == said
    assert Outgoing(STREAM).media_b64("fn5+") == said


def test_mark_has_exactly_the_fields_that_the_carrier_allows() -> None:
    assert Outgoing(STREAM).mark("utt-7") == f'{{"event":"mark","streamSid":"{STREAM}","mark":{{"name":"utt-7"}}}}'


def test_clear_has_exactly_the_fields_that_the_carrier_allows() -> None:
    assert Outgoing(STREAM).clear() == f'{{"event":"clear","streamSid":"{STREAM}"}}'


@given(st.binary(min_size=1, max_size=2000))
def test_audio_of_any_length_survives(audio: bytes) -> None:
    body = json.loads(Outgoing(STREAM).media(audio))
    assert base64.b64decode(body["media"]["payload"], validate=True) == audio
    assert Outgoing(STREAM).media_b64(body["media"]["payload"]) == Outgoing(STREAM).media(audio)
    assert body == {"event": "media", "streamSid": STREAM, "media": {"payload": base64.b64encode(audio).decode()}}


@given(st.text(min_size=1, max_size=twilio.MAX_MARK_NAME))
def test_a_mark_name_survives_the_way_out_and_back(name: str) -> None:
    sent = json.loads(Outgoing(STREAM).mark(name))
    assert sent == {"event": "mark", "streamSid": STREAM, "mark": {"name": name}}
    assert parse(json.dumps(sent | {"sequenceNumber": "9"})) == Marked(STREAM, 9, name)


@pytest.mark.parametrize("name", ["", "n" * 129, "\ud800"], ids=["empty", "long", "surrogate"])
def test_a_mark_name_that_would_not_come_back_is_ours_to_mend(name: str) -> None:
    with pytest.raises(LocalProtocolError):
        Outgoing(STREAM).mark(name)


def test_empty_audio_is_not_sent() -> None:
    with pytest.raises(LocalProtocolError):
        Outgoing(STREAM).media(b"")


@pytest.mark.parametrize("payload", ["", "A", "AA", "AAA", "AAAAA"])
def test_base64_without_its_padding_is_not_sent(payload: str) -> None:
    with pytest.raises(LocalProtocolError):
        Outgoing(STREAM).media_b64(payload)


@pytest.mark.parametrize("stream", ["", "MZ", CALL, STREAM + "0", STREAM[:-1] + '"', STREAM + "\n"])
def test_only_a_stream_can_be_spoken_to(stream: str) -> None:
    with pytest.raises(LocalProtocolError):
        Outgoing(stream)


def test_two_streams_do_not_mix() -> None:
    other = "MZ" + "f" * 32
    one, two = Outgoing(STREAM), Outgoing(other)
    assert STREAM not in two.media(b"a") + two.mark("m") + two.clear()
    assert other not in one.media(b"a") + one.mark("m") + one.clear()
