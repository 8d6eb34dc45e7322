"""Lineside inside an application of somebody else's, under servers of their choice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import uvicorn
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

import lineside
from calls.stage import ACCOUNT, TOKEN, Memory, Stranger, saying
from lineside.app import LinesideApp
from lineside.errors import SettingsError
from lineside.events import CallerPressed, CallStarted, Cue, HangUp, Line
from lineside.settings import TwilioSettings
from lineside.standin.phone import Phone, PhoneSettings
from lineside.standin.provider import Provider
from lineside.testing import DeepgramSettings, LinesideSettings, Settings

DIRECT = "lineside.web.direct:DirectProtocol"
OLD_SERVER = pytest.mark.filterwarnings(  # uvicorn's and websockets' own words on it
    "ignore::DeprecationWarning", "ignore::uvicorn.config.UvicornDeprecationWarning"
)


class _Server(uvicorn.Server):
    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        task = asyncio.create_task(self._serve())
        try:
            while not self.started:
                assert not task.done()
                await asyncio.sleep(0.01)
            yield "{}:{}".format(*self.servers[0].sockets[0].getsockname()[:2])
        finally:
            self.should_exit = True
            await task


def server(app: ASGIApp, ws: Any = DIRECT, *, lifespan: bool = True) -> _Server:
    config = uvicorn.Config(
        app, port=0, ws=ws, lifespan="on" if lifespan else "off", log_config=None, timeout_graceful_shutdown=5
    )
    return _Server(config)


@dataclass
class Town:
    """A phone and a provider, for a server that is not ours to start."""

    phone: Phone
    provider: Provider

    def settings(self, **how: Any) -> Settings:
        return Settings(
            LinesideSettings.model_construct(None, **({"agent_loop": "app", "allow_plain": True} | how)),
            TwilioSettings.model_construct(
                account_sid=ACCOUNT, auth_token=SecretStr(TOKEN), api_base_url=self.phone.rest_url
            ),
            DeepgramSettings.model_construct(api_key=SecretStr("simulated"), base_url=self.provider.url),
        )

    async def call(self, url: str, **how: Any) -> Any:
        return await self.phone.dial(voice_url=f"{url}/twilio/voice", status_url=f"{url}/twilio/status", **how)


@asynccontextmanager
async def town() -> AsyncIterator[Town]:
    async with Provider() as provider, Phone(PhoneSettings("", round_trip_s=0.05, fatal_warnings=True)) as phone:
        yield Town(phone, provider)


async def menu(cue: Cue) -> AsyncIterator[Line]:
    match cue:
        case CallStarted():
            yield "Press one to hear something else, or nine to end this call, which is rather long."
        case CallerPressed(digit="9"):
            yield "Goodbye then."
            yield HangUp()
        case CallerPressed():
            yield "Something else."


async def whole_call(place: Town, url: str, app: LinesideApp) -> None:
    """A greeting that is interrupted, an answer, a farewell, and an end: to the byte, and nothing left."""
    call = await place.call(url)
    await call.connected()
    await asyncio.sleep(2)
    call.press("1")
    await asyncio.sleep(3)
    call.press("9")
    await call.ended(30)
    assert app.bridge is not None
    await asyncio.sleep(0.5)
    assert not len(app.bridge.calls)
    spans = [span for stream in call.streams for span in stream.queue.spans(stream.until(1e9))]
    greeting, something, goodbye = (each.audio for each in place.provider.record.spoken)
    assert greeting.startswith(spans[0].audio)
    assert spans[0].end - spans[0].at == pytest.approx(2, abs=0.15)
    assert spans[1].audio.startswith(something)
    assert spans[2].audio.startswith(goodbye)
    assert call.ended_by == "rest"
    assert place.provider.record.connections.open == 0


async def home(_: Request) -> PlainTextResponse:
    return PlainTextResponse("our own page")


@pytest.mark.parametrize(
    "ws",
    [
        DIRECT,
        "websockets-sansio",
        pytest.param("websockets", marks=OLD_SERVER),
    ],
)
@pytest.mark.parametrize("prefix", ["", "/phone", "/our phones/\N{GREEK SMALL LETTER ALPHA}"])
async def test_a_whole_call_under_any_server_and_prefix(ws: str, prefix: str) -> None:
    async with town() as place:
        app = lineside.asgi(menu, place.settings())
        mounted: ASGIApp = app
        if prefix:
            mounted = Starlette(routes=[Mount(prefix, app), Route("/", home)], lifespan=app.lifespan)
        async with server(mounted, ws).running() as address:
            await whole_call(place, f"http://{address}{quote(prefix)}", app)
        assert app.bridge is not None


async def test_mounted_without_its_lifespan_it_starts_with_the_first_request() -> None:
    async with town() as place:
        app = lineside.asgi(menu, place.settings())
        mounted = Starlette(routes=[Mount("/phone", app), Route("/", home)])
        async with server(mounted).running() as address:
            assert app.bridge is None
            await whole_call(place, f"http://{address}/phone", app)
        async with app.lifespan():  # its owner may end it by hand
            pass


async def test_several_first_requests_start_it_once() -> None:
    async with town() as place:
        made = []

        def make() -> lineside.app.Bridge:
            made.append(1)
            return lineside.app.Bridge(place.settings(), menu)

        app = LinesideApp(make)
        async with server(Starlette(routes=[Mount("/phone", app)])).running() as address:
            async with Stranger.at(address, prefix="/phone") as carrier:
                replies = await asyncio.gather(*(carrier.voice("CA" + f"{n:032x}") for n in range(5)))
            assert {reply.status for reply in replies} == {200}
            assert len(made) == 1
            async with app.lifespan():
                pass


async def test_the_rest_of_the_application_is_untouched() -> None:
    async with town() as place:
        app = lineside.asgi(menu, place.settings())
        mounted = Starlette(routes=[Route("/", home), Mount("/phone", app)], lifespan=app.lifespan)
        async with server(mounted).running() as address, Stranger.at(address) as anyone:
            async with anyone.session.get(f"http://{address}/") as response:
                assert await response.text() == "our own page"
            async with anyone.session.get(f"http://{address}/phone/healthz") as response:
                assert await response.text() == "ok\n"
            async with anyone.session.get(f"http://{address}/phone/nothing") as response:
                assert response.status == 404


async def test_a_lifespan_ends_calls_and_can_begin_again() -> None:
    async with town() as place:
        memory = Memory(saying("A long story that goes on and on, and then some more of it. " * 3))
        app = lineside.asgi(memory.agent, place.settings())
        for _ in range(2):
            async with server(app).running() as address:
                call = await place.call(f"http://{address}", fatal_warnings=False)
                await call.connected()
                await asyncio.sleep(1)
            await call.ended(30)
            assert memory.ends(call.call_sid) == ["shutdown"]
            assert place.provider.record.connections.open == 0
            call.warnings.clear()  # its webhooks were not answered any more


async def test_settings_that_cannot_work_keep_an_application_from_starting() -> None:
    empty = Settings(
        LinesideSettings.model_construct(), TwilioSettings.model_construct(), DeepgramSettings.model_construct()
    )
    app = lineside.asgi(menu, empty)
    told: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "lifespan.startup"}

    async def send(message: MutableMapping[str, Any]) -> None:
        told.append(dict(message))

    await app({"type": "lifespan"}, receive, send)
    (failed,) = told
    assert failed["type"] == "lifespan.startup.failed"
    assert "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN are not set" in failed["message"]
    with pytest.raises(SettingsError, match="TWILIO_AUTH_TOKEN"):
        async with app.lifespan():
            pass


async def test_without_arguments_everything_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with town() as place:
        (tmp_path / "shop.py").write_text("async def talk(cue):\n    yield 'We are closed.'\n")
        (tmp_path / ".env").write_text(f"TWILIO_AUTH_TOKEN={TOKEN}\nTWILIO_ACCOUNT_SID={ACCOUNT}\n")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("TWILIO_API_BASE_URL", place.phone.rest_url)
        monkeypatch.setenv("LINESIDE_AGENT", "shop.py:talk")
        monkeypatch.setenv("LINESIDE_AGENT_LOOP", "app")
        monkeypatch.setenv("LINESIDE_ALLOW_PLAIN", "true")
        monkeypatch.setenv("DEEPGRAM_API_KEY", "simulated")
        monkeypatch.setenv("DEEPGRAM_BASE_URL", place.provider.url)
        async with server(lineside.asgi()).running() as address:
            call = await place.call(f"http://{address}")
            await call.connected()
            await asyncio.sleep(5)
            await call.hang_up()
            await call.ended(30)
        assert [each.text for each in place.provider.record.spoken] == ["We are closed."]
