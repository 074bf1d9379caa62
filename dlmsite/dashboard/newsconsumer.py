"""A live connection of the page of a watched cluster: it says that there is something to read, and the page reads it.

Invariants
  C1, C3 and C4 of `consumers`.
  N1  At least once each NEWS_EVERY_S something is said, so that a page knows its connection and ages what it shows.
Elsewhere: who sends news (dlmsite.observing.observer), what is read (clusters).
"""

import asyncio
import logging
import time
from typing import Any, Final

from dlmsite.dashboard.consumers import ALLOWED_EVERY_S, CLOSE_FAILED, PUSH_GAP_S, LiveConsumer
from dlmsite.observing.naming import NAME
from dlmsite.observing.observer import group_of

log = logging.getLogger(__name__)

NEWS_EVERY_S: Final = 1.0


class NewsConsumer(LiveConsumer):
    """Tells one browser that a watched cluster has news."""

    _news: asyncio.Event

    async def observed_news(self, message: Any) -> None:
        """Take a hint of the channel layer."""
        del message
        self._news.set()

    async def _push(self, after: int | None) -> None:
        del after
        self._news = asyncio.Event()
        name = self.scope["url_route"]["kwargs"]["name"]
        group = group_of(name) if NAME.fullmatch(name) else group_of("nobody")
        try:
            await self.channel_layer.group_add(group, self.channel_name)
            checked = time.monotonic()
            while True:
                await self._send({"type": "news"})
                await asyncio.sleep(PUSH_GAP_S)
                try:
                    async with asyncio.timeout(NEWS_EVERY_S - PUSH_GAP_S):
                        await self._news.wait()
                except TimeoutError:
                    pass
                self._news.clear()
                if time.monotonic() - checked >= ALLOWED_EVERY_S:
                    checked = time.monotonic()
                    await self._check_rights()
        except Exception:
            log.exception("the page of a watched cluster is no longer served; it connects again")
            await self.close(code=CLOSE_FAILED)
        finally:
            await asyncio.shield(self.channel_layer.group_discard(group, self.channel_name))
