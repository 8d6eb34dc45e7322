"""Deepgram's Nova recognisers: results of stretches of audio, made into turns here.

Source: https://developers.deepgram.com/docs/live-streaming-audio and https://developers.deepgram.com/docs/audio-keep-alive
"""

from __future__ import annotations

from lineside.hearing.ear import SocketEar
from lineside.hearing.listening import Habits
from lineside.wire.deepgram_listen import CLOSE_STREAM, KEEP_ALIVE, ListenOptions, ListenWire, listen_url

BASE_URL = "wss://api.deepgram.com"
# Bytes, 60 ms; 20 to 250 ms are advised. Against single frames it saves two sends of three, at 20 ms on average, which
# is little beside endpointing (300 ms) and interim results (one a second).
CHUNK = 480
INGEST = 1.25  # times real time, the most that the service takes
KEEP_ALIVE_EVERY = 4.0  # s; it closes after 10 without a frame and advises 3 to 5
# s. A result is due every second, of words and of silence. Words may have waited 5 s for the end of their segment, and
# a second passes until the next socket listens: with these, all of it is still held.
ANSWER_TIMEOUT = 4.0
QUIET_TIMEOUT = 8.0


def deepgram_ear(api_key: str, base_url: str = BASE_URL, options: ListenOptions | None = None) -> SocketEar:
    """A Nova recogniser.

    Raises:
        SettingsError: the base URL is none.
    """
    habits = Habits(
        who="Deepgram",
        url=listen_url(base_url, options or ListenOptions()),
        headers={"Authorization": f"Token {api_key}"},
        chunk=CHUNK,
        ingest=INGEST,
        answer_timeout=ANSWER_TIMEOUT,
        quiet_timeout=QUIET_TIMEOUT,
        keep_alive_every=KEEP_ALIVE_EVERY,
        keep_alive=KEEP_ALIVE,
        goodbye=(CLOSE_STREAM,),
    )
    return SocketEar("deepgram", habits, ListenWire)
