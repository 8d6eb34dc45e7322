"""One socket to a provider, and what ends it."""

from __future__ import annotations

import asyncio
import logging

import pytest

from hearing.recogniser import Recogniser, Told, alive, final, make_ear, speak
from lineside.errors import ProviderError, ProviderUnavailable
from lineside.events import EarWarned, EndOfTurn, HearingEvent, Partial
from lineside.link.provider_socket import ProviderSocket


async def test_a_listener_that_raises_ends_the_socket_with_what_it_raised(caplog: pytest.LogCaptureFixture) -> None:
    def take(message: str | bytes) -> None:
        raise LookupError(f"no {message!r}")

    ends: list[ProviderError] = []
    async with Recogniser(greet=lambda _: ["one", "two"]) as server:
        socket = ProviderSocket("Acme", server.url, {}, on_message=take, on_end=ends.append)
        socket.start()
        await asyncio.sleep(1)
        assert not socket.open
        assert not socket.alive
        await socket.close()
    (error,) = ends
    assert type(error) is ProviderUnavailable
    assert str(error) == "Acme: LookupError: no 'one'"
    (logged,) = [record for record in caplog.records if record.name.startswith("lineside")]
    assert logged.levelno == logging.ERROR
    assert logged.exc_info
    assert logged.exc_info[0] is LookupError


class RaisesOnce(Told):
    """Told of the first words, it fails."""

    def __call__(self, event: HearingEvent) -> None:
        first = isinstance(event, Partial) and not any(isinstance(each, Partial) for each in self.events)
        super().__call__(event)
        if first:
            raise LookupError("no such turn")


async def test_a_call_that_fails_at_what_it_is_told_is_told_of_the_loss_and_hears_on() -> None:
    told = RaisesOnce()
    async with (
        Recogniser(answer=lambda each: alive("nova", each)) as server,
        make_ear("nova", server.url).connect(told) as hearing,
    ):
        await speak(hearing, 0, 2)
        await server.connections[0].say(final("Yes", 0.0, 1.5))
        await speak(hearing, 2, 3)
        assert len(server.connections) == 2
        await server.connections[1].say(final("please", 0.0, 3.0, speech_final=True))
        await speak(hearing, 5, 1)
    loss = next(event for event in told.events if isinstance(event, EarWarned))
    assert loss == EarWarned("lost", "Deepgram: LookupError: no such turn")
    assert told.warned == ["lost", "reconnected"]
    last = told.said[-1]
    assert isinstance(last, EndOfTurn)
    assert last.text.endswith("please")
