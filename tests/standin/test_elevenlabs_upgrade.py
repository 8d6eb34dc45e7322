"""What a query may ask of ElevenLabs' TTS sockets, and where a key may be."""

from __future__ import annotations

from collections import Counter

import pytest
from websockets.datastructures import Headers

from lineside.standin.elevenlabs_faults import ElevenLabsFaults
from lineside.standin.elevenlabs_upgrade import SocketSettings, bare, find_key, read_query, refusal
from lineside.standin.endpoint import Refusal

MODEL = ("model_id", "eleven_flash_v2_5")
PHONE = (MODEL, ("output_format", "ulaw_8000"))


def read(
    *query: tuple[str, str], faults: ElevenLabsFaults | None = None, kind: str = "stream-input"
) -> tuple[SocketSettings, Counter[str]]:
    """The settings, and what was noted."""
    notes: list[str] = []
    settings = read_query("voice", kind, query, faults=faults or ElevenLabsFaults(), note=notes.append)
    return settings, Counter(notes)


def refused(*query: tuple[str, str], faults: ElevenLabsFaults | None = None) -> Refusal:
    with pytest.raises(Refusal) as caught:
        read(*query, faults=faults)
    assert (caught.value.status, caught.value.breach) == (400, "bad_query")
    return caught.value


def test_a_phones_query_is_read_without_a_note() -> None:
    settings, notes = read(*PHONE)
    assert settings == SocketSettings(
        voice_id="voice",
        multi=False,
        model="eleven_flash_v2_5",
        encoding="mulaw",
        rate=8000,
        inactivity_s=20.0,
        auto_mode=False,
        sync_alignment=False,
        expands_numbers=False,
    )
    assert not notes


def test_the_path_says_which_socket_it_is() -> None:
    assert read(*PHONE, kind="multi-stream-input")[0].multi


@pytest.mark.parametrize(
    ("name", "encoding", "rate", "n_bytes_per_s"),
    [
        ("ulaw_8000", "mulaw", 8000, 8000),
        ("alaw_8000", "alaw", 8000, 8000),
        *((f"pcm_{rate}", "linear16", rate, 2 * rate) for rate in (8000, 16000, 22050, 24000, 32000, 44100, 48000)),
    ],
)
def test_every_raw_format_is_served(name: str, encoding: str, rate: int, n_bytes_per_s: int) -> None:
    settings, _ = read(MODEL, ("output_format", name))
    assert (settings.encoding, settings.rate, settings.bytes_per_s) == (encoding, rate, n_bytes_per_s)


@pytest.mark.parametrize("name", ["ulaw_16000", "pcm_11025", "mp3_44100", "wav_8000", "", "ULAW_8000"])
def test_an_unknown_format_is_refused(name: str) -> None:
    assert refused(MODEL, ("output_format", name)).body["detail"]["code"] == "invalid_output_format"


@pytest.mark.parametrize("query", [(MODEL,), (MODEL, ("output_format", "opus_48000_32"))])
def test_a_compressed_format_is_refused_by_name_also_when_it_is_the_default(query: tuple[tuple[str, str], ...]) -> None:
    assert "no encoder for" in refused(*query).body["detail"]["message"]


@pytest.mark.parametrize(
    "model", ["eleven_v3", "eleven_v3_conversational", "eleven_v4", "eleven_v4_turbo", "eleven_nothing", ""]
)
def test_a_model_that_the_socket_does_not_have_is_refused(model: str) -> None:
    detail = refused(("model_id", model), PHONE[1]).body["detail"]
    assert detail["type"] == "validation_error"
    assert detail["code"] == detail["status"] == "unsupported_model"
    assert detail["param"] == "model_id"
    assert detail["request_id"]
    assert ("text-to-dialogue" in detail["message"]) is model.startswith("eleven_v")


def test_a_query_without_a_model_is_served_and_noted() -> None:
    settings, notes = read(PHONE[1])
    assert settings.model == "eleven_multilingual_v2"
    assert notes == {"no_model": 1}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("inactivity_timeout", "0"),
        ("inactivity_timeout", "-1"),
        ("inactivity_timeout", "9" * 5000),
        ("inactivity_timeout", "20.5"),
        ("inactivity_timeout", "181"),
        ("inactivity_timeout", "٣"),
        ("auto_mode", "yes"),
        ("sync_alignment", "1"),
        ("enable_logging", ""),
        ("enable_ssml_parsing", "?"),
        ("language_code", "eng"),
        ("apply_text_normalization", "true"),
    ],
)
def test_a_value_that_a_parameter_does_not_take_is_refused(name: str, text: str) -> None:
    assert refused(*PHONE, (name, text)).body["detail"]["param"] == name


def test_values_are_taken() -> None:
    settings, notes = read(
        *PHONE,
        ("inactivity_timeout", "180"),
        ("auto_mode", "true"),
        ("sync_alignment", "True"),
        ("language_code", "de"),
        ("seed", "1"),
        ("single_use_token", "t"),
        ("enable_logging", "true"),
    )
    assert (settings.inactivity_s, settings.auto_mode, settings.sync_alignment) == (180.0, True, True)
    assert not notes


def test_a_timeout_that_is_too_long_can_be_clamped() -> None:
    faults = ElevenLabsFaults(long_inactivity_timeout="clamp")
    assert read(*PHONE, ("inactivity_timeout", "600"), faults=faults)[0].inactivity_s == 180.0


@pytest.mark.parametrize(
    ("query", "note"),
    [
        ((*PHONE, ("volume", "11")), "unknown_query"),
        ((*PHONE, MODEL), "repeated_query"),
        ((*PHONE, ("enable_logging", "false")), "enterprise_only"),
        ((*PHONE, ("apply_text_normalization", "on")), "enterprise_only"),
        ((("model_id", "eleven_flash_v2"), PHONE[1], ("language_code", "de")), "language_ignored"),
    ],
)
def test_what_the_service_lets_pass_is_noted(query: tuple[tuple[str, str], ...], note: str) -> None:
    assert read(*query)[1] == {note: 1}


@pytest.mark.parametrize(
    ("model", "mode", "switch", "expands"),
    [
        ("eleven_flash_v2_5", "auto", "model", False),
        ("eleven_flash_v2_5", "on", "model", True),
        ("eleven_multilingual_v2", "auto", "model", True),
        ("eleven_multilingual_v2", "off", "model", False),
        ("eleven_flash_v2_5", "off", "always", True),
        ("eleven_multilingual_v2", "on", "never", False),
    ],
)
def test_numbers_are_expanded_as_the_model_does_or_as_told(model: str, mode: str, switch: str, expands: bool) -> None:
    faults = ElevenLabsFaults()
    faults.expand_numbers = switch  # type: ignore[assignment]
    query = (("model_id", model), PHONE[1], ("apply_text_normalization", mode))
    assert read(*query, faults=faults)[0].expands_numbers is expands


@pytest.mark.parametrize(
    ("headers", "query", "key"),
    [
        ({"xi-api-key": "k"}, (("authorization", "other"),), "k"),
        ({"XI-API-KEY": "k"}, (), "k"),
        ({}, (("authorization", "Bearer t"),), "t"),
        ({}, (("authorization", "t"),), "t"),
        ({}, (("single_use_token", "s"),), "s"),
        ({"xi-api-key": ""}, (("xi_api_key", "k"),), None),
        ({"Authorization": "Token k"}, (), None),
    ],
)
def test_a_key_is_found_where_it_may_be(
    headers: dict[str, str], query: tuple[tuple[str, str], ...], key: str | None
) -> None:
    assert find_key(Headers(headers), query) == key


def test_a_scheme_is_no_part_of_a_token() -> None:
    assert [bare(text) for text in ("bearer t", " t ", "Token t")] == ["t", "t", "Token t"]


@pytest.mark.parametrize("status", [400, 401, 402, 403, 429, 503, 599])
def test_every_refusal_has_the_services_form(status: int) -> None:
    made = refusal(status)
    assert made.status == status
    assert made.body["detail"].keys() == {"type", "code", "message", "status", "request_id", "param"}
    assert made.headers["x-trace-id"] == made.body["detail"]["request_id"]
    assert not made.breach
