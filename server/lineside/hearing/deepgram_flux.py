"""Deepgram's Flux recognisers, which tell turns themselves.

Source: https://developers.deepgram.com/docs/flux/quickstart
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from lineside.events import HearingEvent
from lineside.hearing.backlog import HOLD_S
from lineside.hearing.listening import Habits, Listening
from lineside.ports import Hearing
from lineside.wire.deepgram_flux_listen import FluxOptions, FluxWire, flux_url
from lineside.wire.deepgram_listen import CLOSE_STREAM

CHUNK = 640  # bytes, 80 ms: what the service strongly recommends
INGEST = 1.25  # times real time, the most that the service takes


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepgramFluxEarOptions:
    """What is the same for every call: where to connect, as whom, and how to listen."""

    api_key: str = field(repr=False)
    base_url: str = "wss://api.deepgram.com"
    flux: FluxOptions = field(default_factory=FluxOptions)
    connect_timeout: float = 5.0
    answer_timeout: float = 15.0
    """Seconds of audio without any message, after which the socket is given up. An update is due every 0.25 s."""
    hold_s: float = HOLD_S
    """Seconds of audio held for a socket that is not there, or that may have to be sent again."""


class DeepgramFluxEar:
    """A Flux recogniser; see `lineside.ports.Ear`.

    Raises:
        SettingsError: the base URL is none.
    """

    def __init__(self, name: str, options: DeepgramFluxEarOptions) -> None:
        self.name = name
        self._habits = Habits(
            who="Deepgram Flux",
            url=flux_url(options.base_url, options.flux),
            headers={"Authorization": f"Token {options.api_key}"},
            chunk=CHUNK,
            ingest=INGEST,
            answer_timeout=options.answer_timeout,
            quiet_timeout=options.answer_timeout,
            hold_s=options.hold_s,
            connect_timeout=options.connect_timeout,
            fills=True,  # there is no KeepAlive here, and turns end by audio alone
            goodbye=(CLOSE_STREAM,),
        )

    @contextlib.asynccontextmanager
    async def connect(self, listener: Callable[[HearingEvent], None]) -> AsyncIterator[Hearing]:
        hearing = Listening(self._habits, FluxWire(), listener)
        try:
            yield hearing
        finally:
            await hearing.close()
