"""A server of the simplest kind, and a phone that calls it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from lineside.standin.phone import Phone, PhoneSettings
from standin.phone_server import TOKEN, TinyServer


@pytest.fixture
async def server() -> AsyncIterator[TinyServer]:
    async with TinyServer() as server:
        yield server


@pytest.fixture
async def phone(server: TinyServer) -> AsyncIterator[Phone]:
    async with Phone(PhoneSettings(server.voice, auth_token=TOKEN)) as phone:
        yield phone
