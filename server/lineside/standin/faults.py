"""Every fault of the provider stand-in, and every point that the vendors' papers leave open, as a switch.

All may be changed at run time; a session looks again each time it matters. The defaults are the service on a good day,
read strictly. A field added here can be set over the control endpoint without further work.

Source of the defaults: https://developers.deepgram.com/docs/text-to-speech-websocket-streaming (limits),
https://developers.deepgram.com/docs/tts-troubleshooting-websocket-net-and-data-errors (closes).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import NoneType, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

from lineside.errors import SettingsError
from lineside.standin.elevenlabs_faults import ElevenLabsFaults
from lineside.standin.recogniser.faults import RecogniserFaults

PerConnection = int | list[int] | None
"""A count for every connection, or one for each connection in the order they open (negative: none), or none at all."""


@dataclass(slots=True)
class Faults:
    """Switches by theme. Durations in seconds of the loop's clock; 0 or None is off where a line says nothing else."""

    # -- the handshake
    refuse: list[int] = field(default_factory=list)
    """HTTP statuses for the next handshakes, one each, taken from the front."""
    handshake_delay_s: float = 0.0
    bearer_takes_keys: bool = False
    """Deepgram: `Bearer` is for temporary tokens (JWT); an API key in it is answered by 401."""
    unknown_query: Literal["refuse", "ignore"] = "refuse"

    # -- the audio
    first_audio_delay_s: float = 0.0
    speed_up: float = 20.0
    """Audio leaves at this multiple of real time; 0: at once."""
    chunk_gap_s: float | None = None
    """A fixed time between two chunks, in place of `speed_up`."""
    burst: bool = False
    """A flush's audio leaves at once, whatever the two above say."""
    chunk_sizes: list[int] = field(default_factory=list)
    """Bytes, used in turn; empty: irregular, odd, 0.1-0.4 s each."""
    chunk_seed: int = 1
    zero_audio: bool = False
    """A flush is answered without any audio."""
    stall_after_chunks: PerConnection = None
    """So many audio chunks after the connection opened, nothing more comes for `stall_s` (None: for ever)."""
    stall_s: float | None = None

    # -- the end of a connection
    die_after_chunks: PerConnection = None
    """So many audio chunks after the connection opened, it is lost, before any further answer."""
    die_close_code: int = 0
    """0: the TCP connection drops; else a close frame with this code and `die_reason` is sent."""
    die_reason: str = ""
    close_drains: bool = True
    """What was flushed before Close is still spoken. Deepgram's papers say both; its own load client relies on it."""
    metadata_at_close: bool = False
    idle_s: float = 0.0
    """Without a message or a ping for so long: 1011 NET-0001. Deepgram gives no figure for v1."""

    # -- the answers to Flush and Clear
    flushed_delay_s: float = 0.0
    no_flushed: bool = False
    empty_flush_answers: bool = True
    refused_flush_keeps_text: bool = True
    refusal_at_once: bool = False
    """The warning for a refused flush overtakes the answers to older ones."""
    auto_synthesis_without_flush: int = 0
    """Buffered text of so many characters is spoken without a Flush, and without a Flushed."""
    late_frames_after_clear: int = 0
    """Audio chunks that still leave after Clear was read, if the flush has so many left."""
    cleared_delay_s: float = 0.0
    never_cleared: bool = False
    owed_flushed_after_clear: Literal["never", "before", "after"] = "never"
    """Whether the flushes that Clear cut are still answered by Flushed, before or after Cleared."""
    sequence_scheme: Literal["zero", "each", "both"] = "zero"
    """`sequence_id`: always 0, counted for each of Flushed and Cleared, or for both together."""
    warning_form: Literal["wire", "spec"] = "wire"
    """`warn_code` and `warn_msg` as seen on the wire, or `code` and `description` as in the published schema."""
    close_reason: Literal["sentence", "code"] = "sentence"
    """`DATA-0000: a sentence`, or the bare code."""
    error_before_close: bool = False
    """A fatal close is preceded by an Error message."""

    # -- the limits
    max_speak_chars: int = 2000
    chars_per_window: int = 2400
    """Deepgram's figure since 2025-05; its older one was 12000 in 120 s."""
    chars_window_s: float = 60.0
    flushes_per_window: int = 20
    flush_window_s: float = 60.0
    window_shape: Literal["sliding", "fixed"] = "sliding"
    """Any stretch of time as long as the window, or windows that begin with the first use after the last one."""
    char_unit: Literal["code_point", "utf16", "utf8"] = "code_point"
    session_s: float = 3600.0
    max_connections: int = 0
    """Open sockets at once before 429. Deepgram's plans: 15 to 80. 0: not limited."""
    max_message_bytes: int = 2_000_000
    unknown_keys: Literal["ignore", "refuse"] = "ignore"
    empty_speak_closes: bool = False

    elevenlabs: ElevenLabsFaults = field(default_factory=ElevenLabsFaults)
    """What only ElevenLabs' speech sockets know. `set` calls its switches `elevenlabs.NAME`."""
    recogniser: RecogniserFaults = field(default_factory=RecogniserFaults)
    """What only the sockets that listen know: `recogniser.NAME`."""

    def __post_init__(self) -> None:
        if isinstance(given := cast(object, self.elevenlabs), dict):
            self.elevenlabs = ElevenLabsFaults(**given)  # as JSON has it
        if isinstance(given := cast(object, self.recogniser), dict):
            self.recogniser = RecogniserFaults(**given)

    def set(self, name: str, text: str) -> None:
        """Set one switch from text: a number, `true`, a word, a comma-separated list; empty or `none` for None.

        Raises:
            SettingsError: no such switch, or it does not take that.
        """
        if name not in _KINDS:
            raise SettingsError(f"no fault is called {name!r}; there are {', '.join(_KINDS)}")
        theme, _, switch = name.rpartition(".")
        try:
            setattr(getattr(self, theme) if theme else self, switch, _parse(_KINDS[name], text))
        except ValueError as exc:
            raise SettingsError(f"fault {name} does not take {text!r}; it is {_KINDS[name]}") from exc

    def take_refusal(self) -> int | None:
        """The status for this handshake, used up."""
        return self.refuse.pop(0) if self.refuse else None

    def take(self, name: Literal["die_after_chunks", "stall_after_chunks"]) -> int | None:
        """A new connection's own share of a list of counts, used up."""
        counts = getattr(self, name)
        return counts.pop(0) if isinstance(counts, list) and counts else None

    def count(self, name: Literal["die_after_chunks", "stall_after_chunks"], own: int | None) -> int | None:
        """The count that holds for a connection whose own share is `own`; None when there is none."""
        counts = getattr(self, name)
        count = own if own is not None else counts if isinstance(counts, int) else None
        return None if count is None or count < 0 else count

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def _parse(kind: Any, text: str) -> Any:
    """Read `text` as a value of the annotated type `kind`. Raises: ValueError."""
    arms = get_args(kind)
    if get_origin(kind) is Literal:
        if text in arms:
            return text
    elif get_origin(kind) in (Union, UnionType):
        for arm in sorted(arms, key=lambda arm: arm is not NoneType):
            try:
                return _parse(arm, text)
            except ValueError:
                continue
    elif get_origin(kind) is list:
        return [_parse(arms[0], part) for part in text.split(",") if part]
    elif kind is NoneType:
        if text.lower() in ("", "none"):
            return None
    elif kind is bool:
        if text.lower() in _BOOLS:
            return _BOOLS[text.lower()]
    else:
        return kind(text)
    raise ValueError(text)


_BOOLS = {"true": True, "1": True, "on": True, "yes": True, "false": False, "0": False, "off": False, "no": False}
_KINDS: Mapping[str, Any] = {
    **{name: kind for name, kind in get_type_hints(Faults).items() if name not in ("elevenlabs", "recogniser")},
    **{f"elevenlabs.{name}": kind for name, kind in get_type_hints(ElevenLabsFaults).items()},
    **{f"recogniser.{name}": kind for name, kind in get_type_hints(RecogniserFaults).items()},
}
