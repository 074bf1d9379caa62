"""Functions of the user, called so that they can harm nothing.

Elsewhere: when they are called (live, session), threads for them (blocking).
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

log = logging.getLogger(__name__)
_running: Final[set[asyncio.Task[Any]]] = set()
"""A task that nobody holds may vanish."""


def run_callback(callback: Callable[[Any], object] | None, argument: object) -> None:
    """Call a user's function, or start it where it is a coroutine function; what it raises is logged."""
    if callback is None:
        return
    try:
        outcome = callback(argument)
        if inspect.iscoroutine(outcome):
            keep_running(_logged(outcome))
    except Exception:
        log.exception("a callback failed")


def keep_running(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Start a task, and hold it until it is done."""
    task = asyncio.get_running_loop().create_task(work)
    _running.add(task)
    task.add_done_callback(_running.discard)
    return task


async def _logged(outcome: Coroutine[Any, Any, Any]) -> None:
    try:
        await outcome
    except Exception:
        log.exception("a callback failed")
