"""What ElevenLabs' TTS sockets take for a message, and how their errors look."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lineside.standin.elevenlabs_errors import SENTENCES, Ending
from lineside.standin.elevenlabs_messages import Message, parse


def read(multi: bool = False, /, **body: Any) -> Message:
    return parse(json.dumps(body), multi=multi)


def test_a_first_message_is_read_with_all_it_may_have() -> None:
    locator = {"pronunciation_dictionary_id": "d", "version_id": "v"}
    settings = {"stability": 0.5, "similarity_boost": 1, "style": 0, "use_speaker_boost": False, "speed": 1.2}
    message = read(
        text=" ",
        voice_settings=settings,
        generation_config={"chunk_length_schedule": [50, 120.5]},
        pronunciation_dictionary_locators=[locator],
        xi_api_key="k",
        try_trigger_generation=True,
        anything="else",
    )
    assert message == Message(
        text=" ",
        voice_settings=settings,
        schedule=(50, 120.5),
        has_dictionaries=True,
        key="k",
        try_trigger=True,
    )


def test_null_is_as_good_as_absent() -> None:
    nothing = dict.fromkeys(("voice_settings", "generation_config", "flush", "xi_api_key", "context_id", "speed"))
    assert read(text="a ", **nothing) == Message(text="a ")
    unset = {"stability": None, "speed": None}
    assert read(text="a ", voice_settings=unset) == Message(text="a ", voice_settings=unset)


@pytest.mark.parametrize("name", ["xi_api_key", "xi-api-key", "authorization"])
def test_a_key_has_three_names(name: str) -> None:
    assert read(text=" ", **{name: "k"}).key == "k"


@pytest.mark.parametrize("name", ["generation_config", "generator_config"])
def test_a_schedule_has_two_homes(name: str) -> None:
    assert read(text=" ", **{name: {"chunk_length_schedule": [50]}}).schedule == (50,)


def test_ids_and_closes_are_for_the_multi_context_socket() -> None:
    body = {"text": "a ", "context_id": "c", "close_socket": True}
    assert read(False, **body) == Message(text="a ")
    assert read(True, **body) == Message(text="a ", context_id="c", close_socket=True)
    assert read(True, text="a ", contextId="d").context_id == "d"
    assert read(True, text="a ", contextId="d", context_id="c").context_id == "c"


@pytest.mark.parametrize(
    ("multi", "body"),
    [
        (False, {"text": ""}),
        (False, {"flush": True}),
        (True, {"text": ""}),
        (True, {"context_id": "c", "flush": True}),
        (True, {"context_id": "c", "close_context": True}),
        (True, {"close_socket": True}),
        (True, {"text": "a ", "flush": True}),
    ],
)
def test_the_shortest_forms_are_taken(multi: bool, body: dict[str, Any]) -> None:
    read(multi, **body)


@pytest.mark.parametrize(
    ("multi", "message"),
    [
        (False, b'{"text":" "}'),
        (False, "{"),
        (False, "[" * 100_000),
        (False, "[]"),
        (False, "{}"),
        (False, '{"text":7}'),
        (False, '{"text":null}'),
        (False, '{"text":"\\ud800"}'),
        (False, '{"flush":false}'),
        (False, '{"text":"a ","flush":"yes"}'),
        (False, '{"text":"a ","flush":1}'),
        (False, '{"text":" ","voice_settings":[]}'),
        (False, '{"text":" ","voice_settings":{"speed":"fast"}}'),
        (False, '{"text":" ","voice_settings":{"speed":true}}'),
        (False, '{"text":" ","voice_settings":{"use_speaker_boost":1}}'),
        (False, '{"text":" ","generation_config":{"chunk_length_schedule":[]}}'),
        (False, '{"text":" ","generation_config":{"chunk_length_schedule":["50"]}}'),
        (False, '{"text":" ","generation_config":{"chunk_length_schedule":50}}'),
        (False, '{"text":" ","pronunciation_dictionary_locators":["d"]}'),
        (False, '{"text":" ","pronunciation_dictionary_locators":[{"pronunciation_dictionary_id":"d"}]}'),
        (False, '{"close_context":true}'),
        (True, '{"flush":true}'),
        (True, '{"close_context":true}'),
        (True, '{"text":"","close_context":true}'),
        (True, '{"context_id":"c"}'),
        (True, '{"text":" ","context_id":7}'),
    ],
)
def test_what_is_not_of_the_schema_is_an_invalid_message(multi: bool, message: str | bytes) -> None:
    with pytest.raises(Ending) as caught:
        parse(message, multi=multi)
    assert (caught.value.error, caught.value.breach) == ("invalid_input_message", "bad_message")


@pytest.mark.parametrize(
    ("body", "beyond"),
    [
        ({"voice_settings": {"stability": 0, "similarity_boost": 1, "style": 1, "speed": 0.7}}, False),
        ({"voice_settings": {"speed": 1.21}}, True),
        ({"voice_settings": {"speed": 0.69}}, True),
        ({"voice_settings": {"stability": 1.1}}, True),
        ({"voice_settings": {"style": -0.1}}, True),
        ({"generation_config": {"chunk_length_schedule": [50, 500]}}, False),
        ({"generation_config": {"chunk_length_schedule": [49]}}, True),
        ({"generation_config": {"chunk_length_schedule": [120, 501]}}, True),
    ],
)
def test_values_beyond_their_range_are_told(body: dict[str, Any], beyond: bool) -> None:
    assert read(text=" ", **body).out_of_range is beyond


# -- errors ----------------------------------------------------------------------------------------------------------


def test_an_error_has_a_sentence_a_code_and_the_close_code_to_come() -> None:
    assert Ending("invalid_api_key").message == {
        "message": "Invalid API key",
        "error": "invalid_api_key",
        "code": 1008,
    }
    unknown_voice = Ending("voice_id_does_not_exist", voice_id="v")
    assert unknown_voice.message["message"] == "A voice with voice_id v does not exist."


def test_a_timeout_names_its_seconds() -> None:
    sentence = Ending("input_timeout_exceeded", seconds=20.0).sentence
    assert sentence == (
        "Have not received a new text input within the timeout of 20.0 seconds. Streaming input terminated. Please "
        "make sure to either feed the input in the timely manner, or to send the end of input text "
        '(empty string "") when done.'
    )


def test_a_reason_is_the_sentence_as_far_as_a_close_frame_takes_it() -> None:
    ending = Ending("max_active_conversations", limit=5)
    assert len(ending.sentence) == 127
    assert ending.reason == ending.sentence[:123]
    assert Ending("invalid_api_key").reason == SENTENCES["invalid_api_key"]


def test_a_reason_never_ends_inside_a_character() -> None:
    ending = Ending("voice_id_does_not_exist", voice_id="ü" * 100)
    assert ending.sentence.startswith(ending.reason)
    assert len(ending.reason.encode()) in (122, 123)
