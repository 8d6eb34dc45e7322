"""Distances along a text, and how sure they are."""

from __future__ import annotations

import pytest

from lineside.talk.effort import Effort
from lineside.talk.ruler import Ruler


def ruler(*efforts: Effort, doubt: float = 2.0, onset: float = 0.0) -> Ruler:
    made = Ruler(doubt, onset)
    made.append(efforts)
    return made


def test_lengths_add_up_and_places_are_found_by_them() -> None:
    made = ruler(Effort(1, 0), Effort(3, 0), Effort(2, 0))
    made.append([Effort(4, 0)])
    assert made.length(0, 4) == 10
    assert made.length(1, 3) == 5
    assert [made.place(1, length) for length in (0, 2.9, 3, 5, 100)] == [1, 1, 2, 3, 4]


def test_what_is_certain_has_no_margin() -> None:
    made = ruler(Effort(1, 0), Effort(3, 0), Effort(2, 0))
    assert made.most(0, 3) == 6
    assert made.latest_share(0, 2, 3) == made.earliest_share(0, 2, 3) == pytest.approx(4 / 6)


def test_the_margin_is_so_many_deviations() -> None:
    made = ruler(Effort(1, 4), Effort(3, 5), doubt=3.0)
    assert made.most(0, 2) == 4 + 2 * 3
    deviation = (4 * 5 / 9) ** 0.5  # of one part, where the whole is known
    assert made.latest_share(0, 1, 2) == pytest.approx((1 + 3 * deviation) / 4)
    assert made.earliest_share(0, 1, 2) == 0.0
    assert made.latest_share(0, 2, 2) == 1.0  # its end is known


def test_where_the_first_sound_begins_is_uncertain_however_short_the_text() -> None:
    assert ruler(Effort(1, 0), Effort(1, 1), onset=1.0).latest_share(0, 1, 2) > 0.5
    assert ruler(Effort(1, 0), onset=4.0).most(0, 1) == 5


def test_text_that_takes_no_effort_is_over_when_it_ends() -> None:
    made = ruler(Effort(0, 0))
    assert made.latest_share(0, 1, 1) == 1.0
    assert made.earliest_share(0, 1, 1) == 0.0
