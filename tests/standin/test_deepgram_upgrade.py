"""Who may open Deepgram's speak socket, and what a query may ask for."""

from __future__ import annotations

import pytest
from websockets.datastructures import Headers

from lineside.standin.deepgram_upgrade import SpeakSettings, check_key, read_query
from lineside.standin.endpoint import Refusal, Studio
from lineside.standin.faults import Faults
from lineside.standin.record import Record
from lineside.standin.tone import ToneVoice

JWT = "eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl"


def studio(keys: frozenset[str] | None = None, faults: Faults | None = None) -> Studio:
    return Studio(ToneVoice(), faults or Faults(), Record(), keys)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Token key"},
        {"Authorization": "token key"},
        {"Authorization": f"Bearer {JWT}"},
        {"Authorization": f"bearer {JWT}"},
        {"Sec-WebSocket-Protocol": "token, key"},
        {"Sec-WebSocket-Protocol": "token,key"},
    ],
)
def test_a_key_is_taken_in_every_form_that_the_service_takes(headers: dict[str, str]) -> None:
    check_key(Headers(headers), studio())


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Token "},
        {"Authorization": "Token bad-key"},
        {"Authorization": "key"},
        {"Authorization": "Basic key"},
        {"Authorization": "Bearer an-api-key"},
        {"Sec-WebSocket-Protocol": "token"},
        {"Sec-WebSocket-Protocol": "bearer, key"},
        {"Sec-WebSocket-Protocol": "token, bad"},
    ],
)
def test_everything_else_is_a_401(headers: dict[str, str]) -> None:
    with pytest.raises(Refusal) as refused:
        check_key(Headers(headers), studio())
    assert (refused.value.status, refused.value.breach) == (401, "bad_key")
    assert refused.value.body["err_code"] == "INVALID_AUTH"


def test_a_refusal_never_repeats_the_key() -> None:
    with pytest.raises(Refusal) as refused:
        check_key(Headers({"Authorization": "Token bad-secret"}), studio())
    assert "secret" not in str(refused.value)


def test_only_configured_keys_are_taken_when_there_are_some() -> None:
    check_key(Headers({"Authorization": "Token bad-but-mine"}), studio(frozenset({"bad-but-mine"})))
    with pytest.raises(Refusal):
        check_key(Headers({"Authorization": "Token key"}), studio(frozenset({"bad-but-mine"})))


def test_bearer_can_be_made_to_take_keys() -> None:
    check_key(Headers({"Authorization": "Bearer key"}), studio(faults=Faults(bearer_takes_keys=True)))


def test_an_empty_query_gives_the_defaults() -> None:
    assert read_query([], unknown="refuse") == SpeakSettings("aura-asteria-en", "linear16", 24000, 1.0)


def test_mu_law_defaults_to_the_phones_rate() -> None:
    assert read_query([("encoding", "mulaw")], unknown="refuse").rate == 8000


def test_all_that_is_documented_is_taken_together() -> None:
    query = {
        "model": "aura-2-celeste-es",
        "encoding": "alaw",
        "sample_rate": "16000",
        "container": "none",
        "speed": "0.9",
        "mip_opt_out": "true",
    }
    settings = read_query([*query.items(), ("tag", "a"), ("tag", "b")], unknown="refuse")
    assert settings == SpeakSettings("aura-2-celeste-es", "alaw", 16000, 0.9)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ([("model", "aura-2-nobody-en")], "Bad Request"),
        ([("model", "aura-2-thalia-es")], "Bad Request"),
        ([("model", "aura-asteria-es")], "Bad Request"),
        ([("model", "flux-haley-en")], "Bad Request"),
        ([("encoding", "mp3")], "UNSUPPORTED_AUDIO_FORMAT"),
        ([("encoding", "MULAW")], "UNSUPPORTED_AUDIO_FORMAT"),
        ([("sample_rate", "44100")], "UNSUPPORTED_AUDIO_FORMAT"),
        ([("encoding", "mulaw"), ("sample_rate", "24000")], "UNSUPPORTED_AUDIO_FORMAT"),
        ([("container", "wav")], "UNSUPPORTED_AUDIO_FORMAT"),
        ([("sample_rate", "8k")], "INVALID_QUERY_PARAMETER"),
        ([("sample_rate", "-8000")], "INVALID_QUERY_PARAMETER"),
        ([("speed", "fast")], "INVALID_QUERY_PARAMETER"),
        ([("speed", "nan")], "INVALID_QUERY_PARAMETER"),
        ([("model", "aura-2-thalia-en"), ("speed", "1.6")], "INVALID_QUERY_PARAMETER"),
        ([("model", "aura-asteria-en"), ("speed", "1.1")], "INVALID_QUERY_PARAMETER"),
        ([("model", "aura-2-viktoria-de"), ("speed", "1.1")], "INVALID_QUERY_PARAMETER"),
        ([("mip_opt_out", "True")], "INVALID_QUERY_PARAMETER"),
        ([("callback", "http://x")], "INVALID_QUERY_PARAMETER"),
        ([("bit_rate", "32000")], "INVALID_QUERY_PARAMETER"),
        ([("encoding", "mulaw"), ("encoding", "mulaw")], "INVALID_QUERY_PARAMETER"),
        ([("voice", "thalia")], "INVALID_QUERY_PARAMETER"),
    ],
)
def test_a_query_that_the_service_refuses_is_a_400_with_its_code(query: list[tuple[str, str]], code: str) -> None:
    with pytest.raises(Refusal) as refused:
        read_query(query, unknown="refuse")
    assert (refused.value.status, refused.value.body["err_code"]) == (400, code)
    assert refused.value.breach == "bad_query"


def test_unknown_parameters_can_be_ignored() -> None:
    assert read_query([("voice", "thalia")], unknown="ignore").model == "aura-asteria-en"


def test_a_refusal_says_the_same_in_its_header_and_its_body() -> None:
    with pytest.raises(Refusal) as refused:
        read_query([("encoding", "ö\r\nX-Evil: 1")], unknown="refuse")
    refusal = refused.value
    assert refusal.headers["dg-error"] == refusal.body["err_msg"]
    assert refusal.headers["dg-request-id"] == refusal.body["request_id"]
    assert refusal.headers["dg-error"].isascii()
    assert "\n" not in refusal.headers["dg-error"]
