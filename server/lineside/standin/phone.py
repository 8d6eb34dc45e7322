"""The local phone: a strict stand-in for the carrier's side of a call. For the demo, for tests, for a user's own CI.

It signs webhooks and the upgrade, follows TwiML, sends 20 ms frames on an absolute schedule, plays what it gets on a
real playout clock, echoes marks, obeys clears, and has the REST side for hanging up. What the carrier would refuse or
warn about, it refuses, warns about and counts.

    async with Phone(PhoneSettings("http://127.0.0.1:8080/twilio/voice")) as phone:
        call = await phone.dial()
        await call.connected()
        call.press("1")
        ...
        await call.hang_up()

Source: https://www.twilio.com/docs/voice/media-streams
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

import aiohttp

from lineside.errors import RemoteProtocolError
from lineside.standin.phone_call import PhoneCall
from lineside.standin.phone_life import Placement
from lineside.standin.phone_record import Direction, Event, Listener
from lineside.standin.phone_rest import RestStub
from lineside.standin.phone_script import Fetch
from lineside.standin.phone_settings import PhoneSettings
from lineside.standin.phone_webhook import Webhooks

__all__ = ["Event", "Phone", "PhoneCall", "PhoneSettings"]

LEAVE_TIMEOUT = 5.0  # s; what is left of the calls when the phone goes has this long to end properly
INTENDED = {"31921"}  # a server that hangs up by closing the socket gets this one too


class Phone:
    """A telephone exchange with one number. It owns its calls, its HTTP client and its REST side."""

    def __init__(self, settings: PhoneSettings) -> None:
        self.settings = settings
        self.calls: dict[str, PhoneCall] = {}
        """Every call so far, by CallSid."""
        self.rest = RestStub(settings, self.calls, self._place)
        self._stack = AsyncExitStack()
        self._running: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._epoch = datetime.now(UTC) - timedelta(seconds=asyncio.get_running_loop().time())
        async with AsyncExitStack() as stack:
            connector = aiohttp.TCPConnector(limit=0, force_close=True)
            session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), skip_auto_headers=("User-Agent",)
            )
            self._webhooks = Webhooks(await stack.enter_async_context(session))
            await stack.enter_async_context(self.rest)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            await self._hang_up_all()
        for task in self._running:
            task.cancel()
        results = await asyncio.gather(*self._running, return_exceptions=True)
        await self._stack.__aexit__(kind, exc, trace)
        broken = [result for result in results if isinstance(result, Exception)]
        if exc is not None:
            for each in broken:
                exc.add_note(f"a call of the stand-in broke: {each!r}")
        elif broken:
            raise broken[0]
        else:
            self._check()

    @property
    def rest_url(self) -> str:
        """What the server needs as the base url of the carrier's REST API."""
        return self.rest.url

    async def dial(self, *, listener: Listener | None = None, **overrides: Any) -> PhoneCall:
        """Call the number of `voice_url`. Returns at once, while it rings.

        Args:
            listener: told of every event of the call as it happens.
            overrides: fields of PhoneSettings, for this call only.
        """
        settings = replace(self.settings, **overrides)
        placement = Placement(
            Direction("inbound", settings.caller, settings.called),
            Fetch(settings.voice_url),
            settings.status_url,
            settings.status_events,
        )
        return self._place(settings, placement, listener)

    def _place(self, settings: PhoneSettings, placement: Placement, listener: Listener | None = None) -> PhoneCall:
        call = PhoneCall(settings, placement, self._webhooks, self._epoch, listener)
        self.calls[call.call_sid] = call
        self._running.append(asyncio.create_task(call.life.run()))
        return call

    async def _hang_up_all(self) -> None:
        try:
            async with asyncio.timeout(LEAVE_TIMEOUT), asyncio.TaskGroup() as tasks:
                for call in self.calls.values():
                    tasks.create_task(call.hang_up())
                    tasks.create_task(call.ended())
        except TimeoutError:
            pass

    def _check(self) -> None:
        if not self.settings.fatal_warnings:
            return
        warned = {sid: dict(call.warnings) for sid, call in self.calls.items() if call.warnings.keys() - INTENDED}
        if warned:
            raise RemoteProtocolError(f"the server was warned: {warned}")
