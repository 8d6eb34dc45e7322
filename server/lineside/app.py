"""Composition: which concrete part plays which role is decided here, and nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Self

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from lineside.agents.host import AgentHost
from lineside.agents.loader import load as load_agent
from lineside.agents.shapes import factory_of
from lineside.call import Call, CallOptions
from lineside.calls import Calls
from lineside.carriers.twilio_rest import TwilioRest
from lineside.cast import VoiceSet
from lineside.conversation import TalkOptions
from lineside.ears import ear_of
from lineside.errors import LinesideError
from lineside.events import BargeIn, CallInfo
from lineside.hearing.vad import Detector
from lineside.observe.log import call_log, hide_secrets
from lineside.observe.timeline import Note, Timeline
from lineside.ports import Voice
from lineside.settings import Settings
from lineside.settings import load as load_settings
from lineside.speech.prompt_store import PromptStore
from lineside.speech.prompts import PromptShelf
from lineside.stretch import SpeakingOptions
from lineside.talk.feed import Feed
from lineside.talk.speakable import speakable
from lineside.talk.turns import Policy
from lineside.turn import TurnOptions
from lineside.voices import Voices
from lineside.web.desk import Desk
from lineside.web.guard import Guard
from lineside.web.voice import routes

Watcher = Callable[[CallInfo, Note], None]


class Bridge:
    """Everything that takes calls in one process. Enter it on the media loop.

    Args:
        agent: an agent of any shape; None for the one that the settings name.
        watcher: told of every note of every call, for whoever wants to watch.
        voices: instead of those that the settings name.
    """

    def __init__(
        self,
        settings: Settings,
        agent: object | None = None,
        *,
        watcher: Watcher | None = None,
        voices: list[Voice] | None = None,
    ) -> None:
        self.settings = settings
        self._watcher = watcher
        self._given = voices
        self._voices = VoiceSet(())
        self._accounts = settings.accounts()
        if settings.lineside.public_url:
            settings.check_url("LINESIDE_PUBLIC_URL", settings.lineside.public_url, "https")
        self._configured = Voices(settings) if voices is None else None
        self._ear = ear_of(settings)
        self._factory = load_agent(settings.lineside.agent) if agent is None else factory_of(agent)
        self._options = _call_options(settings)
        self._stack = AsyncExitStack()
        self.calls = Calls(most=settings.lineside.calls_max, most_waiting=settings.lineside.calls_waiting_max)

    async def __aenter__(self) -> Self:
        hide_secrets()
        async with AsyncExitStack() as stack:
            shelf = _shelf(self.settings)
            if shelf is not None:
                stack.push_async_callback(shelf.settle)
            if self._configured is None:
                self._voices = VoiceSet(self._given or (), shelf=shelf)
            else:
                voices = await stack.enter_async_context(self._configured)
                self._voices = VoiceSet(voices.lead, voices.extras, voices.languages, shelf)
            own_thread = self.settings.lineside.agent_loop == "thread"
            self._host = await stack.enter_async_context(AgentHost(self._factory, own_thread=own_thread))
            self._rest = await stack.enter_async_context(TwilioRest(self._accounts))
            await stack.enter_async_context(self.calls)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    def desk(self) -> Desk:
        lineside = self.settings.lineside
        guard = Guard(self._accounts, lineside.public_url or None, self.settings.trusted_proxies)
        secret = lineside.secret.get_secret_value().encode()
        return Desk(
            guard,
            self.calls,
            self._make_call,
            secret=secret or None,
            allow_plain=self._plain_streams(),
            worker=lineside.worker,
        )

    def _plain_streams(self) -> bool:
        return self.settings.lineside.allow_plain or self.settings.lineside.public_url.startswith("http://")

    def _make_call(self, info: CallInfo) -> Call:
        listeners = [call_log(info)]
        if (watcher := self._watcher) is not None:
            listeners.append(lambda note: watcher(info, note))
        timeline = Timeline(asyncio.get_running_loop().time, *listeners)
        return Call(info, self._host.open(info), self._voices, self._rest, timeline, self._options, self._ear)


def _shelf(settings: Settings) -> PromptShelf | None:
    folder = settings.lineside.prompts_folder
    return PromptShelf(PromptStore(Path(folder), settings.lineside.prompts_max_mb << 20)) if folder else None


def _call_options(settings: Settings) -> CallOptions:
    lineside = settings.lineside
    speaking = SpeakingOptions(
        lead=lineside.lead_s,
        feed=Feed(ahead=lineside.ahead_s, low=lineside.flush_below_s),
        prepare_text=speakable if lineside.clean_text else str,
        apology=files("lineside").joinpath("assets/apology.ulaw").read_bytes(),
    )
    return CallOptions(
        TalkOptions(
            TurnOptions(speaking, agent_timeout=lineside.agent_timeout_s),
            Policy(
                BargeIn(lineside.turn_policy, lineside.turn_words),
                hold_limit=lineside.turn_hold_s,
                language=lineside.language,
            ),
            silence=lineside.silence_s,
        ),
        detector=_detector(lineside.vad),
        echo_guard=lineside.echo_guard,
        greeting_delay=lineside.greeting_delay_ms / 1000,
    )


def _detector(name: str) -> Callable[[], Detector] | None:
    """How to make a call's own detector of speech.

    Raises:
        SettingsError: there is no such thing here.
    """
    if name == "none":
        return None
    Detector()  # raises what is wrong with it before there is any call
    return Detector


async def _health(_: Request) -> Response:
    return PlainTextResponse("ok\n")


def starlette_app(bridge: Bridge) -> Starlette:
    """The web side of a bridge that is entered already."""
    return Starlette(
        routes=[*routes(bridge.desk()), Route("/healthz", _health), Route("/readyz", _health)],
    )


class LinesideApp:
    """An ASGI application; see `asgi`."""

    def __init__(self, make_bridge: Callable[[], Bridge]) -> None:
        self._make_bridge = make_bridge
        self._app: ASGIApp | None = None
        self._starting: asyncio.Lock | None = None
        self._stack = AsyncExitStack()
        self.bridge: Bridge | None = None

    @asynccontextmanager
    async def lifespan(self, _: object = None) -> AsyncIterator[None]:
        """Start and stop with an application that this one is mounted in: `Starlette(lifespan=voice.lifespan)`."""
        await self._start()
        try:
            yield
        finally:
            self._app = None
            await self._stack.aclose()

    async def _start(self) -> ASGIApp:
        if self._starting is None:
            self._starting = asyncio.Lock()
        async with self._starting:
            if self._app is None:
                bridge = await asyncio.to_thread(self._make_bridge)  # reads settings and agents from files
                self.bridge = await self._stack.enter_async_context(bridge)
                self._app = starlette_app(self.bridge)
            return self._app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._serve_lifespan(receive, send)
            return
        # Mounted without its lifespan, it starts with the first request.
        app = self._app or await self._start()
        await app(scope, receive, send)

    async def _serve_lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(self.lifespan())
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except LinesideError as exc:
            await send({"type": "lifespan.startup.failed", "message": str(exc)})
            return
        await send({"type": "lifespan.shutdown.complete"})


def asgi(
    agent: object | None = None, settings: Settings | None = None, *, watcher: Watcher | None = None
) -> LinesideApp:
    """An ASGI application that takes calls, to serve by itself or to mount in an application of yours.

    Args:
        agent: a class, a factory, or an async generator function; None for what LINESIDE_AGENT names.
        settings: None to load them from the environment, `.env` and the TOML file.
        watcher: told of every note of every call.

    Mounted, it needs its lifespan: `Starlette(routes=[Mount("/phone", app)], lifespan=app.lifespan)`. Without, it
    starts with the first request and its calls are cut when the process ends.
    """
    return LinesideApp(lambda: Bridge(settings or load_settings(), agent, watcher=watcher))
