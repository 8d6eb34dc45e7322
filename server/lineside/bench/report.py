"""What a load run measured, and what that says. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import median
from typing import Any

from rich import box
from rich.table import Table

YARDSTICK = "bare"
HEADS = ["", "CPU", "first audio", "added", "dry", "failed", "idle kB", "generator late"]
EXPLAINED = (
    "CPU: ms of the server's process per second and call. Delays: ms, p50/p99. Dry: times that the carrier's queue ran "
    "dry within an answer. Failed: answers missing and calls lost. Void: the generator was late itself."
)
LATE = 5.0  # ms; a generator that is later than this at its 99th percentile measures itself


@dataclass(frozen=True, slots=True)
class Figures:
    """One server under load, once. Percentiles are over all calls."""

    cpu_ms: float
    """Processor time of the server's process, user and system, per second of a call."""
    idle_kb: float
    """Resident memory that a silent call adds to the server; rough below some fifty calls."""
    first_audio_ms: tuple[float, float]
    """From a key to the first byte of the answer, p50 and p99."""
    n_answers: int
    underruns: int
    """How often the carrier's queue ran dry within an answer."""
    stuck: int
    """Answers that did not come, or not wholly."""
    lost: int
    """Calls that the server dropped."""
    n_bytes: int
    """Audio received, mu-law."""
    late_ms: tuple[float, float]
    """How long after its time the generator sent a frame, p50 and p99."""

    @property
    def void(self) -> bool:
        return self.late_ms[1] > LATE

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Figures:
        """From what JSON made of `dataclasses.asdict`."""
        return cls(**{each.name: _tuple(values[each.name]) for each in fields(cls)})


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


Round = Mapping[str, Figures]
"""Every server's figures by its name, measured one right after the other."""


@dataclass(frozen=True, slots=True)
class Report:
    """Some rounds of the same load.

    The machine's speed drifts, so ratios and differences are taken within a round and only then their median.
    """

    calls: int
    seconds: float
    rounds: Sequence[Round]

    @property
    def valid(self) -> Sequence[Round]:
        """Rounds whose generator kept time; all of them when none did, and then every row says `void`."""
        return [each for each in self.rounds if not _void(each)] or self.rounds

    @property
    def void(self) -> bool:
        """No round is worth anything."""
        return all(_void(each) for each in self.rounds)

    def cpu_ratio(self, server: str) -> float:
        return self._median(lambda each: each[server].cpu_ms / each[YARDSTICK].cpu_ms)

    def idle_ratio(self, server: str) -> float:
        return self._median(lambda each: each[server].idle_kb / max(each[YARDSTICK].idle_kb, 1.0))

    def added_ms(self, server: str) -> tuple[float, float]:
        """What the server adds to the time to the first audio, at p50 and p99."""

        def added(i: int) -> float:
            return self._median(lambda each: each[server].first_audio_ms[i] - each[YARDSTICK].first_audio_ms[i])

        return added(0), added(1)

    def underruns(self, server: str) -> int:
        """In all rounds that count."""
        return sum(each[server].underruns for each in self.valid)

    def rows(self) -> list[list[str]]:
        """The report as text: the heads of the columns, then rows of the same length."""
        servers = list(self.rounds[0])
        rows = [HEADS, *(self._row(server) for server in servers)]
        rows += [self._ratios(server) for server in servers if server != YARDSTICK]
        return rows

    def table(self) -> Table:
        heads, *rows = self.rows()
        n_void = sum(map(_void, self.rounds))
        table = Table(
            title=f"{self.calls} calls for {self.seconds:g} s",
            caption=f"{EXPLAINED} Rounds: {len(self.rounds)}, of which void: {n_void}.",
            box=box.SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
            caption_justify="left",
        )
        for i, head in enumerate(heads):
            table.add_column(head, justify="left" if i == 0 else "right", no_wrap=True)
        for row in rows:
            table.add_row(*row)
        return table

    def _row(self, server: str) -> list[str]:
        def middle(value: Callable[[Figures], float]) -> float:
            return self._median(lambda each: value(each[server]))

        return [
            f"{server} (void)" if self.void else server,
            f"{middle(lambda it: it.cpu_ms):.2f}",
            _pair(middle(lambda it: it.first_audio_ms[0]), middle(lambda it: it.first_audio_ms[1])),
            "" if server == YARDSTICK else _pair(*self.added_ms(server)),
            str(self.underruns(server)),
            str(sum(each[server].stuck + each[server].lost for each in self.rounds)),
            f"{middle(lambda it: it.idle_kb):.0f}",
            _pair(middle(lambda it: it.late_ms[0]), middle(lambda it: it.late_ms[1])),
        ]

    def _ratios(self, server: str) -> list[str]:
        cpu, idle = f"{self.cpu_ratio(server):.2f}", f"{self.idle_ratio(server):.2f}"
        return [f"{server} / {YARDSTICK}", cpu, "", "", "", "", idle, ""]

    def _median(self, value: Callable[[Round], float]) -> float:
        return median(value(each) for each in self.valid)


def _void(measured: Round) -> bool:
    return any(figures.void for figures in measured.values())


def _pair(p50: float, p99: float) -> str:
    return f"{p50:.1f}/{p99:.1f}"


def percentiles(values: Iterable[float]) -> tuple[float, float]:
    """p50 and p99, each a value that occurred; zeros when there is none."""
    ranked = sorted(values)
    if not ranked:
        return 0.0, 0.0
    return ranked[(len(ranked) - 1) // 2], ranked[-1 - (len(ranked) - 1) // 100]
