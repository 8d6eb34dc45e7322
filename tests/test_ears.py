"""Who hears the caller, from settings."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from pydantic import SecretStr

from lineside.ears import EAGER_THRESHOLD, ear_of
from lineside.errors import SettingsError
from lineside.hearing.ear import SocketEar
from lineside.settings import LinesideSettings, Settings, TwilioSettings
from lineside.settings_providers import DeepgramSettings, ElevenLabsSettings


def settings(key: str = "the-key", provider: dict[str, Any] | None = None, **lineside: Any) -> Settings:
    """provider: settings of the providers', of whichever one listens."""
    more = {"api_key": SecretStr(key)} | (provider or {})
    return Settings(
        LinesideSettings.model_construct(None, **lineside),
        TwilioSettings.model_construct(),
        DeepgramSettings.model_construct(None, **more),
        ElevenLabsSettings.model_construct(None, **more),
    )


def made(**given: Any) -> SocketEar:
    ear = ear_of(settings(**given))
    assert isinstance(ear, SocketEar)
    assert ear.name == given["ears"]
    return ear


def asked(**given: Any) -> dict[str, str]:
    """What the ear's address asks for."""
    return dict(parse_qsl(urlsplit(made(**given).habits.url).query))


def test_without_ears_nobody_hears() -> None:
    assert ear_of(settings(ears="none")) is None


@pytest.mark.parametrize(
    ("ears", "language", "query"),
    [
        ("deepgram", "es-419", {"model": "nova-3", "language": "es-419"}),
        ("deepgram-flux", "en-GB", {"model": "flux-general-en"}),
        ("deepgram-flux", "es", {"model": "flux-general-multi"}),
        ("elevenlabs", "pt-BR", {"model_id": "scribe_v2_realtime", "language_code": "pt"}),
    ],
)
def test_an_ear_listens_in_the_language_of_the_calls(ears: str, language: str, query: dict[str, str]) -> None:
    assert query.items() <= asked(ears=ears, language=language).items()


@pytest.mark.parametrize("ears", ["deepgram", "deepgram-flux", "elevenlabs"])
def test_an_ear_without_a_key_names_the_setting(ears: str) -> None:
    with pytest.raises(SettingsError, match="_API_KEY is not set"):
        ear_of(settings(key="", ears=ears))


def test_flux_tells_an_eager_end_only_when_asked() -> None:
    assert "eager_eot_threshold" not in asked(ears="deepgram-flux")
    assert asked(ears="deepgram-flux", eager=True)["eager_eot_threshold"] == str(EAGER_THRESHOLD)


@pytest.mark.parametrize("ears", ["deepgram", "elevenlabs", "none"])
def test_ears_that_cannot_tell_an_eager_end_name_those_that_can(ears: str) -> None:
    with pytest.raises(SettingsError, match=r"LINESIDE_EAGER .*LINESIDE_EARS=deepgram-flux"):
        ear_of(settings(ears=ears, eager=True))


@pytest.mark.parametrize("ears", ["deepgram", "deepgram-flux", "elevenlabs"])
def test_a_socket_is_given_up_while_what_it_did_not_answer_is_still_held(ears: str) -> None:
    ear = ear_of(settings(ears=ears))
    assert isinstance(ear, SocketEar)
    assert ear.habits.answer_timeout + 5.0 + 1.0 <= ear.habits.hold_s  # and a segment of words, and a reconnect


DEEPGRAM = pytest.mark.parametrize("ears", ["deepgram", "deepgram-flux"])


@DEEPGRAM
def test_an_opt_out_of_the_account_and_its_tags_hold_for_its_ears(ears: str) -> None:
    assert not {"mip_opt_out", "tag"} & asked(ears=ears).keys()
    query = asked(ears=ears, provider={"mip_opt_out": True, "tags": ["shop"]})
    assert query.items() >= {"mip_opt_out": "true", "tag": "shop"}.items()


def test_elevenlabs_keeps_nothing_of_what_it_heard_when_told_so() -> None:
    assert asked(ears="elevenlabs").get("enable_logging") != "false"
    assert asked(ears="elevenlabs", provider={"enable_logging": False})["enable_logging"] == "false"


@pytest.mark.parametrize(("language", "hint"), [("es-419", "es"), ("de", "de"), ("en-GB", None), ("multi", None)])
def test_flux_is_told_the_language_that_it_may_expect(language: str, hint: str | None) -> None:
    assert asked(ears="deepgram-flux", language=language).get("language_hint") == hint


@pytest.mark.parametrize(
    ("ears", "name"),
    [("deepgram", "DEEPGRAM"), ("deepgram-flux", "DEEPGRAM"), ("elevenlabs", "ELEVENLABS")],
)
def test_no_key_and_no_voice_goes_unencrypted_to_another_machine(ears: str, name: str) -> None:
    elsewhere = {"base_url": "ws://stt.example.net"}
    with pytest.raises(SettingsError, match=rf"{name}_BASE_URL: expected a wss:// address, got ws://stt\.example\.net"):
        ear_of(settings(ears=ears, provider=elsewhere))
    assert made(ears=ears, provider=elsewhere, allow_plain=True).habits.url.startswith("ws://stt.example.net/")


@DEEPGRAM
def test_a_temporary_token_takes_the_place_of_a_key_that_is_not_set(ears: str) -> None:
    token = {"access_token": SecretStr("the-token")}
    assert made(ears=ears, key="", provider=token).habits.headers == {"Authorization": "Bearer the-token"}
    assert made(ears=ears, provider=token).habits.headers == {"Authorization": "Token the-key"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"ears": "elevenlabs", "turn_policy": "vad"},
            "LINESIDE_TURN_POLICY=vad needs something that tells when speech begins, and LINESIDE_EARS=elevenlabs does "
            "not. Set LINESIDE_VAD=local, or LINESIDE_TURN_POLICY=words.",
        ),
        (
            {"ears": "none", "vad": "local"},
            "LINESIDE_VAD=local, but LINESIDE_EARS=none: nobody listens. Set LINESIDE_EARS, or LINESIDE_VAD=none.",
        ),
        (
            {"ears": "none", "turn_policy": "vad"},
            "LINESIDE_TURN_POLICY=vad, but LINESIDE_EARS=none: nobody listens. Set LINESIDE_EARS, or "
            "LINESIDE_TURN_POLICY=words.",
        ),
    ],
)
def test_choices_that_would_be_passed_over_in_silence_are_told_at_the_start(given: Any, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        ear_of(settings(**given))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "given",
    [
        {"ears": "elevenlabs", "turn_policy": "vad", "vad": "local"},
        {"ears": "elevenlabs", "vad": "local"},
        {"ears": "deepgram", "turn_policy": "vad"},
        {"ears": "deepgram-flux", "turn_policy": "vad"},
    ],
)
def test_a_policy_by_sound_goes_with_whatever_tells_of_sound(given: Any) -> None:
    assert made(**given)
