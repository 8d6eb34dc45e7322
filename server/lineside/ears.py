"""The recogniser from settings."""

from __future__ import annotations

from lineside.errors import SettingsError
from lineside.hearing.deepgram import deepgram_ear
from lineside.hearing.deepgram_flux import deepgram_flux_ear
from lineside.hearing.elevenlabs import elevenlabs_ear
from lineside.ports import Ear
from lineside.settings import Settings
from lineside.wire.deepgram_flux_listen import FluxOptions
from lineside.wire.deepgram_listen import ListenOptions
from lineside.wire.elevenlabs_scribe import ScribeOptions

# The confidence at which the agent may begin unheard, in the middle of the usual 0.3 to 0.5: the answer is ready 150 to
# 250 ms sooner for half as many answers again.
# Source: https://developers.deepgram.com/docs/flux/configuration,
# https://developers.telnyx.com/docs/voice/stt/websocket-streaming/parameters/end-of-turn
EAGER_THRESHOLD = 0.4
# Nova and Scribe have no such event, and none can be made of theirs: a short endpointing could stand for it, but then
# the end itself would be Nova's UtteranceEnd, a second or more after the last word, and the caller would hear no answer
# before that; an `is_final` alone says that a stretch of audio is over, mid-sentence or not.
EAGER_EARS = ("deepgram-flux",)


def ear_of(settings: Settings) -> Ear | None:
    """Who hears the caller; None when nobody does, so that audio is not even decoded.

    Raises:
        SettingsError: the provider's key is missing, or a value cannot be.
    """
    lineside, deepgram, eleven = settings.lineside, settings.deepgram, settings.elevenlabs
    language = lineside.language
    if lineside.eager and lineside.ears not in EAGER_EARS:
        raise SettingsError(
            f"LINESIDE_EAGER is on, but LINESIDE_EARS={lineside.ears} cannot tell that the caller has probably "
            f"finished. Set LINESIDE_EARS={' or '.join(EAGER_EARS)}, or LINESIDE_EAGER=false."
        )
    match lineside.ears:
        case "deepgram":
            key = _key("DEEPGRAM", deepgram.api_key.get_secret_value())
            return deepgram_ear(key, deepgram.base_url, ListenOptions(language=language))
        case "deepgram-flux":
            key = _key("DEEPGRAM", deepgram.api_key.get_secret_value())
            model = "flux-general-en" if language.startswith("en") else "flux-general-multi"
            eager = EAGER_THRESHOLD if lineside.eager else None
            return deepgram_flux_ear(key, deepgram.base_url, FluxOptions(model=model, eager_eot_threshold=eager))
        case "elevenlabs":
            key = _key("ELEVENLABS", eleven.api_key.get_secret_value())
            return elevenlabs_ear(key, eleven.base_url, ScribeOptions(language_code=language.partition("-")[0]))
    return None


def _key(prefix: str, key: str) -> str:
    if not key:
        raise SettingsError(f"{prefix}_API_KEY is not set, and LINESIDE_EARS needs it. Set it, or LINESIDE_EARS=none.")
    return key
