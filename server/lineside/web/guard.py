"""Who may talk to us: every webhook and every stream is checked before anything else is done with it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from urllib.parse import parse_qsl, quote

import orjson
from starlette.requests import HTTPConnection, Request

from lineside.carriers.twilio_rest import Account
from lineside.errors import AuthError, RemoteProtocolError
from lineside.wire import signature
from lineside.wire.webhook import MAX_FIELDS

MAX_BODY = 65_536  # bytes; the carrier's forms are a few kilobytes
BODY_TIMEOUT = 10.0  # s for all of a body; the carrier gives up at 15


@dataclass(frozen=True, slots=True)
class Guard:
    """Checks signatures against the accounts that we know."""

    accounts: Mapping[str, Account]
    public_url: str | None = None
    trusted_proxies: Sequence[IPv4Network | IPv6Network] = ()

    def url(self, request: HTTPConnection, *, path: str | None = None, upgrade: bool = False) -> str:
        """The public URL of a request, or of another path of ours as the same peer would call it.

        Raises:
            AuthError: the request does not say by what name it reached us.
        """
        scope, headers = request.scope, request.headers
        raw_path = scope.get("raw_path") or scope["path"].encode()
        peer = request.client.host if request.client else None
        return signature.public_url(
            configured=self.public_url,
            scheme=scope["scheme"],
            host=headers.get("host"),
            raw_path=raw_path if path is None else quote(scope.get("root_path", "") + path).encode(),
            raw_query=scope["query_string"] if path is None else b"",
            forwarded_proto=headers.get("x-forwarded-proto"),
            forwarded_host=headers.get("x-forwarded-host"),
            trusted_proxy=signature.trusted(peer, self.trusted_proxies),
            upgrade=upgrade,
        )

    async def form(self, request: Request) -> list[tuple[str, str]]:
        """The fields of a signed webhook.

        Raises:
            AuthError: not signed by the account that it names, or by one that we do not know.
            RemoteProtocolError: too large, too slow, or not a form.
        """
        body = await self._body(request)
        signed = request.headers.get("x-twilio-signature")
        if request.headers.get("content-type", "").startswith("application/json"):
            fields = _json_fields(body)
            account = self._account(fields)
            valid = signature.valid_json(account.tokens, self.url(request), body, signed)
        else:
            fields = _form_fields(body)
            account = self._account(fields)
            valid = signature.valid_form(account.tokens, self.url(request), fields, signed)
        if not valid:
            raise AuthError("X-Twilio-Signature is missing or does not match")
        return fields

    def check_upgrade(self, connection: HTTPConnection, account_id: str) -> None:
        """Raises:
        AuthError: the account did not sign this WebSocket upgrade.
        """
        account = self.accounts.get(account_id)
        signed = connection.headers.get("x-twilio-signature")
        if account is None or not signature.valid_upgrade(account.tokens, self.url(connection, upgrade=True), signed):
            raise AuthError("X-Twilio-Signature of the upgrade is missing or does not match")

    def _account(self, fields: Sequence[tuple[str, str]]) -> Account:
        sid = next((value for name, value in fields if name == "AccountSid"), "")
        account = self.accounts.get(sid)
        if account is None:
            raise AuthError("AccountSid is missing or not one of ours")
        return account

    async def _body(self, request: Request) -> bytes:
        chunks, size = [], 0
        try:
            async with asyncio.timeout(BODY_TIMEOUT):
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > MAX_BODY:
                        raise RemoteProtocolError(f"a webhook's body has at most {MAX_BODY} bytes")
                    chunks.append(chunk)
        except TimeoutError:
            raise RemoteProtocolError(f"a webhook's body must come within {BODY_TIMEOUT:g} s") from None
        return b"".join(chunks)


def _form_fields(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError as exc:
        raise RemoteProtocolError("a webhook's body must be a form in UTF-8") from exc


def _json_fields(body: bytes) -> list[tuple[str, str]]:
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        fields = None
    if not isinstance(fields, dict) or not all(isinstance(value, str) for value in fields.values()):
        raise RemoteProtocolError("a webhook's JSON must be an object of texts")
    return list(fields.items())
