"""Every async test runs on the test clock; those marked `realtime` run on the wall clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping

import pytest
from blockbuster import BlockBuster, blockbuster_ctx

from lineside.standin.clock import ClockLoop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    if item.get_closest_marker("realtime"):
        return {"realtime": asyncio.SelectorEventLoop}
    return {"clock": ClockLoop}


@pytest.fixture(autouse=True)
def blockbuster() -> Iterator[BlockBuster]:
    """A blocking call inside an event loop fails the test."""
    with blockbuster_ctx("lineside") as blocker:
        yield blocker
