"""`lineside say`: a text as callers would hear it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

from lineside.audio.wav import write_wav
from lineside.errors import ProviderSilent, SettingsError
from lineside.events import Aligned, Audio, Finished, Lost, SpeechEvent
from lineside.ports import Speech
from lineside.settings import Settings
from lineside.speech.prompt_store import Prompt
from lineside.talk.speakable import speakable
from lineside.voices import Voices

PATIENCE = 60.0  # s for all of a text


async def run(settings: Settings, text: str, out: Path, *, timings: bool = False) -> None:
    """Speak `text` with the first configured voice.

    Raises:
        SettingsError: there is nothing to speak in it, or no voice.
        ProviderError: the provider did not speak it.
    """
    text = speakable(text) if settings.lineside.clean_text else text
    if not text.strip():
        raise SettingsError("TEXT: there is nothing in it that can be spoken")
    async with Voices(settings) as voices, voices.lead[0].connect() as speech:
        prompt = await spoken(speech, text)
    await asyncio.to_thread(write_wav, out, prompt.audio)
    print(f"{out}: {prompt.seconds:.1f} s of speech, as a phone plays it")
    if timings:
        _print_timings(prompt)


async def spoken(speech: Speech, text: str, fingerprint: str = "") -> Prompt:
    """`text` as a voice speaks it.

    Raises:
        ProviderError: the provider did not speak it.
    """
    events: asyncio.Queue[SpeechEvent] = asyncio.Queue()
    audio, aligned = bytearray(), []
    utterance = speech.utterance(events.put_nowait)
    for part in _parts(text, speech.max_chars):
        utterance.say(part)
        utterance.flush()  # each by itself, so that none is more than a socket takes in a minute
    utterance.finish()
    try:
        async with asyncio.timeout(PATIENCE):
            while not isinstance(event := await events.get(), Finished):
                match event:
                    case Audio(data):
                        audio += data
                    case Aligned():
                        aligned.append(event)
                    case Lost(error):
                        raise error
    except TimeoutError:
        raise ProviderSilent(f"the text was not spoken within {PATIENCE:g} s") from None
    return Prompt(fingerprint, text, bytes(audio), tuple(aligned))


def _parts(text: str, most: int) -> Iterator[str]:
    """A text in parts of at most so many characters, whole words where there are any."""
    while len(text) > most:
        end = text.rfind(" ", 0, most) + 1 or most
        yield text[:end]
        text = text[end:]
    yield text


def _print_timings(prompt: Prompt) -> None:
    """One line a word: when it begins and ends, in seconds."""
    if not prompt.timings:
        print("this voice does not tell when its words are spoken")
        return
    word, begun, ended = "", 0, 0
    for timing in prompt.timings:
        for char, start, end in zip(timing.text, timing.starts_ms, timing.ends_ms, strict=True):
            if char.isspace():
                _print_word(word, begun, ended)
                word = ""
                continue
            begun = begun if word else start
            word, ended = word + char, end
    _print_word(word, begun, ended)


def _print_word(word: str, begun_ms: int, ended_ms: int) -> None:
    if word:
        print(f"{begun_ms / 1000:8.3f} {ended_ms / 1000:8.3f}  {word}")
