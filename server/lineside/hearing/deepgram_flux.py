"""Deepgram's Flux recognisers, which tell turns themselves.

Source: https://developers.deepgram.com/docs/flux/quickstart
"""

from __future__ import annotations

from lineside.hearing.deepgram import ANSWER_TIMEOUT, BASE_URL, QUIET_TIMEOUT
from lineside.hearing.ear import SocketEar
from lineside.hearing.listening import Habits
from lineside.wire.deepgram_flux_listen import FluxOptions, FluxWire, flux_url
from lineside.wire.deepgram_listen import CLOSE_STREAM

CHUNK = 640  # bytes, 80 ms: what the service strongly recommends
INGEST = 1.25  # times real time, the most that the service takes


def deepgram_flux_ear(api_key: str, base_url: str = BASE_URL, options: FluxOptions | None = None) -> SocketEar:
    """A Flux recogniser. It tells something four times a second, so that Nova's deadlines are generous.

    Raises:
        SettingsError: the base URL is none.
    """
    habits = Habits(
        who="Deepgram Flux",
        url=flux_url(base_url, options or FluxOptions()),
        headers={"Authorization": f"Token {api_key}"},
        chunk=CHUNK,
        ingest=INGEST,
        answer_timeout=ANSWER_TIMEOUT,
        quiet_timeout=QUIET_TIMEOUT,
        fills=True,  # there is no KeepAlive here, and turns end by audio alone
        goodbye=(CLOSE_STREAM,),
    )
    return SocketEar("deepgram-flux", habits, FluxWire)
