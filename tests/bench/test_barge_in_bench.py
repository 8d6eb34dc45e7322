"""The barge-in bench measures what it says: against callers and disturbances whose effect is known."""

from __future__ import annotations

import math

import pytest

from lineside.bench.barge_in import CUTS_AN_HOUR, Calm, Delay, percentile, run
from lineside.bench.barge_in_calls import Disturbance, Interruptions, Peace, Way, disturb, disturbances, interrupt

FLUX = Way("words", "deepgram-flux")
BY_NAME = {each.name: each for each in disturbances()}


def test_percentiles_are_values_that_were_seen() -> None:
    values = [0.4, 0.1, 0.3, 0.2]
    assert [percentile(values, percent) for percent in (0, 25, 26, 50, 95, 100)] == [0.1, 0.1, 0.2, 0.2, 0.4, 0.4]
    assert math.isnan(percentile([], 50))
    assert percentile([0.1, math.inf], 95) == math.inf


def delay(seconds: float, told: float, *, policy: str = "words", round_trip_s: float = 0.08) -> Delay:
    way = Way(policy, "deepgram")  # type: ignore[arg-type]
    return Delay(way, round_trip_s, Interruptions((seconds,) * 20, (told,) * 20))


def test_a_row_is_judged_by_the_aim_and_with_words_by_the_recogniser_too() -> None:
    soon, words, late, sound = (
        delay(0.38, 0.3),
        delay(1.05, 0.9),
        delay(1.1, 0.9),
        delay(1.05, 0.9, policy="vad"),
    )
    assert [row.reached for row in (soon, words, late, sound)] == [True, False, False, False]
    assert [row.explained for row in (soon, words, late, sound)] == [True, True, False, False]


def test_false_cuts_are_counted_in_hours_of_the_agent_s_speech() -> None:
    def cell(cuts: int, *, ours: bool = True) -> Calm:
        return Calm(FLUX, Disturbance("any", ours=ours), Peace(spoken_s=1800, cuts=cuts, holds=3, held_s=2.0))

    assert cell(1).cuts_an_hour == 2 > CUTS_AN_HOUR
    assert [cell(0).reached, cell(1).reached, cell(1, ours=False).reached] == [True, False, True]
    assert Peace(0.0, 0, 0, 0.0).an_hour(5) == 0


async def test_the_round_trip_is_in_the_delay_and_the_recogniser_s_share_is_not_more_than_it() -> None:
    near, far = [await interrupt(FLUX, round_trip_s, 4) for round_trip_s in (0.0, 0.2)]
    assert len(near.delays) == len(far.delays) == len(near.told) == len(far.told) == 4
    assert all(0.3 < told <= delay + 0.001 < 1.2 for told, delay in zip(near.told, near.delays, strict=True))
    assert all(told + 0.2 <= delay + 0.001 for told, delay in zip(far.told, far.delays, strict=True))
    assert percentile(far.delays, 50) - percentile(near.delays, 50) == pytest.approx(0.2, abs=0.06)


async def test_nobody_cuts_an_agent_in_a_quiet_place_and_somebody_else_s_words_do() -> None:
    quiet = await disturb(FLUX, BY_NAME["quiet"], 40)
    assert (quiet.cuts, quiet.holds, quiet.held_s) == (0, 0, 0)
    assert quiet.spoken_s == pytest.approx(40, abs=0.5)
    others = await disturb(FLUX, BY_NAME["others"], 40)
    assert others.cuts == 1  # 30 s in
    assert others.spoken_s < 39.5


def test_the_report_has_a_row_for_every_way_and_says_which_reach_the_aim() -> None:
    delays: list[Delay] = []
    calms: list[Calm] = []
    lines = run(delays, calms, minutes=0.1, interruptions=1)
    head = [next(lines) for _ in range(3)]
    assert head[1].split()[:2] == ["policy", "ears"]
    assert head[2].split()[:3] == ["words", "deepgram", "0"]
    assert head[2].split()[-1] in {"reached", "recogniser", "missed"}
    assert len(delays) == 1
