"""How the local phone behaves. Defaults are what the carrier documents; what it leaves open, and faults, are switches.

Source: https://www.twilio.com/docs/voice/media-streams, https://www.twilio.com/docs/usage/webhooks/webhooks-security
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Signature = Literal["good", "missing", "bad"]
Outcome = Literal["answered", "busy", "no-answer", "failed"]


@dataclass(frozen=True)
class PhoneSettings:
    """Times in seconds unless the name says otherwise."""

    voice_url: str
    """The webhook of the number that is called."""
    fallback_url: str | None = None
    """Asked when the voice webhook, or a later document, fails."""
    account_sid: str = "AC00000000000000000000000000000001"
    auth_token: str = "standin-auth-token"
    api_key_sid: str = "SK00000000000000000000000000000001"
    api_key_secret: str = "standin-api-key-secret"
    caller: str = "+15555550100"
    called: str = "+15555550199"
    extra_fields: Mapping[str, str] = field(default_factory=dict)
    """Added to every voice request; the carrier adds new fields without notice."""

    # -- the network between carrier and server --------------------------------------------------------------------
    round_trip_s: float = 0.0
    """Half of it is spent each way on every message of a stream."""
    jitter_s: float = 0.0
    """Each message is late by up to this much more; the order is kept."""
    seed: int = 0
    """For jitter and key order."""
    connect_timeout_s: float = 10.0
    """For a stream's TCP, TLS and upgrade together; the carrier does not say."""
    webhook_timeout_s: float = 15.0
    inbound_buffer_bytes: int = 65_536
    """When the server reads so slowly that this much waits, caller audio is discarded (31930)."""
    tls: ssl.SSLContext | None = None
    """For servers whose certificate is not publicly trusted; the carrier would refuse them."""
    allow_ws: bool = True
    """Let `ws://` stream urls through on loopback. The carrier never does (31922)."""
    ws_hosts: frozenset[str] = frozenset()
    """More hosts to which `allow_ws` applies, such as a container's name."""

    # -- the room and the ear ----------------------------------------------------------------------------------------
    echo_db: float | None = None
    """What the phone plays comes back in the caller's audio at this level, relative to itself, such as -20."""
    echo_delay_s: float = 0.12
    """From the carrier's playout to the caller's frames; 0.05 to 0.5 on real lines."""
    noise_db: float | None = None
    """White noise in the caller's audio, RMS in dB of full scale. The caller's silence is no longer `silence_byte`."""
    background: bytes = b""
    """Mu-law that goes on and on in the caller's audio: music, other people."""
    mark_to_ear_s: float = 0.0
    """The ear hears audio so much later than the carrier's mark says. Nothing but what was heard shows it."""

    # -- signatures --------------------------------------------------------------------------------------------------
    signature: Signature = "good"
    """Of webhooks, and of the upgrade unless `upgrade_signature` says otherwise."""
    upgrade_signature: Signature | None = None
    sign_with_trailing_slash: bool = False
    """Sign the stream's url with `/` appended."""
    lower_case_signature_header: bool = True
    """On the upgrade; webhooks carry `X-Twilio-Signature`."""

    # -- what the carrier leaves open --------------------------------------------------------------------------------
    first_timestamp_ms: int = 73
    silence_byte: int = 0xFF
    """What the caller's silence is made of; 0x7E has been seen too."""
    key_order_varies: bool = False
    custom_parameters_when_none: Literal["{}", "absent"] = "{}"
    mark_echo_order_on_clear: Literal["fifo", "lifo"] = "fifo"
    echo_marks_at_end: bool = False
    after_failed_connect: Literal["next", "end"] = "next"
    query_in_stream_url: Literal["strip", "fail"] = "strip"
    action_after_hang_up: bool = True
    """Ask Connect's `action` (with CallStatus=completed) when the caller hung up during the stream."""
    ping_interval_s: float | None = None
    linger_s: float = 30.0
    """How long a socket is kept that we do not close, as after `stop_without_close`."""

    # -- callbacks ---------------------------------------------------------------------------------------------------
    status_url: str | None = None
    status_events: tuple[str, ...] = ("initiated", "ringing", "answered", "completed")
    """Of inbound calls; a call placed by REST names its own."""
    status_callbacks: bool = True
    """False: no status callback is ever sent."""
    status_order: Literal["in order", "terminal first"] = "in order"
    status_duplicates: bool = False
    """Send every status callback twice."""
    webhook_repeats: int = 0
    """Ask for the call's first document this many times more, as a carrier that retries does."""

    # -- the other people --------------------------------------------------------------------------------------------
    outcome: Outcome = "answered"
    """What becomes of a call placed by REST."""
    ring_s: float = 0.0
    answered_by: str = "human"
    amd_s: float = 1.0
    """When machine detection was asked for: who answered, and how long it takes to tell."""
    dial_status: str = "completed"
    """What becomes of a `<Dial>`: completed, answered, busy, no-answer, failed, canceled."""
    dial_s: float = 0.0

    # -- this stand-in -----------------------------------------------------------------------------------------------
    rest_host: str = "127.0.0.1"
    rest_port: int = 0
    """0: any free port."""
    fatal_warnings: bool = False
    """Leaving the phone raises RemoteProtocolError if any call got a warning other than 31921."""
