"""The recogniser from settings."""

from __future__ import annotations

from dataclasses import replace

from lineside.errors import SettingsError
from lineside.hearing.deepgram import deepgram_ear
from lineside.hearing.deepgram_flux import deepgram_flux_ear
from lineside.hearing.ear import SocketEar
from lineside.hearing.elevenlabs import elevenlabs_ear
from lineside.ports import Ear
from lineside.settings import LinesideSettings, Settings
from lineside.settings_providers import DeepgramSettings
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
# Those that tell `SpeechStarted`; Scribe has no message for it.
# Source: https://elevenlabs.io/docs/api-reference/speech-to-text/v-1-speech-to-text-realtime
ONSET_EARS = ("deepgram", "deepgram-flux")


def ear_of(settings: Settings) -> Ear | None:
    """Who hears the caller; None when nobody does, so that audio is not even decoded.

    Raises:
        SettingsError: the provider's key is missing, a value cannot be, or two of them contradict each other.
    """
    lineside, deepgram, eleven = settings.lineside, settings.deepgram, settings.elevenlabs
    _check_choices(lineside)
    language = lineside.language.partition("-")[0]
    match lineside.ears:
        case "deepgram":
            listen = ListenOptions(
                language=lineside.language, mip_opt_out=deepgram.mip_opt_out, tags=tuple(deepgram.tags)
            )
            key = _deepgram_key(settings)
            return _with_token(deepgram_ear(key, deepgram.base_url, listen), deepgram)
        case "deepgram-flux":
            english = language == "en"
            flux = FluxOptions(
                model="flux-general-en" if english else "flux-general-multi",
                eager_eot_threshold=EAGER_THRESHOLD if lineside.eager else None,
                language_hints=() if english or language == "multi" else (language,),
                mip_opt_out=deepgram.mip_opt_out,
                tags=tuple(deepgram.tags),
            )
            key = _deepgram_key(settings)
            return _with_token(deepgram_flux_ear(key, deepgram.base_url, flux), deepgram)
        case "elevenlabs":
            settings.check_url("ELEVENLABS_BASE_URL", eleven.base_url, "wss")
            key = eleven.api_key.get_secret_value()
            if not key:
                raise _no_key("ELEVENLABS")
            scribe = ScribeOptions(language_code=language, enable_logging=eleven.enable_logging)
            return elevenlabs_ear(key, eleven.base_url, scribe)
    return None


def _check_choices(lineside: LinesideSettings) -> None:
    """What would be passed over in silence, call after call."""
    ears = lineside.ears
    if lineside.eager and ears not in EAGER_EARS:
        raise SettingsError(
            f"LINESIDE_EAGER is on, but LINESIDE_EARS={ears} cannot tell that the caller has probably "
            f"finished. Set LINESIDE_EARS={' or '.join(EAGER_EARS)}, or LINESIDE_EAGER=false."
        )
    if ears == "none" and lineside.vad != "none":
        raise SettingsError(
            f"LINESIDE_VAD={lineside.vad}, but LINESIDE_EARS=none: nobody listens. Set LINESIDE_EARS, or "
            "LINESIDE_VAD=none."
        )
    if ears == "none" and lineside.turn_policy == "vad":
        raise SettingsError(
            "LINESIDE_TURN_POLICY=vad, but LINESIDE_EARS=none: nobody listens. Set LINESIDE_EARS, or "
            "LINESIDE_TURN_POLICY=words."
        )
    if lineside.turn_policy == "vad" and lineside.vad == "none" and ears not in ONSET_EARS:
        raise SettingsError(
            "LINESIDE_TURN_POLICY=vad needs something that tells when speech begins, and "
            f"LINESIDE_EARS={ears} does not. Set LINESIDE_VAD=local, or LINESIDE_TURN_POLICY=words."
        )


def _deepgram_key(settings: Settings) -> str:
    """The account's key; empty when a token takes its place."""
    deepgram = settings.deepgram
    settings.check_url("DEEPGRAM_BASE_URL", deepgram.base_url, "wss")
    key = deepgram.api_key.get_secret_value()
    if not key and not deepgram.access_token.get_secret_value():
        raise _no_key("DEEPGRAM")
    return key


def _with_token(ear: SocketEar, deepgram: DeepgramSettings) -> SocketEar:
    """With the temporary token where there is no key. It is looked at when a socket opens, and may expire after that;
    the key comes first, because an ear opens another socket whenever it loses one.

    Source: https://developers.deepgram.com/guides/fundamentals/token-based-authentication
    """
    if not deepgram.api_key.get_secret_value():
        token = deepgram.access_token.get_secret_value()
        ear.habits = replace(ear.habits, headers={"Authorization": f"Bearer {token}"})
    return ear


def _no_key(prefix: str) -> SettingsError:
    return SettingsError(f"{prefix}_API_KEY is not set, and LINESIDE_EARS needs it. Set it, or LINESIDE_EARS=none.")
