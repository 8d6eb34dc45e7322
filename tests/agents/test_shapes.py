"""What may be an agent, and what may not."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Self

import pytest

from lineside.agents.shapes import factory_of
from lineside.errors import SettingsError
from lineside.events import CallInfo, CallStarted, Cue, HangUp, Line

CALL = CallInfo("CA1", caller="+15550100")


async def answer(agent: object) -> list[object]:
    async with factory_of(agent)(CALL) as ask:
        return [piece async for piece in ask(CallStarted())]


def refusal(agent: object) -> str:
    with pytest.raises(SettingsError) as caught:
        factory_of(agent)
    return str(caught.value)


class Plain:
    async def reply(self, cue: Cue) -> AsyncIterator[Line]:
        yield "plain"


class WithCall:
    def __init__(self, call: CallInfo) -> None:
        self.call = call

    async def reply(self, cue: Cue) -> AsyncIterator[Line]:
        yield self.call.caller


class Inherits(WithCall):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)


class WithDefaults:
    def __init__(self, greeting: str = "hello") -> None:
        self.greeting = greeting

    async def reply(self, cue: Cue) -> AsyncIterator[Line]:
        yield self.greeting


class WithOptionalCall:
    def __init__(self, call: CallInfo | None = None) -> None:
        self.call = call

    async def reply(self, cue: Cue) -> AsyncIterator[Line]:
        yield "called" if self.call else "not called"


def make(call: CallInfo) -> WithCall:
    return WithCall(call)


def make_without_call() -> Plain:
    return Plain()


async def make_slowly(call: CallInfo) -> WithCall:
    return WithCall(call)


@asynccontextmanager
async def make_and_keep(call: CallInfo) -> AsyncIterator[WithCall]:
    yield WithCall(call)


async def of_the_cue(cue: Cue) -> AsyncIterator[Line]:
    yield type(cue).__name__


async def of_both(call: CallInfo, cue: Cue) -> AsyncIterator[Line]:
    yield f"{call.caller} {type(cue).__name__}"


class Desk:
    async def agent(self, cue: Cue) -> AsyncIterator[Line]:
        yield "a method"


@pytest.mark.parametrize(
    ("agent", "line"),
    [
        (Plain, "plain"),
        (WithCall, "+15550100"),
        (Inherits, "+15550100"),
        (WithDefaults, "hello"),
        (WithOptionalCall, "called"),
        (make, "+15550100"),
        (make_without_call, "plain"),
        (make_slowly, "+15550100"),
        (make_and_keep, "+15550100"),
        (functools.partial(WithDefaults, "ahoy"), "ahoy"),
        (of_the_cue, "CallStarted"),
        (of_both, "+15550100 CallStarted"),
        (functools.partial(of_both, CallInfo("CA2", caller="bound")), "bound CallStarted"),
        (Desk().agent, "a method"),
    ],
)
async def test_these_are_agents(agent: object, line: str) -> None:
    assert await answer(agent) == [line]


async def test_each_call_has_an_agent_of_its_own() -> None:
    factory = factory_of(WithCall)
    async with factory(CallInfo("CA1", caller="one")) as one, factory(CallInfo("CA2", caller="two")) as two:
        assert [piece async for piece in one(CallStarted())] == ["one"]
        assert [piece async for piece in two(CallStarted())] == ["two"]


async def test_an_agent_that_is_a_context_manager_is_entered_and_left() -> None:
    seen = []

    class Keeper(Plain):
        async def __aenter__(self) -> Self:
            seen.append("entered")
            return self

        async def __aexit__(self, *exc: object) -> None:
            seen.append("left")

    for agent in (Keeper, functools.partial(Keeper)):
        async with factory_of(agent)(CALL):
            assert seen == ["entered"]
        assert seen == ["entered", "left"]
        seen.clear()


async def test_what_entering_gives_is_the_agent() -> None:
    class Pool:
        async def __aenter__(self) -> Plain:
            return Plain()

        async def __aexit__(self, *exc: object) -> None: ...

    assert await answer(Pool) == ["plain"]


def replying(reply: Callable[..., Any]) -> type:
    return type("Agent", (), {"reply": reply})


async def returns_text(self: object, cue: Cue) -> str:
    return "one line"


async def returns_nothing(self: object, cue: Cue) -> None:
    return None


async def returns_lines(self: object, cue: Cue) -> list[Line]:
    return ["goodbye", HangUp()]


async def returns_a_generator(self: object, cue: Cue) -> AsyncIterator[Line]:
    return of_the_cue(cue)


def counted(reply: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(reply)
    def wrapper(*args: Any) -> Any:
        return reply(*args)

    return wrapper


@counted
async def decorated(self: object, cue: Cue) -> AsyncIterator[Line]:
    yield "decorated"


@pytest.mark.parametrize(
    ("reply", "pieces"),
    [
        (returns_text, ["one line"]),
        (returns_nothing, [None]),
        (returns_lines, ["goodbye", HangUp()]),
        (returns_a_generator, ["CallStarted"]),
        (decorated, ["decorated"]),
        (staticmethod(of_the_cue), ["CallStarted"]),
    ],
)
async def test_reply_may_return_instead_of_yielding(reply: Callable[..., Any], pieces: list[object]) -> None:
    assert await answer(replying(reply)) == pieces


async def test_a_generator_behind_a_coroutine_is_closed_with_it() -> None:
    closed = []

    async def inner() -> AsyncIterator[Line]:
        try:
            yield "one"
            yield "two"
        finally:
            closed.append(True)

    async def reply(self: object, cue: Cue) -> AsyncIterator[Line]:
        return inner()

    async with factory_of(replying(reply))(CALL) as ask:
        pieces = ask(CallStarted())
        assert await anext(pieces) == "one"
        await pieces.aclose()
    assert closed


class NoReply: ...


class TwoArguments(Plain):
    def __init__(self, call: CallInfo, model: str) -> None: ...


class ByName(Plain):
    def __init__(self, *, model: str) -> None: ...


def plain_generator(cue: Cue) -> Iterator[Line]:
    yield "never"


async def never_yields(cue: Cue) -> str:
    return "never"


async def of_nothing() -> AsyncIterator[Line]:
    yield "never"


def plain_reply(self: object, cue: Cue) -> str:
    return "never"


def generator_reply(self: object, cue: Cue) -> Iterator[str]:
    yield "never"


async def reply_without_cue(self: object) -> AsyncIterator[Line]:
    yield "never"


async def reply_with_more(self: object, call: CallInfo, cue: Cue) -> AsyncIterator[Line]:
    yield "never"


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        ("hello", "it is a str; an agent is a class, a factory or an async generator function"),
        (Plain(), "it is one Plain object, which all calls would share; name its class instead"),
        (NoReply, "NoReply has no method `reply`; write `async def reply(self, cue)`"),
        (TwoArguments, "TwoArguments needs call, model; only one argument is given, the CallInfo"),
        (ByName, "ByName needs model by name"),
        (plain_generator, "plain_generator is a plain generator function; write `async def plain_generator(cue)`"),
        (never_yields, "never_yields never yields"),
        (of_nothing, "of_nothing must take (cue) or (call, cue), not () -> "),
        (replying(plain_reply), "Agent.reply is not an async function; write `async def reply(self, cue)`"),
        (replying(generator_reply), "Agent.reply is not an async function"),
        (replying(reply_without_cue), "Agent.reply must take the cue alone"),
        (replying(reply_with_more), "Agent.reply must take the cue alone"),
    ],
)
def test_these_are_not_and_the_mend_is_said(agent: object, words: str) -> None:
    assert words in refusal(agent)


def make_something_else() -> NoReply:
    return NoReply()


async def test_a_factory_that_gives_something_else_says_so_when_it_is_called() -> None:
    with pytest.raises(TypeError, match="NoReply has no method `reply`"):
        await answer(make_something_else)
