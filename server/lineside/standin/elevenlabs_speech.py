"""ElevenLabs' two TTS sockets, served strictly: the endpoint, which judges handshakes and makes sessions.

Sources: https://elevenlabs.io/docs/api-reference/text-to-speech/v-1-text-to-speech-voice-id-stream-input,
https://elevenlabs.io/docs/api-reference/text-to-speech/v-1-text-to-speech-voice-id-multi-stream-input
"""

from __future__ import annotations

import re
from urllib.parse import unquote
from weakref import WeakValueDictionary

from lineside.standin.elevenlabs_account import Account
from lineside.standin.elevenlabs_multi import Multi
from lineside.standin.elevenlabs_outlet import Outlet
from lineside.standin.elevenlabs_session import Session
from lineside.standin.elevenlabs_stream import Stream
from lineside.standin.elevenlabs_upgrade import find_key, read_query, refusal, response_headers
from lineside.standin.endpoint import Admission, Refusal, Socket, Studio, Upgrade


class ElevenLabsSpeech:
    """The endpoint of both sockets, since they share their accounts."""

    pattern = re.compile("/v1/text-to-speech/(?P<voice_id>[^/]+)/(?P<kind>(multi-)?stream-input)")

    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._accounts: WeakValueDictionary[str, Account] = WeakValueDictionary()  # by key, while somebody uses it

    def admit(self, upgrade: Upgrade) -> Admission:
        studio, faults = self._studio, self._studio.faults.elevenlabs
        voice_id, kind = unquote(upgrade.path["voice_id"]), upgrade.path["kind"]
        settings = read_query(voice_id, kind, upgrade.query, faults=faults, note=studio.record.breach)
        key = find_key(upgrade.headers, upgrade.query)
        account = self._accounts.get(key or "")
        if account and account.full and faults.overload == "refuse":
            raise refusal(
                429,
                "concurrent_limit_exceeded",
                breach="max_generations",
                headers={
                    "current-concurrent-requests": str(account.running),
                    "maximum-concurrent-requests": str(faults.max_generations),
                },
            )

        async def serve(socket: Socket, number: int) -> None:
            outlet = Outlet(socket, number, settings, studio)
            await Session(socket, outlet, key, self._account, Multi if settings.multi else Stream).run()

        return Admission(serve, response_headers())

    def refuse(self, status: int) -> Refusal:
        return refusal(status)

    def _account(self, key: str) -> Account:
        return self._accounts.setdefault(key, Account(self._studio))
