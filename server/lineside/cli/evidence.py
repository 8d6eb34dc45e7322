"""What is known of a call that is over: the phone's and the provider's own records, and what the agent was told."""

from __future__ import annotations

import math
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from lineside.events import Cue, CutOff
from lineside.observe.timeline import Note
from lineside.standin.carrier_queue import Clear, Gap, Span
from lineside.standin.phone import PhoneCall
from lineside.standin.recogniser.caller import Said


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True, slots=True)
class ProviderRecord:
    """What the provider stand-in saw and did."""

    spoken: tuple[tuple[str, bytes], ...]
    """Text and mu-law audio of each segment, in order."""
    breaches: dict[str, int]
    heard: tuple[str, ...] = ()
    """The words that arrived at its recogniser, in order."""

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Self:
        spoken = tuple((each["text"], b64decode(each["audio"])) for each in record["spoken"])
        heard = tuple(word["text"] for each in record["listened"].values() for word in each["words"])
        return cls(spoken, dict(record["breaches"]), heard)


@dataclass(frozen=True, slots=True)
class TurnTaken:
    """One turn of the agent."""

    number: int
    started: float
    """Loop time at which the agent was given its cue."""
    cue: Cue
    text: str = ""
    cut_off: CutOff | None = None
    cut: bool = False
    resumed: tuple[float, ...] = ()
    """When it went on after it was held."""

    @property
    def heard(self) -> str:
        return self.cut_off.heard if self.cut and self.cut_off is not None else self.text


@dataclass(frozen=True, slots=True)
class Evidence:
    """A call that is over. Times are the loop's, in seconds."""

    began: float
    """Of the first stream."""
    ended: float
    ended_by: str
    spans: tuple[Span, ...]
    """What the phone played."""
    gaps: tuple[Gap, ...]
    clears: tuple[Clear, ...]
    n_unplayed: int
    """Bytes that were queued when a stream ended."""
    warnings: dict[str, int]
    pressed: tuple[tuple[float, str], ...]
    said: tuple[Said, ...]
    turns: tuple[TurnTaken, ...]
    failures: tuple[str, ...]
    """Notes of the server that none is fine without."""
    reason: str
    """Why the call ended, as the server has it."""
    record: ProviderRecord
    stuck: str
    """What the caller waited for in vain; empty if for nothing."""
    n_taken: int
    """Steps of the script that the caller took."""

    @classmethod
    def of(
        cls,
        call: PhoneCall,
        notes: Sequence[Note],
        record: ProviderRecord,
        said: Sequence[Said],
        stuck: str,
        n_taken: int,
    ) -> Self:
        """
        Args:
            notes: the server's timeline, with loop times.
        """
        ended = call.record.ended_at or 0.0
        queues = [stream.queue for stream in call.streams]
        clears = tuple(clear for queue in queues for clear in queue.clears)
        return cls(
            began=call.streams[0].began if call.streams else ended,
            ended=ended,
            ended_by=call.ended_by,
            spans=tuple(span for stream in call.streams for span in stream.queue.spans(stream.until(ended))),
            gaps=tuple(gap for queue in queues for gap in queue.gaps),
            clears=clears,
            n_unplayed=sum(queue.dropped for queue in queues) - sum(clear.dropped for clear in clears),
            warnings=dict(call.warnings),
            pressed=tuple((event.at, event.detail) for event in call.events if event.kind == "dtmf"),
            said=tuple(said),
            turns=tuple(_turns(notes)),
            failures=tuple(note.kind for note in notes if note.kind in FAILURES),
            reason=next((note.details["reason"] for note in notes if note.kind == "call_ended"), "not at all"),
            record=record,
            stuck=stuck,
            n_taken=n_taken,
        )

    def played(self) -> list[tuple[TurnTaken, tuple[Span, ...]]]:
        """The turns that said something, and what the phone played of each until the next of them began.

        That is one span, or none if it was cut early, or several if it was held and resumed, or paused.
        """
        turns = [turn for turn in self.turns if turn.text]
        starts = [-math.inf, *(turn.started for turn in turns[1:]), math.inf]
        return [
            (turn, tuple(span for span in self.spans if starts[nth] <= span.at < starts[nth + 1]))
            for nth, turn in enumerate(turns)
        ]


FAILURES = ("provider_lost", "agent_failed", "hang_up_failed", "ear_warning")


def _turns(notes: Sequence[Note]) -> list[TurnTaken]:
    """The turns that began, in order, and what became of each."""
    ends = {note.details["turn"]: note for note in notes if note.kind in ("turn_ended", "turn_cut")}
    turns = []
    for note in notes:
        if note.kind != "turn_started":
            continue
        number = note.details["turn"]
        resumed = tuple(each.at for each in notes if each.kind == "turn_resumed" and each.details["turn"] == number)
        turn = TurnTaken(number, note.at, note.details["cue"], resumed=resumed)
        if (end := ends.get(number)) is not None:
            cut, text = end.kind == "turn_cut", end.details["text"]
            turn = replace(turn, text=text, cut_off=end.details.get("cut_off"), cut=cut)
        turns.append(turn)
    return turns
