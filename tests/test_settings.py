"""Every setting that cannot be is refused in one line that names it, shows what was given, and says what may be."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lineside.app import Bridge
from lineside.errors import SettingsError
from lineside.settings import LinesideSettings, Settings, load

ROOT = Path(__file__).parent.parent
SID = "AC" + "0123456789abcdef" * 2
GOOD = {"TWILIO_ACCOUNT_SID": SID, "TWILIO_AUTH_TOKEN": "a token", "DEEPGRAM_API_KEY": "a key"}
LONG = "a secret of sixteen characters or more"


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder and an environment without settings."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith(("LINESIDE_", "TWILIO_", "DEEPGRAM_", "ELEVENLABS_")):
            monkeypatch.delenv(name)
    return tmp_path


def set_all(monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def refusal(toml: str | None = None) -> str:
    """The one line that a start with these settings ends with."""
    if toml is not None:
        Path("lineside.toml").write_text(toml)
    with pytest.raises(SettingsError) as info:
        Bridge(load("lineside.toml" if toml is not None else None))
    assert info.value.__cause__ is None
    line = str(info.value)
    assert "\n" not in line
    return line


# -- where settings come from ------------------------------------------------------------------------------------------


def test_without_anything_set_everything_has_its_default() -> None:
    settings = load()
    assert settings.lineside.lead_s == 1.0
    assert settings.voices == ["deepgram"]
    assert settings.trusted_proxies == []


def test_the_environment_wins_over_env_which_wins_over_toml_which_wins_over_defaults(
    monkeypatch: pytest.MonkeyPatch, nowhere: Path
) -> None:
    toml = nowhere / "config" / "lineside.toml"
    toml.parent.mkdir()
    toml.write_text("lead_s = 2.0\nahead_s = 20.0\ngreeting_delay_ms = 30\n[deepgram]\nmodel = 'of the file'\n")
    Path(".env").write_text("LINESIDE_AHEAD_S=21\nLINESIDE_GREETING_DELAY_MS=31\n")
    monkeypatch.setenv("LINESIDE_GREETING_DELAY_MS", "32")
    settings = load()
    assert settings.lineside.lead_s == 2.0
    assert settings.lineside.ahead_s == 21.0
    assert settings.lineside.greeting_delay_ms == 32
    assert settings.lineside.flush_below_s == 1.5
    assert settings.deepgram.model == "of the file"


def test_one_load_leaves_nothing_to_the_next(nowhere: Path) -> None:
    Path("a.toml").write_text("lead_s = 2.0")
    Path("b.toml").write_text("")
    assert load("a.toml").lineside.lead_s == 2.0
    assert load("b.toml").lineside.lead_s == 1.0
    Path("c.toml").write_text("lead_s = 99")
    with pytest.raises(SettingsError):
        load("c.toml")
    assert load("b.toml").lineside.lead_s == 1.0


def test_the_file_that_lineside_config_names_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("mine.toml").write_text("lead_s = 3")
    monkeypatch.setenv("LINESIDE_CONFIG", "mine.toml")
    assert load().lineside.lead_s == 3.0


def test_the_sample_file_holds_every_setting_at_its_default() -> None:
    content = tomllib.loads((ROOT / "config" / "lineside.toml").read_text())
    defaults = LinesideSettings.model_construct()
    tables = ("twilio", "deepgram", "elevenlabs")
    given = {name: value for name, value in content.items() if name not in tables and not isinstance(value, dict)}
    for section, values in content.items():
        if isinstance(values, dict) and section not in (*tables, "voices"):
            given |= {f"{section}_{name}": value for name, value in values.items()}
    missing = set(LinesideSettings.model_fields) - set(given) - {"voices"}
    assert not missing
    for name, value in given.items():
        default = getattr(defaults, name)
        shown = default.get_secret_value() if hasattr(default, "get_secret_value") else default
        assert (value or None) == (shown or None), name
    load(ROOT / "config" / "lineside.toml")


def test_several_accounts_and_two_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(
        monkeypatch, GOOD | {"TWILIO_AUTH_TOKEN_SECONDARY": "the next", "TWILIO_API_BASE_URL": "http://localhost:1"}
    )
    other = "AC" + "f" * 32
    Path("a.toml").write_text(
        f"[[twilio.accounts]]\nsid = '{other}'\nauth_token = 'theirs'\napi_key_sid = 'SK1'\napi_key_secret = 's'\n"
    )
    accounts = load("a.toml").accounts()
    assert accounts[SID].tokens == ("a token", "the next")
    assert accounts[other].tokens == ("theirs",)
    assert accounts[other].api_key == "SK1"
    assert {account.base_url for account in accounts.values()} == {"http://localhost:1"}


def test_an_account_of_the_file_takes_nothing_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, {"AUTH_TOKEN_SECONDARY": "somebody's", "API_KEY_SID": "SKx", "API_KEY_SECRET": "somebody's"})
    Path("a.toml").write_text(f"[[twilio.accounts]]\nsid = '{SID}'\nauth_token = 'ours'\n")
    (account,) = load("a.toml").accounts().values()
    assert account.tokens == ("ours",)
    assert account.api_key == ""


# -- what cannot be ----------------------------------------------------------------------------------------------------

BAD: list[tuple[str, str, str]] = [
    ("LINESIDE_LEAD_S", "9", "less than or equal to 5"),
    ("LINESIDE_LEAD_S", "soon", "a valid number"),
    ("LINESIDE_LEAD_S", "nan", "or equal to"),
    ("LINESIDE_AHEAD_S", "1", "greater than or equal to 3"),
    ("LINESIDE_FLUSH_BELOW_S", "0", "greater than or equal to 0.2"),
    ("LINESIDE_GREETING_DELAY_MS", "-1", "greater than or equal to 0"),
    ("LINESIDE_GREETING_DELAY_MS", "1.5", "a valid integer"),
    ("LINESIDE_AGENT_TIMEOUT_S", "0", "greater than or equal to 1"),
    ("LINESIDE_AGENT_LOOP", "process", "'thread' or 'app'"),
    ("LINESIDE_CALLS_MAX", "0", "greater than or equal to 1"),
    ("LINESIDE_CALLS_WAITING_MAX", "many", "a valid integer"),
    ("LINESIDE_CLEAN_TEXT", "perhaps", "a valid boolean"),
    ("LINESIDE_ALLOW_PLAIN", "2", "a valid boolean"),
    ("LINESIDE_TRUSTED_PROXIES", "10.0.0.0/99", "addresses or networks"),
    ("LINESIDE_TRUSTED_PROXIES", "*", "addresses or networks"),
    ("LINESIDE_TRUSTED_PROXIES", "10.0.0.1, proxy.example", "addresses or networks"),
    ("LINESIDE_PUBLIC_URL", "voice.example.net", "https://voice.example.net"),
    ("LINESIDE_PUBLIC_URL", "wss://voice.example.net", "https://voice.example.net"),
    ("LINESIDE_PUBLIC_URL", "https://", "https://voice.example.net"),
    ("LINESIDE_PUBLIC_URL", "https://voice.example.net/?x=1", "https://voice.example.net"),
    ("LINESIDE_PUBLIC_URL", "https://voice.example.net/#x", "https://voice.example.net"),
    ("LINESIDE_PUBLIC_URL", "https://voice example.net", "https://voice.example.net"),
    ("LINESIDE_PUBLIC_URL", "https://voice.example.net:99999", "https://voice.example.net"),
    ("LINESIDE_PUBLIC_URL", "https://[::1", "https://voice.example.net"),
    ("LINESIDE_PUBLIC_URL", "http://voice.example.net", "LINESIDE_ALLOW_PLAIN"),
    ("LINESIDE_WORKER", "w" * 65, "at most 64"),
    ("LINESIDE_AGENT", "nothing_there:Agent", "module"),
    ("LINESIDE_AGENT", "no_colon", "module:name"),
    ("LINESIDE_VOICE", "robot", "deepgram"),
    ("LINESIDE_VOICE", ",", "deepgram"),
    ("DEEPGRAM_BASE_URL", "https://api.deepgram.com", "wss://"),
    ("DEEPGRAM_BASE_URL", "wss://", "wss://"),
    ("DEEPGRAM_BASE_URL", "api.deepgram.com", "wss://"),
    ("DEEPGRAM_BASE_URL", "wss://[::1", "wss://"),
    ("DEEPGRAM_BASE_URL", "ws://api.deepgram.com", "LINESIDE_ALLOW_PLAIN"),
    ("DEEPGRAM_ENCODING", "mp3", "'mulaw' or 'linear16'"),
    ("DEEPGRAM_SAMPLE_RATE", "11025", "8000"),
    ("DEEPGRAM_SPEED", "3", "less than or equal to 1.5"),
    ("TWILIO_API_BASE_URL", "http://twilio.example", "LINESIDE_ALLOW_PLAIN"),
    ("TWILIO_API_BASE_URL", "twilio.example", "https://"),
    ("TWILIO_ACCOUNT_SID", "SK" + "0" * 32, "AC and 32 hexadecimal digits"),
    ("TWILIO_ACCOUNT_SID", "AC12", "AC and 32 hexadecimal digits"),
]


@pytest.mark.parametrize(("name", "value", "mend"), BAD)
def test_a_value_that_cannot_be_is_named_shown_and_mended(
    name: str, value: str, mend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_all(monkeypatch, GOOD | {name: value})
    line = refusal()
    assert name in line
    assert mend in line
    if name != "LINESIDE_VOICE":
        assert value in line or f"//{value.partition('//')[2]}" in line


@pytest.mark.parametrize(
    ("name", "value"), [("LINESIDE_SECRET", "too short"), ("TWILIO_ACCOUNTS", '[{"auth_token": "too short"}]')]
)
def test_a_secret_that_cannot_be_is_not_shown(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, GOOD | {name: value})
    line = refusal()
    assert name in line
    assert "too short" not in line


def test_an_address_is_shown_without_the_password_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LINESIDE_PUBLIC_URL", "DEEPGRAM_BASE_URL"):
        set_all(monkeypatch, GOOD | {name: "ftp://ann:password@voice.example.net"})
        line = refusal()
        assert name in line
        assert "voice.example.net" in line
        assert "password" not in line
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("missing", "also"),
    [
        ("TWILIO_AUTH_TOKEN", "is not set"),
        ("TWILIO_ACCOUNT_SID", "is not set"),
        ("DEEPGRAM_API_KEY", "LINESIDE_VOICE=local"),
    ],
)
def test_a_key_that_is_not_there_is_named(missing: str, also: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, {name: value for name, value in GOOD.items() if name != missing})
    line = refusal()
    assert missing in line
    assert also in line
    for value in GOOD.values():
        assert value not in line


def test_both_twilio_settings_are_named_when_both_are_missing() -> None:
    assert refusal().startswith("TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN are not set")


@pytest.mark.parametrize(("given", "missing"), [("SID", "SECRET"), ("SECRET", "SID")])
def test_half_an_api_key_is_refused(given: str, missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, GOOD | {f"TWILIO_API_KEY_{given}": "half of it"})
    line = refusal()
    assert f"TWILIO_API_KEY_{missing}" in line
    assert "half of it" not in line


def test_a_misspelt_variable_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINESIDE_LEADS", "2")
    assert refusal() == "LINESIDE_LEADS is not a setting; did you mean LINESIDE_LEAD_S?"
    monkeypatch.delenv("LINESIDE_LEADS")
    Path(".env").write_text("LINESIDE_VOICES_MAX=2\n")
    assert "LINESIDE_VOICES_MAX is not a setting" in refusal()


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("lead = 2", "lead is not a setting; did you mean lead_s?"),
        ("[deepgram]\nmodle = 'x'", "modle is not a setting; did you mean model?"),
        ("twilio = 5", "write [twilio]"),
        ("lead_s = ", "lineside.toml"),
        ("lead_s = 9", "LINESIDE_LEAD_S: it should be less than or equal to 5, got 9"),
        ("[[twilio.accounts]]\nsid = 'AC1'", "TWILIO_ACCOUNTS[0].auth_token"),
        ("[[twilio.accounts]]\nsid = 'AC1'\nauth_token = 'x'", "AC and 32 hexadecimal digits"),
        (f"[[twilio.accounts]]\nsid = '{SID}'\nauth_token = ''", f"TWILIO_AUTH_TOKEN of {SID} is empty"),
        (f"[[twilio.accounts]]\nsid = '{SID}'\nauth_tokn = 'hidden'", "TWILIO_ACCOUNTS[0].auth_tokn"),
    ],
)
def test_a_file_that_cannot_be_is_refused(toml: str, said: str) -> None:
    line = refusal(toml)
    assert said in line
    assert "hidden" not in line


def test_files_that_cannot_be_read_are_refused(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"there is no file missing\.toml"):
        load("missing.toml")
    with pytest.raises(SettingsError, match=f"{nowhere}"):
        load(nowhere)
    Path("latin.toml").write_bytes(b"agent = '\xe9'")
    with pytest.raises(SettingsError, match=r"latin\.toml"):
        load("latin.toml")
    monkeypatch.setenv("LINESIDE_CONFIG", "missing.toml")
    with pytest.raises(SettingsError, match="LINESIDE_CONFIG"):
        load()


def test_everything_that_is_wrong_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, GOOD | {"LINESIDE_LEAD_S": "9", "LINESIDE_CALLS_MAX": "0"})
    line = refusal()
    assert "LINESIDE_LEAD_S" in line
    assert "LINESIDE_CALLS_MAX" in line


@pytest.mark.parametrize(
    "good",
    [
        {"LINESIDE_PUBLIC_URL": "https://voice.example.net/"},
        {"LINESIDE_PUBLIC_URL": "https://voice.example.net:8443/bots/one"},
        {"LINESIDE_PUBLIC_URL": "http://localhost:8080"},
        {"LINESIDE_PUBLIC_URL": "http://[::1]:8080"},
        {"LINESIDE_PUBLIC_URL": "http://voice.example", "LINESIDE_ALLOW_PLAIN": "true"},
        {"LINESIDE_TRUSTED_PROXIES": "10.0.0.1, 10.1.0.0/16,::1"},
        {"LINESIDE_SECRET": LONG},
        {"DEEPGRAM_BASE_URL": "ws://127.0.0.1:9", "DEEPGRAM_SAMPLE_RATE": "24000", "DEEPGRAM_ENCODING": "linear16"},
        {"LINESIDE_VOICE": " deepgram , local "},
        {"TWILIO_API_KEY_SID": "SK1", "TWILIO_API_KEY_SECRET": "s"},
    ],
)
def test_what_can_be_is_taken(good: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(monkeypatch, GOOD | good)
    Bridge(load())


def test_secrets_do_not_show_when_settings_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    set_all(
        monkeypatch, GOOD | {"LINESIDE_SECRET": LONG, "TWILIO_API_KEY_SID": "SK1", "TWILIO_API_KEY_SECRET": "hidden"}
    )
    settings: Any = load()
    shown = f"{settings.lineside!r} {settings.twilio!r} {settings.deepgram!r} {settings.accounts()!r}"
    for secret in ("a token", "a key", LONG, "hidden"):
        assert secret not in shown


def test_settings_given_by_hand_are_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    given = Settings(LinesideSettings(lead_s=2))
    set_all(monkeypatch, GOOD | {"LINESIDE_LEAD_S": "3"})
    assert given.lineside.lead_s == 2
    assert given.twilio.account_sid == SID  # what was left out is read when it is asked for
