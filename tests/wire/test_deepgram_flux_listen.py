"""Flux's listen protocol: options, messages, and the open turn."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineside.errors import ProviderUnavailable, RemoteProtocolError, SettingsError
from lineside.events import EagerEndOfTurn, EarWarned, EndOfTurn, HearingEvent, Partial, SpeechStarted, TurnResumed
from lineside.wire.deepgram_flux_listen import FORCE_END_TURN, FluxOptions, FluxWire, configure, flux_url

# The shape of a TurnInfo as it is documented, every member of it.
DOCUMENTED = (
    '{"type":"TurnInfo","request_id":"2c4d0c52-9d5a-43f0-8b1c-1f6f9d8c7a22","sequence_id":14,"event":"EndOfTurn",'
    '"turn_index":1,"audio_window_start":3.2,"audio_window_end":6.08,"transcript":"Tomorrow at nine.","words":'
    '[{"word":"Tomorrow","confidence":0.99,"start":4.1,"end":4.6}],"end_of_turn_confidence":0.86,"trigger":"model"}'
)


def turn_info(
    event: str, text: str = "", *, turn: int = 0, window: tuple[float, float] = (0.0, 1.0), **more: Any
) -> str:
    body = {
        "type": "TurnInfo",
        "request_id": "r",
        "sequence_id": 1,
        "event": event,
        "turn_index": turn,
        "audio_window_start": window[0],
        "audio_window_end": window[1],
        "transcript": text,
        "words": [{"word": word, "confidence": 0.9} for word in text.split()],
        "end_of_turn_confidence": 0.5,
    }
    return json.dumps(body | more)


def timed(text: str, start: float = 0.0) -> list[dict[str, Any]]:
    """A word every half second, 0.4 s long."""
    return [
        {"word": word, "confidence": 0.9, "start": start + n / 2, "end": start + n / 2 + 0.4}
        for n, word in enumerate(text.split())
    ]


def hear(wire: FluxWire, *messages: str | bytes) -> list[HearingEvent]:
    return [event for message in messages for event in wire.receive(message)]


# -- address and options -----------------------------------------------------------------------------------------------


def test_the_address_asks_for_phone_audio() -> None:
    parts = urlsplit(flux_url("wss://api.deepgram.com", FluxOptions()))
    assert (parts.netloc, parts.path) == ("api.deepgram.com", "/v2/listen")
    assert dict(parse_qsl(parts.query)) == {
        "model": "flux-general-en",
        "encoding": "mulaw",
        "sample_rate": "8000",
        "eot_threshold": "0.7",
        "eot_timeout_ms": "5000",
    }


def test_the_address_has_what_was_chosen_and_repeats_lists() -> None:
    options = FluxOptions(
        model="flux-general-multi",
        eager_eot_threshold=0.4,
        keyterms=("Lineside", "front desk"),
        language_hints=("en", "es"),
        redact=("numbers",),
        numerals=True,
        tags=("a",),
    )
    query = parse_qsl(urlsplit(flux_url("ws://127.0.0.1:1", options)).query)
    assert [value for name, value in query if name == "keyterm"] == ["Lineside", "front desk"]
    assert [value for name, value in query if name == "language_hint"] == ["en", "es"]
    assert {("eager_eot_threshold", "0.4"), ("redact", "numbers"), ("numerals", "true"), ("tag", "a")} <= set(query)
    assert "profanity_filter" not in dict(query)


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        ({"model": "nova-3"}, ("model", "flux-general-en")),
        ({"eot_threshold": 0.49}, ("eot_threshold", "0.5 to 1.0")),
        ({"eot_threshold": 1.1}, ("eot_threshold", "0.5 to 1.0")),
        ({"eager_eot_threshold": 0.29}, ("eager_eot_threshold", "0.3 to 0.9")),
        ({"eager_eot_threshold": 0.8}, ("eager_eot_threshold", "at most eot_threshold, which is 0.7")),
        ({"eot_timeout_ms": 499}, ("eot_timeout_ms", "500 to 60000")),
        ({"eot_timeout_ms": 60001}, ("eot_timeout_ms", "500 to 60000")),
        ({"eot_timeout_ms": 500.0}, ("eot_timeout_ms", "whole number")),
        ({"keyterms": ("a",) * 101}, ("keyterms", "at most 100")),
        ({"keyterms": "abc"}, ("keyterms", "a list")),
        ({"language_hints": ("en",)}, ("language_hints", "flux-general-multi")),
        ({"redact": ("names",)}, ("redact", "aggressive_numbers")),
        ({"tags": ("",)}, ("tags", "none of them empty")),
    ],
)
def test_an_option_out_of_range_names_field_and_range(chosen: dict[str, Any], says: tuple[str, str]) -> None:
    with pytest.raises(SettingsError) as caught:
        FluxOptions(**chosen)
    assert all(part in str(caught.value) for part in says)


@pytest.mark.parametrize(
    "good",
    [
        {"eot_threshold": 0.5, "eager_eot_threshold": 0.5, "eot_timeout_ms": 500},
        {"eot_threshold": 1.0, "eager_eot_threshold": 0.9, "eot_timeout_ms": 60000},
        {"keyterms": ("a",) * 100},
    ],
)
def test_the_ends_of_the_ranges_are_allowed(good: dict[str, Any]) -> None:
    FluxOptions(**good)


def test_a_base_that_is_no_url_names_its_setting() -> None:
    with pytest.raises(SettingsError, match="DEEPGRAM_BASE_URL"):
        flux_url("api.deepgram.com", FluxOptions())


# -- what we send ------------------------------------------------------------------------------------------------------


def test_a_turn_can_be_ended_by_force() -> None:
    assert json.loads(FORCE_END_TURN) == {"type": "ForceEndTurn"}


def test_a_configure_has_what_changes_and_nothing_else() -> None:
    assert json.loads(configure(eot_threshold=1.0, keyterms=[], language_hints=[], numerals=False)) == {
        "type": "Configure",
        "thresholds": {"eot_threshold": 1.0},
        "keyterms": [],
        "language_hints": [],
        "numerals": False,
    }
    assert json.loads(configure(eot_timeout_ms=800, eager_eot_threshold=0.3))["thresholds"] == {
        "eot_timeout_ms": 800,
        "eager_eot_threshold": 0.3,
    }


@pytest.mark.parametrize(
    "change",
    [{}, {"eot_threshold": 0.4}, {"eager_eot_threshold": 0.9, "eot_threshold": 0.8}, {"keyterms": ["a"] * 101}],
)
def test_a_configure_that_the_service_would_refuse_is_not_made(change: dict[str, Any]) -> None:
    with pytest.raises(SettingsError):
        configure(**change)


# -- turns -------------------------------------------------------------------------------------------------------------


def test_the_documented_turn_is_a_turn() -> None:
    wire = FluxWire()
    assert hear(wire, DOCUMENTED) == [EndOfTurn("Tomorrow at nine.")]
    assert wire.settled == 6.08
    assert not wire.unfinished


def test_a_turn_from_its_start_to_its_end() -> None:
    events = hear(
        FluxWire(),
        '{"type":"Connected","request_id":"r","sequence_id":0}',
        turn_info("Update"),
        turn_info("StartOfTurn", "I"),
        turn_info("Update", "I need to"),
        turn_info("Update", "I need to"),
        turn_info("EagerEndOfTurn", "I need to cancel."),
        turn_info("TurnResumed", "I need to cancel my"),
        turn_info("EagerEndOfTurn", "I need to cancel my trip."),
        turn_info("EndOfTurn", "I need to cancel my trip.", trigger="model"),
    )
    assert events == [
        SpeechStarted(),
        Partial("I"),
        Partial("I need to"),
        EagerEndOfTurn("I need to cancel."),
        TurnResumed(),
        Partial("I need to cancel my"),
        EagerEndOfTurn("I need to cancel my trip."),
        EndOfTurn("I need to cancel my trip."),
    ]


@pytest.mark.parametrize("trigger", ["model", "manual", "timeout", "something-new"])
def test_a_turn_ends_whatever_ended_it(trigger: str) -> None:
    assert hear(FluxWire(), turn_info("EndOfTurn", "Yes.", trigger=trigger)) == [EndOfTurn("Yes.")]


def test_an_end_of_turn_without_a_trigger_ends_it_too() -> None:
    assert hear(FluxWire(), turn_info("EndOfTurn", "Yes.")) == [EndOfTurn("Yes.")]


def test_a_turn_in_which_nothing_was_said_is_no_turn() -> None:
    assert hear(FluxWire(), turn_info("StartOfTurn"), turn_info("EndOfTurn", " ")) == [SpeechStarted()]


def test_a_draft_is_taken_back_when_the_turn_ends_with_nothing_said() -> None:
    assert hear(FluxWire(), turn_info("EagerEndOfTurn", "Uh."), turn_info("EndOfTurn")) == [
        EagerEndOfTurn("Uh."),
        TurnResumed(),
    ]


def test_a_resumed_turn_that_was_never_thought_ended_is_only_a_partial() -> None:
    assert hear(FluxWire(), turn_info("TurnResumed", "Well")) == [Partial("Well")]


def test_the_next_turn_starts_empty() -> None:
    wire = FluxWire()
    hear(wire, turn_info("EndOfTurn", "Yes."))
    assert hear(wire, turn_info("StartOfTurn", "Yes", turn=1)) == [SpeechStarted(), Partial("Yes")]


def test_what_comes_late_about_a_turn_that_has_ended_is_dropped() -> None:
    wire = FluxWire()
    hear(wire, turn_info("EndOfTurn", "Yes."))
    assert hear(wire, turn_info("EndOfTurn", "Yes."), turn_info("Update", "Yes. Well"), turn_info("StartOfTurn")) == []


def test_a_turn_whose_end_was_never_told_ends_when_the_next_one_is_spoken_of() -> None:
    wire = FluxWire()
    hear(wire, turn_info("StartOfTurn", "Yes"))
    assert hear(wire, turn_info("StartOfTurn", "No", turn=1)) == [EndOfTurn("Yes"), SpeechStarted(), Partial("No")]
    assert hear(wire, turn_info("EndOfTurn", "No.", turn=3)) == [EndOfTurn("No"), EndOfTurn("No.")]


def test_the_first_turn_may_have_any_number() -> None:
    assert hear(FluxWire(), turn_info("StartOfTurn", "Yes", turn=5)) == [SpeechStarted(), Partial("Yes")]


def test_an_event_that_we_do_not_know_says_nothing() -> None:
    wire = FluxWire()
    assert hear(wire, turn_info("Yawn", "Yes")) == []
    assert hear(wire, turn_info("EndOfTurn", "Yes.")) == [EndOfTurn("Yes.")]


# -- other messages ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        '{"type":"Connected","request_id":"r","sequence_id":0}',
        '{"type":"ConfigureSuccess","request_id":"r","sequence_id":3,"thresholds":{},"keyterms":[]}',
        '{"type":"SomethingNew"}',
    ],
)
def test_messages_that_say_nothing_to_us_are_passed_over(message: str) -> None:
    assert FluxWire().receive(message) == []


@pytest.mark.parametrize(
    ("message", "event"),
    [
        (
            '{"type":"Warning","request_id":"r","sequence_id":2,"code":"FORCE_END_TURN_NO_ACTIVE_TURN",'
            '"description":"no turn"}',
            EarWarned("FORCE_END_TURN_NO_ACTIVE_TURN", "no turn"),
        ),
        ('{"type":"ConfigureFailure","request_id":"r","sequence_id":2}', EarWarned("ConfigureFailure", "")),
    ],
)
def test_complaints_are_told(message: str, event: EarWarned) -> None:
    assert FluxWire().receive(message) == [event]


def test_an_error_means_that_this_socket_is_of_no_more_use() -> None:
    with pytest.raises(ProviderUnavailable, match="INTERNAL_SERVER_ERROR: oops"):
        FluxWire().receive('{"type":"Error","sequence_id":4,"code":"INTERNAL_SERVER_ERROR","description":"oops"}')


@pytest.mark.parametrize(
    "message",
    [
        b"\x00",
        "nonsense",
        "[]",
        "{}",
        '{"type":"TurnInfo"}',
        turn_info("Update", turn=True),
        json.dumps(json.loads(turn_info("Update")) | {"transcript": None}),
        json.dumps(json.loads(turn_info("Update")) | {"event": 3}),
        json.dumps(json.loads(turn_info("Update")) | {"turn_index": "0"}),
        json.dumps(json.loads(turn_info("Update")) | {"audio_window_end": None}),
    ],
)
def test_a_broken_message_is_an_error(message: str | bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        FluxWire().receive(message)


@pytest.mark.parametrize("words", [None, 7, [], [7], [{"word": "Yes"}], [{"word": "Yes", "start": "0", "end": None}]])
def test_a_turn_is_heard_without_usable_word_times(words: Any) -> None:
    assert hear(FluxWire(), turn_info("Update", "Yes", words=words)) == [Partial("Yes")]


# -- from one socket to the next ---------------------------------------------------------------------------------------


def test_all_but_the_last_word_outlives_the_socket() -> None:
    wire = FluxWire()
    hear(wire, turn_info("StartOfTurn", "I need"), turn_info("Update", "I need, to can", words=timed("I need to can")))
    assert wire.settled == pytest.approx(1.45)  # between the end of "to" and the start of "can"
    assert wire.lost() == []
    assert wire.settled == 0
    assert wire.unfinished
    assert hear(wire, turn_info("StartOfTurn", "cancel"), turn_info("EndOfTurn", "cancel it.")) == [
        SpeechStarted(),
        Partial("I need, to cancel"),
        EndOfTurn("I need, to cancel it."),
    ]


def test_without_word_times_the_whole_turn_is_heard_again() -> None:
    wire = FluxWire()
    hear(wire, turn_info("EndOfTurn", "One.", window=(0.0, 2.0)), turn_info("Update", "I need", turn=1))
    assert wire.settled == 2.0
    wire.lost()
    assert hear(wire, turn_info("Update", "I need"), turn_info("Update", "I need to")) == [Partial("I need to")]


def test_silence_is_settled_but_for_a_word_that_may_have_begun() -> None:
    wire = FluxWire()
    hear(wire, turn_info("Update", window=(0.0, 4.0)))
    assert wire.settled == 3.0


def test_a_draft_is_taken_back_when_its_socket_dies() -> None:
    wire = FluxWire()
    hear(wire, turn_info("EagerEndOfTurn", "Yes."))
    assert wire.lost() == [TurnResumed()]
    assert wire.lost() == []


def test_a_turn_whose_end_fell_between_two_sockets_ends_when_the_new_one_hears_nothing() -> None:
    wire = FluxWire()
    hear(wire, turn_info("Update", "Yes please um", words=timed("Yes please um")))
    wire.lost()
    assert hear(wire, turn_info("Update", window=(0.0, 1.9))) == []
    assert hear(wire, turn_info("Update", window=(0.0, 2.0))) == [EndOfTurn("Yes please")]
    assert not wire.unfinished


@pytest.mark.parametrize(("deaf", "text"), [(False, "Yes"), (True, "Yes please")])
def test_a_turn_that_nobody_will_end_is_ended(deaf: bool, text: str) -> None:
    wire = FluxWire()
    hear(wire, turn_info("StartOfTurn", "Yes please", words=timed("Yes please")))
    wire.lost()
    assert wire.finish(deaf=deaf) == [EndOfTurn(text)]
    assert wire.finish(deaf=deaf) == []
    assert not wire.unfinished


# -- properties --------------------------------------------------------------------------------------------------------

EVENTS = st.sampled_from(["StartOfTurn", "Update", "EagerEndOfTurn", "TurnResumed", "EndOfTurn", "Other"])


@given(st.lists(st.tuples(EVENTS, st.integers(0, 3), st.sampled_from(["", "a", "a b"]), st.booleans())))
def test_no_text_is_empty_and_a_draft_stands_until_it_is_taken_back_or_confirmed(
    steps: list[tuple[str, int, str, bool]],
) -> None:
    wire = FluxWire()
    draft = False
    for event, turn, text, dies in steps:
        events = wire.receive(turn_info(event, text, turn=turn, words=timed(text)))
        if dies:
            events += wire.lost()
        for told in events:
            if isinstance(told, Partial | EagerEndOfTurn | EndOfTurn):
                assert told.text.strip()
            if isinstance(told, TurnResumed):
                assert draft
            if isinstance(told, TurnResumed | EndOfTurn):
                draft = False
            draft = draft or isinstance(told, EagerEndOfTurn)
        if dies:
            assert not draft


@given(
    st.dictionaries(
        st.sampled_from(
            ["type", "event", "turn_index", "transcript", "words", "audio_window_start", "audio_window_end", "code"]
        ),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False)
        | st.sampled_from(["TurnInfo", "Update", "EndOfTurn", "Error", "Warning", "a b"])
        | st.lists(st.dictionaries(st.sampled_from(["word", "start", "end"]), st.integers() | st.text(max_size=2))),
    )
)
def test_whatever_comes_is_an_event_or_one_of_our_errors(body: dict[str, Any]) -> None:
    with suppress(RemoteProtocolError, ProviderUnavailable):
        FluxWire().receive(json.dumps({"type": "TurnInfo", "event": "Update", "turn_index": 0} | body))


# -- when it was said --------------------------------------------------------------------------------------------------


def arrived(seconds: float) -> float:
    """Audio that has come in real time since the loop's second 1000."""
    return 1000 + seconds


def test_a_turn_and_its_eager_end_are_dated_by_the_end_of_the_last_word() -> None:
    wire = FluxWire(arrived)
    text = "I need it."
    eager = turn_info("EagerEndOfTurn", text, words=timed(text))
    assert hear(wire, eager) == [EagerEndOfTurn(text, 1001.4)]
    assert hear(wire, turn_info("EndOfTurn", text, words=timed(text))) == [EndOfTurn(text, 1001.4)]


def test_words_without_times_date_nothing() -> None:
    assert hear(FluxWire(arrived), turn_info("EndOfTurn", "Yes.")) == [EndOfTurn("Yes.")]


def test_a_turn_whose_end_was_never_told_keeps_its_date() -> None:
    wire = FluxWire(arrived)
    hear(wire, turn_info("Update", "Yes", words=timed("Yes")))
    events = hear(wire, turn_info("EndOfTurn", "No", turn=1, words=timed("No", 5.0)))
    assert events == [EndOfTurn("Yes", 1000.4), EndOfTurn("No", 1005.4)]


def test_what_is_left_of_a_turn_when_its_socket_dies_is_dated_by_its_own_last_word() -> None:
    wire = FluxWire(arrived)
    text = "I need it"
    hear(wire, turn_info("Update", text, words=timed(text), window=(0.0, 2.0)))
    wire.lost()
    assert wire.finish(deaf=False) == [EndOfTurn("I need", 1000.9)]


def test_what_a_refused_ear_had_understood_is_dated_by_its_last_word() -> None:
    wire = FluxWire(arrived)
    text = "I need it"
    hear(wire, turn_info("Update", text, words=timed(text), window=(0.0, 2.0)))
    wire.lost()
    assert wire.finish(deaf=True) == [EndOfTurn(text, 1001.4)]
