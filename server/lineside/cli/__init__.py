"""The command line. Each command's work is in a file of its own; this one reads its arguments.

What a user did wrong comes out as one line on stderr and exit status 2; a call or bench that fails its checks as 1.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from lineside.errors import LinesideError

app = typer.Typer(
    name="lineside",
    help="A telephony voice-agent bridge: Twilio Media Streams in, your agent's words out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

UsageError: Any = typer.BadParameter.__mro__[1]  # which typer has, and does not export

NOISY = ("twilio", "websockets", "aiohttp", "asyncio", "uvicorn.error")


def main() -> None:
    """The `lineside` command."""
    try:
        sys.exit(app(standalone_mode=False))
    except UsageError as exc:
        if message := str(exc.format_message()):  # empty where help was shown instead
            print(f"lineside: {' '.join(message.split())}", file=sys.stderr)
        sys.exit(2)
    except typer.Abort:
        sys.exit(130)
    except LinesideError as exc:
        print(f"lineside: {exc}", file=sys.stderr)
        sys.exit(2)
    except OSError as exc:
        print(f"lineside: {exc.strerror or exc}{f': {exc.filename}' if exc.filename else ''}", file=sys.stderr)
        sys.exit(2)


def _log_to_stderr(level: int) -> None:
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    for name in NOISY:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"lineside {version('lineside')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None: ...


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 for any.")] = 8080,
    config: Annotated[Path | None, typer.Option(help="TOML file with settings.")] = None,
) -> None:
    """Take calls."""
    from lineside.cli import run_serve as command
    from lineside.settings import load

    _log_to_stderr(logging.INFO)
    settings = load(config)
    command.run(settings, host, port)


@app.command()
def call(
    voice: Annotated[
        str, typer.Option(help="Whose protocol to speak: deepgram, elevenlabs, elevenlabs-stream.")
    ] = "deepgram",
    ears: Annotated[
        str,
        typer.Option(
            help="Who hears the caller: deepgram, deepgram-flux, elevenlabs, none. By default whom LINESIDE_EARS "
            "names, else deepgram where the caller speaks, and none where they do not, as with --keys, or --agent "
            "without --script.",
            show_default=False,
        ),
    ] = "",
    agent: Annotated[str | None, typer.Option(help="The agent to call; the demo's reception by default.")] = None,
    script: Annotated[
        Path | None, typer.Option(help="What the caller says and does, and what must come of it, a step a line.")
    ] = None,
    keys: Annotated[
        str | None, typer.Option(help="Only press keys: each after a turn was played, `!` before one to interrupt.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for call.wav and call.json.")] = Path(),
    round_trip_ms: Annotated[int, typer.Option(help="Network round trip of the simulated phone.")] = 80,
) -> None:
    """One simulated call through the real path: no phone, no keys. Fails if anything about it is not right."""
    from lineside.cli import run_call as command

    _log_to_stderr(logging.ERROR)
    choice = command.CallChoice(voice, ears, agent, keys, script, round_trip_ms / 1000)
    if not asyncio.run(command.run(choice, out)):
        raise typer.Exit(1)


@app.command()
def say(
    text: Annotated[str, typer.Argument(help="What to say.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="WAV file to write.")] = Path("out.wav"),
    timings: Annotated[bool, typer.Option("--timings", help="Print when each word is spoken.")] = False,
    config: Annotated[Path | None, typer.Option(help="TOML file with settings.")] = None,
) -> None:
    """Speak a text with the configured voice, as callers would hear it, into a WAV file."""
    from lineside.cli import run_say as command
    from lineside.settings import load

    _log_to_stderr(logging.WARNING)
    asyncio.run(command.run(load(config), text, out, timings=timings))


prompts = typer.Typer(
    name="prompts", help="Fixed lines that are kept, and play without a provider.", no_args_is_help=True
)
app.add_typer(prompts)


@prompts.command("render")
def prompts_render(
    file: Annotated[
        Path, typer.Argument(help="One prompt a line; empty lines and lines that begin with # are skipped.")
    ],
    config: Annotated[Path | None, typer.Option(help="TOML file with settings.")] = None,
) -> None:
    """Speak each line of a file with the configured voice, and keep it. What is kept already is not spoken again."""
    from lineside.cli import run_prompts as command
    from lineside.settings import load

    _log_to_stderr(logging.WARNING)
    asyncio.run(command.render(load(config), command.lines_of(file)))


@prompts.command("ls")
def prompts_list(config: Annotated[Path | None, typer.Option(help="TOML file with settings.")] = None) -> None:
    """List what is kept, the one used last first."""
    from lineside.cli import run_prompts as command
    from lineside.settings import load

    command.show(load(config))


@prompts.command("rm")
def prompts_remove(
    keys: Annotated[list[str], typer.Argument(help="Keys as `ls` shows them, or their first letters; `all` for all.")],
    config: Annotated[Path | None, typer.Option(help="TOML file with settings.")] = None,
) -> None:
    """Forget prompts."""
    from lineside.cli import run_prompts as command
    from lineside.settings import load

    command.remove(load(config), keys)


class Bench(StrEnum):
    """What can be measured."""

    LOAD = "load"
    RESAMPLER = "resampler"
    VAD = "vad"
    EARS = "ears"
    BARGE_IN = "barge-in"
    INTERRUPTIONS = "interruptions"
    HEARD = "heard"
    TURN_GAP = "turn-gap"


@app.command()
def bench(
    what: Annotated[
        Bench,
        typer.Argument(
            help="load: beside a bare loop under the same paced calls. resampler, vad: quality and cost. ears: how "
            "late the caller's audio is. barge-in: from onset to silence, and false cuts. interruptions: from key to "
            "clear, under load. heard: what was told against what was played. turn-gap: from last word to answer."
        ),
    ] = Bench.LOAD,
    calls: Annotated[int, typer.Option(help="load: calls at a time.")] = 50,
    seconds: Annotated[float, typer.Option(help="load: length of each run.")] = 20.0,
    rounds: Annotated[int, typer.Option(help="load: runs of each server.")] = 1,
    voice: Annotated[str, typer.Option(help="load: as for `call`, whose protocol Lineside speaks.")] = "deepgram",
    ears: Annotated[bool, typer.Option("--ears", help="load: the caller is heard, too.")] = False,
) -> None:
    """Figures, each measured in one run on this machine. Fails if one misses its bound."""
    from lineside.cli import run_bench as command

    _log_to_stderr(logging.WARNING if what is Bench.LOAD else logging.ERROR)  # the others make trouble on purpose
    if what is Bench.LOAD:
        command.load(calls, seconds, rounds, voice, ears=ears)
    elif not command.run(what):
        raise typer.Exit(1)
