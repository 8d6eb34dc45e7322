"""The voices of one call: who speaks, who takes over, who comes back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from lineside.ports import Speech, Voice
from lineside.speech.prompts import KeptSpeech, PromptShelf
from lineside.talk.health import Health
from lineside.talk.ledger import Pace


@dataclass(frozen=True, slots=True)
class VoiceSet:
    """The voices that a call may use."""

    lead: Sequence[Voice]
    """They take over from each other in this order."""
    extras: Sequence[Voice] = ()
    """They speak only where a line asks for them by name or language."""
    languages: Mapping[str, str] = field(default_factory=dict)
    """The name of the voice for each language."""
    shelf: PromptShelf | None = None
    """Where fixed lines are kept."""


@dataclass(slots=True, eq=False)
class Member:
    """One voice in one call."""

    speech: Speech
    kept: Speech | None = None
    """The same voice for fixed lines."""
    pace: Pace = field(default_factory=Pace)
    health: Health = field(default_factory=Health)

    @property
    def name(self) -> str:
        return self.speech.voice_name

    def speech_for(self, *, fixed: bool) -> Speech:
        return self.kept if fixed and self.kept is not None else self.speech


class Cast:
    """The members of one call, by rank and by name."""

    def __init__(
        self,
        members: Sequence[Member],
        clock: Callable[[], float],
        extras: Sequence[Member] = (),
        languages: Mapping[str, str] | None = None,
    ) -> None:
        self._members = list(members)
        self._named = {member.name: member for member in (*extras, *members)}
        self._languages = languages or {}
        self._clock = clock

    def lead(self) -> Member:
        """Who speaks next: the first that has not failed lately.

        One that failed is probed when its time is up: its socket is opened, and it comes back once that worked.
        """
        now = self._clock()
        for member in self._members:
            if not member.health.may_try(now):
                continue
            if not member.health.failing or member.speech.ready:
                return member
            member.speech.prepare()
        return next((member for member in self._members if member.health.may_try(now)), self._members[0])

    def asked_for(self, name: str, language: str) -> Member | None:
        """The voice that a line asks for; None when there is none of that name or language."""
        if name:
            return self._named.get(name)
        return self._named.get(self._languages.get(language, ""))

    def understudy(self, of: Member) -> Member | None:
        """Who takes over in the middle of a turn: the next that has not failed lately; None when nobody is left."""
        now = self._clock()
        behind = self._members[self._members.index(of) + 1 :] if of in self._members else self._members
        return next((member for member in behind if member.health.may_try(now)), None)


@asynccontextmanager
async def cast_of(voices: VoiceSet, clock: Callable[[], float]) -> AsyncIterator[Cast]:
    """A call's own line to each of its voices. The first is opened now, the others when they are needed."""
    async with AsyncExitStack() as stack:

        async def member(voice: Voice) -> Member:
            speech = await stack.enter_async_context(voice.connect())
            kept = KeptSpeech(speech, voices.shelf, voice.fingerprint) if voices.shelf is not None else None
            return Member(speech, kept)

        lead = [await member(voice) for voice in voices.lead]
        extras = [await member(voice) for voice in voices.extras]
        lead[0].speech.prepare()
        yield Cast(lead, clock, extras, voices.languages)
