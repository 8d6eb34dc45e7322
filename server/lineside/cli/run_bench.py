"""`lineside bench`: figures, measured where they are printed."""

from __future__ import annotations

from importlib import import_module

from rich.console import Console


def load(calls: int, seconds: float, rounds: int, voice: str, *, ears: bool) -> None:
    """Lineside beside a bare loop."""
    from lineside.bench import load as bench

    Console().print(bench.run(calls, seconds, rounds, voice=voice, ears=ears).table())


def run(name: str) -> bool:
    """One of the benches that take no options, by its module's name; whether every bound holds."""
    return bool(import_module(f"lineside.bench.{name.replace('-', '_')}").main())
