"""Scribe's real-time protocol: options, messages, and the text not yet committed."""

from __future__ import annotations

import json
from base64 import b64decode
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineside.errors import (
    LocalProtocolError,
    ProviderError,
    ProviderRefused,
    ProviderUnavailable,
    RemoteProtocolError,
    SettingsError,
)
from lineside.events import EarWarned, EndOfTurn, HearingEvent, Partial
from lineside.wire.elevenlabs_scribe import ScribeOptions, ScribeWire, input_audio_chunk, scribe_url

SECOND = bytes(8000)


def partial(text: str) -> str:
    return json.dumps({"message_type": "partial_transcript", "text": text})


def committed(text: str) -> str:
    return json.dumps({"message_type": "committed_transcript", "text": text})


def hear(wire: ScribeWire, *messages: str | bytes) -> list[HearingEvent]:
    return [event for message in messages for event in wire.receive(message)]


def fed(seconds: int, options: ScribeOptions | None = None) -> ScribeWire:
    wire = ScribeWire(options or ScribeOptions())
    for _ in range(seconds):
        wire.audio(SECOND)
    return wire


# -- address and options -----------------------------------------------------------------------------------------------


def test_the_address_asks_for_phone_audio_and_commits_by_voice_detection() -> None:
    parts = urlsplit(scribe_url("wss://api.elevenlabs.io", ScribeOptions()))
    assert (parts.netloc, parts.path) == ("api.elevenlabs.io", "/v1/speech-to-text/realtime")
    assert dict(parse_qsl(parts.query)) == {
        "model_id": "scribe_v2_realtime",
        "audio_format": "ulaw_8000",
        "commit_strategy": "vad",
        "vad_silence_threshold_secs": "1.5",
        "vad_threshold": "0.4",
        "min_speech_duration_ms": "100",
        "min_silence_duration_ms": "100",
    }


def test_the_address_has_what_was_chosen_and_repeats_keyterms() -> None:
    options = ScribeOptions(
        language_code="eng", keyterms=("Lineside", "front desk"), enable_logging=False, no_verbatim=True
    )
    query = parse_qsl(urlsplit(scribe_url("http://127.0.0.1:1/x/", options)).query)
    assert [value for name, value in query if name == "keyterms"] == ["Lineside", "front desk"]
    assert {("language_code", "eng"), ("enable_logging", "false"), ("no_verbatim", "true")} <= set(query)
    assert "filter_background_audio" not in dict(query)


@pytest.mark.parametrize("base", ["", "api.elevenlabs.io", "wss://", "wss://[::1"])
def test_a_base_that_is_no_url_names_its_setting(base: str) -> None:
    with pytest.raises(SettingsError, match="ELEVENLABS_BASE_URL"):
        scribe_url(base, ScribeOptions())


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("model_id", "", "scribe_v2_realtime"),
        ("language_code", "english", "ISO 639"),
        ("vad_silence_threshold_secs", 0.29, "0.3 to 3.0"),
        ("vad_silence_threshold_secs", 3.1, "0.3 to 3.0"),
        ("vad_silence_threshold_secs", None, "0.3 to 3.0"),
        ("vad_threshold", 0.05, "0.1 to 0.9"),
        ("vad_threshold", True, "0.1 to 0.9"),
        ("min_speech_duration_ms", 49, "50 to 2000"),
        ("min_silence_duration_ms", 2001, "50 to 2000"),
        ("min_silence_duration_ms", 99.5, "whole number"),
        ("keyterms", ("a",) * 51, "at most 50"),
        ("keyterms", ("a" * 21,), "1 to 20"),
        ("keyterms", ("",), "1 to 20"),
        ("keyterms", "abc", "a list"),
    ],
)
def test_an_option_out_of_range_names_field_and_range(field: str, value: Any, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        ScribeOptions(**{field: value})
    assert field in str(caught.value)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "good",
    [
        {"vad_silence_threshold_secs": 0.3, "vad_threshold": 0.1, "min_speech_duration_ms": 50},
        {"vad_silence_threshold_secs": 3, "vad_threshold": 0.9, "min_silence_duration_ms": 2000},
        {"keyterms": ("a" * 20,) * 50},
    ],
)
def test_the_ends_of_the_ranges_are_allowed(good: dict[str, Any]) -> None:
    ScribeOptions(**good)


# -- what we send ------------------------------------------------------------------------------------------------------


def test_audio_goes_up_as_base64_with_its_rate() -> None:
    body = json.loads(ScribeWire(ScribeOptions()).audio(bytes(range(256))))
    assert b64decode(body.pop("audio_base_64"), validate=True) == bytes(range(256))
    assert body == {"message_type": "input_audio_chunk", "commit": False, "sample_rate": 8000}


def test_a_commit_is_a_chunk_without_audio() -> None:
    assert json.loads(fed(1).commit()) == {
        "message_type": "input_audio_chunk",
        "audio_base_64": "",
        "commit": True,
        "sample_rate": 8000,
    }
    assert json.loads(input_audio_chunk(b"a", commit=True))["commit"] is True


def test_a_commit_that_would_end_the_session_is_not_made() -> None:
    wire = ScribeWire(ScribeOptions())
    wire.audio(bytes(2399))
    with pytest.raises(LocalProtocolError, match=r"0\.3 s"):
        wire.commit()
    wire.audio(b"\xff")
    wire.commit()
    with pytest.raises(LocalProtocolError):
        wire.commit()


# -- what comes back ---------------------------------------------------------------------------------------------------


def test_partials_grow_until_the_text_is_committed() -> None:
    wire = ScribeWire(ScribeOptions())
    events = hear(wire, partial("I'd"), partial("I'd like"), partial("I'd like"), committed("I'd like to cancel."))
    assert events == [Partial("I'd"), Partial("I'd like"), EndOfTurn("I'd like to cancel.")]
    assert not wire.unfinished
    assert hear(wire, partial("I'd")) == [Partial("I'd")]


def test_the_twin_with_timestamps_is_not_a_second_turn() -> None:
    twin = {"message_type": "committed_transcript_with_timestamps", "text": "Yes.", "language_code": "en", "words": []}
    assert hear(ScribeWire(ScribeOptions()), committed("Yes."), json.dumps(twin)) == [EndOfTurn("Yes.")]


def test_empty_texts_are_silence() -> None:
    wire = ScribeWire(ScribeOptions())
    assert hear(wire, partial(""), committed(" "), partial("  ")) == []
    assert not wire.unfinished


@pytest.mark.parametrize(
    "message",
    [
        '{"message_type":"session_started","session_id":"0af3","config":{"vad_commit_strategy":true}}',
        '{"message_type":"committed_transcript_entities","text":"x","entities":[]}',
        '{"message_type":"something_new","error":null}',
    ],
)
def test_messages_that_say_nothing_to_us_are_passed_over(message: str) -> None:
    assert ScribeWire(ScribeOptions()).receive(message) == []


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("auth_error", ProviderRefused),
        ("quota_exceeded", ProviderRefused),
        ("unaccepted_terms", ProviderRefused),
        ("unaccepted_terms_error", ProviderRefused),
        ("error", ProviderUnavailable),
        ("transcriber_error", ProviderUnavailable),
        ("rate_limited", ProviderUnavailable),
        ("queue_overflow", ProviderUnavailable),
        ("resource_exhausted", ProviderUnavailable),
        ("session_time_limit_exceeded", ProviderUnavailable),
    ],
)
def test_errors_that_end_a_session_are_raised(kind: str, error: type[ProviderError]) -> None:
    with pytest.raises(error, match=f"{kind}: no more"):
        ScribeWire(ScribeOptions()).receive(json.dumps({"message_type": kind, "error": "no more"}))


@pytest.mark.parametrize(
    "kind",
    ["commit_throttled", "input_error", "invalid_request", "chunk_size_exceeded", "insufficient_audio_activity"],
)
def test_complaints_are_told(kind: str) -> None:
    (event,) = ScribeWire(ScribeOptions()).receive(json.dumps({"message_type": kind, "error": "too little"}))
    assert isinstance(event, EarWarned)
    assert event.code == kind
    assert "too little" in event.message


def test_a_complaint_does_not_repeat_a_key() -> None:
    with pytest.raises(ProviderRefused) as caught:
        ScribeWire(ScribeOptions()).receive('{"message_type":"auth_error","error":"bad key sk_0123456789abcdef"}')
    assert "sk_" not in str(caught.value)


@pytest.mark.parametrize(
    "message",
    [
        b"\x00",
        "",
        "nonsense",
        "[]",
        "{}",
        '{"message_type":7}',
        '{"message_type":"partial_transcript"}',
        '{"message_type":"partial_transcript","text":null}',
        '{"message_type":"committed_transcript","text":["x"]}',
    ],
)
def test_a_broken_message_is_an_error(message: str | bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        ScribeWire(ScribeOptions()).receive(message)


# -- from one socket to the next ---------------------------------------------------------------------------------------


def test_what_was_committed_is_settled_but_for_the_time_that_the_answer_took() -> None:
    wire = fed(8)
    hear(wire, partial("Yes"), committed("Yes."))
    assert wire.settled == 7.0


def test_a_short_pause_settles_less_far_into_what_followed_it() -> None:
    wire = fed(8, ScribeOptions(vad_silence_threshold_secs=0.3))
    hear(wire, committed("Yes."))
    assert wire.settled == pytest.approx(7.37)


def test_nothing_of_an_open_text_is_settled() -> None:
    wire = fed(8)
    hear(wire, partial("Yes"))
    for _ in range(20):
        wire.audio(SECOND)
    assert wire.settled == 3.0


def test_silence_is_settled_but_for_words_that_have_not_shown_yet() -> None:
    assert fed(3).settled == 0
    assert fed(60).settled == 55


def test_an_open_text_is_heard_again_on_the_next_socket() -> None:
    wire = fed(8)
    hear(wire, partial("Yes plea"))
    assert wire.lost() == []
    assert wire.settled == 0
    assert wire.finish(deaf=False) == []
    assert hear(wire, partial("Yes"), committed("Yes please.")) == [Partial("Yes"), EndOfTurn("Yes please.")]


def test_an_open_text_that_nobody_will_hear_again_is_a_turn() -> None:
    wire = fed(8)
    hear(wire, partial("Yes plea"))
    wire.lost()
    assert wire.finish(deaf=True) == [EndOfTurn("Yes plea")]
    assert wire.finish(deaf=True) == []


# -- properties --------------------------------------------------------------------------------------------------------


@given(
    st.lists(
        st.sampled_from([partial("a"), partial("a b"), partial(""), committed("a b."), committed(""), "audio", "lost"])
    )
)
def test_what_is_settled_never_passes_what_was_sent_and_never_goes_back(steps: list[str]) -> None:
    wire = ScribeWire(ScribeOptions())
    sent = settled = 0.0
    for step in steps:
        if step == "audio":
            wire.audio(SECOND)
            sent += 1
        elif step == "lost":
            wire.lost()
            sent = settled = 0.0
        else:
            wire.receive(step)
        assert settled <= wire.settled <= sent
        settled = wire.settled


@given(
    st.text()
    | st.binary()
    | st.dictionaries(
        st.sampled_from(["message_type", "text", "error", "warning"]),
        st.none()
        | st.integers()
        | st.text(max_size=5)
        | st.sampled_from(["error", "partial_transcript", "auth_error"]),
    ).map(json.dumps)
)
def test_whatever_comes_is_an_event_or_one_of_our_errors(message: str | bytes) -> None:
    with suppress(RemoteProtocolError, ProviderError):
        ScribeWire(ScribeOptions()).receive(message)


def test_a_text_that_is_committed_twice_is_told_once() -> None:
    wire = fed(3)
    assert hear(wire, committed("Yes."), committed("Yes.")) == [EndOfTurn("Yes.")]
    wire.audio(SECOND)
    assert hear(wire, committed("Yes.")) == [EndOfTurn("Yes.")]  # said again


def test_texts_that_were_held_up_together_are_all_told() -> None:
    assert hear(fed(9), committed("Yes."), committed("No."), committed("Yes.")) == [
        EndOfTurn("Yes."),
        EndOfTurn("No."),
        EndOfTurn("Yes."),
    ]


# -- when it was said --------------------------------------------------------------------------------------------------

TIMED = ScribeOptions(include_timestamps=True)


def arrived(seconds: float) -> float:
    """Audio that has come in real time since the loop's second 1000."""
    return 1000 + seconds


def timed_twin(text: str, *ends: float) -> str:
    words = [{"text": "w", "type": "word", "start": end - 0.2, "end": end} for end in ends]
    space = {"text": " ", "type": "spacing", "start": ends[-1], "end": ends[-1] + 5} if ends else {}
    body = {"message_type": "committed_transcript_with_timestamps", "text": text, "words": [*words, space]}
    return json.dumps(body)


def listened(seconds: int) -> ScribeWire:
    """A wire that was sent so much audio and asked for times."""
    wire = ScribeWire(TIMED, arrived)
    for _ in range(seconds):
        wire.audio(SECOND)
    return wire


def test_times_are_asked_for_only_by_option() -> None:
    assert "include_timestamps" not in scribe_url("wss://h", ScribeOptions())
    assert "include_timestamps=true" in scribe_url("wss://h", TIMED)


def test_with_times_asked_for_the_twin_tells_the_turn_and_dates_it() -> None:
    wire = listened(8)
    assert hear(wire, committed("Yes please.")) == []
    assert wire.unfinished
    assert wire.settled == 0.0  # or the audio could not be dated any more
    assert hear(wire, timed_twin("Yes please.", 2.0, 2.9)) == [EndOfTurn("Yes please.", 1002.9)]
    assert not wire.unfinished
    assert wire.settled == 7.0


@pytest.mark.parametrize("following", [partial("No"), committed("No"), committed("")])
def test_a_turn_whose_twin_does_not_come_is_told_by_what_comes_next(following: str) -> None:
    wire = listened(5)
    assert hear(wire, committed("Yes."), following)[0] == EndOfTurn("Yes.")


def test_a_turn_whose_twin_was_lost_with_its_socket_is_heard_again_or_told_at_the_end() -> None:
    wire = listened(5)
    assert hear(wire, committed("Yes.")) == []
    assert wire.lost() == []
    assert wire.settled == 0.0
    assert wire.finish(deaf=True) == [EndOfTurn("Yes.")]


def test_times_that_would_lie_in_an_earlier_segment_date_nothing() -> None:
    wire = listened(10)
    hear(wire, committed("One."), timed_twin("One.", 8.0))
    for _ in range(5):
        wire.audio(SECOND)
    assert hear(wire, committed("Two."), timed_twin("Two.", 2.0)) == [EndOfTurn("Two.")]


@pytest.mark.parametrize("words", [None, {}, [], ["w"], [{"type": "word"}], [{"type": "word", "end": "1"}]])
def test_odd_words_date_nothing_and_break_nothing(words: object) -> None:
    wire = listened(5)
    body = {"message_type": "committed_transcript_with_timestamps", "text": "Yes.", "words": words}
    assert hear(wire, committed("Yes."), json.dumps(body)) == [EndOfTurn("Yes.")]
