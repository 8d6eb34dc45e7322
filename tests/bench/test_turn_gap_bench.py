"""The turn gap: what the bench makes of a call, and that nobody waits for us."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lineside.bench import turn_gap
from lineside.bench.turn_gap import EARS, Ears, Row, measure
from lineside.testing import Simulation

ROW = Row("deepgram", "deepgram", eager=False, gaps=[1.0, 1.1], paths=[1.0, 1.05])


def test_what_is_beyond_the_path_is_reckoned_answer_by_answer() -> None:
    assert replace(ROW, gaps=[1.2, 1.0], paths=[1.0, 1.1]).beyond == pytest.approx((-0.1, 0.2))


@pytest.mark.parametrize(
    ("beyond", "eager", "holds"),
    [
        ((0.03, 0.08), False, True),
        ((0.031, 0.031), False, False),
        ((0.0, 0.081), False, False),
        ((-0.1, -0.09), True, True),
        ((-0.1, -0.05), True, False),
    ],
)
def test_bounds_are_for_the_median_and_the_tail(beyond: tuple[float, float], eager: bool, holds: bool) -> None:
    row = Row("deepgram-flux", "deepgram", eager, gaps=[1 + each - 1e-9 for each in beyond], paths=[1.0, 1.0])
    assert row.holds is holds


@pytest.mark.parametrize("ears", EARS)
async def test_an_answer_comes_when_the_last_of_those_it_waits_for_is_there(ears: Ears) -> None:
    row = await measure(ears, "deepgram", 4)
    assert row.holds
    p50, p99 = row.beyond
    assert -turn_gap.CHUNK[ears] / turn_gap.RATE - 0.02 < p50 <= p99 < 0.005


async def test_an_eager_answer_comes_sooner_than_the_sum() -> None:
    eager = await measure("deepgram-flux", "elevenlabs", 4, eager=True)
    assert eager.holds
    assert eager.beyond[1] < -0.15


async def test_the_same_seed_draws_the_same_call() -> None:
    first, again, other = [await measure("deepgram", "deepgram", 2, seed=seed) for seed in (1, 1, 2)]
    assert first.paths == again.paths != other.paths
    assert first.gaps == pytest.approx(again.gaps, abs=0.001)


async def test_an_answer_that_does_not_come_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask_nothing(*_: Simulation) -> None:
        pass

    monkeypatch.setattr(turn_gap, "_ask", ask_nothing)
    with pytest.raises(turn_gap.LinesideError, match="expected 2 answers, got 0"):
        await measure("deepgram", "deepgram", 2)
