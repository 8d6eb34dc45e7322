"""The recogniser from settings."""

from __future__ import annotations

from lineside.errors import SettingsError
from lineside.hearing.deepgram import DeepgramEar, DeepgramEarOptions
from lineside.hearing.deepgram_flux import DeepgramFluxEar, DeepgramFluxEarOptions
from lineside.hearing.elevenlabs import ElevenLabsEar, ElevenLabsEarOptions
from lineside.ports import Ear
from lineside.settings import Settings
from lineside.wire.deepgram_flux_listen import FluxOptions
from lineside.wire.deepgram_listen import ListenOptions
from lineside.wire.elevenlabs_scribe import ScribeOptions


def ear_of(settings: Settings) -> Ear | None:
    """Who hears the caller; None when nobody does, so that audio is not even decoded.

    Raises:
        SettingsError: the provider's key is missing, or a value cannot be.
    """
    lineside, deepgram, eleven = settings.lineside, settings.deepgram, settings.elevenlabs
    language = lineside.language
    match lineside.ears:
        case "deepgram":
            key = _key("DEEPGRAM", deepgram.api_key.get_secret_value())
            return DeepgramEar(
                "deepgram",
                DeepgramEarOptions(api_key=key, base_url=deepgram.base_url, listen=ListenOptions(language=language)),
            )
        case "deepgram-flux":
            key = _key("DEEPGRAM", deepgram.api_key.get_secret_value())
            model = "flux-general-en" if language.startswith("en") else "flux-general-multi"
            return DeepgramFluxEar(
                "deepgram-flux",
                DeepgramFluxEarOptions(api_key=key, base_url=deepgram.base_url, flux=FluxOptions(model=model)),
            )
        case "elevenlabs":
            key = _key("ELEVENLABS", eleven.api_key.get_secret_value())
            scribe = ScribeOptions(language_code=language.partition("-")[0])
            return ElevenLabsEar(
                "elevenlabs", ElevenLabsEarOptions(api_key=key, base_url=eleven.base_url, scribe=scribe)
            )
    return None


def _key(prefix: str, key: str) -> str:
    if not key:
        raise SettingsError(f"{prefix}_API_KEY is not set, and LINESIDE_EARS needs it. Set it, or LINESIDE_EARS=none.")
    return key
