"""`lineside call`: one whole call through the real path, watched, recorded and checked.

The provider stand-in runs as its own process; server and phone run here, over real sockets. Agents run in their thread.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass, is_dataclass, replace
from importlib.resources import files
from pathlib import Path

import aiohttp
import orjson
from rich.console import Console

from lineside.agents.loader import load as load_agent
from lineside.audio.wav import write_wav
from lineside.cli.call_checks import check
from lineside.cli.call_picture import CallPicture
from lineside.cli.call_steps import check_steps
from lineside.cli.caller_script import Script, of_keys, parse, read
from lineside.cli.caller_voice import dubbed, paced, voiced
from lineside.cli.evidence import Check, Evidence, ProviderRecord
from lineside.ears import EAGER_EARS
from lineside.errors import LinesideError, SettingsError
from lineside.settings import Settings, load
from lineside.standin.phone import PhoneCall, PhoneSettings
from lineside.standin.recogniser.caller import Caller
from lineside.testing import simulation
from lineside.voices import local_voice

VOICES = ("deepgram", "elevenlabs", "elevenlabs-stream")
EARS = ("none", "deepgram", "deepgram-flux", "elevenlabs")
KEYS = "1!9"  # for an agent that hears nothing
SILENCE_S = 4.0  # after which the agent is told of a silence, if its script has one and the settings say nothing
LONGEST = 180.0  # s for the whole call


@dataclass(frozen=True, slots=True)
class CallChoice:
    """What is asked for on the command line; empty or None where nothing is."""

    voice: str = "deepgram"
    ears: str = ""
    agent: str | None = None
    keys: str | None = None
    script: Path | None = None
    round_trip_s: float = 0.08


async def run(choice: CallChoice, out: Path) -> bool:
    """Play the call; returns whether everything about it was right.

    Raises:
        SettingsError: there is no such voice or recogniser, or the agent or the script cannot be used.
        OSError: the folder cannot be made.
    """
    configured = await asyncio.to_thread(load)
    ears, script = await asyncio.to_thread(_plan, choice, configured.lineside.ears)
    settings = await asyncio.to_thread(_settings, configured, choice, ears, script)
    await asyncio.to_thread(out.mkdir, parents=True, exist_ok=True)
    picture = CallPicture(Console(highlight=False))
    phone = PhoneSettings("", round_trip_s=choice.round_trip_s)
    async with local_voice() as url:
        voices = await voiced(script, url)
        script = paced(script, voices)
        n_before = len((await _provider_record(url)).spoken)
        async with simulation(settings=settings, phone=phone, provider_url=url, watcher=picture.watch) as sim:
            call = await sim.phone.dial(listener=picture.hear)
            picture.began(call, f"voice: {choice.voice}, ears: {ears}")
            caller, stuck = await play(call, script, picture)
            await sim.idle()
        record = await _provider_record(url, n_before)
    n_taken = len(script.steps) - len(caller.left)
    evidence = Evidence.of(call, picture.notes, record, caller.said, stuck, n_taken)
    checks = check(evidence) + check_steps(script, evidence)
    said = dubbed(call.said(), evidence.began, caller.said, voices)
    await asyncio.to_thread(_write, out, said, call.heard(), _report(call, picture, checks))
    picture.conclude(checks, out)
    return all(each.passed for each in checks)


def _plan(choice: CallChoice, configured_ears: str = "none") -> tuple[str, Script]:
    """Who hears the caller, and what the caller does.

    An agent of the user's own is called with keys unless there is a script: nobody knows what may be said to it.

    Raises:
        SettingsError: the choice contradicts itself.
    """
    if choice.voice not in VOICES:
        raise SettingsError(f"--voice: there is no voice {choice.voice!r}; expected {' or '.join(VOICES)}")
    if choice.ears not in ("", *EARS):
        raise SettingsError(f"--ears: there are no ears {choice.ears!r}; expected {' or '.join(EARS)}")
    if choice.keys is not None and choice.script is not None:
        raise SettingsError("--keys and --script both say what the caller does; give one of them")
    by_keys = choice.keys is not None or choice.ears == "none" or choice.agent is not None
    if choice.script is None and by_keys:
        return choice.ears or configured_ears, of_keys(KEYS if choice.keys is None else choice.keys)
    script = demo_script() if choice.script is None else read(choice.script)
    ears = choice.ears or (configured_ears if configured_ears != "none" or not script.speaks else "deepgram")
    if script.speaks and ears == "none":
        raise SettingsError(f"--ears none: {choice.script} has the caller speak; leave it out, or take `say` out")
    return ears, script


def demo_script() -> Script:
    """The caller of `make call`."""
    return parse(files("lineside").joinpath("cli/caller.txt").read_text(encoding="utf-8"), "caller.txt")


def _settings(settings: Settings, choice: CallChoice, ears: str, script: Script) -> Settings:
    """What is configured, but for what was chosen; and an agent that can be called, before anything is started.

    Raises:
        SettingsError: the agent cannot be called, or what is configured does not fit whoever listens.
    """
    chosen: dict[str, object] = {"voice": choice.voice, "ears": ears}
    if choice.agent is not None:
        chosen["agent"] = choice.agent
    if script.prompted and not settings.lineside.silence_s:
        chosen["silence_s"] = SILENCE_S
    lineside = settings.lineside.model_copy(update=chosen)
    if lineside.eager and ears not in EAGER_EARS:
        raise SettingsError(
            f"LINESIDE_EAGER is on, but who hears this call ({ears}) cannot tell that the caller has probably "
            f"finished. Give --ears {' or '.join(EAGER_EARS)}, or set LINESIDE_EAGER=false."
        )
    load_agent(lineside.agent)
    return Settings(lineside, settings.twilio, settings.deepgram, settings.elevenlabs)


async def play(call: PhoneCall, script: Script, picture: CallPicture | None = None) -> tuple[Caller, str]:
    """Be the caller until the call is over. Hangs up when the script has ended and the agent does not.

    Returns:
        The caller, and what they waited for in vain; empty if for nothing.

    Raises:
        LinesideError: the call goes on and on.
    """
    caller = Caller(call, script.steps)
    if picture is not None:
        picture.caller = caller
    stuck = ""
    try:
        async with asyncio.timeout(LONGEST):
            try:
                await caller.run()
            except TimeoutError:
                stuck = "the agent was not heard in time"
            if not call.over:
                await call.hang_up()
            await call.ended()
    except TimeoutError:
        raise LinesideError(f"the call was not over within {LONGEST:g} s") from None
    return caller, stuck


async def _provider_record(url: str, n_before: int = 0) -> ProviderRecord:
    """What the provider stand-in says it spoke and heard, and what it had to complain of.

    Args:
        n_before: segments that it spoke before the call.
    """
    address = url.replace("ws://", "http://", 1) + "/standin/record"
    async with aiohttp.ClientSession() as session, session.get(address) as response:
        record = ProviderRecord.from_json(await response.json())
        return replace(record, spoken=record.spoken[n_before:])


def _write(out: Path, said: bytes, heard: bytes, report: dict[str, object]) -> None:
    write_wav(out / "call.wav", said, heard)
    (out / "call.json").write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))


def _report(call: PhoneCall, picture: CallPicture, checks: list[Check]) -> dict[str, object]:
    """Everything that happened, for machines. Times are seconds since the phone dialled."""
    return {
        "passed": all(each.passed for each in checks),
        "checks": [{"name": each.name, "passed": each.passed, "detail": each.detail} for each in checks],
        "timeline": [
            {
                "at": picture.since(note.at),
                "kind": note.kind,
                **{name: _plain(value) for name, value in note.details.items()},
            }
            for note in picture.notes
        ],
        "phone": {
            "ended_by": call.ended_by,
            "warnings": dict(call.warnings),
            "events": [
                {"at": picture.since(event.at), "kind": event.kind, "detail": event.detail} for event in call.events
            ],
            "twiml": call.transcript,
        },
    }


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return {"type": type(value).__name__, **asdict(value)}
    return value if isinstance(value, str | int | float | bool | None) else repr(value)
