"""A voice for the caller of a simulated call.

On the line a caller's words are tones, which the recogniser stand-in reads and nobody likes to hear. In the recording
a voice stands in their place: the local one, somewhat higher, so that it is not the agent's. It is rendered before the
call, and the tones take as long as it does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from lineside.audio import mulaw
from lineside.audio.formats import SILENCE
from lineside.cli.caller_script import Script
from lineside.cli.run_say import spoken
from lineside.speech.deepgram import DeepgramOptions, DeepgramVoice
from lineside.standin.recogniser.caller import Said, Say

RATE = 8000
HIGHER = 1.15  # times the pitch, and the pace
AUDIBLE = 200  # of 32767


async def voiced(script: Script, url: str) -> dict[str, bytes]:
    """What the caller says, each text as mu-law, 8 kHz.

    Args:
        url: of the provider stand-in.

    Raises:
        ProviderError: it did not speak.
    """
    texts = dict.fromkeys(step.text for step in script.steps if isinstance(step, Say))
    if not texts:
        return {}
    async with DeepgramVoice("caller", DeepgramOptions(api_key="local", base_url=url)).connect() as speech:
        return {text: _higher((await spoken(speech, text)).audio) for text in texts}


def _higher(audio: bytes) -> bytes:
    """The same at another pitch, without the silence around it."""
    pcm = mulaw.decode(audio)
    (loud,) = np.nonzero(np.abs(pcm) > AUDIBLE)
    if len(loud):
        pcm = pcm[loud[0] : loud[-1] + 1]
    at = np.arange(0, len(pcm) - 1, HIGHER)
    return mulaw.encode(np.rint(np.interp(at, np.arange(len(pcm)), pcm)).astype(np.int16))


def paced(script: Script, voices: Mapping[str, bytes]) -> Script:
    """The script with each text taking as long as its voice does, as far as whole words allow."""
    steps = [
        replace(step, seconds_per_word=len(voices[step.text]) / RATE / len(step.text.split()))
        if isinstance(step, Say) and step.text in voices
        else step
        for step in script.steps
    ]
    return replace(script, steps=tuple(steps))


def dubbed(line: bytes, began: float, said: Sequence[Said], voices: Mapping[str, bytes]) -> bytes:
    """What the caller said, with their voice in place of the tones.

    Args:
        line: mu-law, from the loop time `began` on.
    """
    result = bytearray(line)
    for each in said:
        if (voice := voices.get(each.text)) is None:
            continue
        start, end = round((each.began_at - began) * RATE), round((each.ended_at - began) * RATE)
        length = max(end - start, len(voice))
        result[start : start + length] = voice.ljust(length, SILENCE)
    return bytes(result[: len(line)])
