"""A wait that ends at a time or by a ring."""

from __future__ import annotations

import asyncio
import gc

import pytest

from lineside.alarm import Alarm


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_it_ends_at_the_time_when_nobody_rings() -> None:
    alarm, begun = Alarm(), now()
    await alarm.wait(begun + 5.0)
    assert now() == pytest.approx(begun + 5.0)


async def test_a_time_in_the_past_ends_it_at_once() -> None:
    alarm, begun = Alarm(), now()
    await alarm.wait(begun - 5.0)
    assert now() == begun


async def test_a_ring_ends_it_before_the_time() -> None:
    alarm, begun = Alarm(), now()
    asyncio.get_running_loop().call_later(1.0, alarm.ring)
    await alarm.wait(begun + 5.0)
    assert now() == pytest.approx(begun + 1.0)


async def test_without_a_time_it_waits_for_a_ring() -> None:
    alarm, begun = Alarm(), now()
    asyncio.get_running_loop().call_later(3600.0, alarm.ring)
    await alarm.wait(None)
    assert now() == pytest.approx(begun + 3600.0)


async def test_a_ring_while_nobody_waits_ends_the_next_wait_at_once() -> None:
    alarm, begun = Alarm(), now()
    alarm.ring()
    await alarm.wait(None)
    assert now() == begun


async def test_many_rings_end_one_wait() -> None:
    alarm, begun = Alarm(), now()
    for _ in range(3):
        alarm.ring()
    await alarm.wait(None)
    await alarm.wait(begun + 2.0)
    assert now() == pytest.approx(begun + 2.0)


async def test_a_ring_at_the_time_itself_is_not_left_over_for_the_next_wait() -> None:
    alarm, begun = Alarm(), now()
    asyncio.get_running_loop().call_at(begun + 1.0, alarm.ring)
    await alarm.wait(begun + 1.0)
    assert now() == pytest.approx(begun + 1.0)
    await alarm.wait(begun + 2.0)
    assert now() == pytest.approx(begun + 2.0)


async def test_a_wait_that_was_cancelled_leaves_no_timer_and_loses_no_ring() -> None:
    alarm, begun = Alarm(), now()
    task = asyncio.create_task(alarm.wait(begun + 5.0))
    await asyncio.sleep(1.0)
    alarm.ring()
    task.cancel()  # before it could run: the ring is still to be told
    with pytest.raises(asyncio.CancelledError):
        await task
    await alarm.wait(None)
    assert now() == pytest.approx(begun + 1.0)
    await alarm.wait(begun + 9.0)
    assert now() == pytest.approx(begun + 9.0)


async def test_a_wait_that_was_cancelled_can_be_followed_by_another() -> None:
    alarm, begun = Alarm(), now()
    task = asyncio.create_task(alarm.wait(None))
    await asyncio.sleep(1.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    asyncio.get_running_loop().call_later(1.0, alarm.ring)
    await alarm.wait(begun + 9.0)
    assert now() == pytest.approx(begun + 2.0)


async def test_a_ring_between_two_waits_of_a_loop_is_seen_by_the_second() -> None:
    alarm, seen = Alarm(), list[float]()
    loop, begun = asyncio.get_running_loop(), now()
    for at in (1.0, 1.0, 2.5):
        loop.call_at(begun + at, alarm.ring)
    for until in (5.0, 2.0, 5.0):
        await alarm.wait(begun + until)
        seen.append(now() - begun)
    assert seen == [pytest.approx(1.0), pytest.approx(2.0), pytest.approx(2.5)]


async def test_a_thousand_rings_and_times_in_turn_miss_none() -> None:
    alarm, begun = Alarm(), now()
    loop = asyncio.get_running_loop()
    for n in range(1000):
        loop.call_at(begun + n * 0.01, alarm.ring)
    woken = 0
    while now() < begun + 9.99:
        await alarm.wait(begun + 20.0)
        woken += 1
    assert woken == 1000


async def test_waits_that_a_ring_ended_leave_no_timer_behind() -> None:
    alarm, begun = Alarm(), now()
    for n in range(50):
        asyncio.get_running_loop().call_at(begun + n * 0.01, alarm.ring)
        await alarm.wait(begun + 3600.0)
    timers = [thing for thing in gc.get_objects() if isinstance(thing, asyncio.TimerHandle)]
    assert [timer for timer in timers if timer.when() > begun + 3000 and not timer.cancelled()] == []
