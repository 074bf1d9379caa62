"""What all open pages of this process need next, read once for all of them.

    hint on the channel layer, or a second without one -> read rows after the last id -> wake the consumers

Runs only while a page is open. Consumers take what they have not sent yet, each at its own pace.

Invariants
  F1  The rows are the truth: a lost hint delays by REREAD_S, and loses nothing.
  F2  Every event with an id above `floor_id` and up to `last_id` is in `events`, and nothing else.
  F3  Bounded: EVENTS_KEPT events; who falls further behind starts again from a snapshot.
Elsewhere: the shapes (picture), one browser (consumers).
"""

import asyncio
import json
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

from channels.layers import get_channel_layer
from django.db import DatabaseError, connection

from dlmsite.dashboard import faults, picture
from dlmsite.journal.models import Pulse
from dlmsite.journal.recorder import LIVE_GROUP
from dlmsite.operations import requests

log = logging.getLogger(__name__)

T = TypeVar("T")

EVENTS_KEPT: Final = 4_000
READ_EVENTS_MAX: Final = 1_000
REREAD_S: Final = 1.0
NODES_AGE_NS: Final = 1_000_000_000
READ_EVERY_S: Final = 0.05
"""At most twenty reads a second, whatever the number of hints."""


@dataclass(slots=True)
class Reading:
    """What one look at the rows has found."""

    events: list[tuple[int, str]] = field(default_factory=list)
    parts: dict[str, str] = field(default_factory=dict)
    actions: dict[str, str] = field(default_factory=dict)
    lag_ms: float | None = None
    nodes_key: tuple[int, int] = (0, 0)


class Feed:
    """The shared look at the rows. One per event loop: see `feed`."""

    def __init__(self) -> None:
        self.events: deque[tuple[int, str]] = deque()
        self.floor_id = 0
        self.last_id = 0
        self.parts: dict[str, str] = {}
        """view, nodes, master, workload and invariants, each as JSON"""
        self.actions: dict[str, str] = {}
        self.lag_ms: float | None = None
        self._watchers: dict[object, asyncio.Event] = {}
        self._thread: ThreadPoolExecutor | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._nodes_key = (0, 0)
        self._hinted = asyncio.Event()
        self._lock = asyncio.Lock()

    async def join(self, watcher: object) -> asyncio.Event:
        """Begin to follow; return the event that is set whenever there is something new.

        Raises:
            DatabaseError: the rows cannot be read.
        """
        async with self._lock:
            if not self._watchers:
                await self._open()
            self._watchers[watcher] = asyncio.Event()
        return self._watchers[watcher]

    async def leave(self, watcher: object) -> None:
        """Stop following; the last one closes the feed."""
        async with self._lock:
            if self._watchers.pop(watcher, None) is not None and not self._watchers:
                await self._close()

    async def read(self, step: Callable[[], T]) -> T:
        """Run a query in the feed's thread; only while joined."""
        if self._thread is None:
            raise RuntimeError("join() first")
        return await asyncio.get_running_loop().run_in_executor(self._thread, step)

    # --- inside -----------------------------------------------------------------------------------------------------

    async def _open(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="feed")
        try:
            self.floor_id = self.last_id = await self.read(picture.last_event_id)
            self.events.clear()
            await self._look()
        except BaseException:
            await self._close()
            raise
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._look_on())]

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.submit(connection.close)
            await asyncio.to_thread(thread.shutdown)

    async def _listen(self) -> None:
        """Turn hints into looks. Without a layer, or with a broken one, `_look_on` looks every second all the same."""
        layer = get_channel_layer()
        while layer is not None:
            try:
                channel = await layer.new_channel()
                await layer.group_add(LIVE_GROUP, channel)
                try:
                    while True:
                        await layer.receive(channel)
                        self._hinted.set()
                finally:
                    await layer.group_discard(LIVE_GROUP, channel)
            except Exception as error:  # noqa: BLE001 - any backend, any error
                log.warning("hints do not arrive, pages look every second: %s", error)
                await asyncio.sleep(REREAD_S)

    async def _look_on(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(REREAD_S):
                    await self._hinted.wait()
            self._hinted.clear()
            try:
                if await self._look():
                    self._hinted.set()  # there is more
            except DatabaseError as error:
                log.warning("the journal cannot be read: %s", error)
            await asyncio.sleep(READ_EVERY_S)

    async def _look(self) -> bool:
        """Read what is new and wake everybody; say whether there may be more."""
        after = self.last_id
        before = (self._nodes_key, self.parts)
        reading = await self.read(lambda: _read(after, *before))
        for event in reading.events:
            self.events.append(event)
        while len(self.events) > EVENTS_KEPT:
            self.floor_id = self.events.popleft()[0]
        if reading.events:
            self.last_id = reading.events[-1][0]
        news = reading.events or reading.parts != self.parts or reading.actions != self.actions
        self.parts, self.actions, self.lag_ms = reading.parts, reading.actions, reading.lag_ms
        self._nodes_key = reading.nodes_key
        if news:
            for watcher in self._watchers.values():
                watcher.set()
        return len(reading.events) == READ_EVENTS_MAX


def _read(after: int, nodes_key: tuple[int, int] = (0, 0), known: Mapping[str, str] = MappingProxyType({})) -> Reading:
    """Look at the rows.

    Args:
        after: the last event known.
        nodes_key: of the rows of nodes (and master) that `known` was made of.
        known: parts; those are used again while the rows are the same, so that ages alone are no news (but once a
            second).
    """
    now_ns = time.time_ns()
    key = (picture.nodes_written_ns(), now_ns // NODES_AGE_NS)
    seen = known if key == nodes_key else {}
    labels = picture.node_labels()
    rows = picture.events_after(after, READ_EVENTS_MAX)
    return Reading(
        events=[(row.pk, dumps(picture.event_of(row, labels))) for row in rows],
        parts={
            "view": dumps(picture.view_of(picture.newest_view(), labels)),
            "nodes": seen.get("nodes") or dumps(picture.nodes(now_ns)),
            "master": seen.get("master") or dumps(picture.master(now_ns)),
            "workload": dumps(picture.workload_of(requests.present_helm())),
            "holds": dumps(faults.holds()),
            "rehearsal": dumps(faults.rehearsal()),
            "scenario": dumps(faults.scenario()),
            "invariants": dumps(picture.invariants_of(labels, now_ns)),
        },
        actions={action["id"]: dumps(action) for action in picture.actions()},
        lag_ms=picture.lag_ms_of(Pulse.objects.filter(pk=1).first(), now_ns),
        nodes_key=key,
    )


def dumps(value: Any) -> str:
    """Return compact JSON. Lone surrogates, which no socket could send, are escaped with everything not ASCII."""
    return json.dumps(value, separators=(",", ":"))


_feeds: "WeakKeyDictionary[asyncio.AbstractEventLoop, Feed]" = WeakKeyDictionary()


def feed() -> Feed:
    """Return the feed of the running loop."""
    return _feeds.setdefault(asyncio.get_running_loop(), Feed())
