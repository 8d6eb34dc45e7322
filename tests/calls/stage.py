"""What tests of a call's life share: an agent that remembers its cues, and a carrier that one can make misbehave.

The local phone does what the carrier does. For what the carrier would never do, there is `Stranger`, which speaks to
the server's doors by hand.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from base64 import b64decode
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
from pydantic import SecretStr
from twilio.request_validator import RequestValidator
from websockets.asyncio.client import ClientConnection, connect
from yarl import URL

from lineside.app import Bridge, starlette_app
from lineside.events import CallEnded, CallInfo, Cue, Line
from lineside.settings import TwilioAccount, TwilioSettings
from lineside.standin.phone import PhoneSettings
from lineside.standin.phone_messages import Writer
from lineside.standin.provider import Provider
from lineside.testing import DeepgramSettings, LinesideSettings, Settings, Simulation
from lineside.web.serving import serving

ACCOUNT = PhoneSettings("").account_sid
TOKEN = PhoneSettings("").auth_token
FRAME = bytes([0xFF]) * 160

Answer = Callable[[Cue], AsyncIterator[Line]]


def settings(*, twilio: TwilioSettings | None = None, **lineside: Any) -> Settings:
    """The server's settings: the agent shares the loop unless told otherwise."""
    return Settings(LinesideSettings(**({"agent_loop": "app"} | lineside)), twilio)


class Memory:
    """An agent that remembers what it was told, of all calls; give `agent` to a simulation.

    Args:
        answer: gives the lines for each cue but the last; by default a greeting, then the key that was pressed.
    """

    def __init__(self, answer: Answer | None = None) -> None:
        self._answer = answer or greeting
        self.cues: dict[str, list[Cue]] = {}

    async def agent(self, call: CallInfo, cue: Cue) -> AsyncIterator[Line]:
        self.cues.setdefault(call.call_id, []).append(cue)
        if not isinstance(cue, CallEnded):
            async for line in self._answer(cue):
                yield line

    def of(self, call_id: str) -> list[Cue]:
        return self.cues.get(call_id, [])

    def ends(self, call_id: str) -> list[str]:
        """The reasons of every CallEnded that a call's agent was given."""
        return [cue.reason for cue in self.of(call_id) if isinstance(cue, CallEnded)]


async def greeting(cue: Cue) -> AsyncIterator[Line]:
    yield "Hello there. How are you today?"


def saying(*lines: Line) -> Answer:
    """An answer that is the same for every cue."""

    async def answer(_: Cue) -> AsyncIterator[Line]:
        for line in lines:
            yield line

    return answer


@dataclass(frozen=True, slots=True)
class House:
    """A server without a phone, for what the phone would never do."""

    address: str
    bridge: Bridge
    provider: Provider

    @property
    def sockets(self) -> tuple[int, int]:
        """Provider sockets that were opened, and that are open."""
        return self.provider.record.connections.opened, self.provider.record.connections.open


@asynccontextmanager
async def house(
    agent: object | None = None, *, accounts: Sequence[TwilioAccount] = (), **lineside: Any
) -> AsyncIterator[House]:
    """Serve.

    Args:
        accounts: besides the usual one.
        lineside: settings.
    """
    async with Provider() as provider:
        settings = Settings(
            LinesideSettings.model_construct(None, **({"agent_loop": "app", "allow_plain": True} | lineside)),
            TwilioSettings.model_construct(
                account_sid=ACCOUNT,
                auth_token=SecretStr(TOKEN),
                accounts=list(accounts),
                api_base_url="http://127.0.0.1:9",  # nobody is there
            ),
            DeepgramSettings.model_construct(api_key=SecretStr("simulated"), base_url=provider.url),
        )
        made = await asyncio.to_thread(Bridge, settings, agent or Memory().agent)  # it reads files
        async with made as bridge, serving(starlette_app(bridge)) as address:
            yield House(address, bridge, provider)


# -- by hand -----------------------------------------------------------------------------------------------------------


def new_sid(prefix: str = "CA") -> str:
    return prefix + secrets.token_hex(16)


def signature(token: str, url: str, fields: Mapping[str, str] | None = None) -> str:
    signed: str = RequestValidator(token).compute_signature(url, dict(fields or {}))
    return signed


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the server."""

    status: int
    kind: str
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def stream_url(self) -> str:
        """Where the TwiML sends the audio."""
        found = re.search(r'<Stream[^>]* url="([^"]+)"', self.text)
        assert found, self.text
        return found[1]

    @property
    def hangs_up(self) -> bool:
        return "<Hangup" in self.text and "<Stream" not in self.text and "<Play" not in self.text


@dataclass
class Stranger:
    """Speaks to the server's doors, as an account of the carrier's unless told otherwise.

    Args:
        origin: what the requests are signed for, such as `https://voice.example.net`; the address by default.
        prefix: of every path, on the wire and in what is signed.
        stripped: what a proxy takes off the front of each path before it reaches the server.
    """

    address: str
    session: aiohttp.ClientSession
    account: str = ACCOUNT
    token: str = TOKEN
    origin: str = ""
    prefix: str = ""
    stripped: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    @asynccontextmanager
    async def at(cls, sim: Simulation | House | str, **how: Any) -> AsyncIterator[Self]:
        address = sim if isinstance(sim, str) else sim.address
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True)) as session:
            yield cls(address, session, **how)

    def fields(self, call_id: str, **more: str) -> dict[str, str]:
        return {
            "AccountSid": self.account,
            "CallSid": call_id,
            "CallStatus": "ringing",
            "Direction": "inbound",
            "From": "+15555550100",
            "To": "+15555550199",
        } | more

    def signed_url(self, path: str) -> str:
        return (self.origin or f"http://{self.address}") + path

    async def post(
        self,
        path: str,
        fields: Mapping[str, str] | None = None,
        *,
        signed: str | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """A webhook.

        Args:
            signed: another signature than the right one; empty for none.
            body: in place of the form of `fields`.
        """
        path = self.prefix + path
        sent = {"Content-Type": "application/x-www-form-urlencoded", **self.headers, **(headers or {})}
        if signed is None:
            signed = signature(self.token, self.signed_url(path), fields)
        if signed:
            sent["X-Twilio-Signature"] = signed
        data = urlencode(fields or {}).encode() if body is None else body
        url = URL(f"http://{self.address}{path}", encoded=True)
        async with self.session.post(url, data=data, headers=sent) as response:
            return Reply(response.status, response.content_type, await response.read())

    async def voice(self, call_id: str, **more: str) -> Reply:
        return await self.post("/twilio/voice", self.fields(call_id, **more))

    async def after(self, call_id: str, **more: str) -> Reply:
        return await self.post("/twilio/after", self.fields(call_id, **({"CallStatus": "in-progress"} | more)))

    async def status(self, call_id: str, status: str) -> Reply:
        return await self.post("/twilio/status", self.fields(call_id, CallStatus=status))

    def stream(self, url: str, *, signed: str | None = None, **how: Any) -> connect:
        """The upgrade to a stream; enter it.

        Args:
            signed: another signature than the right one; empty for none.
        """
        headers = dict(self.headers)
        if signed is None:
            signed = signature(self.token, url)
        if signed:
            headers["x-twilio-signature"] = signed
        path = "/" + url.split("/", 3)[3]
        return connect(
            f"ws://{self.address}{path.removeprefix(self.stripped)}",
            additional_headers=headers,
            compression=None,
            ping_interval=None,
            max_queue=None,
            user_agent_header="Twilio.TmeWs/1.0",
            **({"close_timeout": 1} | how),
        )

    def writer(self, call_id: str, stream_id: str = "") -> Writer:
        """Writes the messages of one stream."""
        return Writer(self.account, call_id, stream_id or new_sid("MZ"))


async def start(socket: ClientConnection, writer: Writer) -> None:
    """What the carrier says first."""
    await socket.send(writer.connected())
    await socket.send(writer.start(1, {}))


async def listen(socket: ClientConnection, writer: Writer) -> list[str]:
    """Play what comes, as the carrier does, until the server closes; returns the events in order."""
    now = asyncio.get_running_loop().time
    events, until = [], now()
    async for message in socket:
        body = json.loads(message)
        events.append(body["event"])
        match body:
            case {"event": "media", "media": {"payload": payload}}:
                until = max(until, now()) + len(b64decode(payload)) / 8000
            case {"event": "mark", "mark": {"name": name}}:
                await asyncio.sleep(until - now())
                await socket.send(writer.mark(9, name))
    return events
