"""Where in the user's code it happened, for messages that name the line to look at.

A place reads `/app/reception.py:31 in lookup`. It is the innermost frame that belongs neither to the standard library,
nor to an installed package, nor to us; when there is none, simply the innermost.
"""

from __future__ import annotations

import logging
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from types import FrameType, TracebackType

from lineside.errors import AgentError

logger = logging.getLogger(__name__)

_NOT_THE_USERS = (
    str(Path(__file__).parents[1]),
    sysconfig.get_path("stdlib"),
    sysconfig.get_path("platstdlib"),
    "<frozen ",
)
_INSTALLED = ("site-packages", "dist-packages")


def in_traceback(traceback: TracebackType | None) -> str | None:
    """The place an exception came from."""
    stack = []
    while traceback:
        stack.append((traceback.tb_frame, traceback.tb_lineno))
        traceback = traceback.tb_next
    return _place(reversed(stack))


def in_thread(thread_id: int) -> str | None:
    """The place a thread is at now; None when there is no such thread."""
    stack = []
    frame = sys._current_frames().get(thread_id)
    while frame:
        stack.append((frame, frame.f_lineno))
        frame = frame.f_back
    return _place(stack)


def in_suspended(awaitable: object) -> str | None:
    """The place a coroutine or an async generator waits at; None when it runs or has ended."""
    stack = []
    while awaitable is not None:
        frame = getattr(awaitable, "cr_frame", None) or getattr(awaitable, "ag_frame", None)
        if frame:
            stack.append((frame, frame.f_lineno))
        awaitable = getattr(awaitable, "cr_await", None) or getattr(awaitable, "ag_await", None)
    return _place(reversed(stack))


def agent_error(exc: BaseException) -> AgentError:
    """What user code raised, as our error; its traceback is logged here, once.

    The original is not kept as the cause: it holds the frames of a call that may be over.
    """
    what = f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
    place = in_traceback(exc.__traceback__)
    logger.error("agent raised %s (%s)", type(exc).__name__, place, exc_info=exc)
    return AgentError(f"{what} ({place})" if place else what)


def _place(stack: Iterable[tuple[FrameType, int]]) -> str | None:
    """The user's innermost frame of a stack whose innermost frame comes first."""
    frames = list(stack)
    if not frames:
        return None
    frame, line = next(((frame, line) for frame, line in frames if _is_users(frame)), frames[0])
    return f"{frame.f_code.co_filename}:{line} in {frame.f_code.co_name}"


def _is_users(frame: FrameType) -> bool:
    file = frame.f_code.co_filename
    return not file.startswith(_NOT_THE_USERS) and not any(folder in file for folder in _INSTALLED)
