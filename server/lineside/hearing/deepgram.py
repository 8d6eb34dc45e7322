"""Deepgram's Nova recognisers: results of stretches of audio, made into turns here.

Source: https://developers.deepgram.com/docs/live-streaming-audio and https://developers.deepgram.com/docs/audio-keep-alive
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from lineside.events import HearingEvent
from lineside.hearing.backlog import HOLD_S
from lineside.hearing.listening import Habits, Listening
from lineside.ports import Hearing
from lineside.wire.deepgram_listen import CLOSE_STREAM, KEEP_ALIVE, ListenOptions, ListenWire, listen_url

# Bytes, 60 ms; 20 to 250 ms are advised. Against single frames it saves two sends of three, at 20 ms on average, which
# is little beside endpointing (300 ms) and interim results (one a second).
CHUNK = 480
INGEST = 1.25  # times real time, the most that the service takes
KEEP_ALIVE_EVERY = 4.0  # s; it closes after 10 without a frame and advises 3 to 5


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepgramEarOptions:
    """What is the same for every call: where to connect, as whom, and how to listen."""

    api_key: str = field(repr=False)
    base_url: str = "wss://api.deepgram.com"
    listen: ListenOptions = field(default_factory=ListenOptions)
    connect_timeout: float = 5.0
    answer_timeout: float = 15.0
    """Seconds of audio without any message, after which the socket is given up. Silence too has results."""
    hold_s: float = HOLD_S
    """Seconds of audio held for a socket that is not there, or that may have to be sent again."""


class DeepgramEar:
    """A Nova recogniser; see `lineside.ports.Ear`.

    Raises:
        SettingsError: the base URL is none.
    """

    def __init__(self, name: str, options: DeepgramEarOptions) -> None:
        self.name = name
        self._habits = Habits(
            who="Deepgram",
            url=listen_url(options.base_url, options.listen),
            headers={"Authorization": f"Token {options.api_key}"},
            chunk=CHUNK,
            ingest=INGEST,
            answer_timeout=options.answer_timeout,
            quiet_timeout=options.answer_timeout,
            hold_s=options.hold_s,
            connect_timeout=options.connect_timeout,
            keep_alive_every=KEEP_ALIVE_EVERY,
            keep_alive=KEEP_ALIVE,
            goodbye=(CLOSE_STREAM,),
        )

    @contextlib.asynccontextmanager
    async def connect(self, listener: Callable[[HearingEvent], None]) -> AsyncIterator[Hearing]:
        hearing = Listening(self._habits, ListenWire(), listener)
        try:
            yield hearing
        finally:
            await hearing.close()
