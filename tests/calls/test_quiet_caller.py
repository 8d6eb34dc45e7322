"""Whole calls whose caller listens for minutes: nobody complains of it, and the caller is heard when they speak."""

from __future__ import annotations

import asyncio

import pytest

from calls.scenes import record
from calls.test_hearing import EARS, SHORT, scene

ASKED = "please tell me my balance"


@pytest.mark.parametrize("ears", EARS)
async def test_a_caller_who_listens_for_minutes_costs_no_warning_and_is_heard_after_it(ears: str) -> None:
    async with scene(ears, SHORT) as it:
        await it.at(150.0)
        assert it.sim.of(it.call, "ear_warning") == []
        it.speak(ASKED)
        await it.told()
        await asyncio.sleep(5.0)
        assert it.said == [ASKED]
        assert it.sim.of(it.call, "ear_warning") == []
        assert len(record(it.sim).listened) == (3 if ears == "elevenlabs" else 1)


async def test_words_spoken_while_a_quiet_recogniser_is_renewed_are_heard_once() -> None:
    said = "one two three four five six"
    async with scene("elevenlabs", SHORT) as it:
        await it.sim.until(lambda: len(record(it.sim).listened) == 2)
        assert it.sim.of(it.call, "ear_warning") == []
        it.speak(said)
        await asyncio.sleep(10.0)
        assert it.said == [said]


@pytest.mark.parametrize("before_s", [0.3, 0.7, 1.3])
async def test_words_that_a_renewal_falls_into_are_heard_once(before_s: float) -> None:
    said = "one two three four five six"
    async with scene("elevenlabs", SHORT) as it:
        await it.at(60.2 - before_s)
        it.speak(said)
        await asyncio.sleep(15.0)
        assert it.said == [said]
        assert it.sim.of(it.call, "ear_warning") == []
