"""Renders the spoken apology that the package ships, with the local voice. Run again only to change its words.

Usage: python scripts/make_assets.py
"""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from lineside.audio import mulaw
from lineside.standin.espeak import EspeakVoice

APOLOGY = "Sorry, we are having trouble speaking right now. Please try again in a moment."
ASSETS = Path(__file__).parent.parent / "server" / "lineside" / "assets"


def main() -> None:
    audio = EspeakVoice().speak(APOLOGY).audio("mulaw", 8000)
    audio += b"\xff" * (-len(audio) % 160)
    (ASSETS / "apology.ulaw").write_bytes(audio)
    with wave.open(str(ASSETS / "apology.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(np.asarray(mulaw.decode(audio), dtype="<i2").tobytes())


if __name__ == "__main__":
    main()
