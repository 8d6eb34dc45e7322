"""Twilio's REST side: ending a call.

The vendor's own package is not used here: it takes a second to import, and has no deadline.

Source: https://www.twilio.com/docs/voice/api/call-resource, https://www.twilio.com/docs/api/errors/20404
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import aiohttp
import orjson

from lineside.errors import CarrierError

BASE_URL = "https://api.twilio.com"
DEADLINE = 3.0  # s for an answer; closing the leg ends the call too, and the caller is waiting
CALL_IS_OVER = 20404  # "not found", which a call that has ended answers to changes


@dataclass(frozen=True, slots=True)
class Account:
    """A Twilio account that may send us calls."""

    sid: str
    tokens: tuple[str, ...] = field(repr=False)
    """Auth tokens, the primary first; the second one during a rotation. They sign webhooks."""
    api_key: str = ""
    api_secret: str = field(default="", repr=False)
    base_url: str = ""
    """Another host for the REST API; empty for Twilio's own."""

    @property
    def authorization(self) -> str:
        """Header with which requests are made: by API key where there is one."""
        user, password = (self.api_key, self.api_secret) if self.api_key else (self.sid, self.tokens[0])
        return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


class TwilioRest:
    """See `lineside.ports.Carrier`. One HTTP client for all calls and accounts of the process."""

    def __init__(self, accounts: Mapping[str, Account]) -> None:
        self._accounts = accounts
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        no_limits = aiohttp.ClientTimeout(total=None, sock_connect=None)  # DEADLINE is one for all of it
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), timeout=no_limits)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def hang_up(self, call_id: str, account_id: str) -> None:
        account = self._accounts.get(account_id)
        if account is None:
            raise CarrierError("no credentials for the account that owns the call")
        path = f"/2010-04-01/Accounts/{account.sid}/Calls/{call_id}.json"
        try:
            async with asyncio.timeout(DEADLINE):
                try:
                    status, code = await self._post(account, path, {"Status": "completed"})
                except aiohttp.ServerDisconnectedError:  # an idle connection timed out just now; twice does no harm
                    status, code = await self._post(account, path, {"Status": "completed"})
        except TimeoutError as exc:
            raise CarrierError(f"Twilio did not answer within {DEADLINE:g} s") from exc
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            raise CarrierError(f"Twilio cannot be reached: {type(exc).__name__}") from exc
        if not 200 <= status < 300 and code != CALL_IS_OVER:
            raise CarrierError(f"Twilio refused to end the call: HTTP {status}, code {code}")

    async def _post(self, account: Account, path: str, form: Mapping[str, str]) -> tuple[int, int | None]:
        """HTTP status and, of a refusal, Twilio's error code."""
        if self._session is None:
            raise CarrierError("the REST client is not open")
        url = (account.base_url or BASE_URL).rstrip("/") + path
        headers = {"Authorization": account.authorization, "Accept": "application/json"}
        async with self._session.post(url, data=form, headers=headers, allow_redirects=False) as response:
            if response.status < 300:
                return response.status, None
            return response.status, _error_code(await response.read())


def _error_code(body: bytes) -> int | None:
    try:
        code = orjson.loads(body)["code"]
    except (ValueError, KeyError, TypeError):
        return None
    return code if isinstance(code, int) else None
