"""What may be an agent, and how each of these shapes is asked.

- a class with `reply`: called with the `CallInfo` when its constructor needs an argument (or calls its first `call`);
- a factory, plain or `async def`, with the same arguments: gives an object with `reply`;
- an async generator function of the cue, or of the call and the cue.

What a class or a factory gives is entered first when it is an async context manager, and left when the call is over.

`reply` takes the cue. It is an async generator function, or a coroutine function that returns a line, None, a list or
tuple of lines, or an async iterable of them.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, nullcontext
from functools import partial
from typing import Any

from lineside.errors import SettingsError
from lineside.events import CallInfo, Cue

Ask = Callable[[Cue], AsyncGenerator[object, None]]
"""An agent that is ready: each call is one answer, not started yet. What it yields is not checked."""

AgentFactory = Callable[[CallInfo], AbstractAsyncContextManager[Ask]]
"""Makes the agent of one call; entered before the first cue and left after the last answer, on the agent's loop."""

_WRITE = "write `async def reply(self, cue)` and `yield` what is to be said"


def factory_of(agent: object) -> AgentFactory:
    """Accept an agent of any of the shapes.

    Raises:
        SettingsError: what is wrong with it, and how to mend it.
    """
    name = getattr(agent, "__qualname__", type(agent).__name__)
    if inspect.isclass(agent):
        _check_reply(agent)
        return partial(_made, agent, _wants_call(agent, name))
    if inspect.isasyncgenfunction(agent):
        return _from_function(agent, name)
    if inspect.isgeneratorfunction(agent):
        raise SettingsError(f"{name} is a plain generator function; write `async def {name}(cue)`")
    if callable(agent):
        if "cue" in _needed(agent, name):  # a factory would not call it that
            raise SettingsError(f"{name} never yields; write `async def {name}(cue)` and `yield` what is to be said")
        return partial(_made, agent, _wants_call(agent, name))
    if hasattr(agent, "reply"):
        raise SettingsError(f"it is one {name} object, which all calls would share; name its class instead")
    raise SettingsError(f"it is a {name}; an agent is a class, a factory or an async generator function")


def _from_function(function: Callable[..., AsyncGenerator[object, None]], name: str) -> AgentFactory:
    match len(_needed(function, name)):
        case 1:
            return lambda call: nullcontext(function)
        case 2:
            return lambda call: nullcontext(partial(function, call))
        case _:
            raise SettingsError(f"{name} must take (cue) or (call, cue), not {inspect.signature(function)}")


@asynccontextmanager
async def _made(make: Callable[..., Any], wants_call: bool, call: CallInfo) -> AsyncIterator[Ask]:
    made = make(call) if wants_call else make()
    # A pool or session often is both awaitable and a context manager: it is to be entered.
    if inspect.isawaitable(made) and not isinstance(made, AbstractAsyncContextManager):
        made = await made
    if isinstance(made, AbstractAsyncContextManager):
        async with made as agent:
            yield _asked(agent)
    else:
        yield _asked(made)


def _asked(agent: object) -> Ask:
    reply = getattr(agent, "reply", None)
    if not callable(reply):
        raise TypeError(f"{type(agent).__name__} has no method `reply`; {_WRITE}")
    return reply if inspect.isasyncgenfunction(reply) else partial(_spread, reply)


async def _spread(reply: Callable[[Cue], Any], cue: Cue) -> AsyncGenerator[object, None]:
    """Yield what a coroutine returns, piece by piece."""
    result = reply(cue)
    if inspect.isawaitable(result):
        result = await result
    if isinstance(result, AsyncGenerator):
        async with aclosing(result):
            async for piece in result:
                yield piece
    elif isinstance(result, AsyncIterable):
        async for piece in result:
            yield piece
    elif isinstance(result, list | tuple):
        for piece in result:
            yield piece
    else:
        yield result


def _check_reply(agent: Any) -> None:
    static = inspect.getattr_static(agent, "reply", None)
    if static is None and hasattr(agent, "__aenter__"):
        return  # the agent is what entering gives
    if static is None:
        raise SettingsError(f"{agent.__qualname__} has no method `reply`; {_WRITE}")
    name = f"{agent.__qualname__}.reply"
    reply = inspect.unwrap(agent.reply)
    if not (inspect.isasyncgenfunction(reply) or inspect.iscoroutinefunction(reply)):
        raise SettingsError(f"{name} is not an async function; {_WRITE}")
    expected = 1 if isinstance(static, staticmethod | classmethod) else 2  # self and the cue
    try:
        inspect.signature(reply).bind(*range(expected))
    except TypeError:
        raise SettingsError(f"{name} must take the cue alone, not {inspect.signature(reply)}") from None


def _wants_call(make: Callable[..., Any], name: str) -> bool:
    needed = _needed(make, name)
    if len(needed) > 1:
        raise SettingsError(f"{name} needs {', '.join(needed)}; only one argument is given, the CallInfo")
    parameters = list(inspect.signature(make).parameters.values())
    first = parameters[0] if parameters else None
    # One with a default is the user's own, unless it is named for the call; a bare *args passes on whatever comes.
    return bool(needed) or (first is not None and (first.name == "call" or first.kind is first.VAR_POSITIONAL))


def _needed(function: Callable[..., Any], name: str) -> list[str]:
    """The names of the positional parameters without a default."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        raise SettingsError(f"{name} does not tell what arguments it takes; wrap it in a function") from None
    needed = [each for each in parameters if each.default is each.empty]
    if by_name := [each.name for each in needed if each.kind is each.KEYWORD_ONLY]:
        raise SettingsError(f"{name} needs {', '.join(by_name)} by name; only one argument is given, the CallInfo")
    return [each.name for each in needed if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
