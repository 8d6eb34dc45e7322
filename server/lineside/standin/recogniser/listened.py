"""What the recogniser stand-in received and heard on each connection, for tests to compare with what was said."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from lineside.standin.recogniser.modem import Loss

KEPT = 1000  # entries of each list of a connection, the first ones


@dataclass(frozen=True, slots=True)
class HeardWord:
    """A word that arrived whole."""

    text: str
    start_s: float
    end_s: float
    """Audio time: s of audio received before it, and with it."""
    at: float
    """Loop time at which its last sample arrived."""


@dataclass(frozen=True, slots=True)
class Pause:
    """A stretch of loop time in which less audio came than time went by."""

    at_s: float
    """Audio time at which it was."""
    seconds: float
    """Time without audio; more audio at once afterwards does not undo it, but see `behind_s`."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """A final transcript as it was sent."""

    text: str
    at: float
    """Loop time."""


@dataclass(frozen=True, slots=True)
class Interim:
    """Words as they were sent before they were final."""

    text: str
    at: float
    """Loop time."""


@dataclass(slots=True)
class Listened:
    """One connection. Audio that never came shows in `pauses` and `behind_s`, audio that came broken in `losses`."""

    connection: int
    protocol: str
    """`listen`, `flux` or `scribe`."""
    n_bytes: int = 0
    seconds: float = 0.0
    """Audio received."""
    words: list[HeardWord] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    """Words that were begun and could not be read."""
    pauses: list[Pause] = field(default_factory=list)
    behind_s: float = 0.0
    """How much less audio than time there was, from the first audio to the latest. About 0 for a live call whose every
    frame came."""
    off_size_chunks: int = 0
    """Audio messages shorter or longer than the service recommends."""
    transcripts: list[Transcript] = field(default_factory=list)
    interims: list[Interim] = field(default_factory=list)
    """Of the protocols' own kinds: interim results, a turn's beginning and updates, partials. Those without words are
    left out."""
    n_not_kept: int = 0
    """Words, losses, pauses, transcripts and interims beyond the first thousand of each."""

    @property
    def text(self) -> str:
        """All words heard."""
        return " ".join(word.text for word in self.words)

    def keep(self, entry: HeardWord | Loss | Pause | Transcript | Interim) -> None:
        """Note an entry in its list, if there is room."""
        lists: dict[type, list[Any]] = {
            HeardWord: self.words,
            Loss: self.losses,
            Pause: self.pauses,
            Transcript: self.transcripts,
            Interim: self.interims,
        }
        entries = lists[type(entry)]
        if len(entries) < KEPT:
            entries.append(entry)
        else:
            self.n_not_kept += 1

    def as_json(self) -> dict[str, Any]:
        return asdict(self)
