"""The command line. Each command's work is in a file of its own; this one reads its arguments.

What a user did wrong comes out as one line on stderr and exit status 2; a call or bench that fails its checks as 1.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from lineside.errors import LinesideError

app = typer.Typer(
    name="lineside",
    help="A telephony voice-agent bridge: Twilio Media Streams in, your agent's words out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

NOISY = ("twilio", "websockets", "aiohttp", "asyncio", "uvicorn.error")


def main() -> None:
    """The `lineside` command."""
    try:
        app()
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
    agent: Annotated[str | None, typer.Option(help="The agent to call; the demo's reception by default.")] = None,
    keys: Annotated[
        str, typer.Option(help="Keys to press: each after a turn was played, `!` before one to interrupt.")
    ] = "1!9",
    out: Annotated[Path, typer.Option(help="Folder for call.wav and call.json.")] = Path(),
    round_trip_ms: Annotated[int, typer.Option(help="Network round trip of the simulated phone.")] = 80,
) -> None:
    """One simulated call through the real path: no phone, no keys. Fails if anything about it is not right."""
    from lineside.cli import run_call as command

    _log_to_stderr(logging.ERROR)
    if not asyncio.run(command.run(voice, agent, keys, out, round_trip_ms / 1000)):
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


@app.command()
def bench(
    calls: Annotated[int, typer.Option(help="Calls at a time.")] = 50,
    seconds: Annotated[float, typer.Option(help="Length of each run.")] = 20.0,
    rounds: Annotated[int, typer.Option(help="Runs of each server.")] = 1,
    voice: Annotated[str, typer.Option(help="As for `call`: whose protocol Lineside speaks.")] = "deepgram",
    resampler: Annotated[bool, typer.Option("--resampler", help="Measure the resampler instead.")] = False,
) -> None:
    """Lineside beside a bare loop under the same paced calls, in one run."""
    from lineside.cli import run_bench as command

    _log_to_stderr(logging.WARNING)
    if resampler:
        command.resampler()
    else:
        command.load(calls, seconds, rounds, voice)
