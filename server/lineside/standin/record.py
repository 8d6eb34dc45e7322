"""What the provider stand-in saw and did, for tests to compare with what their side saw and did."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field
from typing import Any

from lineside.standin.recogniser.listened import Listened

MESSAGES_KEPT = 1000  # the last ones of a connection
CONNECTIONS_KEPT = 1000  # connections whose messages are kept
AUDIO_KEPT = 256 << 20  # bytes; nine hours of mu-law


@dataclass(frozen=True, slots=True)
class Spoken:
    """The end of one flush that was accepted (answered, or cut), or of one of ElevenLabs' segments."""

    connection: int
    text: str
    audio: bytes
    """Exactly the bytes handed to the socket, in the connection's encoding."""
    at: float
    """Loop time at which the stand-in began to speak it; for one that was cut before, when it was cut."""
    cut: bool = False
    """A Clear, a fault or the connection's end came before its answer."""
    n_late_bytes: int = 0
    """How much of the end of `audio` left after a Clear (ElevenLabs: a close_context, cancel or not) was read."""


@dataclass(slots=True)
class Connections:
    opened: int = 0
    open: int = 0
    max_open: int = 0


@dataclass(slots=True)
class Generations:
    """ElevenLabs' unit of concurrency: segments being made and sent, over all accounts."""

    running: int = 0
    max_running: int = 0

    def began(self) -> None:
        self.running += 1
        self.max_running = max(self.max_running, self.running)

    def ended(self) -> None:
        self.running -= 1


@dataclass(slots=True)
class Record:
    """Connections are numbered from 1 in the order of their handshakes."""

    spoken: list[Spoken] = field(default_factory=list)
    """One entry for each accepted flush or segment when it ends: in order within a connection (ElevenLabs: within a
    context), by time across them."""
    breaches: Counter[str] = field(default_factory=Counter)
    """What a strict service refuses or warns about, or the rules for its clients forbid."""
    refused: Counter[int] = field(default_factory=Counter)
    """Handshakes by the HTTP status that refused them, faults included."""
    connections: Connections = field(default_factory=Connections)
    generations: Generations = field(default_factory=Generations)
    messages: OrderedDict[int, deque[str]] = field(default_factory=OrderedDict)
    """What each client sent, in order; a binary message as a note of its length."""
    listened: OrderedDict[int, Listened] = field(default_factory=OrderedDict)
    """What each connection of a recogniser was heard to say."""
    n_forgotten: int = 0
    """Entries of `spoken` dropped, oldest first, to keep within `audio_kept`."""
    audio_kept: int = AUDIO_KEPT
    _n_audio_bytes: int = 0

    def opened(self) -> int:
        """Note a new connection; gives its number."""
        self.connections.opened += 1
        self.connections.open += 1
        self.connections.max_open = max(self.connections.max_open, self.connections.open)
        number = self.connections.opened
        self.messages[number] = deque(maxlen=MESSAGES_KEPT)
        if len(self.messages) > CONNECTIONS_KEPT:
            self.messages.popitem(last=False)
        return number

    def closed(self) -> None:
        self.connections.open -= 1

    def heard(self, connection: int, message: str | bytes) -> None:
        """Note a client's message."""
        if connection in self.messages:
            text = message if isinstance(message, str) else f"<binary, {len(message)} bytes>"
            self.messages[connection].append(text)

    def listens(self, listened: Listened) -> None:
        """Note that a connection is listened to from now on."""
        self.listened[listened.connection] = listened
        if len(self.listened) > CONNECTIONS_KEPT:
            self.listened.popitem(last=False)

    def spoke(self, spoken: Spoken) -> None:
        """Note the end of a flush."""
        self.spoken.append(spoken)
        self._n_audio_bytes += len(spoken.audio)
        n_over = 0
        while self._n_audio_bytes > self.audio_kept and n_over < len(self.spoken) - 1:
            self._n_audio_bytes -= len(self.spoken[n_over].audio)
            n_over += 1
        if n_over:
            del self.spoken[:n_over]
            self.n_forgotten += n_over

    def breach(self, name: str) -> None:
        self.breaches[name] += 1

    def as_json(self, *, audio: bool = True) -> dict[str, Any]:
        """The record as values that JSON can carry; audio as base64, or only its length."""
        return {
            "connections": {
                "opened": self.connections.opened,
                "open": self.connections.open,
                "max_open": self.connections.max_open,
            },
            "generations": {"running": self.generations.running, "max_running": self.generations.max_running},
            "breaches": dict(self.breaches),
            "refused": {str(status): count for status, count in self.refused.items()},
            "forgotten": self.n_forgotten,
            "spoken": [
                {
                    "connection": spoken.connection,
                    "text": spoken.text,
                    "n_bytes": len(spoken.audio),
                    "at": spoken.at,
                    "cut": spoken.cut,
                    "n_late_bytes": spoken.n_late_bytes,
                }
                | ({"audio": b64encode(spoken.audio).decode()} if audio else {})
                for spoken in self.spoken
            ],
            "listened": {str(number): listened.as_json() for number, listened in self.listened.items()},
            "messages": {str(number): list(messages) for number, messages in self.messages.items()},
        }
