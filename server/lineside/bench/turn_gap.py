"""How long a caller waits for an answer, and how much of that is ours: whole calls on the jumping clock.

Server, local phone and provider stand-in run in one loop. For each answer the stand-ins and the agent take as long as a
draw from these distributions says (log-normal, seeded; here median and 99th percentile in s):

- from the end of the caller's speech, as the recogniser hears it, to its final text: the silence that it waits for,
  which is a setting, and then 0.15 and 0.6 (Nova), 0.06 and 0.3 (Flux), 0.4 and 0.95 (Scribe). Scribe's lie within what
  others saw, 0.34 to 0.93; Deepgram's are assumed.
- the model's first token: 0.35 and 2.1, after https://callsphere.ai/blog/vw8c-llm-ttft-reduction-voice-agents-2026
- the voice's first audio: 0.14 and 0.4 (Deepgram), 0.2 and 0.5 (ElevenLabs). The medians lie within what is published,
  https://developers.deepgram.com/docs/text-to-speech-latency, https://elevenlabs.io/docs/eleven-api/concepts/latency;
  their tails are assumed.

The gap is what the phone measures: from the caller's last sample, as the carrier has it, to the first sample of the
answer that the carrier plays. The critical path is the sum of what cannot be less: the network's two legs, one chunk of
the recogniser's, the silence it waits for, and the three draws. What the gap is longer is ours; since a chunk may be
complete at once, it can be below zero. On this clock computing takes no time: what is found here is waiting. For what
computing costs see the load bench.

The model gives its first sentence whole. With eager turns the agent begins when the recogniser thinks the end likely,
here 0.2 s before it is sure, in the middle of what is published for that:
https://developers.telnyx.com/docs/voice/stt/websocket-streaming/parameters/end-of-turn
"""

from __future__ import annotations

import asyncio
import math
import random
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Literal, cast

from lineside.bench.report import percentiles
from lineside.errors import LinesideError
from lineside.events import CallEnded, CallStarted, Cue, Line
from lineside.hearing import deepgram, deepgram_flux, elevenlabs
from lineside.settings import LinesideSettings, Settings, TwilioSettings
from lineside.settings_providers import DeepgramSettings, ElevenLabsSettings
from lineside.standin.clock import ClockLoop
from lineside.standin.phone import PhoneCall, PhoneSettings
from lineside.standin.provider import Provider
from lineside.standin.recogniser.modem import encode
from lineside.testing import Simulation, simulation
from lineside.wire.deepgram_listen import ListenOptions
from lineside.wire.elevenlabs_scribe import ScribeOptions

Ears = Literal["deepgram", "deepgram-flux", "elevenlabs"]
EARS: tuple[Ears, ...] = ("deepgram", "deepgram-flux", "elevenlabs")
VOICES = ("deepgram", "elevenlabs", "elevenlabs-stream")
ROUND_TRIP = 0.08  # s
ANSWERS = 40  # a row
LIMITS = (0.030, 0.080)  # s beyond the critical path, p50 and p99
TAIL = 2.326  # standard deviations from the median to the 99th percentile

RATE = 8000  # bytes a second
SURE = 0.7  # Flux's confidence that the caller has finished, at which it says so
SILENCE = {  # s
    "deepgram": (ListenOptions().endpointing_ms or 0) / 1000,
    "deepgram-flux": 0.2,
    "elevenlabs": ScribeOptions().vad_silence_threshold_secs,
}
EAGER_SILENCE = 0.4667  # s: from the confidence that eager turns begin at, 0.4, to the other takes 0.2 s of it then
CHUNK = {"deepgram": deepgram.CHUNK, "deepgram-flux": deepgram_flux.CHUNK, "elevenlabs": elevenlabs.CHUNK}  # bytes

FINAL = {"deepgram": (0.15, 0.6), "deepgram-flux": (0.06, 0.3), "elevenlabs": (0.4, 0.95)}
FIRST_TOKEN = (0.35, 2.1)
FIRST_AUDIO = {"deepgram": (0.14, 0.4), "elevenlabs": (0.2, 0.5), "elevenlabs-stream": (0.2, 0.5)}

GREETING = "Hello, how can I help you?"
ASKED = ("please tell me my balance", "when do you open", "I want to change my order", "is anybody there")
ANSWER = "Let me look that up for you."


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of call. Times in s, one for each answer."""

    ears: Ears
    voice: str
    eager: bool
    gaps: Sequence[float]
    paths: Sequence[float]
    """The critical path of each."""

    @property
    def beyond(self) -> tuple[float, float]:
        """What the gap is longer than the path, p50 and p99."""
        return percentiles(gap - path for gap, path in zip(self.gaps, self.paths, strict=True))

    @property
    def holds(self) -> bool:
        """Within the limits; with eager turns: below the sum of what would follow each other, with no chunk in it."""
        chunk = CHUNK[self.ears] / RATE
        limits = (-chunk, -chunk) if self.eager else LIMITS
        return all(beyond <= limit for beyond, limit in zip(self.beyond, limits, strict=True))


@dataclass
class Model:
    """The agent: greets, and answers everything after as long as it is told to think."""

    first_token: float = 0.0
    n_asked: int = field(default=0)

    async def reply(self, cue: Cue) -> AsyncIterator[Line]:
        if isinstance(cue, CallStarted):
            yield GREETING
        elif not isinstance(cue, CallEnded):
            self.n_asked += 1
            await asyncio.sleep(self.first_token)
            yield ANSWER


async def measure(
    ears: Ears,
    voice: str,
    answers: int = ANSWERS,
    *,
    eager: bool = False,
    round_trip: float = ROUND_TRIP,
    seed: int = 1,
) -> Row:
    """One call with so many answers; on a `ClockLoop`.

    Raises:
        LinesideError: an answer did not come.
    """
    model, dice = Model(), random.Random(seed)
    lineside = LinesideSettings.model_construct(agent_loop="app", ears=ears, voice=voice, eager=eager)
    others = TwilioSettings.model_construct(), DeepgramSettings.model_construct(), ElevenLabsSettings.model_construct()
    room = PhoneSettings("", round_trip_s=round_trip)
    paths: list[float] = []
    async with simulation(lambda _: model, settings=Settings(lineside, *others), phone=room) as sim:
        call = await sim.phone.dial()
        await sim.turn_over(call)
        for n in range(answers):
            paths.append(_draw(cast(Provider, sim.provider), model, ears, voice, dice, eager=eager) + round_trip)
            await _ask(sim, call, n, dice)
        gaps = call.reply_delays()
        await call.hang_up()
        await sim.idle()
    if len(gaps) != answers:
        raise LinesideError(f"expected {answers} answers, got {len(gaps)}")
    return Row(ears, voice, eager, gaps, paths)


async def _ask(sim: Simulation, call: PhoneCall, nth: int, dice: random.Random) -> None:
    """Say something, at no particular place in the recogniser's chunks, and hear the answer out."""
    await asyncio.sleep(dice.uniform(1.0, 2.0))
    call.speak(encode(dice.choice(ASKED)))
    await sim.turn_over(call, nth + 2)


def _draw(provider: Provider, model: Model, ears: Ears, voice: str, dice: random.Random, *, eager: bool) -> float:
    """Decide how long everybody takes for the next answer; the sum of it but for the network."""
    faults = provider.faults
    final, first_audio = _log_normal(dice, FINAL[ears]), _log_normal(dice, FIRST_AUDIO[voice])
    model.first_token = _log_normal(dice, FIRST_TOKEN)
    faults.first_audio_delay_s = first_audio
    hearing = faults.recogniser
    hearing.final_latency_s = hearing.flux_latency_s = hearing.commit_latency_s = final
    hearing.interim_latency_s = hearing.event_latency_s = min(0.1, final)  # or they would hold the final up
    silence = EAGER_SILENCE if eager else SILENCE[ears]
    hearing.flux_confidence_per_s = SURE / silence
    return CHUNK[ears] / RATE + silence + final + model.first_token + first_audio


def _log_normal(dice: random.Random, figures: tuple[float, float]) -> float:
    """A draw; `figures`: the median and the 99th percentile."""
    median, tail = figures
    return dice.lognormvariate(math.log(median), math.log(tail / median) / TAIL)


def main(answers: int = ANSWERS) -> bool:
    """Measure every pair of ears and voice, and each voice with eager turns; print. True: every bound holds."""
    kinds: list[tuple[Ears, str, bool]] = [(ears, voice, False) for ears, voice in product(EARS, VOICES)]
    kinds += [("deepgram-flux", voice, True) for voice in VOICES]
    sys.stdout.write(
        f"{'ears':<22}{'voice':<19}{'gap p50':>8}{'p99':>7}{'path p50':>10}{'p99':>7}{'beyond p50':>12}{'p99':>7}\n"
    )
    held = True
    for seed, (ears, voice, eager) in enumerate(kinds):
        with asyncio.Runner(loop_factory=ClockLoop) as runner:
            row = runner.run(measure(ears, voice, answers, eager=eager, seed=seed))
        sys.stdout.write(_line(row) + "\n")
        sys.stdout.flush()
        held = held and row.holds
    sys.stdout.write(
        f"ms, {answers} answers a row, round trip {ROUND_TRIP * 1000:.0f} ms. Bounds: beyond the path at most "
        f"{LIMITS[0] * 1000:+.0f} p50 and {LIMITS[1] * 1000:+.0f} p99; with eager turns below it by a chunk.\n"
    )
    return held


def _line(row: Row) -> str:
    gap, path, beyond = (
        [f"{1000 * each:.0f}" for each in pair]
        for pair in (
            percentiles(row.gaps),
            percentiles(row.paths),
            row.beyond,
        )
    )
    name = row.ears + (" eager" if row.eager else "")
    figures = f"{gap[0]:>8}{gap[1]:>7}{path[0]:>10}{path[1]:>7}{beyond[0]:>12}{beyond[1]:>7}"
    return f"{name:<22}{row.voice:<19}{figures}{'' if row.holds else '  MISSED'}"
