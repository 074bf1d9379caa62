"""The door of the site's process: who is inside is answered before the loop ends, and nobody keeps the process alive.

A request runs in a thread and waits there for the loop. When the loop ends first, the thread waits for ever, and Python
waits for its threads: Ctrl-C would never come to its end.

Invariants
  D1  The loop ends when no HTTP request is inside, or when those that are had their time.
  D2  Who comes later is refused in words, not cut off.
  D3  The process ends, whatever its threads wait for.
Elsewhere: who closes it (`manage.py up`), WebSockets, which end with the loop (daphne).
"""

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

log = logging.getLogger(__name__)

Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[dict[str, Any], Any, Send], Awaitable[None]]

CLOSED = b"Lockring is being stopped. Load this page again when it runs.\n"


class Door:
    """An ASGI application in front of the site's."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._inside: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Send) -> None:
        """Let somebody in, or say that it is closed (D2)."""
        task = asyncio.current_task()
        if scope["type"] != "http" or task is None:
            await self._application(scope, receive, send)
            return
        if self._closed:
            await _refuse(send)
            return
        self._inside.add(task)
        try:
            await self._application(scope, receive, send)
        finally:
            self._inside.discard(task)

    async def close(self, timeout_s: float) -> bool:
        """Let nobody in any more; say whether all who were inside have left in time (D1)."""
        self._closed = True
        if self._inside:
            await asyncio.wait(set(self._inside), timeout=timeout_s)
        return not self._inside


def end_anyway(timeout_s: float, code: int) -> None:
    """End the process, should threads keep it for so long after all else has ended (D3); `code`: its exit code."""
    threading.Thread(target=_watch, args=(timeout_s, code), name="end", daemon=True).start()


def _watch(timeout_s: float, code: int) -> None:
    time.sleep(timeout_s)  # who ends as it should ends this thread as well
    left = [t.name for t in threading.enumerate() if not t.daemon and t is not threading.main_thread()]
    log.warning("requests that did not end in time are given up: %s", ", ".join(left))
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


async def _refuse(send: Send) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close"), (b"retry-after", b"5")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": CLOSED})
