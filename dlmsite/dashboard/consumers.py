"""One browser's live connection.

    hello, then a snapshot (or, after a short break, a delta), then deltas

Invariants
  C1  Only who may see gets anything, and only as long as they may: asked again every ALLOWED_EVERY_S.
  C2  At most PUSHES_MAX messages within any PUSHES_WITHIN_S, whatever the load; what happens meanwhile comes together
      in the next.
  C3  Whatever ends the pushing ends the socket too: a page never waits for news that cannot come.
  C4  Whatever a browser sends, the worst it gets is an explanation; the socket stays open.
Elsewhere: what a message holds (stream), reading rows (feed), the same origin (dlmsite.origin), the size of frames
(Daphne's settings in `up`).
"""

import asyncio
import json
import logging
import time
from collections import deque
from contextlib import suppress
from typing import Any, Final
from urllib.parse import parse_qs

from autobahn.exception import Disconnected
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.contrib.auth import get_user_model
from django.db import DatabaseError

from dlmsite.access.roles import can_operate, can_view
from dlmsite.dashboard import picture
from dlmsite.dashboard.feed import dumps, feed
from dlmsite.dashboard.stream import Stream

log = logging.getLogger(__name__)

PUSHES_MAX: Final = 10
PUSHES_WITHIN_S: Final = 1.0
PUSH_GAP_S: Final = 0.08
"""Less than a tenth of a second: hints come ten times a second, and a push should not wait for the hint after next."""
ALLOWED_EVERY_S: Final = 10.0
TEXT_CHARS_MAX: Final = 4_096
ID_MAX: Final = (1 << 63) - 1
CLOSE_NOT_ALLOWED: Final = 4403
CLOSE_TRY_AGAIN: Final = 1013
CLOSE_FAILED: Final = 1011


class LiveConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels ships no types
    """Pushes what happens to one browser."""

    _task: asyncio.Task[None] | None = None

    # --- the socket -------------------------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Let a logged-in viewer in; everybody else is refused with the handshake."""
        rights = await self._rights()
        if rights is None:
            await self.close()
            return
        await self.accept()
        await self._say_hello(operate=rights)
        self._task = asyncio.create_task(self._push(_after(self.scope)))

    async def disconnect(self, code: int) -> None:
        """Stop pushing."""
        del code
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Answer a ping; explain anything else."""
        del bytes_data
        fault = _fault_of(text_data)
        if fault:
            await self._send({"type": "error", "detail": fault})
        else:
            await self._send({"type": "pong", "server_time_ms": time.time() * 1000})

    async def send(self, text_data: str | None = None, bytes_data: bytes | None = None, close: bool = False) -> None:  # noqa: FBT001, FBT002 - channels' own
        """Send; on a socket that has begun to close it goes nowhere, and `disconnect` follows."""
        with suppress(Disconnected):
            await super().send(text_data, bytes_data, close)

    async def _send(self, message: picture.Json) -> None:
        await self.send(text_data=dumps(message))

    # --- who --------------------------------------------------------------------------------------------------------

    async def _rights(self) -> bool | None:
        """Say whether the user may operate; None if they may not even see (any more)."""
        rights: bool | None = await database_sync_to_async(_rights)(self.scope.get("user"), self.scope.get("session"))
        return rights

    async def _say_hello(self, *, operate: bool) -> None:
        self._operate = operate
        user = self.scope["user"].get_username()
        await self._send({"type": "hello", "user": user, "can_operate": operate, "server_time_ms": time.time() * 1000})

    async def _check_rights(self) -> None:
        rights = await self._rights()
        if rights is None:
            await self.close(code=CLOSE_NOT_ALLOWED)
        elif rights is not self._operate:
            await self._say_hello(operate=rights)

    # --- pushing ----------------------------------------------------------------------------------------------------

    async def _push(self, after: int | None) -> None:
        shared = feed()
        try:
            news = await shared.join(self)
            stream = Stream(shared)
            for message in await stream.begin(after):
                await self.send(text_data=message)
            checked = time.monotonic()
            pace = Pace()
            while True:
                await asyncio.sleep(pace.wait_s(time.monotonic()))
                try:
                    async with asyncio.timeout(ALLOWED_EVERY_S):
                        await news.wait()
                except TimeoutError:
                    pass
                else:
                    news.clear()
                    for message in await stream.next():
                        pace.note(time.monotonic())
                        await self.send(text_data=message)
                    if stream.behind:
                        news.set()
                if time.monotonic() - checked >= ALLOWED_EVERY_S:
                    checked = time.monotonic()
                    await self._check_rights()
        except DatabaseError as error:
            log.warning("a page cannot be served: %s", error)
            await self.close(code=CLOSE_TRY_AGAIN)
        except Exception:
            log.exception("a page is no longer served; it connects again")
            await self.close(code=CLOSE_FAILED)
        finally:
            await asyncio.shield(shared.leave(self))


class Pace:
    """When the next push may leave (C2)."""

    def __init__(self) -> None:
        self._pushes: deque[float] = deque(maxlen=PUSHES_MAX)

    def note(self, now_s: float) -> None:
        """A push leaves now."""
        self._pushes.append(now_s)

    def wait_s(self, now_s: float) -> float:
        """Return how long the next one has to wait."""
        if not self._pushes:
            return 0.0
        allowed_s = self._pushes[-1] + PUSH_GAP_S
        if len(self._pushes) == PUSHES_MAX:
            allowed_s = max(allowed_s, self._pushes[0] + PUSHES_WITHIN_S)
        return max(0.0, allowed_s - now_s)


def _after(scope: Any) -> int | None:
    """Return the last event that the browser says it knows; nonsense counts as nothing."""
    values = parse_qs(scope.get("query_string", b"").decode(errors="replace")).get("after", [])
    if len(values) != 1 or not (values[0].isascii() and values[0].isdigit()) or len(values[0]) > len(str(ID_MAX)):
        return None
    return min(int(values[0]), ID_MAX)


def _fault_of(text: str | None) -> str:
    """Say what is wrong with a message, and what would be right; empty for a ping."""
    right = 'Send {"type":"ping"}.'
    if text is None:
        return f"Binary messages mean nothing here. {right}"
    if len(text) > TEXT_CHARS_MAX:
        return f"A message of {len(text):,} characters is too long. {right}"
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return f"This is not JSON. {right}"
    if not isinstance(message, dict) or message.get("type") != "ping":
        return f"This message is not known. {right}"
    return ""


def _rights(user: Any, session: Any) -> bool | None:
    """Ask the database, not what the socket began with: somebody may have logged out or lost a role."""
    if user is None or not user.is_authenticated or session is None:
        return None
    if session.session_key is None or not session.exists(session.session_key):
        return None
    now = get_user_model().objects.filter(pk=user.pk, is_active=True).first()
    if now is None or not can_view(now):
        return None
    return can_operate(now)
