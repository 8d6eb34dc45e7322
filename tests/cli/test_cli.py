"""The command line: what it prints, what it refuses, and with which status it ends."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import wave
from importlib.metadata import version
from pathlib import Path

import pytest

from lineside.agents.demo import Reception
from lineside.cli import main
from lineside.cli.caller_script import of_keys
from lineside.cli.run_call import CallChoice, _plain, _plan, play
from lineside.cli.run_say import run as run_say
from lineside.errors import SettingsError
from lineside.events import CallerSaid, CutOff
from lineside.standin.provider import Provider
from lineside.testing import DeepgramSettings, LinesideSettings, Settings, simulation

SID = "AC" + "0123456789abcdef" * 2
KEYS = {"TWILIO_ACCOUNT_SID": SID, "TWILIO_AUTH_TOKEN": "a token", "DEEPGRAM_API_KEY": "a key"}
LINESIDE = (sys.executable, "-c", "from lineside.cli import main; main()")


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder and an environment without settings."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith(("LINESIDE_", "TWILIO_", "DEEPGRAM_", "ELEVENLABS_")):
            monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)


def run(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """The status of a command that is run in this process."""
    monkeypatch.setattr(sys, "argv", ["lineside", *arguments])
    monkeypatch.setattr("lineside.cli._log_to_stderr", lambda level: None)
    with pytest.raises(SystemExit) as info:
        main()
    return int(info.value.code or 0)


def test_the_version_is_the_packages(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version", monkeypatch=monkeypatch) == 0
    assert capsys.readouterr().out == f"lineside {version('lineside')}\n"


def test_without_arguments_it_says_what_there_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch=monkeypatch)
    shown = "".join(capsys.readouterr())
    for command in ("serve", "call", "say", "bench"):
        assert command in shown


def refused(*arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr of a command that ends with status 2."""
    assert run(*arguments, monkeypatch=monkeypatch) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("lineside: ")
    return line.removeprefix("lineside: ")


def test_serving_without_keys_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused("serve", monkeypatch=monkeypatch, capsys=capsys)
    assert line.startswith("TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN are not set")
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", SID)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "a token")
    line = refused("serve", monkeypatch=monkeypatch, capsys=capsys)
    assert line.startswith("DEEPGRAM_API_KEY is not set")


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (["serve"], {"LINESIDE_AGENT": "shop.py:Agent"}, "there is no file"),
        (["serve"], {"LINESIDE_LEAD_S": "9"}, "LINESIDE_LEAD_S"),
        (["serve"], {"LINESIDE_SPEED": "9"}, "LINESIDE_SPEED is not a setting"),
        (["serve", "--config", "missing.toml"], {}, "there is no file missing.toml"),
        (["say", "hello", "--config", "missing.toml"], {}, "there is no file missing.toml"),
        (["say", ""], {}, "nothing in it that can be spoken"),
        (["say", "***"], {}, "nothing in it that can be spoken"),
        (["call", "--voice", "robot"], {}, "there is no voice 'robot'"),
        (["call", "--agent", "shop.py:Agent"], {}, "there is no file"),
        (["call", "--ears", "big"], {}, "there are no ears 'big'"),
        (["call", "--keys", "x"], {}, "--keys: expected keys 0-9 * # A-D"),
        (["call", "--script", "missing.txt"], {}, "missing.txt: No such file"),
        (["call", "--script", "missing.txt", "--keys", "1"], {}, "give one of them"),
        (["call"], {"LINESIDE_EAGER": "true"}, "Give --ears deepgram-flux, or set LINESIDE_EAGER=false."),
        (["call", "--keys", "1", "--out", "/dev/null/there"], {}, "Not a directory: /dev/null/there"),
        (["call", "--round-trip-ms", "abc"], {}, "--round-trip-ms"),
        (["call", "--robot"], {}, "--robot"),
        (["bench", "nope"], {}, "'nope' is not one of 'load'"),
        (["fly"], {}, "No such command 'fly'"),
    ],
)
def test_what_a_user_did_wrong_is_one_line(
    arguments: list[str],
    variables: dict[str, str],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert said in refused(*arguments, monkeypatch=monkeypatch, capsys=capsys)


@pytest.mark.usefixtures("keys")
def test_a_port_that_is_taken_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        line = refused("serve", "--port", port, monkeypatch=monkeypatch, capsys=capsys)
    assert line == f"Address already in use: 127.0.0.1:{port}"


@pytest.mark.usefixtures("keys")
def test_an_address_that_is_not_ours_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused("serve", "--host", "192.0.2.1", monkeypatch=monkeypatch, capsys=capsys)
    assert "192.0.2.1" in line


# -- say ---------------------------------------------------------------------------------------------------------------


def of(provider: Provider) -> Settings:
    return Settings(
        LinesideSettings(),
        deepgram=DeepgramSettings(api_key="simulated", base_url=provider.url),  # type: ignore[arg-type]
    )


async def say(provider: Provider, text: str, out: Path) -> bytes:
    settings = await asyncio.to_thread(of, provider)
    await run_say(settings, text, out)
    return await asyncio.to_thread(read_wav, out)


def read_wav(path: Path) -> bytes:
    with wave.open(str(path)) as wav:
        assert (wav.getframerate(), wav.getnchannels()) == (8000, 1)
        return bytes(wav.readframes(wav.getnframes()))


async def test_a_text_becomes_a_wav(nowhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with Provider() as provider:
        audio = await say(provider, "Hello **there**.", nowhere / "hello.wav")
        (spoken,) = provider.record.spoken
        assert spoken.text.strip() == "Hello there."
        assert len(audio) // 2 == len(spoken.audio)
    assert re.fullmatch(r".*hello\.wav: \d+\.\d s of speech, as a phone plays it\n", capsys.readouterr().out)


async def test_a_long_text_is_spoken_whole_words_and_within_the_limits(nowhere: Path) -> None:
    text = " ".join(f"word{n}" for n in range(1000)) + "."
    async with Provider() as provider:
        audio = await say(provider, text, nowhere / "long.wav")
        assert " ".join(each.text for each in provider.record.spoken).split() == text.split()
        assert len(audio) // 2 == sum(len(each.audio) for each in provider.record.spoken)
        assert not provider.record.breaches
        assert provider.record.connections.open == 0


# -- call --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "pressed", "ended_by"),
    [("9", "9", "rest"), ("", "", "caller"), ("1", "1", "caller"), ("1!9", "19", "rest"), ("912", "9", "rest")],
)
async def test_the_keys_are_pressed_and_the_caller_hangs_up_if_the_agent_does_not(
    keys: str, pressed: str, ended_by: str
) -> None:
    async with simulation(Reception) as sim:
        call = await sim.phone.dial()
        await play(call, of_keys(keys))
        assert call.over
        assert "".join(event.detail for event in call.events if event.kind == "dtmf") == pressed
        assert call.ended_by == ended_by


@pytest.mark.parametrize(
    ("choice", "ears", "speaks"),
    [
        (CallChoice(), "deepgram", True),
        (CallChoice(ears="deepgram-flux"), "deepgram-flux", True),
        (CallChoice(ears="none"), "none", False),
        (CallChoice(keys="1"), "none", False),
        (CallChoice(keys="1", ears="elevenlabs"), "elevenlabs", False),
        (CallChoice(agent="shop.py:talk"), "none", False),
        (CallChoice(agent="shop.py:talk", script=Path("talk.txt")), "deepgram", True),
        (CallChoice(script=Path("keys.txt")), "none", False),
    ],
)
def test_who_listens_and_what_the_caller_does_goes_by_what_is_asked_for(
    choice: CallChoice, ears: str, speaks: bool
) -> None:
    Path("talk.txt").write_text("after 0.7\nsay hello\n")
    Path("keys.txt").write_text("after 0.7\npress 1\n")
    chosen, script = _plan(choice)
    assert (chosen, script.speaks) == (ears, speaks)


@pytest.mark.parametrize(
    ("choice", "ears"),
    [
        (CallChoice(), "elevenlabs"),
        (CallChoice(keys="1"), "elevenlabs"),
        (CallChoice(ears="deepgram"), "deepgram"),
        (CallChoice(ears="none"), "none"),
    ],
)
def test_ears_that_are_configured_listen_where_none_are_asked_for(choice: CallChoice, ears: str) -> None:
    assert _plan(choice, "elevenlabs")[0] == ears


def test_a_cue_in_the_report_is_an_object() -> None:
    cue = CallerSaid("hello", cut_off=CutOff("a", "b", 400))
    cut_off = {"heard": "a", "unheard": "b", "heard_ms": 400}
    assert _plain(cue) == {"type": "CallerSaid", "text": "hello", "revises": False, "cut_off": cut_off}
    assert _plain("words") == "words"


def test_a_caller_who_speaks_must_be_heard() -> None:
    Path("talk.txt").write_text("say hello\n")
    with pytest.raises(SettingsError, match=r"--ears none: talk\.txt has the caller speak"):
        _plan(CallChoice(ears="none", script=Path("talk.txt")))


# -- processes ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def shop(nowhere: Path) -> str:
    (nowhere / "shop.py").write_text(
        "from lineside import CallerPressed, HangUp\n"
        "async def talk(cue):\n"
        "    if isinstance(cue, CallerPressed):\n"
        "        yield 'Bye.'\n"
        "        yield HangUp()\n"
        "    else:\n"
        "        yield 'Hello.'\n"
    )
    return "shop.py:talk"


@pytest.mark.realtime
def test_serving_goes_on_until_it_is_told_to_stop(shop: str) -> None:
    process = subprocess.Popen(
        [*LINESIDE, "serve", "--port", "0"],
        env=os.environ | KEYS | {"LINESIDE_AGENT": shop},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        found = re.search(r"listening on 127\.0\.0\.1:(\d+); .* POST http://127\.0\.0\.1:\1/twilio/voice", line)
        assert found, line
        with socket.create_connection(("127.0.0.1", int(found[1])), timeout=5) as client:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 200")
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
        assert process.wait(10) == 0
        assert "stopping: 0 calls in progress" in rest
        assert "Traceback" not in rest
        for secret in KEYS.values():
            assert secret not in line + rest
    finally:
        process.kill()
        process.communicate()


@pytest.mark.realtime
def test_a_simulated_call_is_played_checked_and_recorded(shop: str, nowhere: Path) -> None:
    pytest.importorskip("espeakng_loader")
    done = subprocess.run(
        [*LINESIDE, "call", "--agent", shop, "--keys", "9", "--out", "there"],
        env=os.environ | {"COLUMNS": "200", "LINESIDE_PUBLIC_URL": "https://elsewhere.example"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "The call is as it should be." in done.stdout
    assert done.stderr == ""
    report = json.loads((nowhere / "there" / "call.json").read_text())
    assert report["passed"]
    assert all(check["passed"] for check in report["checks"])
    assert report["phone"]["ended_by"] == "rest"
    with wave.open(str(nowhere / "there" / "call.wav")) as wav:
        assert wav.getnchannels() == 2
        assert wav.getnframes() > 8000


TALK = """\
expect words Welcome to the shop
during 2
say wait please
expect cut
expect words Bye
expect hang up
"""


@pytest.mark.realtime
@pytest.mark.parametrize(("script", "status"), [(TALK, 0), (TALK.replace("Bye", "Hello again"), 1)])
def test_a_caller_from_a_file_talks_to_an_agent_from_a_file(script: str, status: int, nowhere: Path) -> None:
    pytest.importorskip("espeakng_loader")
    (nowhere / "shop.py").write_text(
        "from lineside import CallerSaid, CallStarted, HangUp\n"
        "async def talk(cue):\n"
        "    match cue:\n"
        "        case CallStarted():\n"
        "            yield 'Welcome to the shop. We sell nothing that anybody wants, and we have sold it for years.'\n"
        "        case CallerSaid():\n"
        "            yield 'Bye.'\n"
        "            yield HangUp()\n"
    )
    (nowhere / "caller.txt").write_text(script)
    done = subprocess.run(
        [*LINESIDE, "call", "--agent", "shop.py:talk", "--script", "caller.txt"],
        env=os.environ | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert done.stderr == ""
    report = json.loads((nowhere / "call.json").read_text())
    failed = [check["name"] for check in report["checks"] if not check["passed"]]
    assert failed == ([] if status == 0 else ["say wait please → answered with “Hello again”"])
