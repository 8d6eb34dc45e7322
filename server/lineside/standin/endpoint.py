"""What the stand-in's server and the protocols it serves know of each other. One endpoint is one kind of socket."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode
from websockets.protocol import Event

from lineside.standin.faults import Faults
from lineside.standin.record import Record
from lineside.standin.voice import StandinVoice


@dataclass(slots=True)
class Studio:
    """What all sessions of one stand-in share."""

    voice: StandinVoice
    faults: Faults
    record: Record
    keys: frozenset[str] | None = None
    """The keys that are let in; None: any but those that begin with `bad`."""

    def knows_key(self, key: str) -> bool:
        if self.keys is not None:
            return key in self.keys
        return bool(key) and not key.startswith("bad")


class Socket(ServerConnection):
    """A client's socket, which remembers how it was let in and when the client last pinged."""

    admission: Admission
    pinged_at = float("-inf")
    """Loop time."""

    def process_event(self, event: Event) -> None:
        if isinstance(event, Frame) and event.opcode is Opcode.PING:
            self.pinged_at = asyncio.get_running_loop().time()
        super().process_event(event)


@dataclass(frozen=True, slots=True)
class Upgrade:
    """A WebSocket handshake, as an endpoint judges it."""

    path: re.Match[str]
    """The endpoint's own pattern, matched against the whole path."""
    query: tuple[tuple[str, str], ...]
    """In order, names repeated as they came."""
    headers: Headers


@dataclass(frozen=True, slots=True)
class Admission:
    """A handshake that is let in."""

    serve: Callable[[Socket, int], Awaitable[None]]
    """Serves the socket, given the connection's number in the record; returns when it is done with it."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """What the 101 answer carries besides the usual."""


class Refusal(Exception):
    """A handshake that is answered by an HTTP error.

    Args:
        breach: what the client did wrong, for the record; empty when it is no fault of the client's.
    """

    def __init__(self, status: int, headers: Mapping[str, str], body: Any, breach: str = "") -> None:
        super().__init__(f"HTTP {status}: {body}")
        self.status = status
        self.headers = headers
        self.body = body
        """A value that goes out as JSON."""
        self.breach = breach


class Endpoint(Protocol):
    """One protocol at one path."""

    @property
    def pattern(self) -> re.Pattern[str]:
        """What the whole path must match."""
        ...

    def admit(self, upgrade: Upgrade) -> Admission:
        """Judge a handshake. Must not wait.

        Raises:
            Refusal: it is not let in.
        """
        ...

    def refuse(self, status: int) -> Refusal:
        """The refusal with this status as this protocol words it."""
        ...
