"""Rendered prompts on disk: fixed lines, spoken once, kept with their timings.

A prompt is found by what made it: the voice's fingerprint (provider, model, settings) and the exact text. Only lines
that their author marked as fixed come here, so nothing that a caller said or is told alone is kept. Processes share a
folder: files appear by renaming, and a reader that finds one gone has simply missed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from lineside.errors import SettingsError
from lineside.events import Aligned

SUFFIX = ".prompt"
VERSION = 1
DEFAULT_BYTES = 256 << 20  # nine hours of speech


@dataclass(frozen=True, slots=True)
class Prompt:
    """A text as one voice speaks it."""

    voice: str
    """The voice's fingerprint."""
    text: str
    audio: bytes
    """Mu-law, 8 kHz."""
    timings: tuple[Aligned, ...] = ()
    """As the provider gave them; empty where it gives none."""

    @property
    def key(self) -> str:
        return key_of(self.voice, self.text)

    @property
    def seconds(self) -> float:
        return len(self.audio) / 8000


def key_of(voice: str, text: str) -> str:
    """The name under which a prompt is kept: 32 hexadecimal digits."""
    return hashlib.sha256(orjson.dumps([VERSION, voice, text])).hexdigest()[:32]


class PromptStore:
    """A folder of prompts, bounded in size. Its methods read and write files: call them from a thread.

    Args:
        most_bytes: of all files together; the ones that were used least lately go first.
    """

    def __init__(self, folder: Path, most_bytes: int = DEFAULT_BYTES) -> None:
        self._folder = folder
        self._most_bytes = most_bytes

    def read(self, key: str) -> Prompt | None:
        """The prompt of this key, or None. A file that cannot be understood counts as absent."""
        path = self._folder / f"{key}{SUFFIX}"
        try:
            content = path.read_bytes()
            prompt = _decode(content)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # used now: among the last to go
        return prompt if prompt.key == key else None

    def write(self, prompt: Prompt) -> None:
        """Keep a prompt.

        Raises:
            SettingsError: the folder cannot be written to.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=self._folder, prefix=".", suffix=".tmp")
            with os.fdopen(descriptor, "wb") as file:
                file.write(_encode(prompt))
            Path(temporary).replace(self._folder / f"{prompt.key}{SUFFIX}")
        except OSError as exc:
            raise SettingsError(f"LINESIDE_PROMPTS_FOLDER: cannot write to {self._folder}: {exc.strerror}") from exc
        self._evict()

    def prompts(self) -> Iterator[Prompt]:
        """All prompts that can be read, the one used last first."""
        for path in self._files():
            if (prompt := self.read(path.stem)) is not None:
                yield prompt

    def remove(self, key: str) -> bool:
        """Forget one; whether it was there."""
        try:
            (self._folder / f"{key}{SUFFIX}").unlink()
        except FileNotFoundError:
            return False
        return True

    def _files(self) -> list[Path]:
        used: list[tuple[float, Path]] = []
        for path in self._folder.glob(f"*{SUFFIX}"):
            with contextlib.suppress(FileNotFoundError):
                used.append((path.stat().st_mtime, path))
        return [path for _, path in sorted(used, reverse=True)]

    def _evict(self) -> None:
        total = 0
        for path in self._files():
            with contextlib.suppress(FileNotFoundError):
                total += path.stat().st_size
                if total > self._most_bytes:
                    path.unlink()


def _encode(prompt: Prompt) -> bytes:
    head = {
        "version": VERSION,
        "voice": prompt.voice,
        "text": prompt.text,
        "timings": [[timing.text, timing.starts_ms, timing.ends_ms] for timing in prompt.timings],
    }
    return orjson.dumps(head) + b"\n" + prompt.audio


def _decode(content: bytes) -> Prompt:
    head, _, audio = content.partition(b"\n")
    told = orjson.loads(head)
    if told["version"] != VERSION:
        raise ValueError(told["version"])
    timings = tuple(Aligned(text, tuple(starts), tuple(ends)) for text, starts, ends in told["timings"])
    return Prompt(told["voice"], told["text"], audio, timings)
