"""Every setting, where it comes from, and what it may be.

Environment over `.env` over the TOML file over defaults. In the TOML file a key of `[section]` is LINESIDE_SECTION_KEY,
a key before any section LINESIDE_KEY; `[twilio]`, `[deepgram]` and `[elevenlabs]` hold what those providers' usual
variables hold, `[voices.NAME]` named voices.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableSetting

from lineside.carriers.twilio_rest import Account
from lineside.errors import SettingsError
from lineside.link.provider_socket import LOOPBACK
from lineside.settings_providers import DeepgramSettings, ElevenLabsSettings, VoiceSettings
from lineside.settings_source import ENV_FILE, FromFile
from lineside.wire.signature import public_url
from lineside.wire.token import MAX_TEXT, MIN_SECRET
from lineside.wire.twilio import is_sid

TOML_FILE = "config/lineside.toml"
MOST_SHOWN = 80  # characters of a bad value

_SECRET = re.compile("token|secret|key|accounts")  # settings whose values are not shown

_Kind = TypeVar("_Kind", bound=FromFile)


class TwilioAccount(BaseModel):
    """One of several accounts, in the TOML file: `[[twilio.accounts]]`. Nothing of it comes from the environment."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sid: str
    auth_token: SecretStr
    auth_token_secondary: SecretStr = SecretStr("")
    api_key_sid: str = ""
    api_key_secret: SecretStr = SecretStr("")


class TwilioSettings(FromFile):
    """TWILIO_...: whose calls we take, and how we end them."""

    model_config = SettingsConfigDict(env_prefix="TWILIO_", env_file=ENV_FILE)

    account_sid: str = ""
    auth_token: SecretStr = SecretStr("")
    auth_token_secondary: SecretStr = SecretStr("")
    """The other token while a rotation is under way."""
    api_key_sid: str = ""
    api_key_secret: SecretStr = SecretStr("")
    api_base_url: str = ""
    accounts: list[TwilioAccount] = []


class LinesideSettings(FromFile):
    """LINESIDE_...: how calls go."""

    model_config = SettingsConfigDict(env_prefix="LINESIDE_", env_file=ENV_FILE)

    agent: str = "lineside.agents.demo:Reception"
    agent_loop: Literal["thread", "app"] = "thread"
    agent_timeout_s: Annotated[float, Field(ge=1, le=600)] = 30.0
    voice: str = "deepgram"
    voices: dict[str, VoiceSettings] = {}
    prompts_folder: str = ""
    prompts_max_mb: Annotated[int, Field(ge=1)] = 256
    ears: Literal["none", "deepgram", "deepgram-flux", "elevenlabs"] = "none"
    language: str = "en"
    turn_policy: Literal["words", "vad"] = "words"
    turn_words: Annotated[int, Field(ge=1, le=10)] = 1
    turn_hold_s: Annotated[float, Field(ge=0.2, le=5)] = 1.2
    eager: bool = False
    vad: Literal["none", "local"] = "none"
    echo_guard: bool = True
    silence_s: Annotated[float, Field(ge=0, le=600)] = 0.0
    public_url: str = ""
    trusted_proxies: Annotated[list[str], NoDecode] = []
    allow_plain: bool = False
    lead_s: Annotated[float, Field(ge=0.2, le=5)] = 1.0
    ahead_s: Annotated[float, Field(ge=3, le=60)] = 15.0
    flush_below_s: Annotated[float, Field(ge=0.2, le=5)] = 1.5
    greeting_delay_ms: Annotated[int, Field(ge=0, le=5000)] = 0
    clean_text: bool = True
    calls_max: Annotated[int, Field(ge=1)] = 1000
    calls_waiting_max: Annotated[int, Field(ge=1)] = 100
    secret: SecretStr = SecretStr("")
    worker: Annotated[str, Field(min_length=1)] = "w0"

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: list[str]) -> list[str]:
        for each in value:
            try:
                ip_network(each, strict=False)
            except ValueError:
                raise ValueError("expected IP addresses or networks, separated by commas") from None
        return value

    @field_validator("public_url")
    @classmethod
    def _is_origin(cls, value: str) -> str:
        value = value.rstrip("/")
        if value and not _may_be_called(value):
            raise ValueError("expected the server's public address, such as https://voice.example.net")
        return value

    @field_validator("secret")
    @classmethod
    def _is_long(cls, value: SecretStr) -> SecretStr:
        if 0 < len(value.get_secret_value().encode()) < MIN_SECRET:
            raise ValueError(f"expected at least {MIN_SECRET} characters, such as `openssl rand -hex 32` gives")
        return value

    @field_validator("worker")
    @classmethod
    def _is_short(cls, value: str) -> str:
        if len(value.encode()) > MAX_TEXT:
            raise ValueError(f"expected at most {MAX_TEXT} characters")
        return value


def _may_be_called(url: str) -> bool:
    """Whether an address can be written into our answers, and be told from the ones that others sign."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises when there can be no such port
        public_url(configured=url, scheme="", host=None, raw_path=b"/", raw_query=b"")
    except (ValueError, SettingsError):
        return False
    return parts.scheme in ("https", "http")


class Settings:
    """All settings of a process.

    Args:
        lineside, twilio, deepgram, elevenlabs: what is left out is read from the environment and `.env` when it is
            first asked for.
    """

    def __init__(
        self,
        lineside: LinesideSettings | None = None,
        twilio: TwilioSettings | None = None,
        deepgram: DeepgramSettings | None = None,
        elevenlabs: ElevenLabsSettings | None = None,
    ) -> None:
        self._lineside = lineside
        self._twilio = twilio
        self._deepgram = deepgram
        self._elevenlabs = elevenlabs

    @cached_property
    def lineside(self) -> LinesideSettings:
        return self._lineside or LinesideSettings()

    @cached_property
    def twilio(self) -> TwilioSettings:
        return self._twilio or TwilioSettings()

    @cached_property
    def deepgram(self) -> DeepgramSettings:
        return self._deepgram or DeepgramSettings()

    @cached_property
    def elevenlabs(self) -> ElevenLabsSettings:
        return self._elevenlabs or ElevenLabsSettings()

    @property
    def voices(self) -> list[str]:
        """Names of the voices to use, the preferred one first."""
        return [name.strip() for name in self.lineside.voice.split(",") if name.strip()]

    @property
    def trusted_proxies(self) -> list[IPv4Network | IPv6Network]:
        return [ip_network(each, strict=False) for each in self.lineside.trusted_proxies]

    def accounts(self) -> dict[str, Account]:
        """The carrier accounts by their SID.

        Raises:
            SettingsError: there is none, or one that cannot be.
        """
        twilio = self.twilio
        found = list(twilio.accounts)
        if (twilio.account_sid and twilio.auth_token.get_secret_value()) or not found:
            found.insert(0, self._first_account())
        for account in found:
            _check_account(account)
        if twilio.api_base_url:
            self.check_url("TWILIO_API_BASE_URL", twilio.api_base_url, "https")
        return {
            account.sid: Account(
                sid=account.sid,
                tokens=tuple(
                    token.get_secret_value()
                    for token in (account.auth_token, account.auth_token_secondary)
                    if token.get_secret_value()
                ),
                api_key=account.api_key_sid,
                api_secret=account.api_key_secret.get_secret_value(),
                base_url=twilio.api_base_url,
            )
            for account in found
        }

    def _first_account(self) -> TwilioAccount:
        """The one of the environment."""
        twilio = self.twilio
        missing = [
            name
            for name, value in (
                ("TWILIO_ACCOUNT_SID", twilio.account_sid),
                ("TWILIO_AUTH_TOKEN", twilio.auth_token.get_secret_value()),
            )
            if not value
        ]
        if missing:
            verb = "is" if len(missing) == 1 else "are"
            raise SettingsError(
                f"{' and '.join(missing)} {verb} not set: without the token no call can be told from a stranger's "
                f"request. Copy both from the Twilio console into the environment or {ENV_FILE}."
            )
        return TwilioAccount(
            sid=twilio.account_sid,
            auth_token=twilio.auth_token,
            auth_token_secondary=twilio.auth_token_secondary,
            api_key_sid=twilio.api_key_sid,
            api_key_secret=twilio.api_key_secret,
        )

    def check_url(self, name: str, url: str, secure: str) -> None:
        """Raises:
        SettingsError: `url` is no address, or not encrypted and its host is another machine.
        """
        plain = {"wss": "ws", "https": "http"}[secure]
        try:
            parts = urlsplit(url)
            scheme, host, _ = parts.scheme, parts.hostname, parts.port
        except ValueError:
            scheme, host = "", None
        if not host or scheme not in (secure, plain):
            raise SettingsError(f"{name}: expected a {secure}:// address, got {_without_user(url)!r}")
        if scheme == plain and host not in LOOPBACK and not self.lineside.allow_plain:
            raise SettingsError(
                f"{name}: expected a {secure}:// address, got {plain}://{host}. {plain}:// is allowed on this machine "
                "only, or everywhere with LINESIDE_ALLOW_PLAIN=true."
            )


def _without_user(url: str) -> str:
    """An address without the user and password that it may hold."""
    return re.sub(r"//[^/?#]*@", "//...@", url)


def _check_account(account: TwilioAccount) -> None:
    if not is_sid(account.sid, "AC"):
        raise SettingsError(f"TWILIO_ACCOUNT_SID: expected AC and 32 hexadecimal digits, got {account.sid!r}")
    if not account.auth_token.get_secret_value():
        raise SettingsError(f"TWILIO_AUTH_TOKEN of {account.sid} is empty. Copy it from the Twilio console.")
    if bool(account.api_key_sid) != bool(account.api_key_secret.get_secret_value()):
        given, missing = ("SID", "SECRET") if account.api_key_sid else ("SECRET", "SID")
        raise SettingsError(
            f"TWILIO_API_KEY_{missing} of {account.sid} is not set, but TWILIO_API_KEY_{given} is. Set both or neither."
        )


_KINDS: dict[str, type[FromFile]] = {
    "": LinesideSettings,
    "twilio": TwilioSettings,
    "deepgram": DeepgramSettings,
    "elevenlabs": ElevenLabsSettings,
}


def load(toml_file: str | os.PathLike[str] | None = None) -> Settings:
    """Read all settings.

    Raises:
        SettingsError: one line for each setting that cannot be, naming it and the mend.
    """
    path = Path(toml_file) if toml_file else Path(os.environ.get("LINESIDE_CONFIG", TOML_FILE))
    tables = _tables(path, must_exist=toml_file is not None or "LINESIDE_CONFIG" in os.environ)
    _check_environment()
    return Settings(
        _load(LinesideSettings, tables[""]),
        _load(TwilioSettings, tables["twilio"]),
        _load(DeepgramSettings, tables["deepgram"]),
        _load(ElevenLabsSettings, tables["elevenlabs"]),
    )


def _load(kind: type[_Kind], table: dict[str, Any]) -> _Kind:
    kind.table = table
    try:
        return kind()
    except ValidationError as exc:
        raise SettingsError("; ".join(_explain(kind, exc))) from None
    except UnreadableSetting as exc:  # of the environment, where a list is written as JSON
        raise SettingsError(f"{kind.model_config.get('env_prefix')}...: {exc}") from None
    finally:
        kind.table = {}


def _tables(path: Path, *, must_exist: bool) -> dict[str, dict[str, Any]]:
    """The TOML file's content by kind of setting: `` for Lineside's own, flattened to section_key."""
    tables: dict[str, dict[str, Any]] = {name: {} for name in _KINDS}
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if must_exist:
            raise SettingsError(f"there is no file {path}, which --config or LINESIDE_CONFIG names") from None
        return tables
    except (OSError, ValueError) as exc:
        raise SettingsError(f"{path}: {exc.strerror if isinstance(exc, OSError) else exc}") from None
    for key, value in content.items():
        if key in _KINDS:
            if not isinstance(value, dict):
                raise SettingsError(f"{path}: {key} is a section; write [{key}]")
            tables[key] = value
        elif isinstance(value, dict) and key not in LinesideSettings.model_fields:
            tables[""] |= {f"{key}_{inner}": each for inner, each in value.items()}
        else:
            tables[""][key] = value
    for name, kind in _KINDS.items():
        for key in tables[name]:
            if key not in kind.model_fields:
                raise SettingsError(f"{path}: {_unknown(key, kind.model_fields)}")
    return tables


def _check_environment() -> None:
    """A misspelt variable would be passed over in silence."""
    known = {f"LINESIDE_{name.upper()}" for name in LinesideSettings.model_fields} | {"LINESIDE_CONFIG"}
    try:
        in_file = dotenv_values(ENV_FILE)
    except (OSError, ValueError) as exc:
        raise SettingsError(f"{ENV_FILE}: {exc.strerror if isinstance(exc, OSError) else exc}") from None
    for name in (*os.environ, *in_file):
        if name.upper().startswith("LINESIDE_") and name.upper() not in known:
            raise SettingsError(_unknown(name, known))


def _unknown(name: str, known: Mapping[str, object] | set[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"{name} is not a setting" + (f"; did you mean {close[0]}?" if close else "")


def _explain(kind: type[BaseSettings], exc: ValidationError) -> Iterator[str]:
    """What is wrong with each setting, and what was given unless that may be secret."""
    prefix = str(kind.model_config.get("env_prefix", ""))
    for error in exc.errors(include_url=False):
        first, *rest = error["loc"] or ("",)
        name = prefix + str(first).upper() + "".join(f"[{part}]" if type(part) is int else f".{part}" for part in rest)
        what = error["msg"].removeprefix("Value error, ").replace("Input should be", "it should be")
        shown = first in kind.model_fields and not rest and not _SECRET.search(str(first))
        yield f"{name}: {what}" + (f", got {_short(error['input'])}" if shown else "")


def _short(value: object) -> str:
    text = repr(_without_user(value) if isinstance(value, str) else value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."
