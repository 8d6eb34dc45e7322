"""One stream of text on ElevenLabs' sockets: buffered, generated segment by segment, ended by a final.

The single-context socket has one of these, the multi-context socket up to five at once.

Source: https://elevenlabs.io/docs/developers/guides/cookbooks/multi-context-web-socket
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from websockets.exceptions import ConnectionClosed

from lineside.standin.elevenlabs_alignment import Alignment, align, normalise
from lineside.standin.elevenlabs_buffer import TextBuffer
from lineside.standin.elevenlabs_errors import Ending
from lineside.standin.elevenlabs_messages import Message
from lineside.standin.elevenlabs_outlet import Outlet, now, wait
from lineside.standin.record import Spoken
from lineside.standin.voice import Rendering, encode, speak

SEGMENTS_WAITING = 256  # beyond it the client is not read


@dataclass(slots=True, eq=False)
class _Segment:
    """Text to be generated in one go, and how far that got."""

    text: str
    speed: float
    audio: bytes = b""
    n_sent: int = 0
    n_late: int = 0
    began_at: float | None = None
    cut: bool = False


class Context:
    """From its first message to its final. `heard_at` is the loop time of the last text.

    Args:
        first: the message that opens it, which decides its settings; not yet taken.
    """

    state: Literal["open", "closing", "lost", "over"] = "open"
    """`closing`: its final will come; `lost`: closed, and it will not; `over`: its slot is free."""

    def __init__(self, context_id: str | None, first: Message, outlet: Outlet) -> None:
        self.id = context_id
        self.heard_at = now()
        self._outlet = outlet
        self._faults, self._record = outlet.studio.faults, outlet.studio.record
        self._voice_settings = first.voice_settings
        self._taken_first = False
        self._buffer = TextBuffer(auto_mode=outlet.settings.auto_mode, schedule=first.schedule)
        self._segments: asyncio.Queue[_Segment | None] = asyncio.Queue(SEGMENTS_WAITING)
        self._unended: list[_Segment] = []
        self._cut = asyncio.Event()
        self._cancelled = False
        self._late_bytes_left: int | None = None  # None: no limit
        self._n_samples = 0
        self._n_frames = 0
        self._task: asyncio.Task[None] | None = None

    def start(self, tasks: asyncio.TaskGroup) -> asyncio.Task[None]:
        """Begin to generate; the task ends with the final."""
        self._task = tasks.create_task(self._run())
        return self._task

    # -- the client's side -------------------------------------------------------------------------------------------

    async def take(self, message: Message) -> None:
        """Take text, a flush, or a keep-alive.

        Raises:
            Ending: it changes what must not change.
        """
        faults = self._faults.elevenlabs
        is_first, self._taken_first = not self._taken_first, True
        if not is_first:
            self._take_settings(message)
        if message.text is not None or faults.any_message_resets_idle:
            self.heard_at = now()
        text = message.text or ""
        if text and not text[-1].isspace() and not message.flush:
            self._record.breach("missing_trailing_space")
        if is_first and text == " " and not faults.init_space_is_text:
            text = ""
        await self._generate(
            self._buffer.add(
                text,
                flush=message.flush,
                try_trigger_from=faults.try_trigger_chars if message.try_trigger and not is_first else None,
                cut_at=faults.cut_at,
            )
        )

    def _take_settings(self, message: Message) -> None:
        if message.voice_settings is not None and message.voice_settings != self._voice_settings:
            if self._faults.elevenlabs.voice_settings_change == "refuse":
                raise Ending("voice_settings_changed", "voice_settings_changed", context_id=self.id)
            self._record.breach("voice_settings_changed")
            self._voice_settings = message.voice_settings
        if message.schedule is not None and message.schedule != self._buffer.schedule:
            self._record.breach("late_generation_config")  # the guide allows it, the reference does not
            self._buffer.schedule = message.schedule
        if message.has_dictionaries:
            self._record.breach("late_dictionaries")

    async def _generate(self, texts: list[str]) -> None:
        speed = (self._voice_settings or {}).get("speed") or 1.0
        for text in texts:
            segment = _Segment(text, speed)
            self._unended.append(segment)
            await self._segments.put(segment)

    async def finish(self) -> None:
        """End it: generate the rest, then say so."""
        self.state = "closing"
        await self._generate(self._buffer.take())
        await self._segments.put(None)

    async def close(self) -> None:
        """End it as `close_context` does: text that waits in the buffer is lost."""
        faults = self._faults.elevenlabs
        self.state, self._cancelled = "closing", True
        self._buffer.clear()
        if self._n_frames:
            self._limit_late_audio(faults.drain_after_close_s)
        elif faults.close_race != "off" and self._unended:
            self._cut_rest()
            if faults.close_race == "nothing":
                self.state = "lost"
                return
        await self._segments.put(None)

    def _limit_late_audio(self, seconds: float | None) -> None:
        if seconds is not None:
            settings = self._outlet.settings
            self._late_bytes_left = round(seconds * settings.rate) * settings.sample_bytes
            if not self._late_bytes_left:
                self._cut_rest()

    def drop(self) -> None:
        """End it at once, without a final."""
        self.state = "over"
        self._cut_rest()
        for segment in tuple(self._unended):
            segment.cut = True
            self._note(segment)
        if self._task:
            self._task.cancel()

    def _cut_rest(self) -> None:
        self._cut.set()
        self._outlet.account.recheck()

    # -- the service's side ------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        account = self._outlet.account
        try:
            while (segment := await self._segments.get()) is not None:
                segment.cut = not await account.begin(self._cut)
                if not segment.cut:
                    try:
                        await self._speak(segment)
                    finally:
                        account.end()
                self._note(segment)
            self.state = "over"
            await self._outlet.send_final(self.id)
        except ConnectionClosed:
            pass  # whoever reads the socket drops us

    async def _speak(self, segment: _Segment) -> None:
        """Generate a segment and send it at its pace, until it is cut."""
        outlet, studio = self._outlet, self._outlet.studio
        segment.began_at = now()
        if self._faults.zero_audio or not outlet.account.pay(len(segment.text)):
            return
        rendering = await speak(studio.voice, segment.text, segment.speed)
        segment.audio = await encode(studio.voice, rendering, outlet.settings.encoding, outlet.settings.rate)
        due_at = segment.began_at + self._faults.first_audio_delay_s
        for audio, alignment, normalised in self._frames(segment, rendering):
            await outlet.suffer_faults(self._cut)
            await wait(due_at - now(), self._cut)
            if self._cut.is_set():
                segment.cut = True
                return
            await self._send(segment, audio, alignment, normalised)
            due_at = max(due_at, now()) + outlet.gap(len(audio))  # what a stall held up comes no faster after it
        await outlet.suffer_faults(self._cut)

    def _frames(
        self, segment: _Segment, rendering: Rendering
    ) -> Iterator[tuple[bytes, Alignment | None, Alignment | None]]:
        """The segment's messages: audio, alignment, normalised alignment."""
        settings, faults = self._outlet.settings, self._faults.elevenlabs
        begins, begin_ms = not self._n_samples, self._ms
        self._n_samples += len(segment.audio) // settings.sample_bytes
        raw = align(segment.text, rendering.words, self._ms - begin_ms)  # so that rounding does not add up
        normalised = normalise(raw, begins=begins, expands_numbers=settings.expands_numbers)
        sizes = self._outlet.sizes(len(segment.audio))
        at = 0
        while at < len(segment.audio):
            end = at + next(sizes)
            audio = segment.audio[at:end]
            if not settings.sync_alignment:
                yield (audio, None, None) if at else (audio, raw, normalised)
            else:
                from_ms = at * 1000 / settings.bytes_per_s
                to_ms = end * 1000 / settings.bytes_per_s if end < len(segment.audio) else math.inf
                shift_ms = int(from_ms) if faults.sync_alignment_from == "frame" else 0
                yield (
                    audio,
                    raw.between(from_ms, to_ms, shift_ms=shift_ms),
                    normalised.between(from_ms, to_ms, shift_ms=shift_ms),
                )
            at = end

    @property
    def _ms(self) -> int:
        """The audio of all segments so far, in whole ms, rounded down."""
        return self._n_samples * 1000 // self._outlet.settings.rate

    async def _send(
        self, segment: _Segment, audio: bytes, alignment: Alignment | None, normalised: Alignment | None
    ) -> None:
        if self._late_bytes_left is not None:
            audio = audio[: self._late_bytes_left]
            self._late_bytes_left -= len(audio)
            if not self._late_bytes_left:
                self._cut_rest()
        if self._outlet.open:
            segment.n_sent += len(audio)
            segment.n_late += len(audio) if self._cancelled else 0
            if segment.n_sent == len(segment.audio):
                self._note(segment)  # before the client can have it, so that the record is never behind the client
        self._n_frames += 1
        await self._outlet.send_audio(audio, alignment, normalised, self.id)

    def _note(self, segment: _Segment) -> None:
        """Put a segment that has ended into the record, once."""
        if segment not in self._unended:
            return
        self._unended.remove(segment)
        began_at = now() if segment.began_at is None else segment.began_at
        audio, number = segment.audio[: segment.n_sent], self._outlet.number
        self._record.spoke(Spoken(number, segment.text, audio, began_at, segment.cut, segment.n_late))
