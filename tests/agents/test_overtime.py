"""How long user code may take, on the test clock."""

from __future__ import annotations

import asyncio

from lineside.agents.overtime import CLEANUP_S, limit
from lineside.standin.clock import ClockLoop


async def test_a_task_that_ends_in_time_is_not_mentioned() -> None:
    reports: list[str] = []
    task = asyncio.ensure_future(asyncio.sleep(4.9))
    limit(task, 5, lambda: "it", reports.append)
    await asyncio.sleep(60)
    assert not task.cancelled()
    assert reports == []


async def test_a_task_that_does_not_is_cancelled_and_reported() -> None:
    reports: list[str] = []
    task = asyncio.ensure_future(asyncio.sleep(5.1))
    limit(task, 5, lambda: "it", reports.append)
    await asyncio.sleep(60)
    assert task.cancelled()
    assert reports == ["it took more than 5 s and was cancelled"]


async def test_one_that_goes_on_is_given_up() -> None:
    reports: list[str] = []
    let_go = asyncio.Event()

    async def stubborn() -> None:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue

    task = asyncio.ensure_future(stubborn())
    limit(task, 5, lambda: "it", reports.append)
    await asyncio.sleep(5 + CLEANUP_S + 0.01)
    assert reports == [
        "it took more than 5 s and was cancelled",
        "it goes on although it was cancelled; it is left to itself",
    ]
    let_go.set()
    await task


async def test_time_in_which_the_loop_was_blocked_does_not_count() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, ClockLoop)
    reports: list[str] = []
    task = asyncio.ensure_future(asyncio.sleep(2.1))  # a clean-up of 0.1 s, were it not for the block
    limit(task, CLEANUP_S, lambda: "it", reports.append)
    await asyncio.sleep(0)
    loop._clock.now += 2
    await asyncio.sleep(60)
    assert not task.cancelled()
    assert reports == []
