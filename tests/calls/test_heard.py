"""Whole calls that are interrupted at random moments: what is told as heard was played, and nearly all that was played.

The bench `heard` is the same with many more interruptions, and with a natural voice.
"""

from __future__ import annotations

import pytest

from lineside.bench.heard import VOICES, WITHIN, Plan, Row, measure
from lineside.bench.heard_speaker import Speaker

PLANS = [
    Plan(0.0, 0.0, rate=1.4, speed_up=20.0, figures=0.0, seed=1),
    Plan(0.08, 0.04, rate=0.7, speed_up=1.5, figures=0.4, seed=2),
    Plan(0.2, 0.04, rate=1.0, speed_up=4.0, figures=0.4, mark_to_ear_s=0.3, seed=3),
]


@pytest.mark.parametrize("voice", VOICES)
async def test_no_word_is_told_as_heard_that_was_not_played_and_few_that_were_are_missing(voice: str) -> None:
    cuts = await measure(voice, Speaker("tones"), PLANS, cuts=12)
    row = Row(voice, [cut.error for cut in cuts])
    assert len(cuts) == 36
    assert row.n_over == 0
    assert row.share_within(WITHIN[voice]) >= 34 / 36
    assert sum(cut.played for cut in cuts) > 200  # there was something to tell
    assert any(cut.claimed != cut.heard for cut in cuts if cut.plan.mark_to_ear_s)  # of the ear nobody knows
