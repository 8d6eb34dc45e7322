"""Lineside: a telephony voice-agent bridge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lineside.errors import LinesideError
from lineside.events import (
    BargeIn,
    CallEnded,
    CallerEntered,
    CallerPressed,
    CallerSaid,
    CallerSilent,
    CallInfo,
    CallStarted,
    CollectDigits,
    Cue,
    CutOff,
    HangUp,
    Line,
    Pause,
    Say,
)

if TYPE_CHECKING:
    from lineside.app import asgi
    from lineside.settings import Settings

__all__ = [
    "BargeIn",
    "CallEnded",
    "CallInfo",
    "CallStarted",
    "CallerEntered",
    "CallerPressed",
    "CallerSaid",
    "CallerSilent",
    "CollectDigits",
    "Cue",
    "CutOff",
    "HangUp",
    "Line",
    "LinesideError",
    "Pause",
    "Say",
    "Settings",
    "asgi",
]


def __getattr__(name: str) -> Any:
    """The server's parts are imported when asked for: an agent needs none of them."""
    if name == "asgi":
        from lineside.app import asgi

        return asgi
    if name == "Settings":
        from lineside.settings import Settings

        return Settings
    raise AttributeError(f"module 'lineside' has no attribute {name!r}")
