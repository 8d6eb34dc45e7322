"""Renders the spoken apology that the package ships, with the local voice. Run again only to change its words.

Usage: python scripts/make_assets.py
"""

from __future__ import annotations

from pathlib import Path

from lineside.audio.wav import write_wav
from lineside.standin.espeak import EspeakVoice

APOLOGY = "Sorry, we are having trouble speaking right now. Please try again in a moment."
ASSETS = Path(__file__).parent.parent / "server" / "lineside" / "assets"


def main() -> None:
    audio = EspeakVoice().speak(APOLOGY).audio("mulaw", 8000)
    audio += b"\xff" * (-len(audio) % 160)
    (ASSETS / "apology.ulaw").write_bytes(audio)
    write_wav(ASSETS / "apology.wav", audio)


if __name__ == "__main__":
    main()
