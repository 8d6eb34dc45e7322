"""The forms that the carrier posts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineside.errors import RemoteProtocolError
from lineside.wire.webhook import (
    StatusUpdate,
    StreamUpdate,
    VoiceRequest,
    parse_status,
    parse_stream_status,
    parse_voice,
)

CALL = "CA00000000000000000000000000000001"
ACCOUNT = "AC00000000000000000000000000000001"
STREAM = "MZ00000000000000000000000000000001"

Params = list[tuple[str, str]]

VOICE: Params = [
    ("CallSid", CALL),
    ("AccountSid", ACCOUNT),
    ("From", "+15550100"),
    ("To", "+15550199"),
    ("CallStatus", "ringing"),
    ("Direction", "inbound"),
    ("ApiVersion", "2010-04-01"),
    ("FromCity", ""),
]
STATUS: Params = [
    ("CallSid", CALL),
    ("AccountSid", ACCOUNT),
    ("CallStatus", "completed"),
    ("SequenceNumber", "2"),
    ("Timestamp", "Tue, 01 Sep 2026 10:00:00 +0000"),
    ("CallbackSource", "call-progress-events"),
    ("CallDuration", "61"),
    ("Duration", "2"),
]
STREAM_STATUS: Params = [
    ("CallSid", CALL),
    ("AccountSid", ACCOUNT),
    ("StreamSid", STREAM),
    ("StreamName", "agent-1"),
    ("StreamEvent", "stream-error"),
    ("StreamError", "Stream - Websocket - Protocol Error"),
    ("Timestamp", "2026-09-01T10:00:00.000Z"),
]
FORMS: list[tuple[Callable[[Params], object], Params]] = [
    (parse_voice, VOICE),
    (parse_status, STATUS),
    (parse_stream_status, STREAM_STATUS),
]
EVERY_FORM = pytest.mark.parametrize(("parse", "form"), FORMS, ids=["voice", "status", "stream"])


def changed(form: Sequence[tuple[str, str]], name: str, value: str | None) -> Params:
    """The form with one field replaced, or taken away when `value` is None."""
    rest = [field for field in form if field[0] != name]
    return rest if value is None else [*rest, (name, value)]


# -- what the carrier says ---------------------------------------------------------------------------------------------


def test_a_voice_request_names_call_account_and_parties() -> None:
    assert parse_voice(VOICE) == VoiceRequest(
        call_id=CALL,
        account_id=ACCOUNT,
        caller="+15550100",
        called="+15550199",
        status="ringing",
        direction="inbound",
        parameters={"ApiVersion": "2010-04-01", "FromCity": ""},
    )


def test_a_status_update_names_call_status_and_place_in_line() -> None:
    assert parse_status(STATUS) == StatusUpdate(CALL, ACCOUNT, "completed", 2, terminal=True)


def test_a_stream_update_names_stream_event_and_error() -> None:
    error = "Stream - Websocket - Protocol Error"
    assert parse_stream_status(STREAM_STATUS) == StreamUpdate(CALL, ACCOUNT, STREAM, "stream-error", error)


@EVERY_FORM
def test_the_order_of_fields_does_not_matter(parse: Callable[[Params], object], form: Params) -> None:
    assert parse(form[::-1]) == parse(form)


@EVERY_FORM
def test_fields_that_the_carrier_adds_are_no_trouble(parse: Callable[[Params], object], form: Params) -> None:
    assert parse([*form, ("NewField", "\x00\xff<&>"), ("", ""), ("SpeechResult", "é\U0001f600")])


@pytest.mark.parametrize("event", ["stream-started", "stream-stopped", "stream-resumed"])
def test_a_stream_event_may_come_without_an_error(event: str) -> None:
    form = changed(changed(STREAM_STATUS, "StreamError", None), "StreamEvent", event)
    assert parse_stream_status(form) == StreamUpdate(CALL, ACCOUNT, STREAM, event, "")


@pytest.mark.parametrize(
    "party", ["+15550100", "client:alice", "sip:alice@example.com;x=y", "anonymous", "", "+", "é \n"]
)
def test_parties_arrive_as_they_are(party: str) -> None:
    request = parse_voice(changed(changed(VOICE, "From", party), "To", party))
    assert (request.caller, request.called) == (party, party)


def test_a_missing_party_is_empty() -> None:
    request = parse_voice(changed(changed(VOICE, "From", None), "To", None))
    assert (request.caller, request.called) == ("", "")


@pytest.mark.parametrize("direction", ["inbound", "outbound-api", "outbound-dial", "new-one"])
@pytest.mark.parametrize("status", ["ringing", "in-progress", "queued", "new-one"])
def test_directions_and_statuses_arrive_as_they_are(direction: str, status: str) -> None:
    request = parse_voice(changed(changed(VOICE, "Direction", direction), "CallStatus", status))
    assert (request.direction, request.status) == (direction, status)


@pytest.mark.parametrize(
    ("status", "terminal"),
    [
        ("queued", False),
        ("initiated", False),
        ("ringing", False),
        ("in-progress", False),
        ("completed", True),
        ("busy", True),
        ("failed", True),
        ("no-answer", True),
        ("canceled", True),
        ("cancelled", False),  # the carrier spells it with one l
        ("held", False),
    ],
)
def test_a_call_is_over_when_its_status_is_terminal(status: str, terminal: bool) -> None:
    update = parse_status(changed(STATUS, "CallStatus", status))
    assert (update.status, update.terminal) == (status, terminal)


@pytest.mark.parametrize(
    ("written", "sequence"), [("0", 0), ("7", 7), ("007", 7), ("999999999", 999999999), (None, None)]
)
def test_a_sequence_number_may_be_missing(written: str | None, sequence: int | None) -> None:
    assert parse_status(changed(STATUS, "SequenceNumber", written)).sequence == sequence


@pytest.mark.parametrize(
    "written", ["", " ", "-1", "+1", "1.0", "1e3", "0x1", " 1", "1\n", "1_0", "१", "²", "1" * 10, "9" * 8000]
)
def test_a_sequence_number_that_is_none_is_refused(written: str) -> None:
    with pytest.raises(RemoteProtocolError, match="SequenceNumber"):
        parse_status(changed(STATUS, "SequenceNumber", written))


def test_a_repeated_field_that_we_do_not_read_keeps_its_last_value() -> None:
    assert parse_voice([*VOICE, ("A", "1"), ("A", "2")]).parameters["A"] == "2"


# -- what is refused ---------------------------------------------------------------------------------------------------

IDENTIFIERS: list[tuple[Callable[[Params], object], Params, str, str]] = [
    (parse_voice, VOICE, "CallSid", "CA"),
    (parse_voice, VOICE, "AccountSid", "AC"),
    (parse_status, STATUS, "CallSid", "CA"),
    (parse_status, STATUS, "AccountSid", "AC"),
    (parse_stream_status, STREAM_STATUS, "CallSid", "CA"),
    (parse_stream_status, STREAM_STATUS, "AccountSid", "AC"),
    (parse_stream_status, STREAM_STATUS, "StreamSid", "MZ"),
]
HEX = "0123456789abcdefABCDEF0123456789"


@pytest.mark.parametrize(("parse", "form", "name", "prefix"), IDENTIFIERS)
def test_an_identifier_is_its_prefix_and_32_hexadecimal_digits(
    parse: Callable[[Params], object], form: Params, name: str, prefix: str
) -> None:
    assert prefix + HEX in repr(parse(changed(form, name, prefix + HEX)))


@pytest.mark.parametrize(("parse", "form", "name", "prefix"), IDENTIFIERS)
@pytest.mark.parametrize(
    "shape",
    [
        "",
        "{p}",
        "{h}",
        "{p}{h}0",
        "{p}{h}\n",
        " {p}{h}",
        "RE{h}",
        "XX{h}",
        "{p}g{t}",
        "{p}é{t}",
        "{p}\x00{t}",
        "{p}'{t}",
        "{p}/../{h}",
        "{h}{p}",
        "{p}{h}{h}",
        "CA1234567890ABCDE",
        "null",
    ],
)
def test_any_other_identifier_is_refused_by_name(
    parse: Callable[[Params], object], form: Params, name: str, prefix: str, shape: str
) -> None:
    if name == "StreamSid" and not shape:
        return  # a stream that could not be opened has none
    value = shape.format(p=prefix, h=HEX, t=HEX[1:])
    with pytest.raises(RemoteProtocolError) as refused:
        parse(changed(form, name, value))
    assert str(refused.value) == f"{name} must be {prefix} and 32 hexadecimal digits"


REQUIRED = [(parse, form, name) for parse, form, name, _ in IDENTIFIERS if name != "StreamSid"]
WORDS: list[tuple[Callable[[Params], object], Params, str]] = [
    (parse_voice, VOICE, "CallStatus"),
    (parse_voice, VOICE, "Direction"),
    (parse_status, STATUS, "CallStatus"),
    (parse_stream_status, STREAM_STATUS, "StreamEvent"),
]


@pytest.mark.parametrize(("parse", "form", "name"), REQUIRED + WORDS)
def test_a_missing_field_is_refused_by_name(parse: Callable[[Params], object], form: Params, name: str) -> None:
    with pytest.raises(RemoteProtocolError, match=f"^{name} must be "):
        parse(changed(form, name, None))


@pytest.mark.parametrize(("parse", "form", "name"), REQUIRED + WORDS)
@pytest.mark.parametrize("same", [True, False])
def test_a_field_that_we_read_given_twice_is_refused(
    parse: Callable[[Params], object], form: Params, name: str, same: bool
) -> None:
    with pytest.raises(RemoteProtocolError, match=f"^{name} must be given once"):
        parse([*form, (name, dict(form)[name] if same else "other")])


@pytest.mark.parametrize(("parse", "form", "name"), WORDS)
@pytest.mark.parametrize(
    "word", ["", " ", "Ringing", "in progress", "-", "a_b", "a1", "a\n", "\x00", "é", "a" * 33, "<b>"]
)
def test_a_status_that_is_no_word_is_refused(
    parse: Callable[[Params], object], form: Params, name: str, word: str
) -> None:
    with pytest.raises(RemoteProtocolError, match=name):
        parse(changed(form, name, word))


@EVERY_FORM
def test_nothing_at_all_is_refused(parse: Callable[[Params], object], form: Params) -> None:
    with pytest.raises(RemoteProtocolError):
        parse([])


# -- bounds ------------------------------------------------------------------------------------------------------------


@EVERY_FORM
def test_a_form_has_at_most_200_fields(parse: Callable[[Params], object], form: Params) -> None:
    full = form + [(f"Extra{i}", "") for i in range(200 - len(form))]
    assert parse(full)
    with pytest.raises(RemoteProtocolError, match="at most 200 fields, not 201"):
        parse([*full, ("One", "more")])


@EVERY_FORM
def test_repeated_fields_count_each_time(parse: Callable[[Params], object], form: Params) -> None:
    with pytest.raises(RemoteProtocolError, match="fields"):
        parse(form + [("A", "a")] * 200)


@EVERY_FORM
def test_a_name_has_at_most_128_characters(parse: Callable[[Params], object], form: Params) -> None:
    assert parse([*form, ("é" * 128, "")])
    with pytest.raises(RemoteProtocolError, match="at most 128 characters, not 129"):
        parse([*form, ("n" * 129, "")])


@EVERY_FORM
def test_a_value_has_at_most_8192_characters(parse: Callable[[Params], object], form: Params) -> None:
    assert parse([*form, ("SpeechResult", "v" * 8192)])
    with pytest.raises(RemoteProtocolError, match="'SpeechResult' has at most 8192 characters, not 8193"):
        parse([*form, ("SpeechResult", "v" * 8193)])


SECRET = "+15550123SECRET"


@pytest.mark.parametrize(
    "name", ["CallSid", "AccountSid", "CallStatus", "Direction", "From", "SequenceNumber", "StreamSid"]
)
@EVERY_FORM
def test_a_refusal_never_shows_a_value(parse: Callable[[Params], object], form: Params, name: str) -> None:
    for value in (SECRET, SECRET * 1000):
        try:
            parse(changed(form, name, value))
        except RemoteProtocolError as refused:
            shown = str(refused)
        else:
            shown = ""
        assert SECRET not in shown


FIELD = st.tuples(
    st.sampled_from(["CallSid", "CallStatus", "StreamEvent", "SequenceNumber", "From"]) | st.text(), st.text()
)


@given(st.lists(FIELD, max_size=12), st.sampled_from(FORMS))
def test_any_form_is_read_or_refused(extra: Params, known: tuple[Callable[[Params], object], Params]) -> None:
    parse, form = known
    for params in (extra, form + extra):
        try:
            parse(params)
        except RemoteProtocolError:
            continue


@given(
    st.dictionaries(st.text(max_size=20).filter(lambda name: name not in dict(VOICE)), st.text(max_size=20), max_size=8)
)
def test_every_other_field_is_a_parameter(extra: dict[str, str]) -> None:
    if {"SequenceNumber", "StreamSid", "StreamEvent", "StreamError"} & extra.keys():
        return
    parameters = parse_voice(VOICE + list(extra.items())).parameters
    assert parameters == {"ApiVersion": "2010-04-01", "FromCity": ""} | extra


@pytest.mark.parametrize("value", ["", None])
def test_a_stream_that_could_not_be_opened_has_no_id(value: str | None) -> None:
    assert parse_stream_status(changed(STREAM_STATUS, "StreamSid", value)).stream_id == ""
