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


def settings(key: str = "the-key", **lineside: Any) -> Settings:
    return Settings(
        LinesideSettings.model_construct(None, **lineside),
        TwilioSettings.model_construct(),
        DeepgramSettings.model_construct(None, api_key=SecretStr(key)),
        ElevenLabsSettings.model_construct(None, api_key=SecretStr(key)),
    )


def asked(**lineside: Any) -> dict[str, str]:
    """What the ear's address asks for."""
    ear = ear_of(settings(**lineside))
    assert isinstance(ear, SocketEar)
    assert ear.name == lineside["ears"]
    return dict(parse_qsl(urlsplit(ear.habits.url).query))


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
