"""Settings of the providers: their accounts, and how their voices sound.

`[deepgram]` and `[elevenlabs]` of the TOML file, or the providers' usual variables, hold the first account of each.
`[voices.NAME]` names further voices; one of another account names that by what its variables begin with.
"""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal, TypeVar

from dotenv import dotenv_values
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr
from pydantic_settings import NoDecode, SettingsConfigDict

from lineside.settings_source import ENV_FILE, FromFile


def _listed(value: Any) -> Any:
    """A list may be written with commas, as in a variable."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _as_number(value: Any) -> Any:
    return int(value) if isinstance(value, str) and value.strip().isdigit() else value


Rate = Annotated[Literal[8000, 16000, 24000, 32000, 48000], BeforeValidator(_as_number)]
Texts = Annotated[list[str], NoDecode, BeforeValidator(_listed)]
Numbers = Annotated[list[int], NoDecode, BeforeValidator(_listed)]
Share = Annotated[float, Field(ge=0, le=1)]


class DeepgramValues(BaseModel):
    """Deepgram: the account, and how its voices sound."""

    model_config = ConfigDict(frozen=True)

    api_key: SecretStr = SecretStr("")
    access_token: SecretStr = SecretStr("")
    base_url: str = "wss://api.deepgram.com"
    model: str = "aura-2-thalia-en"
    encoding: Literal["mulaw", "linear16"] = "mulaw"
    sample_rate: Rate = 8000
    speed: Annotated[float, Field(ge=0.7, le=1.5)] | None = None
    tags: Texts = []
    mip_opt_out: bool = False
    max_connections: Annotated[int, Field(ge=0)] = 40


class DeepgramSettings(FromFile, DeepgramValues):
    """DEEPGRAM_..."""

    model_config = SettingsConfigDict(env_prefix="DEEPGRAM_", env_file=ENV_FILE)


class ElevenLabsValues(BaseModel):
    """ElevenLabs: the account, and how its voices sound. None leaves a choice to the service."""

    model_config = ConfigDict(frozen=True)

    api_key: SecretStr = SecretStr("")
    api_key_in: Literal["header", "message", "authorization", "single_use_token"] = "header"
    base_url: str = "wss://api.elevenlabs.io"
    voice_id: str = ""
    model: str = "eleven_flash_v2_5"
    max_generations: Annotated[int, Field(ge=0)] = 0
    output_format: str = "ulaw_8000"
    inactivity_timeout: Annotated[int, Field(ge=20, le=180)] = 180
    auto_mode: bool = False
    sync_alignment: bool = False
    language_code: str | None = None
    apply_text_normalization: Literal["auto", "on", "off"] | None = None
    apply_language_text_normalization: bool | None = None
    enable_ssml_parsing: bool = False
    enable_logging: bool = True
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] | None = None
    stability: Share | None = None
    similarity_boost: Share | None = None
    style: Share | None = None
    use_speaker_boost: bool | None = None
    speed: Annotated[float, Field(ge=0.7, le=1.2)] | None = None
    chunk_length_schedule: Numbers = []
    pronunciation_dictionaries: list[tuple[str, str]] = []


class ElevenLabsSettings(FromFile, ElevenLabsValues):
    """ELEVENLABS_..."""

    model_config = SettingsConfigDict(env_prefix="ELEVENLABS_", env_file=ENV_FILE)


class VoiceSettings(BaseModel):
    """`[voices.NAME]`: a voice with a name, for failover and for lines that ask for it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    provider: Literal["deepgram", "elevenlabs", "elevenlabs-stream", "local"]
    voice: str = ""
    """ElevenLabs: the voice's id. Deepgram: the model, whose name holds the voice."""
    model: str = ""
    language: str = ""
    """For lines that ask for a language; ElevenLabs is told it, too."""
    account: str = ""
    """What the variables of another account begin with: `DEEPGRAM_B` for DEEPGRAM_B_API_KEY and so on."""
    settings: dict[str, Any] = {}
    """Whatever differs from `[deepgram]` or `[elevenlabs]`, under the names used there."""


_Values = TypeVar("_Values", DeepgramValues, ElevenLabsValues)


def account_settings(base: _Values, prefix: str) -> _Values:
    """The settings of another account: its own variables, and for what they leave out, the first account's.

    Reads `.env`.
    """
    own = {"api_key": SecretStr(""), "access_token": SecretStr("")}
    inherited = base.model_dump() | {name: value for name, value in own.items() if name in type(base).model_fields}
    variables = {name.upper(): value for name, value in (dotenv_values(ENV_FILE) | os.environ).items()}
    for name in inherited:
        if value := variables.get(f"{prefix}_{name}".upper()):
            inherited[name] = value
    return type(base).model_validate(inherited)
