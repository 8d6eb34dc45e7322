"""Every fault of the recogniser stand-ins, and every point that the vendors' papers leave open, as a switch.

They hang below `Faults` as `recogniser`; over the control endpoint their names begin with `recogniser.`. Of `Faults`
itself `refuse`, `handshake_delay_s`, `bearer_takes_keys`, `unknown_query`, `die_close_code`, `die_reason`,
`close_reason` and `error_before_close` hold here too. The defaults are the service on a good day, read strictly.

Sources: https://developers.deepgram.com/docs/live-streaming-audio, https://developers.deepgram.com/docs/flux/quickstart,
https://elevenlabs.io/docs/api-reference/speech-to-text/v-1-speech-to-text-realtime
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

ScribeError = Literal[
    "error",
    "quota_exceeded",
    "transcriber_error",
    "unaccepted_terms",
    "rate_limited",
    "input_error",
    "invalid_request",
    "queue_overflow",
    "resource_exhausted",
    "session_time_limit_exceeded",
    "chunk_size_exceeded",
    "insufficient_audio_activity",
]


@dataclass(slots=True)
class RecogniserFaults:
    """Switches by theme. Durations in seconds of the loop's clock, or of audio where a line says so."""

    # -- the handshake, and its end
    refuse: list[int] = field(default_factory=list)
    """HTTP statuses for the next handshakes of recognisers, one each."""
    max_connections: int = 0
    """Open sockets of one kind at once before 429. Deepgram's plans: 50 to 150. 0: not limited."""
    die_after_bytes: list[int] = field(default_factory=list)
    """Bytes of audio after which a connection is lost: one count for each connection, in the order they open, negative
    for none. `die_close_code` says how."""
    error_after_s: float | None = None
    """After so much audio the service fails: an error message in its own words, then the close."""

    # -- hearing
    loud_dbfs: float = -35.0
    """RMS level from which 20 ms count as speech. Steady noise above it keeps the speaker from falling silent."""
    onset_s: float = 0.06
    """Loud audio for so long begins speech."""
    max_ingest: float = 1.25
    """Multiple of real time at which audio is taken in; what comes faster waits (Deepgram). 0: not limited."""
    ingest_slack_s: float = 1.0
    """Waiting longer than this is a breach."""
    stall_after_bytes: list[int] = field(default_factory=list)
    """Bytes of audio after which the service does not read for `stall_s`: one count for each connection, as above."""
    stall_s: float | None = None
    """None: for ever."""

    # -- telling
    interim_latency_s: float = 0.15
    """From the audio that an interim (Scribe: a partial) ends with to sending it."""
    final_latency_s: float = 0.3
    event_latency_s: float = 0.1
    """Of everything else."""
    late_finals_s: float = 0.0
    """Finals take so much longer and are overtaken by what follows."""
    no_interims: bool = False
    revised_interims: bool = False
    """The last word of an interim is cut short, and so changes later."""
    out_of_order_interims: bool = False
    """An interim is overtaken by the message behind it."""
    duplicate_finals: bool = False
    garbage: Literal["off", "text", "unknown", "fields", "binary"] = "off"
    """Before each final: text that is no JSON, a message of no known type, one without its fields, or a binary one."""
    mute_after_s: float | None = None
    """So long after the handshake the service says nothing for `mute_s`, then everything."""
    mute_s: float = 10.0

    # -- Deepgram, /v1/listen
    interim_every_s: float = 1.0
    """Audio from one result to the next interim."""
    empty_interims: bool = True
    """Also while nobody speaks."""
    segment_s: float = 5.0
    """Audio after which a result is final, though its speaker goes on."""
    empty_speech_final: bool = True
    """Speech without a word, such as a cough, ends with a final too."""
    utterance_end_finalises: bool = True
    """Words that are not final when an UtteranceEnd is due become so before it."""
    finalize_answers: Literal["enough", "always", "never"] = "enough"
    """Whether Finalize is answered: if a word or `finalize_min_s` of audio is not final yet, in any case, or not."""
    finalize_min_s: float = 0.5
    finalize_speech_final: bool = False
    """The answer to Finalize is `speech_final`."""
    bad_message: Literal["close", "error"] = "close"
    """A text message that cannot be parsed: an Error message and the close, or the message alone."""
    keepalive_s: float = 10.0
    """Without any message for so long: 1011 NET-0001. 0: never."""
    no_audio_s: float = 20.0
    """Messages but no audio for so long after the handshake: 1011 NET-0000. Reports: 20 to 30. 0: never."""

    # -- Deepgram, /v2/listen (Flux)
    flux_latency_s: float = 0.06
    """Of every message."""
    flux_update_every_s: float = 0.25
    flux_idle_updates: bool = True
    """Updates also come between turns."""
    flux_start_on: Literal["word", "voice"] = "word"
    """What begins a turn: the first word, or anything loud."""
    flux_confidence_per_s: float = 3.5
    """Of silence, up to 0.99. With 3.5 the default threshold of 0.7 is reached after 0.2 s and told after 0.26."""
    flux_idle_s: float = 60.0
    """Without a message or a ping for so long: 1011 NET-0001. 0: never."""
    warning_after_s: float | None = None
    """After so much audio: a Warning of a code that nobody has heard of."""

    # -- ElevenLabs, Scribe
    partial_every_s: float = 0.5
    """Audio between two partials."""
    commit_latency_s: float = 0.4
    """From a commit to its transcript. Seen: 0.34 to 0.93."""
    timestamps_delay_s: float = 0.02
    """From a committed transcript to its copy with timestamps."""
    commit_min_s: float = 0.3
    """A commit with less new audio ends the connection."""
    longest_segment_s: float = 90.0
    """Audio after which a commit comes by itself."""
    commit_message: Literal["refuse", "accept"] = "refuse"
    """A message whose type is `commit`: in one paper, never seen sent."""
    scribe_idle_s: float = 15.0
    """Without audio for so long: `insufficient_audio_activity` and the close. No figure is published; clients feed
    silence after 10. 0: never."""
    scribe_error: ScribeError = "error"
    """What `error_after_s` brings."""
    errors_close: bool = True
    """Every error message is followed by the close. Seen of two of them."""
