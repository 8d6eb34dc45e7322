"""Lineside: a telephony voice-agent bridge."""

from __future__ import annotations

from lineside.errors import LinesideError
from lineside.events import CallEnded, CallerPressed, CallInfo, CallStarted, Cue, CutOff, HangUp, Line, Pause, Say

__all__ = [
    "CallEnded",
    "CallInfo",
    "CallStarted",
    "CallerPressed",
    "Cue",
    "CutOff",
    "HangUp",
    "Line",
    "LinesideError",
    "Pause",
    "Say",
]
