"""An account's slots: who gets one, in what order, and how long everybody waits after a refusal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lineside.speech.governor import BACK_OFF, TROUBLED, Governor, Ticket
from lineside.standin.clock import ClockLoop

Granted = Callable[[], None]


def nobody() -> None:
    pass


def asking(governor: Governor, names: str) -> tuple[list[Ticket], list[str]]:
    """Ask once for each letter; gives the tickets, and the letters as they are granted."""
    granted: list[str] = []

    def grant(name: str) -> Granted:
        return lambda: granted.append(name)

    return [governor.ask(grant(name)) for name in names], granted


async def test_slots_are_granted_at_once_while_there_are_some_and_then_in_order() -> None:
    governor = Governor("account", 2)
    tickets, granted = asking(governor, "abcd")
    assert granted == ["a", "b"]
    assert (governor.taken, governor.waiting, governor.free) == (2, 2, False)
    tickets[1].leave()
    assert granted == ["a", "b", "c"]
    tickets[0].leave()
    tickets[2].leave()
    assert granted == ["a", "b", "c", "d"]
    assert (governor.taken, governor.waiting) == (1, 0)


async def test_a_place_in_the_queue_can_be_given_up_and_no_call_follows() -> None:
    governor = Governor("account", 1)
    tickets, granted = asking(governor, "abc")
    tickets[1].leave()
    tickets[0].leave()
    assert granted == ["a", "c"]
    assert governor.taken == 1


async def test_a_slot_given_back_twice_counts_once() -> None:
    governor = Governor("account", 1)
    tickets, granted = asking(governor, "abc")
    tickets[0].leave()
    tickets[0].leave()
    assert granted == ["a", "b"]
    assert governor.taken == 1


async def test_a_call_that_is_on_the_phone_goes_before_those_that_still_ring() -> None:
    governor = Governor("account", 1)
    held = governor.ask(nobody)
    tickets, granted = asking(governor, "ab")
    urgent = governor.ask(lambda: granted.append("urgent"), urgent=True)
    held.leave()
    urgent.leave()
    tickets[0].leave()
    assert granted == ["urgent", "a", "b"]


async def test_no_number_of_slots_is_no_limit() -> None:
    governor = Governor("account", 0)
    _, granted = asking(governor, "abcdefgh")
    assert len(granted) == 8
    assert governor.free


async def test_whoever_is_granted_may_give_the_slot_back_or_ask_again_at_once() -> None:
    governor = Governor("account", 1)
    held = governor.ask(nobody)
    order: list[str] = []

    def first() -> None:
        order.append("first")
        governor.ask(lambda: order.append("third"))
        tickets[0].leave()

    tickets = [governor.ask(first), governor.ask(lambda: order.append("second"))]
    held.leave()
    assert order == ["first", "second"]
    tickets[1].leave()
    assert order == ["first", "second", "third"]


async def test_after_a_refusal_everybody_waits_and_longer_each_time_in_a_row() -> None:
    loop = asyncio.get_running_loop()
    governor = Governor("account", 0)
    for pause in (*BACK_OFF, BACK_OFF[-1]):
        governor.refused()
        assert not governor.free
        began = loop.time()
        granted = asyncio.Event()
        governor.ask(granted.set)
        assert not granted.is_set()
        await granted.wait()
        assert pause * 0.75 <= loop.time() - began <= pause * 1.25


async def test_being_let_in_ends_the_row_of_refusals_but_the_trouble_is_remembered() -> None:
    governor = Governor("account", 0)
    for _ in range(4):
        governor.refused()
        await asyncio.sleep(BACK_OFF[-1] * 2)
    governor.accepted()
    governor.refused()
    assert governor.troubled
    await asyncio.sleep(BACK_OFF[0] * 1.25)
    assert governor.free
    assert governor.troubled
    await asyncio.sleep(TROUBLED)
    assert not governor.troubled


async def test_a_slot_that_comes_free_during_the_pause_waits_for_its_end() -> None:
    governor = Governor("account", 1)
    held = governor.ask(nobody)
    granted = asyncio.Event()
    governor.ask(granted.set)
    governor.refused()
    held.leave()
    assert not granted.is_set()
    await asyncio.wait_for(granted.wait(), BACK_OFF[0] * 1.25 + 0.01)


async def test_a_second_refusal_in_the_pause_makes_it_longer() -> None:
    loop = asyncio.get_running_loop()
    governor = Governor("account", 0)
    governor.refused()
    granted = asyncio.Event()
    governor.ask(granted.set)
    governor.refused()
    began = loop.time()
    await granted.wait()
    assert loop.time() - began >= BACK_OFF[1] * 0.75


async def test_waits_are_counted_for_those_who_waited() -> None:
    governor = Governor("account", 1)
    tickets, _ = asking(governor, "abc")
    await asyncio.sleep(2)
    tickets[0].leave()
    await asyncio.sleep(3)
    tickets[1].leave()
    waits = governor.waits
    assert (waits.n_taken, waits.n_waited, waits.n_refused) == (3, 2, 0)
    assert waits.total_s == pytest.approx(7)
    assert waits.longest_s == pytest.approx(5)


@given(st.integers(1, 4), st.lists(st.tuples(st.sampled_from(["ask", "leave"]), st.integers(0, 9)), max_size=60))
def test_whatever_happens_slots_are_never_over_their_number_and_never_idle_while_somebody_waits(
    slots: int, acts: list[tuple[str, int]]
) -> None:
    async def play() -> None:
        governor = Governor("account", slots)
        tickets: list[Ticket] = []
        granted: list[int] = []
        for act, which in acts:
            if act == "ask":
                number = len(tickets)
                tickets.append(governor.ask(lambda number=number: granted.append(number)))  # type: ignore[misc]
            elif tickets:
                tickets[which % len(tickets)].leave()
            held = [ticket for ticket in tickets if ticket.held]
            assert len(held) == governor.taken <= slots
            assert governor.waiting == 0 or governor.taken == slots
            assert granted == sorted(set(granted))

    with asyncio.Runner(loop_factory=ClockLoop) as runner:
        runner.run(play())
