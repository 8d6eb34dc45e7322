"""Lineside as a measured server: everything as users run it, with the load's agent.

    python -m lineside.bench.server --provider ws://127.0.0.1:9000

The carrier's account comes from TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN.
"""

from __future__ import annotations

from pydantic import SecretStr

from lineside.app import asgi
from lineside.bench.script import Talker
from lineside.bench.serving import HOST, arguments, serve
from lineside.settings import LinesideSettings, Settings
from lineside.settings_providers import DeepgramSettings, ElevenLabsSettings
from lineside.web.serving import config

MOST_CALLS = 10_000  # the load decides how many there are


def main() -> None:
    """Run as this process until stdin ends."""
    given = arguments("Lineside, to be measured")
    settings = Settings(
        LinesideSettings(
            voice=given.voice,
            ears="deepgram" if given.ears else "none",
            vad="local" if given.vad else "none",
            allow_plain=True,
            calls_max=MOST_CALLS,
            calls_waiting_max=MOST_CALLS,
        ),
        deepgram=DeepgramSettings(api_key=SecretStr("bench"), base_url=given.provider, max_connections=MOST_CALLS),
        elevenlabs=ElevenLabsSettings(api_key=SecretStr("bench"), base_url=given.provider, voice_id="bench"),
    )
    serve(config(asgi(Talker, settings), HOST, given.port), core=given.core)


if __name__ == "__main__":
    main()
