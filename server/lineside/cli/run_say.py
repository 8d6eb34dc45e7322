"""`lineside say`: a text as callers would hear it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from lineside.audio.wav import write_wav
from lineside.errors import ProviderSilent
from lineside.events import Audio, Finished, Lost, SpeechEvent
from lineside.settings import Settings
from lineside.voices import Voices

PATIENCE = 60.0  # s for all of it


async def run(settings: Settings, text: str, out: Path) -> None:
    """Speak `text` with the first configured voice.

    Raises:
        ProviderError: the provider did not speak it.
    """
    events: asyncio.Queue[SpeechEvent] = asyncio.Queue()
    audio = bytearray()
    async with Voices(settings) as voices, voices.lead[0].connect() as speech:
        utterance = speech.utterance(events.put_nowait)
        for start in range(0, len(text), speech.max_chars):
            utterance.say(text[start : start + speech.max_chars])
        utterance.finish()
        try:
            async with asyncio.timeout(PATIENCE):
                while not isinstance(event := await events.get(), Finished):
                    match event:
                        case Audio(data):
                            audio += data
                        case Lost(error):
                            raise error
        except TimeoutError:
            raise ProviderSilent(f"the text was not spoken within {PATIENCE:g} s") from None
    write_wav(out, bytes(audio))
    print(f"{out}: {len(audio) / 8000:.1f} s of speech, as a phone plays it")
