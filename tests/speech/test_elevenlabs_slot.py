"""A place among an account's generations: waited for, but not for ever."""

from __future__ import annotations

import asyncio

from lineside.speech.elevenlabs_slot import Slot
from lineside.speech.governor import Governor


def slot(governor: Governor | None, calls: list[str], name: str = "") -> Slot:
    return Slot(governor, 8.0, lambda: calls.append(f"granted {name}"), lambda: calls.append(f"denied {name}"))


async def test_without_a_governor_it_is_there() -> None:
    calls: list[str] = []
    free = slot(None, calls)
    assert free.ask()
    free.leave()
    assert calls == []


async def test_a_free_slot_is_there_at_once_and_no_call_follows() -> None:
    governor, calls = Governor("account", 1), list[str]()
    first = slot(governor, calls)
    assert first.ask()
    assert first.ask()
    assert (governor.taken, calls) == (1, [])
    first.leave()
    first.leave()
    assert governor.taken == 0


async def test_a_slot_that_comes_free_in_time_is_granted_by_a_call() -> None:
    governor, calls = Governor("account", 1), list[str]()
    first, second = slot(governor, calls, "first"), slot(governor, calls, "second")
    first.ask()
    assert not second.ask()
    assert not second.ask()
    await asyncio.sleep(7.9)
    first.leave()
    assert calls == ["granted second"]
    assert second.ask()
    await asyncio.sleep(1)
    assert (calls, governor.taken) == (["granted second"], 1)


async def test_patience_ends_and_the_place_in_the_queue_with_it() -> None:
    governor, calls = Governor("account", 1), list[str]()
    first, second = slot(governor, calls, "first"), slot(governor, calls, "second")
    first.ask()
    second.ask()
    await asyncio.sleep(8.1)
    assert (calls, governor.waiting) == (["denied second"], 0)
    first.leave()
    assert (calls, governor.taken) == (["denied second"], 0)


async def test_a_wish_that_is_given_up_is_neither_granted_nor_denied() -> None:
    governor, calls = Governor("account", 1), list[str]()
    first, second = slot(governor, calls, "first"), slot(governor, calls, "second")
    first.ask()
    second.ask()
    second.leave()
    first.leave()
    await asyncio.sleep(20)
    assert (calls, governor.taken) == ([], 0)
