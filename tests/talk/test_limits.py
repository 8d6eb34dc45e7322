"""A sliding budget, checked against counting everything."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lineside.talk.limits import Budget


def test_a_new_budget_is_whole() -> None:
    budget = Budget(20, 60.0)
    assert budget.left(0.0) == 20
    assert budget.wait(20, 0.0) == 0.0


def test_what_is_spent_comes_back_after_the_window() -> None:
    budget = Budget(20, 60.0)
    budget.spend(5, 100.0)
    assert budget.left(100.0) == 15
    assert budget.left(159.999) == 15
    assert budget.left(160.0) == 20


def test_the_window_slides() -> None:
    budget = Budget(20, 60.0)
    for at in range(20):
        budget.spend(1, float(at))
    assert budget.left(59.0) == 0
    assert [budget.left(60.0 + at) for at in range(4)] == [1, 2, 3, 4]


def test_the_wait_is_until_enough_has_come_back() -> None:
    budget = Budget(10, 60.0)
    budget.spend(6, 0.0)
    budget.spend(4, 10.0)
    assert budget.wait(1, 20.0) == 40.0
    assert budget.wait(6, 20.0) == 40.0
    assert budget.wait(7, 20.0) == 50.0
    assert budget.wait(10, 20.0) == 50.0


def test_more_than_the_whole_budget_never_comes() -> None:
    assert Budget(10, 60.0).wait(11, 0.0) == math.inf


def test_nothing_can_always_be_had() -> None:
    budget = Budget(1, 60.0)
    budget.spend(1, 0.0)
    assert budget.wait(0, 0.0) == 0.0
    assert Budget(0, 60.0).wait(0, 0.0) == 0.0
    assert Budget(0, 60.0).wait(1, 0.0) == math.inf


def test_more_may_be_spent_than_is_left_and_all_of_it_has_to_come_back() -> None:
    budget = Budget(10, 60.0)
    budget.spend(25, 0.0)
    assert budget.left(1.0) == -15
    budget.spend(1, 30.0)
    assert budget.wait(1, 31.0) == 29.0
    assert budget.wait(10, 31.0) == 59.0
    assert budget.left(60.0) == 9


def test_what_came_back_is_forgotten() -> None:
    budget = Budget(20, 60.0)
    for at in range(100_000):
        budget.spend(1, float(at))
        assert budget.left(float(at)) >= -40
    assert budget.left(1e6) == 20


spendings = st.lists(st.tuples(st.floats(0, 50), st.integers(0, 30)), max_size=25)


@given(amount=st.integers(0, 60), window=st.floats(0.5, 100), spent=spendings, later=st.floats(0, 120))
@settings(deadline=None)
def test_what_is_left_is_what_was_not_spent_within_the_window(
    amount: int, window: float, spent: list[tuple[float, int]], later: float
) -> None:
    budget, now, log = Budget(amount, window), 1000.0, list[tuple[float, int]]()
    for after, units in spent:
        now += after
        assert budget.left(now) == amount - sum(n for at, n in log if now < at + window)
        budget.spend(units, now)
        log.append((now, units))
    now += later
    assert budget.left(now) == amount - sum(n for at, n in log if now < at + window)


@given(amount=st.integers(1, 60), window=st.floats(0.5, 100), spent=spendings, units=st.integers(0, 60))
@example(amount=1, window=60.1, spent=[(0.1, 1)], units=1)
@settings(deadline=None)
def test_after_the_wait_so_much_can_be_spent_and_not_before(
    amount: int, window: float, spent: list[tuple[float, int]], units: int
) -> None:
    budget, now = Budget(amount, window), 1000.0
    for after, n in spent:
        now += after
        budget.spend(n, now)
    wait = budget.wait(units, now)
    if units > amount:
        assert wait == math.inf
        return
    assert (wait == 0.0) == (budget.left(now) >= units)
    if wait > 0.001:
        assert budget.left(now + wait * 0.999) < units
    for _ in range(3):  # sums of floats: the second wait, if any, is the last bit of the first
        now += wait
        wait = budget.wait(units, now)
    assert wait == 0.0
    assert budget.left(now) >= units


@pytest.mark.parametrize("start", [0.1, 1000.3, 12345.678, 987654.321])
def test_waiting_as_told_never_needs_to_wait_for_nothing(start: float) -> None:
    """Who sleeps as told and finds too little, told to sleep no more, would spin."""
    for step in range(2000):
        budget, at = Budget(1, 62.0), start + step * 0.0137
        budget.spend(1, at)
        now = at + 0.731
        now += budget.wait(1, now)
        assert budget.left(now) == 1 or budget.wait(1, now) > 0


@given(asks=st.lists(st.tuples(st.floats(0, 30), st.integers(1, 12)), min_size=1, max_size=40))
@settings(deadline=None)
def test_who_waits_as_told_never_spends_more_than_the_amount_in_any_window(asks: list[tuple[float, int]]) -> None:
    budget, now, log = Budget(12, 60.0), 1000.0, list[tuple[float, int]]()
    for after, units in asks:
        now += after
        while (wait := budget.wait(units, now)) > 0:
            now += wait
        budget.spend(units, now)
        log.append((now, units))
    for begin, _ in log:
        assert sum(units for at, units in log if begin <= at < begin + 60.0) <= 12
