"""Speech that is kept: fixed lines come from the store where they are there, and go into it where they are not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from lineside.errors import LinesideError
from lineside.events import Aligned, Audio, Finished, Flushed, Lost, SpeechEvent
from lineside.ports import Speech, Utterance
from lineside.speech.prompt_store import Prompt, PromptStore, key_of

log = logging.getLogger(__name__)

RECENT = 64  # prompts kept in memory: a prompt is some tens of kilobytes, and a menu is heard over and over


class PromptShelf:
    """A store with its most used prompts in memory; one for all calls of the process."""

    def __init__(self, store: PromptStore) -> None:
        self._store = store
        self._recent: dict[str, Prompt] = {}
        self._writing: set[asyncio.Task[None]] = set()

    def recent(self, key: str) -> Prompt | None:
        """The prompt, if it is at hand without waiting."""
        return self._recent.get(key)

    async def find(self, key: str) -> Prompt | None:
        """The prompt, if it is kept."""
        if (prompt := self._recent.get(key)) is None:
            prompt = await asyncio.to_thread(self._store.read, key)
            if prompt is not None:
                self._remember(prompt)
        return prompt

    def keep(self, prompt: Prompt) -> None:
        """Keep it, in memory now and on disk soon."""
        self._remember(prompt)
        task = asyncio.get_running_loop().create_task(self._write(prompt))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def settle(self) -> None:
        """Wait until everything is on disk."""
        await asyncio.gather(*self._writing)

    async def _write(self, prompt: Prompt) -> None:
        try:
            await asyncio.to_thread(self._store.write, prompt)
        except LinesideError as exc:
            log.warning("a prompt was not kept: %s", exc)

    def _remember(self, prompt: Prompt) -> None:
        self._recent.pop(prompt.key, None)
        self._recent[prompt.key] = prompt
        while len(self._recent) > RECENT:
            del self._recent[next(iter(self._recent))]


class KeptSpeech:
    """A call's line to a provider as `Speech` for fixed lines. The provider is asked only for what is not kept.

    Args:
        fingerprint: what makes the voice sound as it does.
    """

    def __init__(self, speech: Speech, shelf: PromptShelf, fingerprint: str) -> None:
        self._speech = speech
        self._shelf = shelf
        self._fingerprint = fingerprint
        self.voice_name = speech.voice_name
        self.max_chars = speech.max_chars

    @property
    def ready(self) -> bool:
        return self._speech.ready

    @property
    def admitted(self) -> bool:
        return self._speech.admitted

    def prepare(self) -> None:
        self._speech.prepare()

    def utterance(self, listener: Callable[[SpeechEvent], None]) -> Utterance:
        return _KeptUtterance(self._speech, self._shelf, self._fingerprint, listener)


class _KeptUtterance:
    """One run of fixed text. Nothing is spoken before all of it is there: fixed lines are given whole."""

    def __init__(
        self, speech: Speech, shelf: PromptShelf, fingerprint: str, listener: Callable[[SpeechEvent], None]
    ) -> None:
        self._speech = speech
        self._shelf = shelf
        self._fingerprint = fingerprint
        self._listener = listener
        self._texts: list[str] = []
        self._flushes = 0
        self._looking: asyncio.Task[None] | None = None
        self._spoken: Utterance | None = None
        self._audio = bytearray()
        self._timings: list[Aligned] = []
        self._cancelled = False

    def say(self, text: str) -> None:
        self._texts.append(text)

    def flush(self) -> None:
        self._flushes += 1

    def finish(self) -> None:
        key = key_of(self._fingerprint, self._text)
        if (prompt := self._shelf.recent(key)) is not None:
            self._play(prompt)
        else:
            self._looking = asyncio.get_running_loop().create_task(self._look(key), name="prompt")

    def cancel(self) -> None:
        self._cancelled = True
        if self._looking is not None:
            self._looking.cancel()
        if self._spoken is not None:
            self._spoken.cancel()

    @property
    def _text(self) -> str:
        return "".join(self._texts).strip()

    async def _look(self, key: str) -> None:
        prompt = await self._shelf.find(key)
        if self._cancelled:
            return
        if prompt is not None:
            self._play(prompt)
            return
        self._spoken = self._speech.utterance(self._record)
        for text in self._texts:
            self._spoken.say(text)
        self._spoken.finish()

    def _play(self, prompt: Prompt) -> None:
        for timing in prompt.timings:
            self._listener(timing)
        self._listener(Audio(prompt.audio))
        self._end()

    def _end(self) -> None:
        for _ in range(self._flushes):
            self._listener(Flushed())
        self._listener(Finished())

    def _record(self, event: SpeechEvent) -> None:
        match event:
            case Audio(data):
                self._audio += data
                self._listener(event)
            case Aligned():
                self._timings.append(event)
                self._listener(event)
            case Finished():
                prompt = Prompt(self._fingerprint, self._text, bytes(self._audio), tuple(self._timings))
                if prompt.audio:
                    self._shelf.keep(prompt)
                self._end()
            case Flushed():
                pass  # its own; those that were asked of us are answered at the end
            case Lost():
                self._listener(event)
            case _:
                self._listener(event)
