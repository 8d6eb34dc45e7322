"""What is said, in two wordings: the agent's own, and the one that the provider is given to speak. Pure."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

from lineside.events import BargeIn

_WORD = re.compile(r"\S+")
_STOP = re.compile(r"[.?!](?=\s)")


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of text: the agent's own words, and what the provider was given to speak in their place."""

    source: str
    spoken: str
    interruptible: bool = True
    apart: bool = False
    """It does not go on what was before: the provider is given a space between them if the texts have none."""
    barge_in: BargeIn | None = None
    """How easily the caller interrupts it, where it is said."""


@dataclass(slots=True)
class _Placed:
    piece: Piece
    start: int  # characters of spoken text before it, and before it the space that keeps it apart
    source_start: int


class Wording:
    """The text of a stretch. Places are characters of the spoken wording unless a name says otherwise."""

    def __init__(self) -> None:
        self.source = ""
        """The agent's own words."""
        self.spoken = ""
        self.starts: list[int] = []
        """Of the pieces."""
        self.word_starts: list[int] = []
        """No word spans two pieces."""
        self.word_ends: list[int] = []
        self._stops: list[int] = []
        self._pieces: list[_Placed] = []

    def add(self, piece: Piece) -> str:
        """Put a piece behind the others; returns by what the spoken text grew."""
        touches = self.spoken[-1:].strip() and piece.spoken[:1].strip()
        space = " " if piece.apart and touches else ""
        start = len(self.spoken) + len(space)
        self.starts.append(len(self.spoken))
        self._pieces.append(_Placed(piece, start, len(self.source)))
        for word in _WORD.finditer(piece.spoken):
            self.word_starts.append(start + word.start())
            self.word_ends.append(start + word.end())
        self._stops += (start + stop.end() for stop in _STOP.finditer(piece.spoken))
        self.spoken += space + piece.spoken
        self.source += piece.source
        return space + piece.spoken

    def stops(self, start: int, end: int) -> int:
        """How many sentences end between two places, with white space behind them."""
        return bisect_right(self._stops, end - 1) - bisect_right(self._stops, start)

    def next_text(self, start: int, most: int) -> str:
        """The rest of the piece at `start`, cut at a word if it is over `most` characters."""
        if start >= len(self.spoken):
            return ""
        at = bisect_right(self.starts, start)
        end = self.starts[at] if at < len(self.starts) else len(self.spoken)
        if end - start > most:
            end = start + most
            spaces = (at for at in range(end, start + 1, -1) if self.spoken[at - 1].isspace())
            end = next(spaces, end)
        return self.spoken[start:end]

    def source_at(self, place: int) -> int:
        """The place in the agent's words of a place in the spoken text; where they differ, whole words too few."""
        if place == len(self.spoken):
            return len(self.source)  # with what has nothing to be spoken, such as a picture at the end
        placed = self._pieces[max(0, bisect_right(self.starts, place) - 1)]
        piece, inside = placed.piece, max(0, place - placed.start)
        if piece.source == piece.spoken or inside == 0:
            return placed.source_start + min(inside, len(piece.source))
        if inside >= len(piece.spoken.rstrip()):
            return placed.source_start + len(piece.source)
        target = inside / len(piece.spoken) * len(piece.source)
        ends = [word.end() for word in _WORD.finditer(piece.source) if word.end() <= target]
        return placed.source_start + (ends[-1] if ends else 0)

    def piece_at(self, place: int) -> Piece | None:
        """The piece there, the first or last one if there is none; None while there is no text."""
        if not self._pieces:
            return None
        return self._pieces[min(max(0, bisect_right(self.starts, place) - 1), len(self._pieces) - 1)].piece
