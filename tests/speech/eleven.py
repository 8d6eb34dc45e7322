"""What the tests of ElevenLabs' voices share: a turn that keeps what it is told, and services to speak with.

`talking` uses the strict stand-in; `Scripted` is a service that does what a test says, right or wrong.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import groupby
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve

from lineside.events import Aligned, Audio, Finished, Lost, SpeechEvent
from lineside.ports import Speech, Utterance
from lineside.speech.elevenlabs import ElevenLabsOptions, ElevenLabsVoice
from lineside.speech.elevenlabs_speech import ElevenLabsSpeech
from lineside.speech.elevenlabs_stream import ElevenLabsStreamVoice
from lineside.speech.governor import Governor
from lineside.standin.faults import Faults
from lineside.standin.provider import Provider
from lineside.standin.record import Record
from lineside.standin.voice import StandinVoice
from lineside.wire.elevenlabs import VoiceOptions

Kind = type[ElevenLabsVoice] | type[ElevenLabsStreamVoice]

HELLO = "Hello there, how are you today? "
REST = "This is the rest of it. "
LONG = "The harbour is quiet today and the ferry leaves at noon from the old pier by the market. "  # six seconds


def now() -> float:
    return asyncio.get_running_loop().time()


# -- our side ----------------------------------------------------------------------------------------------------------


class Turn:
    """One utterance and everything it is told, with the time."""

    def __init__(self, speech: Speech) -> None:
        self.told: list[tuple[float, SpeechEvent]] = []
        self.begun_at = now()
        self.over = asyncio.Event()
        self.utterance: Utterance = speech.utterance(self._hear)

    def _hear(self, event: SpeechEvent) -> None:
        assert not self.over.is_set(), f"{event} came after the end"
        self.told.append((now() - self.begun_at, event))
        if isinstance(event, Finished | Lost):
            self.over.set()

    def say(self, *texts: str) -> Self:
        for text in texts:
            self.utterance.say(text)
        return self

    def flush(self) -> Self:
        self.utterance.flush()
        return self

    def finish(self) -> Self:
        self.utterance.finish()
        return self

    def cancel(self) -> Self:
        self.utterance.cancel()
        return self

    async def end(self, timeout: float = 60.0) -> Self:
        """Wait until it has come to its end."""
        await asyncio.wait_for(self.over.wait(), timeout)
        return self

    @property
    def events(self) -> list[SpeechEvent]:
        return [event for _, event in self.told]

    @property
    def kinds(self) -> list[str]:
        """What came, with runs of audio as one, without timings."""
        names = [type(event).__name__ for event in self.events if not isinstance(event, Aligned)]
        return [name for name, run in groupby(names) for _ in range(1 if name == "Audio" else len(list(run)))]

    @property
    def audio(self) -> bytes:
        return b"".join(event.data for event in self.events if isinstance(event, Audio))

    @property
    def text(self) -> str:
        """What the timings told of."""
        return "".join(event.text for event in self.events if isinstance(event, Aligned))

    @property
    def timed(self) -> list[tuple[str, int, int]]:
        """Each character with its start and end, ms."""
        parts = [event for event in self.events if isinstance(event, Aligned)]
        return [item for part in parts for item in zip(part.text, part.starts_ms, part.ends_ms, strict=True)]

    @property
    def error(self) -> Exception | None:
        return next((event.error for event in self.events if isinstance(event, Lost)), None)

    def at(self, kind: type[SpeechEvent]) -> float:
        """When, s since the turn began, the first of a kind came."""
        return next(at for at, event in self.told if isinstance(event, kind))

    def count(self, kind: type[SpeechEvent]) -> int:
        return sum(isinstance(event, kind) for event in self.events)


def say(speech: Speech, *texts: str) -> Turn:
    """A whole turn, asked for at once."""
    return Turn(speech).say(*texts).finish()


def options(url: str, *, key: str = "key", voice_id: str = "voice", **wire: Any) -> ElevenLabsOptions:
    return ElevenLabsOptions(voice_id, VoiceOptions(api_key=key, **wire), base_url=url)


@asynccontextmanager
async def speaking(
    kind: Kind, url: str, governor: Governor | None = None, *, silence_timeout: float = 4.0, **how: Any
) -> AsyncIterator[ElevenLabsSpeech]:
    """One call's line, which is being opened."""
    voice = kind("eleven", replace(options(url, **how), silence_timeout=silence_timeout), governor)
    async with voice.connect() as speech:
        assert isinstance(speech, ElevenLabsSpeech)
        speech.prepare()
        yield speech


@asynccontextmanager
async def talking(
    kind: Kind,
    faults: Faults | None = None,
    *,
    governor: Governor | None = None,
    sound: StandinVoice | None = None,
    **how: Any,
) -> AsyncIterator[tuple[ElevenLabsSpeech, Provider]]:
    """One call's line, open, to a stand-in of its own."""
    async with Provider(sound, faults) as provider, speaking(kind, provider.url, governor, **how) as speech:
        await until(lambda: speech.ready)
        yield speech, provider


async def until(condition: Callable[[], object], timeout: float = 30.0) -> None:
    """Let time pass until something holds."""
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110  a condition of any kind has no event to wait for
            await asyncio.sleep(0.01)


def spoken(record: Record, since: int = 0) -> bytes:
    """All audio that the stand-in sent, from an entry of its record on."""
    return b"".join(each.audio for each in sorted(record.spoken[since:], key=lambda each: each.at))


def heard(record: Record, connection: int) -> list[dict[str, Any]]:
    """What the stand-in was sent on a connection."""
    return [json.loads(message) for message in record.messages[connection]]


# -- the other side ----------------------------------------------------------------------------------------------------


def frame(
    text: str = "",
    audio: bytes = b"",
    *,
    context: str | None = None,
    final: bool = False,
    ms_a_char: int = 10,
) -> str:
    """A message of the service: audio, with the timings of a text at an even pace if there is one."""
    timings = {
        "chars": list(text),
        "charStartTimesMs": [at * ms_a_char for at in range(len(text))],
        "charDurationsMs": [ms_a_char] * len(text),
    }
    body: dict[str, Any] = {
        "audio": b64encode(audio).decode() if audio else None,
        "isFinal": True if final else None,
        "alignment": timings if text else None,
        "normalizedAlignment": timings if text else None,
    }
    return json.dumps(body if context is None else body | {"contextId": context})


class Scripted:
    """A service on loopback. `serve` is called with each connection; `heard` holds what they were sent, by number."""

    def __init__(self, serve: Callable[[Scripted, ServerConnection], Awaitable[None]]) -> None:
        self._answer = serve
        self._server: Server | None = None
        self.url = ""
        self.heard: list[list[dict[str, Any]]] = []
        self.opened_at: list[float] = []

    async def __aenter__(self) -> Self:
        self._server = await serve(self._serve, "127.0.0.1", 0, compression=None, close_timeout=0.5, ping_interval=None)
        self.url = f"ws://127.0.0.1:{next(iter(self._server.sockets)).getsockname()[1]}"
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, socket: ServerConnection) -> None:
        self.heard.append([])
        self.opened_at.append(now())
        await self._answer(self, socket)

    async def messages(self, socket: ServerConnection) -> AsyncIterator[dict[str, Any]]:
        """What a client sends, until it closes."""
        kept = self.heard[-1]
        async for message in socket:
            kept.append(json.loads(message))
            yield kept[-1]


async def send(socket: ServerConnection, messages: Iterable[str | bytes]) -> None:
    for message in messages:
        await socket.send(message)
