"""ElevenLabs' own Python client against the stand-in: a stranger's reading of the protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from elevenlabs import ElevenLabs, VoiceSettings
from elevenlabs.core.api_error import ApiError

from lineside.standin.elevenlabs_faults import ElevenLabsFaults
from lineside.standin.faults import Faults
from lineside.standin.provider import Provider

PIECES = ("Good evening. ", "Your table ", "is booked for seven, ", "and your name is on the door. ", "See you then.")
QUICK = ElevenLabsFaults(close_delay_s=0, error_close_delay_s=0)

# elevenlabs 2.78 asks for the code and the reason of a close by their old names.
pytestmark = [
    pytest.mark.realtime,
    pytest.mark.filterwarnings(r"ignore:ConnectionClosed\.(code|reason) is deprecated:DeprecationWarning"),
]


def convert(
    url: str, *, key: str = "key", voice_id: str = "voice", settings: VoiceSettings | None = None
) -> Callable[[], bytes]:
    """One blocking conversion of all pieces."""

    def run() -> bytes:
        client = ElevenLabs(api_key=key, base_url=url.replace("ws://", "http://"))
        speech = client.text_to_speech
        speech._ws_base_url = url  # the client makes wss of any other
        return b"".join(
            speech.convert_realtime(
                voice_id,
                text=iter(PIECES),
                model_id="eleven_flash_v2_5",
                output_format="ulaw_8000",
                voice_settings=settings,
            )
        )

    return run


@pytest.mark.parametrize("settings", [None, VoiceSettings(stability=0.5, similarity_boost=0.75, speed=1.1)])
async def test_the_vendors_client_gets_every_byte_on_record(settings: VoiceSettings | None) -> None:
    async with Provider(faults=Faults(elevenlabs=QUICK)) as provider:
        audio = await asyncio.to_thread(convert(provider.url, settings=settings))
        spoken = provider.record.spoken
        assert audio == b"".join(each.audio for each in spoken)
        assert len(audio) > 40_000
        assert len(spoken) > 1  # its schedule is fifty characters
        assert "".join(each.text for each in spoken).split() == "".join(PIECES).split()
        assert not any(each.cut for each in spoken)
        assert not provider.record.breaches


@pytest.mark.parametrize(
    ("key", "voice_id", "sentence"),
    [("bad", "voice", "Invalid API key"), ("key", "missing", "A voice with voice_id missing does not exist.")],
)
async def test_the_vendors_client_raises_what_it_was_told(key: str, voice_id: str, sentence: str) -> None:
    async with Provider(faults=Faults(elevenlabs=QUICK)) as provider:
        with pytest.raises(ApiError) as caught:
            await asyncio.to_thread(convert(provider.url, key=key, voice_id=voice_id))
        assert caught.value.status_code == 1008
        assert sentence in str(caught.value.body)
