"""Where settings come from: the environment, `.env`, a table of the TOML file."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

ENV_FILE = ".env"


class FromFile(BaseSettings):
    """Settings that may also stand in a table of the TOML file."""

    table: ClassVar[dict[str, Any]] = {}  # set for the time of one load

    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True, frozen=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, dotenv_settings, InitSettingsSource(settings_cls, cls.table)
