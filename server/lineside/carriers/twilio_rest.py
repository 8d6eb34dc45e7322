"""Twilio's REST side: ending a call.

Source: https://www.twilio.com/docs/voice/api/call-resource
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self

from lineside.errors import CarrierError

if TYPE_CHECKING:
    from twilio.http.async_http_client import AsyncTwilioHttpClient
    from twilio.rest import Client

DEADLINE = 3.0  # s; the library's own client waits for ever
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


class TwilioRest:
    """See `lineside.ports.Carrier`. One HTTP client for all calls and accounts of the process."""

    def __init__(self, accounts: Mapping[str, Account]) -> None:
        self._accounts = accounts
        self._clients: dict[str, Client] = {}
        self._http: AsyncTwilioHttpClient | None = None

    async def __aenter__(self) -> Self:
        # The library takes a second to import and its session must be made inside the loop: now, not in a call.
        from twilio.http.async_http_client import AsyncTwilioHttpClient
        from twilio.rest import Client

        self._http = AsyncTwilioHttpClient()
        for account in self._accounts.values():
            user, password = account.api_key or account.sid, account.api_secret or account.tokens[0]
            client = Client(user, password, account.sid, http_client=self._http)
            if account.base_url:
                client.api.base_url = account.base_url.rstrip("/")
            _ = client.api.v2010  # made lazily, at the cost of more imports
            self._clients[account.sid] = client
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.close()

    async def hang_up(self, call_id: str, account_id: str) -> None:
        from aiohttp import ClientError
        from twilio.base.exceptions import TwilioException, TwilioRestException

        client = self._clients.get(account_id)
        if client is None:
            raise CarrierError("no credentials for the account that owns the call")
        try:
            async with asyncio.timeout(DEADLINE):
                await client.calls(call_id).update_async(status="completed")
        except TwilioRestException as exc:
            if exc.code != CALL_IS_OVER:
                raise CarrierError(f"Twilio refused to end the call: HTTP {exc.status}, code {exc.code}") from exc
        except TimeoutError as exc:
            raise CarrierError(f"Twilio did not answer within {DEADLINE:g} s") from exc
        except (TwilioException, ClientError, OSError, ValueError) as exc:
            raise CarrierError(f"Twilio cannot be reached: {type(exc).__name__}") from exc
