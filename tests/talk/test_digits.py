"""Keys that come together."""

from __future__ import annotations

import pytest

from lineside.events import CallerEntered, CollectDigits
from lineside.talk.digits import Digits


def press(digits: Digits, keys: str) -> CallerEntered | None:
    ended = None
    for nth, key in enumerate(keys):
        assert ended is None, "keys after the end"
        ended = digits.press(key, 100.0 + nth)
    return ended


@pytest.mark.parametrize(
    ("wanted", "keys", "ended"),
    [
        (CollectDigits(length=4), "1234", CallerEntered("1234", "length")),
        (CollectDigits(length=4), "12#", CallerEntered("12", "terminator")),
        (CollectDigits(length=4), "#", CallerEntered("", "terminator")),
        (CollectDigits(length=1), "*", CallerEntered("*", "length")),
        (CollectDigits(), "123456789#", CallerEntered("123456789", "terminator")),
        (CollectDigits(terminator="*"), "1#2*", CallerEntered("1#2", "terminator")),
        (CollectDigits(length=3, terminator=""), "1#2", CallerEntered("1#2", "length")),
        (CollectDigits(length=4), "123", None),
        (CollectDigits(terminator=""), "12#", None),
    ],
)
def test_digits_end_by_their_number_or_their_terminator(
    wanted: CollectDigits, keys: str, ended: CallerEntered | None
) -> None:
    assert press(Digits(wanted, 99.0), keys) == ended


def test_time_runs_from_the_last_key_or_from_when_the_agent_fell_silent() -> None:
    digits = Digits(CollectDigits(length=4, timeout=5), 100.0)
    assert digits.due(silent_since=90.0) == 105.0  # asked for when nothing was being said
    assert digits.due(silent_since=103.0) == 108.0
    digits.press("1", 104.0)
    assert digits.due(silent_since=103.0) == 109.0
    assert digits.time_out() == CallerEntered("1", "timeout")


@pytest.mark.parametrize("wrong", [{"length": 0}, {"terminator": "x"}, {"terminator": "##"}, {"timeout": 0}])
def test_a_collection_that_cannot_be_names_what_it_may(wrong: dict[str, object]) -> None:
    (name,) = wrong
    with pytest.raises(ValueError, match=f"CollectDigits: {name} is "):
        CollectDigits(**wrong)  # type: ignore[arg-type]
