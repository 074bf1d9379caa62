"""The master's own facts on their way to the recorder.

They are few (joins, deaths, views), so memory is enough; a recorder that is
away for long costs the oldest, and the numbers show it.

Elsewhere: nodes' facts (spool, report_link).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from itertools import islice
from typing import TYPE_CHECKING, Final

from lockcore.core.events import EventBatch, NumberedEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lockcore.core.events import Event

EventSink = Callable[[EventBatch], Awaitable[None]]
"""Returns when the facts are recorded; raises where they are not."""

SOURCE: Final = "master"
KEPT_MAX: Final = 10_000
BATCH_MAX: Final = 500
RETRY_S: Final = 0.5

_log = logging.getLogger(__name__)


class OwnFacts:
    """Numbers facts and hands them to the sink, in order."""

    def __init__(self, sink: EventSink, incarnation: int) -> None:
        self._sink = sink
        self._incarnation = incarnation
        self._facts: deque[NumberedEvent] = deque(maxlen=KEPT_MAX)
        self._last = 0
        self._wake = asyncio.Event()
        self._failing = False

    def append(self, events: Sequence[Event]) -> None:
        """Queue facts."""
        for event in events:
            self._last += 1
            self._facts.append(NumberedEvent(self._last, time.time_ns(), event))
        self._wake.set()

    async def run(self) -> None:
        """Hand over until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._facts:
                await self._hand_over()

    async def drain(self, timeout_s: float) -> None:
        """Wait until everything is recorded, but not for ever."""
        deadline = time.monotonic() + timeout_s
        while self._facts and time.monotonic() < deadline:  # noqa: ASYNC110 - once, at the end
            await asyncio.sleep(0.01)

    async def _hand_over(self) -> None:
        batch = tuple(islice(self._facts, BATCH_MAX))
        try:
            await self._sink(EventBatch(SOURCE, self._incarnation, batch))
        except Exception as error:  # noqa: BLE001 - the recorder's troubles must not end the master
            if not self._failing:
                _log.warning("the recorder does not take facts (%s); they are kept", type(error).__name__)
            self._failing = True
            await asyncio.sleep(RETRY_S)
            return
        self._failing = False
        while self._facts and self._facts[0].number <= batch[-1].number:
            self._facts.popleft()
