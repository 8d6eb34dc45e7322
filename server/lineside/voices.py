"""Voices from settings: which provider, which account, how it sounds, and who counts the account's slots."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import cached_property
from typing import Self, TypeVar

from pydantic import ValidationError

from lineside.audio.formats import AudioFormat
from lineside.errors import LinesideError, SettingsError
from lineside.ports import Voice
from lineside.settings import Settings
from lineside.settings_providers import DeepgramValues, ElevenLabsValues, VoiceSettings, account_settings
from lineside.speech.deepgram import DeepgramOptions, DeepgramVoice
from lineside.speech.elevenlabs import ElevenLabsOptions, ElevenLabsVoice
from lineside.speech.elevenlabs_stream import ElevenLabsStreamVoice
from lineside.speech.governor import Governor
from lineside.web.voice import RINGING
from lineside.wire.elevenlabs import VoiceOptions

LOCAL_VOICE_START = 20.0  # s for the local voice's process to say where it listens; it renders nothing before
_Values = TypeVar("_Values", DeepgramValues, ElevenLabsValues)

PROVIDERS = ("deepgram", "elevenlabs", "elevenlabs-stream", "local")


class _Recipe:
    """One voice's settings, complete."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self._settings = settings
        named = settings.lineside.voices.get(name)
        if named is None and name not in PROVIDERS:
            known = ", ".join((*PROVIDERS, *settings.lineside.voices))
            raise SettingsError(f"LINESIDE_VOICE: there is no voice {name!r}; expected one of {known}")
        self._named = named or VoiceSettings.model_validate({"provider": name})
        self.provider = self._named.provider

    def check(self) -> None:
        """Raises:
        SettingsError: it lacks a key, or has a value that cannot be.
        """
        match self.provider:
            case "deepgram":
                deepgram = self.deepgram
                self._settings.check_url(f"{self.prefix}_BASE_URL", deepgram.base_url, "wss")
                if not deepgram.api_key.get_secret_value() and not deepgram.access_token.get_secret_value():
                    raise self._no_key()
                self.deepgram_options(deepgram)
            case "elevenlabs" | "elevenlabs-stream":
                eleven = self.elevenlabs
                self._settings.check_url(f"{self.prefix}_BASE_URL", eleven.base_url, "wss")
                if not eleven.api_key.get_secret_value():
                    raise self._no_key()
                if not eleven.voice_id:
                    raise SettingsError(
                        f"{self.prefix}_VOICE_ID is not set; expected the id of a voice of your library"
                    )
                self.elevenlabs_options(eleven)

    @property
    def prefix(self) -> str:
        """What the names of its account's settings begin with."""
        return self._named.account.upper() or ("DEEPGRAM" if self.provider == "deepgram" else "ELEVENLABS")

    def _no_key(self) -> SettingsError:
        return SettingsError(
            f"{self.prefix}_API_KEY is not set. Set it, or choose the local voice, which needs no key: "
            "LINESIDE_VOICE=local"
        )

    @cached_property
    def deepgram(self) -> DeepgramValues:
        base = DeepgramValues.model_validate(self._settings.deepgram.model_dump())
        if self._named.account:
            base = account_settings(base, self.prefix)
        return self._with_overrides(base, model=self._named.model or self._named.voice)

    @cached_property
    def elevenlabs(self) -> ElevenLabsValues:
        base = ElevenLabsValues.model_validate(self._settings.elevenlabs.model_dump())
        if self._named.account:
            base = account_settings(base, self.prefix)
        more = {"model": self._named.model, "voice_id": self._named.voice, "language_code": self._named.language}
        return self._with_overrides(base, **more)

    def _with_overrides(self, base: _Values, **more: str) -> _Values:
        changes = {name: value for name, value in more.items() if value} | self._named.settings
        unknown = [name for name in changes if name not in type(base).model_fields]
        if unknown:
            raise SettingsError(f"[voices.{self.name}] {unknown[0]} is not a setting of {self.provider}")
        try:
            return type(base).model_validate({**base.model_dump(), **changes})
        except ValidationError as exc:
            error = exc.errors(include_url=False)[0]
            raise SettingsError(f"[voices.{self.name}] {error['loc'][0]}: {error['msg']}") from None

    @staticmethod
    def deepgram_options(deepgram: DeepgramValues) -> DeepgramOptions:
        return DeepgramOptions(
            api_key=deepgram.api_key.get_secret_value(),
            access_token=deepgram.access_token.get_secret_value(),
            base_url=deepgram.base_url,
            model=deepgram.model,
            audio=AudioFormat(deepgram.encoding, deepgram.sample_rate),
            speed="" if deepgram.speed is None else f"{deepgram.speed:g}",
            tags=tuple(deepgram.tags),
            mip_opt_out=deepgram.mip_opt_out,
        )

    @staticmethod
    def elevenlabs_options(eleven: ElevenLabsValues) -> ElevenLabsOptions:
        own = {"api_key", "base_url", "voice_id", "model", "max_generations", "chunk_length_schedule"}
        wire = VoiceOptions(
            api_key=eleven.api_key.get_secret_value(),
            model_id=eleven.model,
            chunk_length_schedule=tuple(eleven.chunk_length_schedule),
            pronunciation_dictionaries=tuple(eleven.pronunciation_dictionaries),
            **eleven.model_dump(exclude=own | {"pronunciation_dictionaries"}),
        )
        return ElevenLabsOptions(voice_id=eleven.voice_id, wire=wire, base_url=eleven.base_url)

    @property
    def language(self) -> str:
        return self._named.language


class Voices:
    """All voices of the process, by name, with a governor for each account. Enter it on the media loop.

    Raises:
        SettingsError: a voice that is named does not exist, or lacks what it needs.
    """

    def __init__(self, settings: Settings) -> None:
        if not settings.voices:
            raise SettingsError(f"LINESIDE_VOICE is empty; expected {', '.join(PROVIDERS)} or a [voices.NAME]")
        self._settings = settings
        names = [*settings.voices, *(name for name in settings.lineside.voices if name not in settings.voices)]
        self._recipes = {name: _Recipe(name, settings) for name in names}
        for recipe in self._recipes.values():
            recipe.check()
        self._stack = AsyncExitStack()
        self._governors: dict[tuple[str, str], Governor] = {}
        self._local_url = ""
        self.lead: list[Voice] = []
        """Those that take over from each other, the preferred one first."""
        self.extras: list[Voice] = []
        """Those that only lines ask for, by name."""
        self.languages: dict[str, str] = {}
        """The first voice of each language that one is named for."""

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for name, recipe in self._recipes.items():
                rank = self.lead if name in self._settings.voices else self.extras
                rank.append(await self._make(recipe, stack))
                if recipe.language:
                    self.languages.setdefault(recipe.language, name)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    @property
    def _patience(self) -> float:
        """Seconds to wait for a slot: what the caller lets it ring, shared by the voices that may be asked."""
        return RINGING / min(2, len(self._settings.voices))

    @property
    def governors(self) -> list[Governor]:
        return list(self._governors.values())

    async def _make(self, recipe: _Recipe, stack: AsyncExitStack) -> Voice:
        name = recipe.name
        match recipe.provider:
            case "deepgram":
                deepgram = recipe.deepgram
                options = replace(recipe.deepgram_options(deepgram), slot_wait=self._patience)
                return DeepgramVoice(name, options, self._governor("sockets", recipe.prefix, deepgram.max_connections))
            case "elevenlabs" | "elevenlabs-stream" as provider:
                eleven = recipe.elevenlabs
                governor = self._governor("generations", recipe.prefix, eleven.max_generations)
                kind = ElevenLabsVoice if provider == "elevenlabs" else ElevenLabsStreamVoice
                choices = replace(recipe.elevenlabs_options(eleven), generation_wait=self._patience)
                return kind(name, choices, governor)
        if not self._local_url:
            self._local_url = await stack.enter_async_context(local_voice())
        audio = AudioFormat(self._settings.deepgram.encoding, self._settings.deepgram.sample_rate)
        return DeepgramVoice(name, DeepgramOptions(api_key="local", base_url=self._local_url, audio=audio))

    def _governor(self, kind: str, account: str, slots: int) -> Governor:
        if (kind, account) not in self._governors:
            self._governors[kind, account] = Governor(f"{account} {kind}", slots)
        return self._governors[kind, account]


@asynccontextmanager
async def local_voice(kind: str = "espeak") -> AsyncIterator[str]:
    """The provider stand-in as a process of its own, which ends with this one; gives its ws:// address.

    Raises:
        LinesideError: it did not start.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "lineside.standin.provider",
        "--port",
        "0",
        "--voice",
        kind,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    if process.stdout is None or process.stdin is None:  # never: both were asked for
        raise LinesideError("the local voice has no pipes")
    try:
        try:
            async with asyncio.timeout(LOCAL_VOICE_START):
                line = (await process.stdout.readline()).decode().strip()
        except TimeoutError:
            line = ""
        if not line.startswith("listening on "):
            raise LinesideError("the local voice did not start; `pip install 'lineside[demo]'` brings what it needs")
        yield line.removeprefix("listening on ")
    finally:
        process.stdin.close()  # its sign to stop
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
