"""Whole calls in which everything that can go wrong at a provider does, at every moment of a call, on every voice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from calls.faults_table import ELEVENLABS, MOMENTS, RATES, VOICES, Fault, cell

LATER = MOMENTS[1:]
FAULTS = [
    # the handshake
    *(Fault(f"refused with {status}", {"refuse": [status] * 9}, opening=True, apology=True) for status in (401, 402, 403)),
    Fault("refused once with 429", {"refuse": [429]}, opening=True, silence=1.6),
    Fault("refused twice with 503", {"refuse": [503, 503]}, opening=True, silence=1.5),
    Fault("refused with 503 for good", {"refuse": [503] * 30}, opening=True, apology=True),
    Fault("slow handshake", {"handshake_delay_s": 2.0}, opening=True, silence=2.3),
    # the audio
    Fault("slow first audio", {"first_audio_delay_s": 2.0}, silence=2.4),
    Fault("a stall of 2 s", {"stall_after_chunks": 0, "stall_s": 2.0}, once=True, silence=2.5),
    Fault("a stall", {"stall_after_chunks": 0}, once=True, silence=4.8),
    Fault("nothing but stalls", {"stall_after_chunks": 0}, apology=True, silence=9.5),
    Fault("bursts", {"burst": True}),
    Fault("no audio once", {"zero_audio": True}, once=True, silence=4.8),
    Fault("no audio", {"zero_audio": True}, apology=True, silence=9.0),
    # the end of a socket
    Fault("lost", ends=0),
    *(Fault(f"closed with {code}", ends=code) for code in (1000, 1008, 1009, 1011)),
    *(Fault(f"lost after {n} frames", {"die_after_chunks": [n]}, moments=["before"]) for n in (0, 1, 2, 5, 11, 19)),
    Fault("lost thrice", {"die_after_chunks": [4, 3, 5]}, moments=["before"]),
    Fault("nothing but deaths", {"die_after_chunks": 0}, apology=True, silence=2.5),
    # ElevenLabs' own
    *(Fault(f"error message {error}", ends=1008, error=error, voices=ELEVENLABS) for error in ("internal_error", "input_timeout_exceeded")),
    Fault("quota spent", ends=1008, error="quota_exceeded", apology=True, voices=ELEVENLABS),
    Fault(
        "the other spellings",
        {
            "elevenlabs.context_id_name": "context_id",
            "elevenlabs.is_final_name": "is_final",
            "elevenlabs.durations_name": "charsDurationsMs",
        },
        voices=ELEVENLABS,
    ),
    Fault("a late second of audio", {"elevenlabs.drain_after_close_s": 1.0}, voices=ELEVENLABS, moments=["after"]),
    Fault("late frames", {"late_frames_after_clear": 5}, voices=["deepgram"], moments=["after"]),
]


def cells() -> Iterator[Any]:
    for i, fault in enumerate(FAULTS):
        for j, voice in enumerate(VOICES):
            for k, moment in enumerate(MOMENTS):
                if voice in fault.voices and moment in fault.moments:
                    rate = RATES[(i + j + k) % len(RATES)]
                    yield pytest.param(fault, voice, moment, rate, id=f"{voice}, {moment}: {fault.name}")


@pytest.mark.parametrize(("fault", "voice", "moment", "rate"), list(cells()))
async def test_no_word_is_lost(fault: Fault, voice: str, moment: str, rate: float) -> None:
    outcome = await cell(voice, fault, moment, rate)
    print("OUT", voice, moment, fault.name, rate, outcome)
