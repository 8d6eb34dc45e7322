"""The demo agent, and the example that users copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from lineside.agents import demo
from lineside.agents.demo import MENU, ORDER, Reception
from lineside.events import CallEnded, CallerPressed, CallStarted, Cue, CutOff, HangUp, Line

REPOSITORY = Path(__file__).parents[2]


async def say(agent: Reception, cue: Cue) -> list[Line]:
    return [line async for line in agent.reply(cue)]


def cut(unheard: str) -> CutOff:
    return CutOff(heard="", unheard=unheard, heard_ms=0)


def test_the_example_is_the_demo() -> None:
    assert (REPOSITORY / "examples" / "reception.py").read_bytes() == Path(demo.__file__).read_bytes()


async def test_it_greets_with_the_menu() -> None:
    for cue in (CallStarted(), CallStarted(resumed=True)):
        (line,) = await say(Reception(), cue)
        assert str(line).endswith(MENU)


def test_the_order_is_long_enough_to_be_interrupted() -> None:
    assert ORDER.count(".") >= 5
    assert 50 <= len(ORDER.split()) <= 90  # about 20 to 30 s at the 170 words a minute of the local voice


async def test_the_same_key_goes_on_where_the_caller_stopped_hearing() -> None:
    agent = Reception()
    assert await say(agent, CallerPressed("1")) == [ORDER]
    assert await say(agent, CallerPressed("1", cut("noon. If nobody"))) == ["noon. If nobody"]
    assert await say(agent, CallerPressed("1", cut("nobody"))) == ["nobody"]
    assert await say(agent, CallerPressed("1")) == [ORDER]


async def test_another_key_between_starts_the_order_anew() -> None:
    agent = Reception()
    await say(agent, CallerPressed("1"))
    await say(agent, CallerPressed("2", cut("noon")))
    assert await say(agent, CallerPressed("1", cut("so are we"))) == [ORDER]


async def test_nine_says_goodbye_and_hangs_up() -> None:
    goodbye, action = await say(Reception(), CallerPressed("9"))
    assert "Goodbye" in str(goodbye)
    assert action == HangUp()


@pytest.mark.parametrize("digit", ["0", "5", "*", "#"])
async def test_other_keys_get_a_hint(digit: str) -> None:
    (line,) = await say(Reception(), CallerPressed(digit))
    assert digit in str(line)
    assert MENU in str(line)


async def test_the_end_of_the_call_is_not_answered() -> None:
    assert await say(Reception(), CallEnded("caller")) == []
