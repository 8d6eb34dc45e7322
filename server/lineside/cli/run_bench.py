"""`lineside bench`: figures, measured where they are printed."""

from __future__ import annotations

from rich.console import Console

from lineside.bench import load as load_bench
from lineside.bench import resampler as resampler_bench


def load(calls: int, seconds: float, rounds: int, voice: str) -> None:
    """Lineside beside a bare loop."""
    Console().print(load_bench.run(calls, seconds, rounds, voice=voice).table())


def resampler() -> None:
    """The resampler's delay, alias and ripple, for each rate."""
    resampler_bench.main()
