"""Answers that fail, on the test clock."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from lineside.events import CallEnded, CallerPressed, CallStarted, Cue, Line

from .listening import CALL, fail, hear, hosting, now


async def test_an_agent_that_raises_at_once(caplog: pytest.LogCaptureFixture) -> None:
    async def agent(cue: Cue) -> AsyncIterator[Line]:
        if isinstance(cue, CallStarted):
            raise LookupError("no such customer")
        yield "never"

    async with hosting(agent) as (host, _):
        lines, error = await fail(host.open(CALL), CallStarted())
    assert lines == []
    assert error.startswith("LookupError: no such customer (")
    assert f"({__file__}:" in error
    assert error.endswith(" in agent)")
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info
    assert isinstance(record.exc_info[1], LookupError)


async def test_an_agent_that_raises_after_a_line_keeps_the_line() -> None:
    async def agent(cue: Cue) -> AsyncIterator[Line]:
        yield "One moment."
        raise ZeroDivisionError

    async with hosting(agent) as (host, _):
        lines, error = await fail(host.open(CALL), CallStarted())
    assert lines == ["One moment."]
    assert error.startswith("ZeroDivisionError (")


async def test_an_answer_that_failed_is_followed_by_the_next() -> None:
    async def agent(cue: Cue) -> AsyncIterator[Line]:
        if isinstance(cue, CallStarted):
            raise LookupError
        yield "Better."

    async with hosting(agent) as (host, _):
        session = host.open(CALL)
        await fail(session, CallStarted())
        assert await hear(session, CallerPressed("1")) == ["Better."]


async def test_an_unknown_line_names_its_type_and_what_is_allowed() -> None:
    async def agent(cue: Cue) -> AsyncIterator[Any]:
        yield "before"
        yield b"bytes"

    async with hosting(agent) as (host, _):
        lines, error = await fail(host.open(CALL), CallStarted())
    assert lines == ["before"]
    assert error == "the agent gave a bytes; a line is one of str, Say, BargeIn, CollectDigits, Pause, HangUp"


async def test_a_clean_up_after_an_unknown_line_does_not_delay_the_error() -> None:
    async def agent(cue: Cue) -> AsyncIterator[Any]:
        try:
            yield 3
        finally:
            await asyncio.sleep(60)

    async with hosting(agent) as (host, problems):
        began = now()
        await fail(host.open(CALL), CallStarted())
        assert now() == began
        await problems.first("the clean-up of an answer to CallStarted")
        assert now() == began + 0.25


@pytest.mark.parametrize("leave", [SystemExit, asyncio.CancelledError])
async def test_an_agent_cannot_end_more_than_its_answer(leave: type[BaseException]) -> None:
    async def agent(cue: Cue) -> AsyncIterator[Line]:
        yield "a"
        raise leave

    async with hosting(agent) as (host, _):
        lines, error = await fail(host.open(CALL), CallStarted())
        assert (lines, error.split()[0]) == (["a"], leave.__name__)


async def test_an_agent_that_cannot_be_made_fails_each_answer_and_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Agent:
        def __init__(self) -> None:
            raise OSError("no database")

        async def reply(self, cue: Cue) -> AsyncIterator[Line]:
            yield "never"

    async with hosting(Agent) as (host, _):
        session = host.open(CALL)
        for cue in (CallStarted(), CallEnded("error")):
            lines, error = await fail(session, cue)
            assert lines == []
            assert error.startswith("OSError: no database (")
    assert len(caplog.records) == 1


async def test_a_factory_that_is_cancelled_from_within_fails_the_answer() -> None:
    async def make() -> object:
        raise asyncio.CancelledError

    async with hosting(make) as (host, _):
        assert (await fail(host.open(CALL), CallStarted()))[1].startswith("CancelledError")
