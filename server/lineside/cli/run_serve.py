"""`lineside serve`: take calls until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys

from lineside.app import Bridge, starlette_app
from lineside.settings import Settings
from lineside.web.serving import serving

log = logging.getLogger("lineside")


def run(settings: Settings, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM.

    Raises:
        SettingsError: what is configured cannot work.
        OSError: the address cannot be listened on.
    """
    bridge = Bridge(settings)  # everything that may be wrong with the settings is found before the loop runs
    if sys.platform == "win32":
        asyncio.run(_serve(bridge, host, port))
        return
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(bridge, host, port))


async def _serve(bridge: Bridge, host: str, port: int) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(sign, told.set)
    async with bridge, serving(starlette_app(bridge), host, port) as address:
        public = bridge.settings.lineside.public_url or f"http://{address}"
        log.info("listening on %s; the number's voice webhook is POST %s/twilio/voice", address, public)
        await told.wait()
        log.info("stopping: %d calls in progress are ended", len(bridge.calls))
        await bridge.calls.end_all()
