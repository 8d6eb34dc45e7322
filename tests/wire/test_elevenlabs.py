"""What both of ElevenLabs' speech sockets share: options, address, messages, errors."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineside.audio.formats import AudioFormat
from lineside.errors import ProviderRefused, ProviderSilent, ProviderUnavailable, RemoteProtocolError, SettingsError
from lineside.events import Aligned, Audio, Finished, Flushed, Lost, Warned
from lineside.wire.alignment import Alignment, AlignmentClock
from lineside.wire.elevenlabs import (
    OUTPUT_FORMATS,
    Failure,
    Frame,
    VoiceOptions,
    closed_error,
    ended,
    headers,
    opening,
    parse,
    provider_error,
    spoken,
    upgrade_error,
    url,
    words,
)

KEY = "sk_0123456789abcdef0123456789abcdef"
OPTIONS = VoiceOptions(api_key=KEY)
BASE = "wss://api.elevenlabs.io"


def query_of(options: VoiceOptions) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url(BASE, "voice", options, "stream-input")).query, strict_parsing=True))


# -- options -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "good", "bad"),
    [
        ("language_code", ["en", "de"], ["", "EN", "eng", "en-US"]),
        ("inactivity_timeout", [1, 20, 180], [0, -1, 181, 20.0, True, "20"]),
        ("apply_text_normalization", ["auto", "on", "off", None], ["yes", True, ""]),
        ("seed", [0, 4294967295], [-1, 4294967296, 1.5]),
        ("stability", [0, 0.5, 1], [-0.01, 1.01, float("nan"), True, "0.5"]),
        ("similarity_boost", [0, 1.0], [2, float("inf")]),
        ("style", [0.0, 1], [-1, 1.5]),
        ("speed", [0.7, 1.0, 1.2], [0.69, 1.21, 0, float("nan")]),
        ("chunk_length_schedule", [(50,), (120, 160, 250, 290), (500,)], [(49,), (120, 501), (50.0,), (True,)]),
        (
            "pronunciation_dictionaries",
            [(), (("a", "1"),), (("a", "1"), ("b", "1"), ("c", "2"))],
            [(("a", "1"),) * 4, (("a",),), (("a", ""),), ("ab",)],
        ),
        ("model_id", ["eleven_flash_v2_5", "eleven_multilingual_v2", "one_of_next_year"], ["", "eleven_v3"]),
        ("output_format", list(OUTPUT_FORMATS), ["mp3_44100_128", "alaw_8000", "opus_48000_32", "pcm_11025", ""]),
        ("api_key_in", ["header", "message", "authorization", "single_use_token"], ["query", ""]),
    ],
)
def test_a_value_is_checked_against_its_range(field: str, good: list[Any], bad: list[Any]) -> None:
    for value in good:
        assert getattr(replace(OPTIONS, **{field: value}), field) == value
    for value in bad:
        with pytest.raises(SettingsError, match=rf"ElevenLabs {field} is .*; expected "):
            replace(OPTIONS, **{field: value})


def test_the_message_names_field_value_and_range() -> None:
    with pytest.raises(SettingsError) as caught:
        VoiceOptions(api_key=KEY, speed=1.5)
    assert str(caught.value) == "ElevenLabs speed is 1.5; expected a number from 0.7 to 1.2"


@pytest.mark.parametrize("model", ["eleven_v3", "eleven_v3_conversational", "eleven_v4", "eleven_v4_turbo"])
def test_a_model_of_other_sockets_is_refused_with_the_reason(model: str) -> None:
    with pytest.raises(SettingsError, match=f"{model}.*text-to-dialogue"):
        VoiceOptions(api_key=KEY, model_id=model)


def test_a_schedule_beside_auto_mode_is_refused_as_it_would_do_nothing() -> None:
    with pytest.raises(SettingsError, match="auto_mode"):
        VoiceOptions(api_key=KEY, auto_mode=True, chunk_length_schedule=(120,))


@pytest.mark.parametrize("key", ["", " ", f"{KEY}\n", f"{KEY} ", "schlüssel-0123456789"])
def test_a_key_that_cannot_be_one_is_refused_and_not_quoted(key: str) -> None:
    with pytest.raises(SettingsError, match="ELEVENLABS_API_KEY") as caught:
        VoiceOptions(api_key=key)
    assert not key.strip() or key.strip() not in str(caught.value)


def test_the_key_is_not_shown() -> None:
    assert KEY not in repr(OPTIONS)


@pytest.mark.parametrize(
    ("output_format", "audio", "n_bytes"),
    [
        ("ulaw_8000", AudioFormat("mulaw", 8000), 8000),
        ("pcm_8000", AudioFormat("linear16", 8000), 16000),
        ("pcm_22050", AudioFormat("linear16", 22050), 44100),
        ("pcm_48000", AudioFormat("linear16", 48000), 96000),
    ],
)
def test_a_format_tells_what_its_audio_is(output_format: str, audio: AudioFormat, n_bytes: int) -> None:
    options = replace(OPTIONS, output_format=output_format)
    clock = options.clock()
    clock.frame(n_bytes, None, None)
    assert (options.audio, clock.audio_ms) == (audio, 1000)


# -- address -----------------------------------------------------------------------------------------------------------


def test_by_default_the_address_asks_for_mu_law_of_the_fast_model() -> None:
    assert url(BASE, "Xb7hH8MSUJpSbSDYk0k2", OPTIONS, "multi-stream-input") == (
        "wss://api.elevenlabs.io/v1/text-to-speech/Xb7hH8MSUJpSbSDYk0k2/multi-stream-input"
        "?model_id=eleven_flash_v2_5&output_format=ulaw_8000&inactivity_timeout=180&auto_mode=false&sync_alignment=false"
    )


def test_every_option_of_the_query_is_sent_when_it_is_set() -> None:
    options = VoiceOptions(
        api_key=KEY,
        model_id="eleven_turbo_v2_5",
        language_code="de",
        output_format="pcm_16000",
        inactivity_timeout=60,
        sync_alignment=True,
        auto_mode=True,
        apply_text_normalization="off",
        apply_language_text_normalization=False,
        enable_ssml_parsing=True,
        enable_logging=False,
        seed=0,
    )
    assert query_of(options) == {
        "model_id": "eleven_turbo_v2_5",
        "language_code": "de",
        "output_format": "pcm_16000",
        "inactivity_timeout": "60",
        "sync_alignment": "true",
        "auto_mode": "true",
        "apply_text_normalization": "off",
        "apply_language_text_normalization": "false",
        "enable_ssml_parsing": "true",
        "enable_logging": "false",
        "seed": "0",
    }


@pytest.mark.parametrize(
    ("base", "begins"),
    [
        ("wss://api.elevenlabs.io/", "wss://api.elevenlabs.io/v1/text-to-speech/v/stream-input?"),
        ("https://api.elevenlabs.io", "wss://api.elevenlabs.io/v1/text-to-speech/v/stream-input?"),
        ("http://127.0.0.1:9000/proxy/", "ws://127.0.0.1:9000/proxy/v1/text-to-speech/v/stream-input?"),
        ("ws://[::1]:9000", "ws://[::1]:9000/v1/text-to-speech/v/stream-input?"),
    ],
)
def test_bases_of_web_and_web_socket_are_taken(base: str, begins: str) -> None:
    assert url(base, "v", OPTIONS, "stream-input").startswith(begins)


@pytest.mark.parametrize("base", ["", "api.elevenlabs.io", "ftp://api.elevenlabs.io", "wss://", "wss://[bad"])
def test_a_base_that_is_no_address_is_refused(base: str) -> None:
    with pytest.raises(SettingsError, match="ELEVENLABS_BASE_URL"):
        url(base, "v", OPTIONS, "stream-input")


def test_a_missing_voice_is_refused() -> None:
    with pytest.raises(SettingsError, match="ELEVENLABS_VOICE_ID"):
        url(BASE, "", OPTIONS, "stream-input")


def test_a_voice_id_cannot_leave_its_place_in_the_path() -> None:
    assert "/v1/text-to-speech/a%2Fb%3Fc/stream-input?" in url(BASE, "a/b?c", OPTIONS, "stream-input")


@pytest.mark.parametrize(
    ("place", "in_headers", "in_query", "in_message"),
    [
        ("header", {"xi-api-key": KEY}, {}, {}),
        ("message", {}, {}, {"xi_api_key": KEY}),
        ("authorization", {}, {"authorization": KEY}, {}),
        ("single_use_token", {}, {"single_use_token": KEY}, {}),
    ],
)
def test_the_secret_travels_in_one_place(
    place: Any, in_headers: dict[str, str], in_query: dict[str, str], in_message: dict[str, str]
) -> None:
    options = VoiceOptions(api_key=KEY, api_key_in=place)
    assert headers(options) == in_headers
    assert {name: value for name, value in query_of(options).items() if value == KEY} == in_query
    assert {name: value for name, value in opening(options).items() if value == KEY} == in_message


# -- opening message ---------------------------------------------------------------------------------------------------


def test_the_opening_message_is_one_space_when_nothing_is_set() -> None:
    assert opening(OPTIONS) == {"text": " "}


def test_the_opening_message_carries_all_that_may_not_come_later() -> None:
    options = VoiceOptions(
        api_key=KEY,
        api_key_in="message",
        stability=0.5,
        similarity_boost=0.8,
        style=0.0,
        use_speaker_boost=False,
        speed=1.1,
        chunk_length_schedule=(50, 120, 160, 290),
        pronunciation_dictionaries=(("dict_id", "version_id"),),
    )
    assert opening(options) == {
        "text": " ",
        "voice_settings": {
            "stability": 0.5,
            "similarity_boost": 0.8,
            "style": 0.0,
            "use_speaker_boost": False,
            "speed": 1.1,
        },
        "generation_config": {"chunk_length_schedule": [50, 120, 160, 290]},
        "pronunciation_dictionary_locators": [{"pronunciation_dictionary_id": "dict_id", "version_id": "version_id"}],
        "xi_api_key": KEY,
    }


# -- text --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("Hello there.", "Hello there. "),
        ("Hello there. ", "Hello there. "),
        ("  Hello there.\n\n", "Hello there. "),
        ("", ""),
        (" \n\t", ""),
        ("\U0001f600", "\U0001f600 "),
        ("\ud83d\ude00", "\U0001f600 "),
        ("odd \ud83d", "odd � "),
    ],
)
def test_text_is_sent_as_whole_words_and_one_space(text: str, sent: str) -> None:
    assert words(text) == sent


@given(st.text(alphabet=st.characters()))
def test_any_text_can_be_sent(text: str) -> None:
    sent = words(text)
    assert orjson.loads(orjson.dumps(sent)) == sent
    assert sent == "" or (sent.endswith(" ") and not sent[:-1].endswith(" "))


# -- server messages ---------------------------------------------------------------------------------------------------

RECORDED = """{"audio":"AAEC","isFinal":null,
 "normalizedAlignment":{"chars":[" ","H","i","."," "],
  "charStartTimesMs":[0,20,110,300,420],"charDurationsMs":[20,90,190,120,130]},
 "alignment":{"chars":["H","i","."," "],"charStartTimesMs":[0,110,300,420],"charDurationsMs":[110,190,120,130]}}"""
RAW = Alignment(("H", "i", ".", " "), (0, 110, 300, 420), (110, 190, 120, 130))
NORMALIZED = Alignment((" ", "H", "i", ".", " "), (0, 20, 110, 300, 420), (20, 90, 190, 120, 130))


def test_a_recorded_first_frame_is_read() -> None:
    frame = parse(RECORDED)
    assert frame == Frame(payload_b64="AAEC", alignment=RAW, normalized=NORMALIZED)
    assert isinstance(frame, Frame)
    assert frame.audio() == bytes([0, 1, 2])


@pytest.mark.parametrize(
    ("message", "frame"),
    [
        ('{"audio":"/w==","isFinal":null,"normalizedAlignment":null,"alignment":null}', Frame(payload_b64="/w==")),
        ('{"audio":"/w==","isFinal":false}', Frame(payload_b64="/w==")),
        ('{"audio":"/w=="}', Frame(payload_b64="/w==")),
        ('{"audio":"/w==","error":null,"message":null,"code":null}', Frame(payload_b64="/w==")),
        ('{"audio":null,"isFinal":true,"normalizedAlignment":null,"alignment":null}', Frame(final=True)),
        ('{"isFinal":true,"contextId":"c1"}', Frame("c1", final=True)),
        ('{"is_final":true,"context_id":"c1"}', Frame("c1", final=True)),
        ('{"audio":"","isFinal":true,"contextId":"c1"}', Frame("c1", final=True)),
        ('{"isFinal":null,"is_final":true,"contextId":null,"context_id":"c1"}', Frame("c1", final=True)),
        ('{"audio":"/w==","contextId":"c1","alignment":{}}', Frame("c1", "/w==")),
    ],
)
def test_every_shape_of_a_frame_is_read(message: str, frame: Frame) -> None:
    assert parse(message) == frame


def test_both_spellings_of_the_normalised_alignment_are_read() -> None:
    body = {"chars": ["a"], "char_start_times_ms": [0], "char_durations_ms": [5]}
    assert parse(json.dumps({"normalized_alignment": body})) == Frame(normalized=Alignment(("a",), (0,), (5,)))


@pytest.mark.parametrize("message", ["{}", '{"type":"flush_done","context_id":"c1"}', '{"message":"hello"}'])
def test_a_message_of_an_unknown_kind_is_none(message: str) -> None:
    assert parse(message) is None


@pytest.mark.parametrize(
    "message",
    [
        "",
        "not json",
        '{"audio":',
        "[]",
        "null",
        '"audio"',
        "3",
        '{"audio":5}',
        '{"audio":["AAEC"]}',
        '{"audio":"AAEC","isFinal":"true"}',
        '{"audio":"AAEC","is_final":1}',
        '{"audio":"AAEC","contextId":7}',
        '{"audio":"AAEC","alignment":[]}',
        '{"audio":"AAEC","alignment":{"chars":["a"],"charStartTimesMs":[0]}}',
        '{"audio":"\ud83d"}',
    ],
)
def test_a_message_that_cannot_be_understood_is_the_peers_mistake(message: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse(message)


@pytest.mark.parametrize("payload", ["AAE", "AAEC=", "A*EC", "AA EC", "AAEC\n", "äöü=", "=AAA"])
def test_audio_that_is_not_base64_is_the_peers_mistake(payload: str) -> None:
    frame = parse(json.dumps({"audio": payload}))
    assert isinstance(frame, Frame)
    with pytest.raises(RemoteProtocolError, match="base64"):
        frame.audio()


def test_what_the_agent_says_is_not_quoted_in_an_error() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse('{"audio":"AAEC","alignment":{"chars":"call 555 0100"}}')
    assert "555" not in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=8,
)
alignment_like = st.fixed_dictionaries(
    {},
    optional={
        name: st.lists(json_values, max_size=2) | json_values
        for name in ("chars", "charStartTimesMs", "charDurationsMs", "charsDurationsMs")
    },
)
message_like = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("audio", "isFinal", "is_final", "contextId", "context_id", "error", "message", "code"), json_values
    )
    | dict.fromkeys(("alignment", "normalizedAlignment"), alignment_like | json_values),
)


@given(st.text() | json_values.map(json.dumps) | message_like.map(json.dumps))
def test_whatever_comes_only_our_error_comes_out(message: str) -> None:
    clock = OPTIONS.clock()
    try:
        match parse(message):
            case Frame() as frame:
                spoken(frame, clock)
            case Failure() as failure:
                assert isinstance(failure.error, ProviderRefused | ProviderUnavailable)
    except RemoteProtocolError:
        pass


@given(st.binary())
def test_audio_comes_out_as_it_went_in(audio: bytes) -> None:
    frame = parse(json.dumps({"audio": b64encode(audio).decode(), "isFinal": None}))
    assert isinstance(frame, Frame)
    assert frame.audio() == audio
    assert frame.payload_b64 == b64encode(audio).decode()


# -- errors ------------------------------------------------------------------------------------------------------------

IDLE = (
    "Have not received a new text input within the timeout of 20.0 seconds. Streaming input terminated. Please make "
    'sure to either feed the input in the timely manner, or to send the end of input text (empty string "") when done.'
)
FULL = (
    "Maximum simultaneous contexts per WebSocket connection exceeded (5). Please close an existing context before "
    "opening a new one."
)


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        ("invalid_api_key", "Invalid API key", ProviderRefused),
        ("authentication_required", "", ProviderRefused),
        ("voice_id_does_not_exist", "A voice with voice_id X does not exist.", ProviderRefused),
        ("quota_exceeded", "This request exceeds your quota of 10.", ProviderRefused),
        ("detected_unusual_activity", "Unusual activity detected.", ProviderRefused),
        ("unsupported_model", "", ProviderRefused),
        ("input_timeout_exceeded", IDLE, ProviderUnavailable),
        ("max_active_conversations", FULL, ProviderUnavailable),
        ("invalid_input_message", "Could not parse input message", ProviderUnavailable),
        ("of_next_year", "?", ProviderUnavailable),
    ],
)
def test_an_error_message_is_told_as_what_to_do(code: str, message: str, kind: type[Exception]) -> None:
    failure = parse(json.dumps({"message": message, "error": code, "code": 1008}))
    assert isinstance(failure, Failure)
    assert type(failure.error) is kind
    assert (failure.code, failure.context_id, failure.closes) == (code, None, True)
    assert code in str(failure.error)
    assert message[:60] in str(failure.error)


@pytest.mark.parametrize(
    ("message", "closes"),
    [
        ('{"error":"x","contextId":"c1"}', False),
        ('{"error":"x","context_id":"c1","code":null}', False),
        ('{"error":"x","contextId":"c1","code":1008}', True),
        ('{"error":"x"}', True),
        ('{"message":"We are sorry, something went wrong.","code":1008}', True),
        ('{"error":{"nested":1},"message":"odd"}', True),
    ],
)
def test_an_error_of_one_context_closes_the_socket_only_with_a_close_code(message: str, closes: bool) -> None:
    failure = parse(message)
    assert isinstance(failure, Failure)
    assert failure.closes is closes


@pytest.mark.parametrize(
    "secret",
    [KEY, "sk_short1", "0123456789abcdef0123456789abcdef", "+15550100123", "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"],
)
def test_keys_and_numbers_are_left_out_of_errors(secret: str) -> None:
    texts = [
        str(provider_error("invalid_api_key", f"Invalid API key {secret}, sorry")),
        str(provider_error(secret, "")),
        str(closed_error(1008, f"Invalid API key {secret}")),
        str(upgrade_error(401, json.dumps({"detail": {"code": "unauthorized", "message": secret}}).encode())),
    ]
    assert not [text for text in texts if secret in text]


@given(st.text(max_size=5000), st.text(max_size=5000))
def test_errors_are_short_whatever_the_service_says(code: str, message: str) -> None:
    assert len(str(provider_error(code, message))) <= 320


UNSUPPORTED = {
    "detail": {
        "type": "validation_error",
        "code": "unsupported_model",
        "status": "unsupported_model",
        "param": "model_id",
        "message": "Use the text-to-dialogue socket.",
        "request_id": "r",
    }
}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, json.dumps(UNSUPPORTED), ProviderRefused),
        (401, '{"detail":{"status":"quota_exceeded","message":"exceeds your quota"}}', ProviderRefused),
        (429, '{"detail":{"code":"rate_limit_exceeded","message":"slow down"}}', ProviderUnavailable),
        (429, '{"detail":{"status":"system_busy"}}', ProviderUnavailable),
        (403, '{"detail":{"code":"of_next_year"}}', ProviderRefused),
        (422, '{"detail":[{"loc":["body"]}]}', ProviderRefused),
        (404, "Not Found", ProviderRefused),
        (404, '{"detail":"Not Found"}', ProviderRefused),
        (500, "", ProviderUnavailable),
        (503, "[]", ProviderUnavailable),
        (502, "3", ProviderUnavailable),
        (502, '{"detail":{"code":7,"message":null}}', ProviderUnavailable),
    ],
)
def test_a_refused_upgrade_is_told_as_what_to_do(status: int, body: str, kind: type[Exception]) -> None:
    assert type(upgrade_error(status, body.encode())) is kind


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (1008, "Invalid API key", ProviderRefused),
        (1008, "A voice with voice_id X does not exist.", ProviderRefused),
        (1008, IDLE[:120], ProviderUnavailable),
        (1008, FULL[:120], ProviderUnavailable),
        (1011, "", ProviderUnavailable),
        (1006, "", ProviderUnavailable),
        (1000, "", ProviderUnavailable),
    ],
)
def test_a_close_is_told_as_what_to_do(code: int, reason: str, kind: type[Exception]) -> None:
    assert type(closed_error(code, reason)) is kind


# -- one utterance -----------------------------------------------------------------------------------------------------


def test_a_frame_tells_timings_then_audio_then_the_flushes_it_answers() -> None:
    clock = AlignmentClock(8000)
    clock.said("Hi. ")
    clock.flush()
    audio = bytes(4400)
    assert spoken(Frame(payload_b64=b64encode(audio).decode(), alignment=RAW), clock) == [
        Aligned("Hi. ", (0, 110, 300, 420), (110, 300, 420, 550)),
        Audio(audio),
        Flushed(),
    ]


def test_the_end_answers_the_flushes_that_are_left() -> None:
    clock = AlignmentClock(8000, normalized=True)
    clock.said("Hi. ")
    clock.flush()
    clock.frame(4400, RAW, NORMALIZED)
    assert ended(clock) == [Flushed(), Finished()]


def test_an_end_with_text_and_without_audio_is_a_loss() -> None:
    clock = AlignmentClock(8000)
    clock.said("Hi. ")
    clock.flush()
    (lost,) = ended(clock)
    assert isinstance(lost, Lost)
    assert isinstance(lost.error, ProviderSilent)
    assert "final without audio" in str(lost.error)


def test_an_end_without_text_is_an_end() -> None:
    assert ended(AlignmentClock(8000)) == [Finished()]


def test_an_end_before_all_text_was_timed_is_warned_of() -> None:
    clock = AlignmentClock(8000)
    clock.said("Hi. Bye. ")
    clock.frame(4400, RAW, None)
    warned, finished = ended(clock)
    assert isinstance(warned, Warned)
    assert "4 characters" in warned.message
    assert finished == Finished()
