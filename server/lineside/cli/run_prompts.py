"""`lineside prompts`: fixed lines, spoken before anybody calls."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from lineside.cli.run_say import spoken
from lineside.errors import SettingsError
from lineside.settings import Settings
from lineside.speech.prompt_store import PromptStore, key_of
from lineside.talk.speakable import speakable
from lineside.voices import Voices

ALL = "all"


def lines_of(file: Path) -> list[str]:
    """The prompts in a file.

    Raises:
        SettingsError: it cannot be read, or holds none.
    """
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsError(f"{file}: {exc.strerror if isinstance(exc, OSError) else 'not text in UTF-8'}") from None
    prompts = [line for line in lines if line and not line.startswith("#")]
    if not prompts:
        raise SettingsError(f"{file} holds no prompt; write one a line")
    return prompts


async def render(settings: Settings, texts: Sequence[str]) -> None:
    """Speak what is not kept yet with the first configured voice, and keep it.

    Raises:
        SettingsError: there is no folder to keep prompts in.
        ProviderError: the provider did not speak one; those before it are kept.
    """
    store = _store(settings)
    async with Voices(settings) as voices:
        voice = voices.lead[0]
        async with voice.connect() as speech:
            for text in texts:
                fit = speakable(text).strip() if settings.lineside.clean_text else text
                prompt = await asyncio.to_thread(store.read, key_of(voice.fingerprint, fit))
                verb = "kept" if prompt else "spoken"
                if prompt is None:
                    prompt = await spoken(speech, fit, voice.fingerprint)
                    await asyncio.to_thread(store.write, prompt)
                print(f"{prompt.key[:8]}  {prompt.seconds:5.1f} s  {verb}  {prompt.text}")


def show(settings: Settings) -> None:
    """Print every prompt that is kept."""
    for prompt in _store(settings).prompts():
        print(f"{prompt.key[:8]}  {prompt.seconds:5.1f} s  {prompt.voice}  {prompt.text}")


def remove(settings: Settings, keys: Sequence[str]) -> None:
    """Forget prompts by their keys or the beginnings of these.

    Raises:
        SettingsError: no prompt has such a key, or several have.
    """
    store = _store(settings)
    known = [prompt.key for prompt in store.prompts()]
    for key in known if list(keys) == [ALL] else keys:
        found = [each for each in known if each.startswith(key)]
        if len(found) != 1:
            raise SettingsError(f"{key}: {'no prompt has this key' if not found else 'more than one prompt has it'}")
        store.remove(found[0])
        print(f"{found[0][:8]}  forgotten")


def _store(settings: Settings) -> PromptStore:
    if not settings.lineside.prompts_folder:
        raise SettingsError("LINESIDE_PROMPTS_FOLDER is not set; set it to the folder that prompts are to be kept in")
    return PromptStore(Path(settings.lineside.prompts_folder), settings.lineside.prompts_max_mb << 20)
