"""The demo agent, and the example that users copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from lineside.agents import demo
from lineside.agents.demo import HOURS, MENU, ORDER, Reception
from lineside.events import (
    CallEnded,
    CallerEntered,
    CallerPressed,
    CallerSaid,
    CallerSilent,
    CallStarted,
    CollectDigits,
    Cue,
    CutOff,
    HangUp,
    Line,
    Say,
)

REPOSITORY = Path(__file__).parents[2]


async def say(cue: Cue) -> list[Line]:
    return [line async for line in Reception().reply(cue)]


def cut(heard: str) -> CutOff:
    return CutOff(heard=heard, unheard=ORDER.removeprefix(heard), heard_ms=0)


def test_the_example_is_the_demo() -> None:
    assert (REPOSITORY / "examples" / "reception.py").read_bytes() == Path(demo.__file__).read_bytes()


async def test_it_greets_with_the_menu() -> None:
    for cue in (CallStarted(), CallStarted(resumed=True)):
        (line,) = await say(cue)
        assert (line.text if isinstance(line, Say) else str(line)).endswith(MENU)


def test_the_order_is_long_enough_to_be_interrupted() -> None:
    assert ORDER.count(".") >= 5
    assert 50 <= len(ORDER.split()) <= 90  # about 20 to 30 s at the 170 words a minute of the local voice


@pytest.mark.parametrize(
    ("text", "digit", "line"),
    [("Hello, where is my ORDER?", "1", ORDER), ("What are your hours?", "2", HOURS)],
)
async def test_a_question_and_its_key_have_one_answer(text: str, digit: str, line: str) -> None:
    assert await say(CallerSaid(text)) == await say(CallerPressed(digit)) == [line]


async def test_nine_and_goodbye_hang_up_after_a_farewell() -> None:
    for cue in (CallerPressed("9"), CallerSaid("My order can wait. Goodbye!")):
        farewell, action = await say(cue)
        assert "Goodbye" in str(farewell)
        assert action == HangUp()


async def test_what_the_caller_has_not_heard_is_said_again() -> None:
    before = ORDER.partition("tomorrow")[0]
    wish = "Can you change the address?"
    assert "tomorrow before noon" in str((await say(CallerSaid(wish, cut_off=cut(before))))[0])
    for known in (cut(ORDER.partition("If nobody")[0]), None):
        assert "tomorrow" not in str(await say(CallerSaid(wish, cut_off=known)))


async def test_the_order_number_is_collected_before_it_is_asked_for() -> None:
    collect, question = await say(CallerSaid("another address, please"))
    assert collect == CollectDigits(length=4)
    assert "four digits" in str(question)


async def test_the_number_is_repeated_digit_by_digit() -> None:
    (line,) = await say(CallerEntered("4207", "length"))
    assert "order 4 2 0 7." in str(line)
    (line,) = await say(CallerEntered("", "timeout"))
    assert "no number" in str(line)


async def test_the_first_silence_is_asked_about_and_the_second_ends_the_call() -> None:
    assert await say(CallerSilent(4.0)) == ["Are you still there?"]
    *_, action = await say(CallerSilent(4.0, nth=2))
    assert action == HangUp()


@pytest.mark.parametrize("cue", [CallerPressed("5"), CallerPressed("#"), CallerSaid("Is it raining?")])
async def test_what_it_does_not_understand_gets_the_menu(cue: Cue) -> None:
    (line,) = await say(cue)
    assert str(line).endswith(MENU)


async def test_the_end_of_the_call_is_not_answered() -> None:
    assert await say(CallEnded("caller")) == []
