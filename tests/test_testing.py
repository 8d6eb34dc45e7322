"""What a simulation shows of its calls."""

from __future__ import annotations

from collections.abc import AsyncIterator

from lineside.events import CallerSaid, CallStarted, Cue
from lineside.testing import LinesideSettings, Settings, caller, simulation

LONG = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"


class Echo:
    """Says back what it was told."""

    async def reply(self, cue: Cue) -> AsyncIterator[str]:
        match cue:
            case CallStarted():
                yield LONG
            case CallerSaid(text):
                yield f"You said {text}."


async def test_what_was_said_is_the_agents_words_cut_or_not_and_never_the_callers() -> None:
    settings = Settings(LinesideSettings(agent_loop="app", ears="deepgram"))
    async with simulation(Echo, settings=settings) as sim:
        call = await sim.phone.dial()
        script = [caller.DuringAgent(1.0), caller.Say("my balance please"), caller.AfterAgent(2.0), caller.HangUp()]
        await caller.Caller(call, script).run()
        await sim.idle()
        assert sim.of(call, "caller_said")
        assert sim.of(call, "turn_cut")
        cut, answer = sim.said(call)
        assert LONG.startswith(cut.strip())
        assert answer.strip() == "You said my balance please."
