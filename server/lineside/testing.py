"""A whole phone call without a phone: provider stand-in, server and local phone in one loop, over real sockets.

For your own tests, and what `lineside call` and ours are made of:

    async def test_the_caller_hears_a_greeting():
        async with simulation(Reception) as sim:
            call = await sim.phone.dial()
            await sim.turn_over(call)
            assert "How can I help?" in sim.said(call)

A caller who speaks follows a script of `caller`'s steps:

    script = [caller.AfterAgent(), caller.Say("my balance please"), caller.Wait(2), caller.HangUp()]
    await caller.Caller(call, script).run()

On a loop made by `lineside.standin.clock.ClockLoop` waiting takes no time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import SecretStr

from lineside.app import Bridge, starlette_app
from lineside.events import CallInfo
from lineside.observe.timeline import Note
from lineside.ports import Voice
from lineside.settings import LinesideSettings, Settings, TwilioSettings
from lineside.settings_providers import DeepgramSettings, ElevenLabsSettings
from lineside.standin.phone import Phone, PhoneCall, PhoneSettings
from lineside.standin.provider import Provider
from lineside.standin.recogniser import caller
from lineside.standin.voice import StandinVoice
from lineside.web.serving import serving

Watcher = Callable[[CallInfo, Note], None]


@dataclass
class Simulation:
    """What is there to touch and to look at."""

    phone: Phone
    bridge: Bridge
    address: str
    provider: Provider | None
    """None when the provider runs elsewhere."""
    notes: dict[str, list[Note]] = field(default_factory=dict)
    """Every call's timeline, by its call id."""

    def of(self, call: PhoneCall, kind: str) -> list[Note]:
        """The notes of one kind on a call's timeline."""
        return [note for note in self.notes.get(call.call_sid, []) if note.kind == kind]

    def said(self, call: PhoneCall) -> list[str]:
        """What the agent said in each of its turns that are over, whether heard or not."""
        notes = self.notes.get(call.call_sid, [])
        return [note.details["text"] for note in notes if note.kind in ("turn_ended", "turn_cut")]

    async def until(self, condition: Callable[[], Any], timeout: float = 120.0) -> None:
        """Let time pass until something holds.

        Raises:
            TimeoutError: it does not within `timeout` seconds.
        """
        async with asyncio.timeout(timeout):
            while not condition():  # noqa: ASYNC110  a condition of any kind has no event to wait for
                await asyncio.sleep(0.02)

    async def turn_begun(self, call: PhoneCall, nth: int = 1, timeout: float = 120.0) -> None:
        """Wait until the first audio of the nth turn has left."""
        await self.until(lambda: len(self.of(call, "first_sent")) >= nth, timeout)

    async def turn_over(self, call: PhoneCall, nth: int = 1, timeout: float = 120.0) -> None:
        """Wait until the nth turn of the agent was played to its end."""
        await self.until(lambda: len(self.of(call, "turn_ended")) >= nth, timeout)

    async def idle(self) -> None:
        """Wait until the server has no call left."""
        await self.until(lambda: not len(self.bridge.calls))


@asynccontextmanager
async def simulation(
    agent: object | None = None,
    *,
    settings: Settings | None = None,
    phone: PhoneSettings | None = None,
    voice: StandinVoice | None = None,
    provider_url: str = "",
    watcher: Watcher | None = None,
    voices: Callable[[str], list[Voice]] | None = None,
) -> AsyncIterator[Simulation]:
    """Run everything that a call needs.

    Args:
        agent: of any shape; None for the one that the settings name.
        settings: how the server goes; addresses, keys and the phone's account are filled in. By default nothing is
            read from the environment, and the agent shares this loop, so that the test clock holds for it too.
        phone: how the phone and its network behave; its `voice_url` is filled in.
        voice: of the provider stand-in; a tone for each word by default.
        provider_url: of a stand-in that runs already.
        voices: makes the voices to use, given the provider's URL, in place of those that the settings name.
    """
    phone = phone or PhoneSettings("")
    settings = settings or _defaults()
    made: list[Simulation] = []

    def watch(info: CallInfo, note: Note) -> None:
        made[0].notes.setdefault(info.call_id, []).append(note)
        if watcher is not None:
            watcher(info, note)

    async with AsyncExitStack() as stack:
        provider = None if provider_url else await stack.enter_async_context(Provider(voice))
        exchange = await stack.enter_async_context(Phone(phone))
        url = provider.url if provider is not None else provider_url
        # In a thread: settings and agents are read from files.
        complete = await asyncio.to_thread(_complete, settings, url, exchange.rest_url, phone)
        chosen = None if voices is None else voices(url)
        bridge = await asyncio.to_thread(Bridge, complete, agent, watcher=watch, voices=chosen)
        await stack.enter_async_context(bridge)
        address = await stack.enter_async_context(serving(starlette_app(bridge)))
        exchange.settings = replace(phone, voice_url=f"http://{address}/twilio/voice")
        if phone.status_url is None:
            exchange.settings = replace(exchange.settings, status_url=f"http://{address}/twilio/status")
        made.append(Simulation(exchange, bridge, address, provider))
        yield made[0]


def _defaults() -> Settings:
    """Settings that owe nothing to the machine they are used on."""
    return Settings(
        LinesideSettings.model_construct(agent_loop="app"),
        TwilioSettings.model_construct(),
        DeepgramSettings.model_construct(),
        ElevenLabsSettings.model_construct(),
    )


def _complete(settings: Settings, provider_url: str, rest_url: str, phone: PhoneSettings) -> Settings:
    """The settings with what a simulation knows: where everything is, and who the phone is."""
    account = {
        "account_sid": phone.account_sid,
        "auth_token": SecretStr(phone.auth_token),
        "auth_token_secondary": SecretStr(""),
        "api_key_sid": "",
        "api_key_secret": SecretStr(""),
        "api_base_url": rest_url,
    }
    provider = {"api_key": SecretStr("simulated"), "base_url": provider_url}
    return Settings(
        settings.lineside.model_copy(update={"public_url": "", "allow_plain": True}),
        settings.twilio.model_copy(update=account),
        settings.deepgram.model_copy(update=provider),
        settings.elevenlabs.model_copy(update=provider | {"voice_id": settings.elevenlabs.voice_id or "simulated"}),
    )


__all__ = [
    "DeepgramSettings",
    "ElevenLabsSettings",
    "LinesideSettings",
    "PhoneSettings",
    "Settings",
    "Simulation",
    "caller",
    "simulation",
]
