"""`lineside call`: one whole call through the real path, watched, recorded and checked.

The provider stand-in runs as its own process; server and phone run here, over real sockets. Agents run in their thread.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import orjson
from rich.console import Console

from lineside.agents.loader import load as load_agent
from lineside.audio.wav import write_wav
from lineside.cli.call_checks import Check, ProviderRecord, check
from lineside.cli.call_picture import CallPicture
from lineside.errors import LinesideError, SettingsError
from lineside.settings import Settings, load
from lineside.standin.phone import PhoneCall, PhoneSettings
from lineside.testing import Simulation, simulation
from lineside.voices import local_voice

VOICES = ("deepgram", "elevenlabs", "elevenlabs-stream")
THINKING = 0.6  # s between a turn's end and the caller's key
INTO_A_TURN = 5.0  # s of a turn that the caller hears before interrupting it
LONGEST = 120.0  # s for the whole call


async def run(voice: str, agent: str | None, keys: str, out: Path, round_trip: float) -> bool:
    """Play the call; returns whether everything about it was right.

    Raises:
        SettingsError: there is no such voice, or the agent cannot be loaded.
    """
    if voice not in VOICES:
        raise SettingsError(f"--voice: there is no voice {voice!r}; expected {' or '.join(VOICES)}")
    settings = await asyncio.to_thread(_settings, voice, agent)
    console = Console(highlight=False)
    picture = CallPicture(console)
    phone = PhoneSettings("", round_trip_s=round_trip)
    async with local_voice() as url:
        async with simulation(settings=settings, phone=phone, provider_url=url, watcher=picture.watch) as sim:
            call = await sim.phone.dial(listener=picture.hear)
            picture.began(asyncio.get_running_loop().time(), voice)
            await _play(sim, call, keys)
            await sim.idle()
        record = await _provider_record(url)
    checks = check(call, picture.notes, record)
    await asyncio.to_thread(_write, out, call, _report(call, picture, checks))
    picture.conclude(checks, out)
    return all(each.passed for each in checks)


def _settings(voice: str, agent: str | None) -> Settings:
    """What is configured, but for the voice; and an agent that can be called, before anything is started."""
    settings = load()
    chosen = {"voice": voice} | ({} if agent is None else {"agent": agent})
    lineside = settings.lineside.model_copy(update=chosen)
    load_agent(lineside.agent)
    return Settings(lineside, settings.twilio, settings.deepgram, settings.elevenlabs)


def _write(out: Path, call: PhoneCall, report: dict[str, object]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    write_wav(out / "call.wav", call.said(), call.heard())
    (out / "call.json").write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))


async def _play(sim: Simulation, call: PhoneCall, keys: str) -> None:
    """Be the caller: press each key after the agent fell silent, or in the middle of its turn where `!` says so.

    Hangs up when there is no key left and the agent does not.
    """
    try:
        async with asyncio.timeout(LONGEST):
            await call.connected()
            await _press(sim, call, keys)
            if not call.over:
                await call.hang_up()
            await call.ended()
    except TimeoutError:
        raise LinesideError(f"the call was not over within {LONGEST:g} s") from None


async def _press(sim: Simulation, call: PhoneCall, keys: str) -> None:
    turns = 1
    interrupting = False
    for key in keys:
        if key == "!":
            interrupting = True
            continue
        if interrupting:
            await _so_many(sim, call, "first_sent", turns)
            await asyncio.sleep(INTO_A_TURN)
        else:
            await _so_many(sim, call, "turn_ended", turns)
            await asyncio.sleep(THINKING)
        if call.over:
            return
        call.press(key)
        turns += 0 if interrupting else 1
        interrupting = False
    await _so_many(sim, call, "turn_ended", turns)
    await asyncio.sleep(THINKING)


async def _so_many(sim: Simulation, call: PhoneCall, kind: str, count: int) -> None:
    """Wait until the call's timeline has so many notes of a kind, or there is no call any more."""
    await sim.until(lambda: call.over or len(sim.of(call, kind)) >= count)


async def _provider_record(url: str) -> ProviderRecord:
    """What the provider stand-in says it spoke, and what it had to complain of."""
    address = url.replace("ws://", "http://", 1) + "/standin/record"
    async with aiohttp.ClientSession() as session, session.get(address) as response:
        return ProviderRecord.from_json(await response.json())


def _report(call: PhoneCall, picture: CallPicture, checks: list[Check]) -> dict[str, object]:
    """Everything that happened, for machines."""
    return {
        "passed": all(each.passed for each in checks),
        "checks": [{"name": each.name, "passed": each.passed, "detail": each.detail} for each in checks],
        "timeline": [
            {
                "at": round(note.at, 4),
                "kind": note.kind,
                **{name: _plain(value) for name, value in note.details.items()},
            }
            for note in picture.notes
        ],
        "phone": {
            "ended_by": call.ended_by,
            "warnings": dict(call.warnings),
            "events": [{"at": round(event.at, 4), "kind": event.kind, "detail": event.detail} for event in call.events],
            "twiml": call.transcript,
        },
    }


def _plain(value: object) -> object:
    return value if isinstance(value, str | int | float | bool | None) else repr(value)
