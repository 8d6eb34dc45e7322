"""Facts about audio that every part needs: what the carrier wants, what a provider may send, and how long it lasts.

Sources: https://www.twilio.com/docs/voice/media-streams/websocket-messages (mu-law, 8000 Hz, mono),
https://developers.deepgram.com/docs/tts-media-output-settings and
https://elevenlabs.io/docs/api-reference/text-to-speech (the rates of raw PCM).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from lineside.errors import SettingsError

Encoding = Literal["mulaw", "linear16"]

MULAW_RATE = 8000  # Hz; the only rate that the carrier takes
FRAME_MS = 20
FRAME_BYTES = MULAW_RATE * FRAME_MS // 1000  # one byte a sample
SILENCE = b"\xff"  # one sample of mu-law zero
RATES = (8000, 16000, 22050, 24000, 32000, 44100, 48000)  # Hz; what the providers offer as raw PCM


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """Raw mono audio as a provider sends it, without a header.

    Args:
        encoding: `mulaw`, one byte a sample; `linear16`, signed 16-bit little-endian.
        rate: in Hz, one of RATES; 8000 for mulaw, which goes to the carrier as it is.

    Raises:
        SettingsError: an encoding, a rate, or a pair of them that cannot reach the carrier.
    """

    encoding: Encoding
    rate: int

    def __post_init__(self) -> None:
        if self.encoding not in get_args(Encoding):
            raise SettingsError(f"audio encoding must be one of {', '.join(get_args(Encoding))}, not {self.encoding!r}")
        if self.rate not in RATES:
            raise SettingsError(f"audio rate must be one of {', '.join(map(str, RATES))} Hz, not {self.rate!r}")
        if self.encoding == "mulaw" and self.rate != MULAW_RATE:
            raise SettingsError(
                f"mulaw audio must have {MULAW_RATE} Hz, not {self.rate}; at {self.rate} Hz use linear16"
            )

    @property
    def sample_bytes(self) -> int:
        return 1 if self.encoding == "mulaw" else 2

    def seconds(self, n_bytes: int) -> float:
        """How long so many bytes last; half a sample at the end lasts nothing."""
        return n_bytes // self.sample_bytes / self.rate

    def ms(self, n_bytes: int) -> int:
        """How long so many bytes last, in whole ms, rounded down."""
        return n_bytes // self.sample_bytes * 1000 // self.rate

    def bytes_in(self, seconds: float) -> int:
        """The bytes that last so long, to the nearest whole sample."""
        return round(seconds * self.rate) * self.sample_bytes

    def bytes_in_ms(self, ms: int) -> int:
        """The bytes that last so many ms, rounded down to whole samples."""
        return ms * self.rate // 1000 * self.sample_bytes


CARRIER_FORMAT = AudioFormat("mulaw", MULAW_RATE)
