"""Where calls come in: one answer a call, passes that are good once, and nothing kept of calls that are over."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import pytest

from lineside.call import Call
from lineside.calls import Calls, TooManyCalls
from lineside.errors import AuthError
from lineside.events import CallInfo
from lineside.web.desk import MOST_RECONNECTS, PASS_LIFE, Desk, Remembered
from lineside.web.guard import Guard

SECRET = b"an open secret of some length"


class ShortCall:
    """As much of a call as a desk sees."""

    def __init__(self, info: CallInfo) -> None:
        self.info = info
        self.connected = False
        self._over = asyncio.Event()

    @property
    def over(self) -> bool:
        return self._over.is_set()

    def end(self, reason: str) -> None:
        self._over.set()

    async def run(self) -> None:
        await self._over.wait()


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def calls() -> AsyncIterator[Calls]:
    async with Calls(most=3) as calls:
        yield calls


def desk(calls: Calls, **how: Any) -> Desk:
    return Desk(Guard({}), calls, lambda info: cast(Call, ShortCall(info)), **({"secret": SECRET} | how))


def opened(here: Desk, info: CallInfo, twiml_for: Callable[[str], str]) -> str:
    """Open a call, and say what it was answered."""
    return here.answer_to(here.open_call(info, twiml_for))


def info(call_id: str = "CA1", account_id: str = "AC1") -> CallInfo:
    return CallInfo(call_id=call_id, account_id=account_id)


async def test_a_call_keeps_the_answer_that_it_was_given(calls: Calls) -> None:
    here = desk(calls)
    answer = opened(here, info(), lambda presented: f"come in with {presented}")
    call = here.call_of("CA1", "AC1")
    assert call is not None
    assert here.answer_to(call) == answer
    assert here.call_of_pass(answer.removeprefix("come in with ")) is call


async def test_a_call_is_its_accounts_alone(calls: Calls) -> None:
    here = desk(calls)
    here.open_call(info(), str)
    with pytest.raises(AuthError):
        here.call_of("CA1", "AC2")
    assert here.call_of("CA2", "AC2") is None


async def test_a_call_that_is_over_is_past_and_not_here(calls: Calls) -> None:
    here = desk(calls)
    assert not here.is_past("CA1")
    presented = opened(here, info(), str)
    assert not here.is_past("CA1")
    calls.get("CA1").end("caller")  # type: ignore[union-attr]
    assert here.call_of("CA1", "AC1") is None
    assert here.is_past("CA1")
    with pytest.raises(AuthError):
        here.call_of_pass(presented)
    await asyncio.sleep(1)
    assert here.is_past("CA1")


async def test_a_call_for_which_there_is_no_room_is_not_remembered_as_past(calls: Calls) -> None:
    here = desk(calls)
    for n in range(3):
        here.open_call(info(f"CA{n}"), str)
    with pytest.raises(TooManyCalls):
        here.open_call(info("CA3"), str)
    assert not here.is_past("CA3")


async def test_an_answer_that_cannot_be_composed_starts_no_call(calls: Calls) -> None:
    def fail(_: str) -> str:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        desk(calls).open_call(info(), fail)
    assert len(calls) == 0


async def test_a_pass_is_good_once_and_looking_does_not_use_it(calls: Calls) -> None:
    here = desk(calls)
    presented = opened(here, info(), str)
    here.call_of_pass(presented)
    here.call_of_pass(presented)
    here.use_pass(presented)
    with pytest.raises(AuthError):
        here.call_of_pass(presented)
    here.call_of_pass(here.new_pass("CA1"))


async def test_a_pass_is_good_for_a_minute(calls: Calls) -> None:
    clock = Clock()
    here = desk(calls, wall_clock=clock)
    presented = opened(here, info(), str)
    clock.now += PASS_LIFE - 0.1
    here.call_of_pass(presented)
    clock.now += 0.1
    with pytest.raises(AuthError):
        here.call_of_pass(presented)


async def test_a_pass_is_good_at_its_own_worker(calls: Calls) -> None:
    presented = opened(desk(calls, worker="w1"), info(), str)
    desk(calls, worker="w1").call_of_pass(presented)
    with pytest.raises(AuthError):
        desk(calls, worker="w2").call_of_pass(presented)


async def test_without_a_secret_each_desk_makes_its_own(calls: Calls) -> None:
    one, other = desk(calls, secret=None), desk(calls, secret=None)
    presented = opened(one, info(), str)
    one.call_of_pass(presented)
    with pytest.raises(AuthError):
        other.call_of_pass(presented)


async def test_a_call_may_reconnect_so_often(calls: Calls) -> None:
    here = desk(calls)
    here.open_call(info(), str)
    call = here.call_of("CA1", "AC1")
    assert call is not None
    assert [here.may_reconnect(call) for _ in range(MOST_RECONNECTS + 2)] == [True] * MOST_RECONNECTS + [False] * 2


async def test_nothing_of_a_call_is_kept_when_it_is_over(calls: Calls) -> None:
    here = desk(calls)
    here.open_call(info(), str)
    call = calls.get("CA1")
    assert call is not None
    gone = weakref.ref(call)
    call.end("caller")
    del call
    await asyncio.sleep(1)
    gc.collect()
    assert gone() is None


def test_what_is_remembered_is_bounded_and_the_oldest_goes_first() -> None:
    remembered = Remembered(most=3)
    for each in "abcd":
        remembered.add(each)
    assert [each in remembered for each in "abcd"] == [False, True, True, True]
