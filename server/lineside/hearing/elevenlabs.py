"""ElevenLabs' Scribe recogniser; its voice detection decides where a turn ends.

Source: https://elevenlabs.io/docs/api-reference/speech-to-text/v-1-speech-to-text-realtime
"""

from __future__ import annotations

from lineside.hearing.ear import SocketEar
from lineside.hearing.listening import UNTOLD, Habits
from lineside.wire.elevenlabs import closed_error, upgrade_error
from lineside.wire.elevenlabs_scribe import ANSWER_S, ScribeOptions, ScribeWire, scribe_url

BASE_URL = "wss://api.elevenlabs.io"
CHUNK = 800  # bytes, 100 ms
INGEST = 2.0  # times real time; faster was seen to be taken, but there is an error for too much (queue_overflow)
KEEP_ALIVE_EVERY = 5.0  # s; how long it stays open without audio is not published, so a little silence now and then
# s of audio without a message, beyond the silence that ends a turn and the time its text then takes. Partial texts are
# half a second apart while words come.
PATIENCE = 2.5
HOLD_S = 20.0  # s; nothing is settled before the caller pauses, and five seconds more are held than were open


def elevenlabs_ear(api_key: str, base_url: str = BASE_URL, options: ScribeOptions | None = None) -> SocketEar:
    """A Scribe recogniser.

    Raises:
        SettingsError: the base URL is none.
    """
    scribe = options or ScribeOptions()
    habits = Habits(
        who="ElevenLabs",
        url=scribe_url(base_url, scribe),
        headers={"xi-api-key": api_key},
        chunk=CHUNK,
        ingest=INGEST,
        answer_timeout=scribe.vad_silence_threshold_secs + ANSWER_S[1] + PATIENCE,
        quiet_timeout=UNTOLD,  # it has nothing to say about silence
        hold_s=HOLD_S,
        keep_alive_every=KEEP_ALIVE_EVERY,
        explain=upgrade_error,
        explain_close=closed_error,
    )
    return SocketEar("elevenlabs", habits, lambda arrived: ScribeWire(scribe, arrived))
