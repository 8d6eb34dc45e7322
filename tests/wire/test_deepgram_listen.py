"""Nova's listen protocol: options, messages, and how results add up to turns."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineside.errors import ProviderUnavailable, RemoteProtocolError, SettingsError
from lineside.events import EarWarned, EndOfTurn, HearingEvent, Partial, SpeechStarted
from lineside.wire.deepgram_listen import (
    CLOSE_STREAM,
    KEEP_ALIVE,
    ListenOptions,
    ListenWire,
    configure,
    finalize,
    listen_url,
)

# The shape of a Results as it is documented, every member of it.
DOCUMENTED = (
    '{"type":"Results","channel_index":[0,1],"duration":1.98,"start":4.1,"is_final":true,"speech_final":true,'
    '"from_finalize":false,"channel":{"alternatives":[{"transcript":"I\'d like to cancel.","confidence":0.98,"words":'
    '[{"word":"i\'d","punctuated_word":"I\'d","start":4.2,"end":4.4,"confidence":0.97}]}]},"metadata":{"request_id":'
    '"8a0c5e7c-5c9d-4a38-8d8c-5e1c0f7f2d11","model_uuid":"1d1c0c7a-0000-4000-8000-000000000001","model_info":'
    '{"name":"general-nova-3","version":"2025-04-17.0","arch":"nova-3"}}}'
)


def results(text: str, start: float, duration: float = 1.0, **more: Any) -> str:
    alternatives = [{"transcript": text, "confidence": 0.9, "words": []}]
    body = {"type": "Results", "start": start, "duration": duration, "channel": {"alternatives": alternatives}}
    return json.dumps(body | {"channel_index": [0, 1], "is_final": False, "speech_final": False} | more)


def final(text: str, start: float, duration: float = 1.0, *, speech_final: bool = False) -> str:
    return results(text, start, duration, is_final=True, speech_final=speech_final)


def utterance_end(last_word_end: float) -> str:
    return json.dumps({"type": "UtteranceEnd", "channel": [0, 1], "last_word_end": last_word_end})


def hear(wire: ListenWire, *messages: str | bytes) -> list[HearingEvent]:
    return [event for message in messages for event in wire.receive(message)]


# -- address and options -----------------------------------------------------------------------------------------------


def test_the_address_asks_for_phone_audio_and_interim_results() -> None:
    parts = urlsplit(listen_url("wss://api.deepgram.com", ListenOptions()))
    assert (parts.scheme, parts.netloc, parts.path) == ("wss", "api.deepgram.com", "/v1/listen")
    assert dict(parse_qsl(parts.query)) == {
        "model": "nova-3",
        "language": "en",
        "encoding": "mulaw",
        "sample_rate": "8000",
        "channels": "1",
        "interim_results": "true",
        "endpointing": "300",
        "utterance_end_ms": "1000",
        "vad_events": "true",
        "smart_format": "true",
    }


def test_the_address_repeats_keyterms_and_leaves_out_what_is_off() -> None:
    options = ListenOptions(
        endpointing_ms=None, vad_events=False, smart_format=False, keyterms=("Lineside", "front desk"), tags=("a",)
    )
    query = parse_qsl(urlsplit(listen_url("https://eu.example/proxy/", options)).query)
    assert ("endpointing", "false") in query
    assert [value for name, value in query if name == "keyterm"] == ["Lineside", "front desk"]
    assert ("tag", "a") in query
    assert not {"vad_events", "smart_format", "numerals", "mip_opt_out"} & {name for name, _ in query}


@pytest.mark.parametrize(
    ("base", "start"),
    [
        ("ws://127.0.0.1:8080", "ws://127.0.0.1:8080/v1/listen?"),
        ("https://api.eu.deepgram.com/", "wss://api.eu.deepgram.com/v1/listen?"),
        ("http://localhost/dg/", "ws://localhost/dg/v1/listen?"),
    ],
)
def test_the_base_may_be_a_websocket_or_http_url_with_a_path(base: str, start: str) -> None:
    assert listen_url(base, ListenOptions()).startswith(start)


@pytest.mark.parametrize("base", ["", "api.deepgram.com", "ftp://api.deepgram.com", "wss://", "wss://[::1"])
def test_a_base_that_is_no_url_names_its_setting(base: str) -> None:
    with pytest.raises(SettingsError, match="DEEPGRAM_BASE_URL"):
        listen_url(base, ListenOptions())


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("model", "", "nova-3"),
        ("language", "English", "es-419"),
        ("language", "en_US", "es-419"),
        ("endpointing_ms", 9, "10 to 5000"),
        ("endpointing_ms", 5001, "10 to 5000"),
        ("endpointing_ms", 300.5, "whole number"),
        ("endpointing_ms", True, "whole number"),
        ("utterance_end_ms", 999, "1000 to 5000"),
        ("utterance_end_ms", 5001, "1000 to 5000"),
        ("keyterms", "Lineside", "a list"),
        ("keyterms", ("a", " "), "none of them empty"),
        ("keyterms", ("word " * 501,), "500"),
        ("tags", ("",), "none of them empty"),
    ],
)
def test_an_option_out_of_range_names_field_value_and_range(field: str, value: Any, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        ListenOptions(**{field: value})
    assert field in str(caught.value)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "good",
    [
        {"endpointing_ms": 10},
        {"endpointing_ms": 5000, "utterance_end_ms": None},
        {"endpointing_ms": None, "utterance_end_ms": 5000},
        {"language": "multi"},
        {"language": "zh-Hans"},
        {"model": "nova-2-phonecall"},
        {"keyterms": ("word",) * 500},
    ],
)
def test_the_ends_of_the_ranges_are_allowed(good: dict[str, Any]) -> None:
    ListenOptions(**good)


def test_without_any_sign_of_an_end_no_turn_would_end() -> None:
    with pytest.raises(SettingsError, match="no turn would ever end"):
        ListenOptions(endpointing_ms=None, utterance_end_ms=None)


def test_keyterms_need_nova_3() -> None:
    with pytest.raises(SettingsError, match="nova-2-phonecall"):
        ListenOptions(model="nova-2-phonecall", keyterms=("Lineside",))


# -- what we send ------------------------------------------------------------------------------------------------------


def test_control_messages_are_json_with_a_type() -> None:
    assert json.loads(KEEP_ALIVE) == {"type": "KeepAlive"}
    assert json.loads(CLOSE_STREAM) == {"type": "CloseStream"}
    assert json.loads(finalize()) == {"type": "Finalize"}
    assert json.loads(finalize(0)) == {"type": "Finalize", "channel": 0}
    assert json.loads(configure(keyterms=[])) == {"type": "Configure", "keyterms": []}
    assert json.loads(configure(keyterms=["a"], features={"numerals": True})) == {
        "type": "Configure",
        "keyterms": ["a"],
        "features": {"numerals": True},
    }


def test_a_configure_that_changes_nothing_is_a_mistake() -> None:
    with pytest.raises(SettingsError):
        configure()


def test_audio_goes_up_as_it_is() -> None:
    assert ListenWire().audio(b"\x01\x02") == b"\x01\x02"


# -- results -----------------------------------------------------------------------------------------------------------


def test_the_documented_result_is_a_turn() -> None:
    wire = ListenWire()
    assert hear(wire, DOCUMENTED) == [EndOfTurn("I'd like to cancel.")]
    assert wire.settled == pytest.approx(6.08)
    assert not wire.unfinished


def test_a_turn_is_all_finals_up_to_speech_final() -> None:
    events = hear(
        ListenWire(),
        results("i'd", 0.0, 0.5),
        results("I'd like", 0.0, 1.0),
        final("I'd like", 0.0, 1.0),
        results("to", 1.0, 0.5),
        final("to cancel.", 1.0, 1.0, speech_final=True),
    )
    assert events == [
        Partial("i'd"),
        Partial("I'd like"),
        Partial("I'd like to"),
        EndOfTurn("I'd like to cancel."),
    ]


def test_a_final_that_changes_what_was_heard_is_told_at_once() -> None:
    assert hear(ListenWire(), results("eye", 0.0), final("I", 0.0)) == [Partial("eye"), Partial("I")]


def test_the_next_turn_starts_empty() -> None:
    wire = ListenWire()
    hear(wire, final("One.", 0.0, speech_final=True))
    assert hear(wire, results("two", 1.0), final("Two.", 1.0, speech_final=True)) == [Partial("two"), EndOfTurn("Two.")]


def test_empty_results_are_silence() -> None:
    wire = ListenWire()
    assert hear(wire, results("", 0.0), final("", 0.0), final("  ", 1.0, speech_final=True)) == []
    assert not wire.unfinished


def test_an_empty_final_ends_a_turn_if_it_is_speech_final() -> None:
    assert hear(ListenWire(), final("Yes.", 0.0), final("", 1.0, speech_final=True)) == [
        Partial("Yes."),
        EndOfTurn("Yes."),
    ]


def test_a_result_without_alternatives_is_silence() -> None:
    body = json.loads(final("", 0.0))
    body["channel"]["alternatives"] = []
    assert hear(ListenWire(), json.dumps(body)) == []


def test_a_final_that_comes_twice_is_heard_once() -> None:
    wire = ListenWire()
    events = hear(wire, final("Yes", 0.0), final("Yes", 0.0), final("please.", 1.0, speech_final=True))
    assert events[-1] == EndOfTurn("Yes please.")
    assert hear(wire, final("please.", 1.0, speech_final=True)) == []


def test_a_final_that_comes_again_with_the_end_of_speech_ends_the_turn() -> None:
    assert hear(ListenWire(), final("Yes.", 0.0), final("Yes.", 0.0, speech_final=True))[-1] == EndOfTurn("Yes.")


def test_a_final_of_no_length_does_not_hide_the_one_after_it() -> None:
    wire = ListenWire()
    assert hear(wire, final("", 0.0, 0.0), final("Yes.", 0.0, 1.0, speech_final=True)) == [EndOfTurn("Yes.")]


def test_an_interim_that_its_final_overtook_is_dropped() -> None:
    wire = ListenWire()
    hear(wire, final("Yes", 0.0, 2.0))
    assert hear(wire, results("yes it", 1.0, 1.5)) == []
    assert hear(wire, results("please", 2.0)) == [Partial("Yes please")]


def test_an_interim_may_begin_where_the_final_ended_but_for_rounding() -> None:
    wire = ListenWire()
    hear(wire, final("Yes", 0.0, 1.98))
    assert hear(wire, results("please", 1.9799995)) == [Partial("Yes please")]


def test_the_same_partial_is_told_once() -> None:
    assert hear(ListenWire(), results("yes", 0.0, 0.5), results("yes", 0.0, 0.9)) == [Partial("yes")]


def test_speech_started_is_told_before_any_word() -> None:
    assert hear(ListenWire(), '{"type":"SpeechStarted","channel":[0,1],"timestamp":4.16}') == [SpeechStarted()]


def test_utterance_end_ends_a_turn_that_noise_kept_open() -> None:
    wire = ListenWire()
    events = hear(wire, final("My number is", 0.0), final("five.", 1.0), utterance_end(1.9))
    assert events[-1] == EndOfTurn("My number is five.")
    assert not wire.unfinished


@pytest.mark.parametrize(
    "before",
    [
        pytest.param([final("Yes.", 0.0, speech_final=True)], id="after speech_final"),
        pytest.param([results("yes", 0.0)], id="with nothing final"),
        pytest.param([], id="with nothing at all"),
    ],
)
def test_utterance_end_ends_nothing(before: list[str]) -> None:
    wire = ListenWire()
    hear(wire, *before)
    assert hear(wire, utterance_end(0.9)) == []


def test_an_utterance_end_that_comes_late_does_not_end_the_next_turn() -> None:
    wire = ListenWire()
    hear(wire, final("One.", 0.0, 1.0, speech_final=True), final("Two", 1.0, 1.0))
    assert hear(wire, utterance_end(0.9)) == []
    assert hear(wire, utterance_end(1.8)) == [EndOfTurn("Two")]


def test_an_utterance_end_with_no_word_end_counts() -> None:
    assert hear(ListenWire(), final("Yes", 0.0), utterance_end(-1))[-1] == EndOfTurn("Yes")


# -- other messages ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        '{"type":"Metadata","transaction_key":"deprecated","request_id":"r","sha256":"0","created":"x","duration":1.0,'
        '"channels":1}',
        '{"type":"ConfigureSuccess","request_id":"r"}',
        '{"type":"SomethingNew","start":{},"channel":null}',
    ],
)
def test_messages_that_say_nothing_to_us_are_passed_over(message: str) -> None:
    assert ListenWire().receive(message) == []


def test_members_that_we_do_not_know_are_passed_over() -> None:
    message = results("yes", 0.0, new={"a": [1]}, is_final=None, speech_final=None)
    assert hear(ListenWire(), message) == [Partial("yes")]


@pytest.mark.parametrize(
    ("message", "event"),
    [
        (
            '{"type":"ConfigureFailure","request_id":"r","code":"CONFIGURE_ALREADY_PENDING","description":"wait"}',
            EarWarned("CONFIGURE_ALREADY_PENDING", "wait"),
        ),
        ('{"type":"Warning","warn_code":"W","warn_msg":"careful"}', EarWarned("W", "careful")),
        ('{"type":"Warning"}', EarWarned("Warning", "")),
    ],
)
def test_complaints_are_told(message: str, event: EarWarned) -> None:
    assert ListenWire().receive(message) == [event]


def test_an_error_means_that_this_socket_is_of_no_more_use() -> None:
    with pytest.raises(ProviderUnavailable, match="SchemaError: no such"):
        ListenWire().receive('{"type":"Error","variant":"SchemaError","description":"no such message"}')


@pytest.mark.parametrize(
    "message",
    [
        b"\x00\x01",
        "",
        "nonsense",
        "[]",
        "{}",
        '"Results"',
        "null",
        '{"type":7}',
        '{"type":"Results"}',
        '{"type":"Results","start":0,"duration":1,"channel":{}}',
        '{"type":"Results","start":0,"duration":1,"channel":{"alternatives":[{}]}}',
        '{"type":"Results","start":0,"duration":1,"channel":{"alternatives":[{"transcript":null}]}}',
        '{"type":"Results","start":0,"duration":1,"channel":{"alternatives":7}}',
        '{"type":"Results","duration":1,"channel":{"alternatives":[{"transcript":"x"}]}}',
        '{"type":"Results","start":"0","duration":1,"channel":{"alternatives":[{"transcript":"x"}]}}',
        '{"type":"Results","start":true,"duration":1,"channel":{"alternatives":[{"transcript":"x"}]}}',
        '{"type":"UtteranceEnd"}',
    ],
)
def test_a_broken_message_is_an_error(message: str | bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        ListenWire().receive(message)


def test_an_error_does_not_quote_the_caller() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        ListenWire().receive("my card number is 4111")
    assert "4111" not in str(caught.value)


# -- from one socket to the next ---------------------------------------------------------------------------------------


def test_what_is_final_is_settled() -> None:
    wire = ListenWire()
    hear(wire, final("Yes", 0.0, 1.5))
    assert wire.settled == 1.5
    hear(wire, results("please", 1.5, 3.0))
    assert wire.settled == 1.5


def test_silence_is_settled_but_for_a_word_that_may_have_begun() -> None:
    wire = ListenWire()
    hear(wire, results("", 0.0, 4.0))
    assert wire.settled == 3.0


def test_finals_outlive_their_socket_and_interims_do_not() -> None:
    wire = ListenWire()
    hear(wire, final("Yes", 0.0), results("pl", 1.0))
    assert wire.lost() == []
    assert wire.settled == 0.0
    assert hear(wire, results("please", 0.0), final("please.", 0.0, speech_final=True)) == [
        Partial("Yes please"),
        EndOfTurn("Yes please."),
    ]


def test_a_turn_whose_end_fell_between_two_sockets_ends_when_the_new_one_hears_nothing() -> None:
    wire = ListenWire()
    hear(wire, final("Yes.", 0.0))
    wire.lost()
    assert hear(wire, final("", 0.0, 1.5)) == []
    assert hear(wire, final("", 1.5, 1.0)) == [EndOfTurn("Yes.")]


def test_a_turn_that_goes_on_on_the_next_socket_is_not_ended_by_a_pause_there() -> None:
    wire = ListenWire()
    hear(wire, final("Yes", 0.0))
    wire.lost()
    hear(wire, final("please", 0.0))
    assert hear(wire, final("", 1.0, 3.0)) == []


def test_a_turn_that_nobody_will_end_is_ended_with_what_was_final() -> None:
    wire = ListenWire()
    hear(wire, final("Yes", 0.0), results("pl", 1.0))
    wire.lost()
    assert wire.finish(deaf=False) == [EndOfTurn("Yes")]
    assert wire.finish(deaf=False) == []


def test_a_turn_that_nobody_will_hear_is_ended_with_all_that_was_understood() -> None:
    wire = ListenWire()
    hear(wire, final("Yes", 0.0), results("pl", 1.0))
    wire.lost()
    assert wire.finish(deaf=True) == [EndOfTurn("Yes pl")]
    assert not wire.unfinished


# -- properties --------------------------------------------------------------------------------------------------------

WORDS = st.sampled_from(["", "yes", "no", "please", "two words"])


@given(st.lists(st.tuples(WORDS, st.booleans(), st.booleans()), max_size=30))
def test_every_final_word_is_in_exactly_one_turn_and_no_turn_is_empty(segments: list[tuple[str, bool, bool]]) -> None:
    wire = ListenWire()
    events: list[HearingEvent] = []
    start = 0.0
    for text, speech_final, dies in segments:
        if dies:
            events += wire.lost()
            start = 0.0
        events += hear(wire, results(text[:2], start), final(text, start, speech_final=speech_final))
        start += 1.0
    events += wire.lost() + wire.finish(deaf=True)
    turns = [event.text for event in events if isinstance(event, EndOfTurn)]
    assert all(turns)
    assert " ".join(turns).split() == " ".join(text for text, _, _ in segments).split()


@given(
    st.text()
    | st.binary()
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["type", "start", "duration", "channel", "alternatives", "transcript", "is_final"]),
                inner,
            )
        ),
        max_leaves=8,
    ).map(json.dumps)
)
def test_whatever_comes_is_an_event_or_one_of_our_errors(message: str | bytes) -> None:
    with suppress(RemoteProtocolError, ProviderUnavailable):
        ListenWire().receive(message)


@given(
    kind=st.sampled_from(["Results", "UtteranceEnd", "SpeechStarted", "Error", "Warning", "ConfigureFailure"]),
    body=st.dictionaries(
        st.sampled_from(["start", "duration", "channel", "is_final", "speech_final", "last_word_end", "code"]),
        st.none()
        | st.integers()
        | st.floats(allow_nan=False)
        | st.booleans()
        | st.just({"alternatives": [{"transcript": "x"}]})
        | st.just({"alternatives": [7]}),
    ),
)
def test_known_types_with_odd_members_are_an_event_or_one_of_our_errors(kind: str, body: dict[str, Any]) -> None:
    with suppress(RemoteProtocolError, ProviderUnavailable):
        ListenWire().receive(json.dumps({"type": kind} | body))


# -- when it was said --------------------------------------------------------------------------------------------------


def arrived(seconds: float) -> float:
    """Audio that has come in real time since the loop's second 1000."""
    return 1000 + seconds


def worded(message: str, *ends: float) -> str:
    """The message with words that end then."""
    body = json.loads(message)
    words = [{"word": "w", "start": end - 0.2, "end": end} for end in ends]
    body["channel"]["alternatives"][0]["words"] = words
    return json.dumps(body)


def test_a_turn_is_dated_by_the_end_of_its_last_word() -> None:
    wire = ListenWire(arrived)
    assert hear(wire, DOCUMENTED) == [EndOfTurn("I'd like to cancel.", 1004.4)]


def test_a_final_without_a_word_does_not_date_the_turn() -> None:
    wire = ListenWire(arrived)
    events = hear(wire, worded(final("Yes.", 0.0), 0.5, 0.8), final("", 1.0, speech_final=True))
    assert events[-1] == EndOfTurn("Yes.", 1000.8)


def test_a_turn_whose_words_have_no_times_is_dated_by_its_utterance_end_or_not_at_all() -> None:
    wire = ListenWire(arrived)
    assert hear(wire, final("Yes.", 0.0), utterance_end(0.7))[-1] == EndOfTurn("Yes.", 1000.7)
    assert hear(wire, final("No.", 2.0, speech_final=True))[-1] == EndOfTurn("No.")


def test_a_turn_keeps_its_date_when_its_socket_dies() -> None:
    wire = ListenWire(arrived)
    hear(wire, worded(final("Yes", 0.0), 0.8), worded(results("pl", 1.0), 1.3))
    wire.lost()
    assert wire.finish(deaf=True) == [EndOfTurn("Yes pl", 1001.3)]


@pytest.mark.parametrize("words", [None, [], [{}], ["w"], [{"end": "1"}], [{"end": True}], {"end": 1.0}])
def test_odd_words_date_nothing_and_break_nothing(words: Any) -> None:
    body = json.loads(final("Yes.", 0.0, speech_final=True))
    body["channel"]["alternatives"][0]["words"] = words
    assert hear(ListenWire(arrived), json.dumps(body)) == [EndOfTurn("Yes.")]
