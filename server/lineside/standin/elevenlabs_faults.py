"""Every point that ElevenLabs' papers leave open, and the faults that only its sockets know, as switches.

They hang below `Faults` as `elevenlabs`; over the control endpoint their names begin with `elevenlabs.`. What both
providers share (pace, stalls, deaths, refused handshakes) is in `Faults` itself. Defaults are what was seen of the
service, or where nothing was seen, what asks most of a client.

Source: https://elevenlabs.io/docs/api-reference/text-to-speech/v-1-text-to-speech-voice-id-multi-stream-input
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(slots=True)
class ElevenLabsFaults:
    """Switches by theme. Durations in seconds of the loop's clock."""

    # -- the end of a connection
    error_close_delay_s: float = 0.8
    """From an error message to the close that it announces."""
    close_delay_s: float = 0.75
    """From the last final to the close with 1000."""
    errors_name_context: bool = False
    """An error message carries the id of the context that caused it."""

    # -- what a client may send
    first_message: Literal["refuse", "accept"] = "refuse"
    """On stream-input, a first message whose text is not one space."""
    voice_settings_change: Literal["refuse", "accept"] = "refuse"
    out_of_range: Literal["refuse", "accept"] = "refuse"
    """Voice settings and schedules beyond their published ranges."""
    long_inactivity_timeout: Literal["refuse", "clamp"] = "refuse"
    """An `inactivity_timeout` above 180."""
    empty_text_with_flush: Literal["flush", "close"] = "flush"
    """On stream-input: whether `{"text":"","flush":true}` ends the stream."""
    any_message_resets_idle: bool = False
    """Also one without `text`, such as a bare flush."""

    # -- the text buffer
    cut_at: Literal["word", "threshold", "message"] = "word"
    """Where a full buffer is cut: at the first blank from the threshold on, right there, or at its end."""
    init_space_is_text: bool = False
    """The one space of a first message enters the buffer."""
    try_trigger_chars: int = 50

    # -- what is sent
    context_id_name: Literal["contextId", "context_id"] = "contextId"
    is_final_name: Literal["isFinal", "is_final"] = "isFinal"
    is_final_of_audio: Literal["null", "false", "absent"] = "null"
    """The member on an audio message: seen as null, printed as false."""
    durations_name: Literal["charDurationsMs", "charsDurationsMs"] = "charDurationsMs"
    """The second spelling is that of the papers before October 2025."""
    final_audio: Literal["null", "empty"] = "null"
    expand_numbers: Literal["model", "always", "never"] = "model"
    """Digits as words in the normalised alignment: as `apply_text_normalization` and the model have it, or whatever
    they say."""
    sync_alignment_from: Literal["frame", "segment"] = "frame"
    """Where times are counted from when every frame has its own alignment."""
    frame_s: float = 0.0
    """The longest stretch of audio in one message; 0: a segment is one message and a small tail."""
    min_message_bytes: int = 0
    """Audio messages are filled up with blanks to this length; above 1 MiB many clients' libraries give up."""

    # -- contexts
    max_contexts: int = 5
    context_expiry: Literal["silent", "final", "error", "fatal"] = "silent"
    """What an idle context's end looks like: nothing at all, its final, an error message on a socket that lives on,
    or one that closes the socket."""
    drain_after_close_s: float | None = None
    """How much audio still leaves after `close_context` when some of the context's has left before; None: all of it."""
    close_race: Literal["off", "final", "nothing"] = "off"
    """`close_context` before any of the context's audio has left loses it, and with `nothing` the final too."""
    close_socket_flushes: bool = False
    """`close_socket` has unflushed text spoken, too."""

    # -- the account
    credits: int | None = None
    """Characters left, counted down; text that needs more than there are is not spoken. None: no end to them."""
    quota_spent: Literal["empty_final", "error"] = "empty_final"
    """Without credits: no audio and no word of why, or an error message."""
    max_generations: int = 0
    """Running at once for one key; plans have 2 to 30 of them. 0: not limited."""
    overload: Literal["queue", "refuse", "error"] = "queue"
    """Above it: generations wait; they do, and handshakes are refused with 429; or they fail with an error message."""
