"""ElevenLabs' Scribe recogniser; its voice detection decides where a turn ends.

Source: https://elevenlabs.io/docs/api-reference/speech-to-text/v-1-speech-to-text-realtime
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from lineside.events import HearingEvent
from lineside.hearing.backlog import HOLD_S
from lineside.hearing.listening import Habits, Listening
from lineside.ports import Hearing
from lineside.wire.elevenlabs import closed_error, upgrade_error
from lineside.wire.elevenlabs_scribe import ScribeOptions, ScribeWire, scribe_url

CHUNK = 800  # bytes, 100 ms
INGEST = 2.0  # times real time; faster was seen to be taken, but there is an error for too much (queue_overflow)
KEEP_ALIVE_EVERY = 5.0  # s; how long it stays open without audio is not published, so a little silence now and then


@dataclass(frozen=True, slots=True, kw_only=True)
class ElevenLabsEarOptions:
    """What is the same for every call: where to connect, as whom, and how to listen."""

    api_key: str = field(repr=False)
    base_url: str = "wss://api.elevenlabs.io"
    scribe: ScribeOptions = field(default_factory=ScribeOptions)
    connect_timeout: float = 5.0
    answer_timeout: float = 15.0
    """Seconds of audio without any message, while something is not committed, after which the socket is given up."""
    quiet_timeout: float = 60.0
    """The same while nothing is. The service says nothing about silence, so this replaces a sound socket too."""
    hold_s: float = HOLD_S
    """Seconds of audio held for a socket that is not there, or that may have to be sent again."""


class ElevenLabsEar:
    """A Scribe recogniser; see `lineside.ports.Ear`.

    Raises:
        SettingsError: the base URL is none.
    """

    def __init__(self, name: str, options: ElevenLabsEarOptions) -> None:
        self.name = name
        self._scribe = options.scribe
        self._habits = Habits(
            who="ElevenLabs",
            url=scribe_url(options.base_url, options.scribe),
            headers={"xi-api-key": options.api_key},
            chunk=CHUNK,
            ingest=INGEST,
            answer_timeout=options.answer_timeout,
            quiet_timeout=options.quiet_timeout,
            hold_s=options.hold_s,
            connect_timeout=options.connect_timeout,
            keep_alive_every=KEEP_ALIVE_EVERY,
            explain=upgrade_error,
            explain_close=closed_error,
        )

    @contextlib.asynccontextmanager
    async def connect(self, listener: Callable[[HearingEvent], None]) -> AsyncIterator[Hearing]:
        hearing = Listening(self._habits, ScribeWire(self._scribe), listener)
        try:
            yield hearing
        finally:
            await hearing.close()
