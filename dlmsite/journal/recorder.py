"""The recorder: reports come in, rows come out, and who reported hears of it when they are committed.

    node -> master -> recorder(batch) -> queue -> journal thread: one transaction -> ack, and a hint to the pages

Batches of several nodes share a transaction. While one is being committed the next gathers, so the load sets the size
of the transactions.

Invariants
  R1  `await recorder(batch)` returns after the commit. If it raises, nothing is promised: the source keeps the events.
  R2  At most QUEUE_EVENTS_MAX events wait here; beyond that the caller waits (the nodes spool). Nothing is dropped.
  R3  A database that fails is tried again, later and later; meanwhile `trouble` says what is wrong. A batch that can
      never be written becomes a gap.
  R4  All writing of the journal happens in one thread, one thing at a time.
Elsewhere: the rows (writer), what is judged once they are committed (checking), what else is written in the same
thread (nodes, retention).
"""

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, ParamSpec, TypeVar

from channels.layers import get_channel_layer
from django.db import DatabaseError, DataError, IntegrityError, connection

from dlmsite.journal import retention
from dlmsite.journal.checking import Check
from dlmsite.journal.models import Pulse
from dlmsite.journal.writer import JournalWriter, Written
from lockcore.core.events import EventBatch

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)

LIVE_GROUP: Final = "live"
HINT: Final = {"type": "live.hint"}
HINT_EVERY_S: Final = 0.1
GATHER_S: Final = 0.01
"""Waited for company before a transaction: fewer than 100 commits a second."""
TRANSACTION_EVENTS_MAX: Final = 2_000
QUEUE_EVENTS_MAX: Final = 20_000
RETRY_FIRST_S: Final = 0.1
RETRY_MAX_S: Final = 5.0
PULSE_EVERY_S: Final = 1.0
IDLE_S: Final = 2.0
STOP_S: Final = 5.0
NS_PER_MS: Final = 1_000_000


class RecorderStopped(Exception):  # noqa: N818 - not an error: the site is ending
    """The recorder has ended; the events stay in their spool."""


class Recorder:
    """An EventSink that writes rows.

    Args:
        writer: what makes the rows.
        clock_ns: the wall clock.
        check: what judges the facts afterwards.
    """

    def __init__(
        self,
        writer: JournalWriter | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
        check: Check | None = None,
    ) -> None:
        self._writer = writer or JournalWriter(clock_ns)
        self._check = check or Check(clock_ns)
        self._writer.on_commit = self._check.committed
        self._clock_ns = clock_ns
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._queue: list[tuple[EventBatch, asyncio.Future[None]]] = []
        self._arrived = asyncio.Event()
        self._room = asyncio.Condition()
        self._waiting = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._wrote_s = 0.0
        self._hint_due = asyncio.Event()
        self.lag_ms = 0.0
        self.trouble = ""

    @property
    def waiting(self) -> int:
        """Events that were taken and are not rows yet."""
        return self._waiting

    @property
    def writer(self) -> JournalWriter:
        """To be used through `run` only (R4)."""
        return self._writer

    def start(self) -> None:
        """Begin to write."""
        self._tasks = [asyncio.create_task(step()) for step in (self._write_on, self._hint_on, self._pulse_on)]

    async def stop(self) -> None:
        """Write what waits, within STOP_S, and end the thread."""
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_S), self._room:
                await self._room.wait_for(lambda: not self._waiting)
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for _, done in self._queue:
            if not done.done():
                done.set_exception(RecorderStopped())
        with suppress(DatabaseError):
            await self.run(self._check.note)
        with suppress(DatabaseError):
            await self.run(connection.close)
        self._thread.shutdown(wait=False)

    async def __call__(self, batch: EventBatch) -> None:
        """Take a batch; return once its events are committed.

        Raises:
            RecorderStopped: they are not, and nobody will.
        """
        if not batch.events:
            return
        async with self._room:
            await self._room.wait_for(lambda: self._waiting < QUEUE_EVENTS_MAX or self._stopping)
            if self._stopping:
                raise RecorderStopped
            self._waiting += len(batch.events)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((batch, done))
        self._arrived.set()
        await done

    async def run(self, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do something else in the journal's thread (R4)."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: step(*args, **kwargs))

    def hint(self) -> None:
        """Tell the pages that there is something to read, soon."""
        self._hint_due.set()

    # --- writing ------------------------------------------------------------------------------------------------

    async def _write_on(self) -> None:
        while True:
            await self._arrived.wait()
            if self._waiting < TRANSACTION_EVENTS_MAX:
                await asyncio.sleep(GATHER_S)
            await self._write_some(self._take())

    def _take(self) -> list[tuple[EventBatch, asyncio.Future[None]]]:
        """Take whole batches until they fill a transaction."""
        events = count = 0
        while count < len(self._queue) and (events < TRANSACTION_EVENTS_MAX or not count):
            events += len(self._queue[count][0].events)
            count += 1
        taken, self._queue = self._queue[:count], self._queue[count:]
        if not self._queue:
            self._arrived.clear()
        return taken

    async def _write_some(self, taken: list[tuple[EventBatch, asyncio.Future[None]]]) -> None:
        batches = [batch for batch, _ in taken]
        written = await self._insist(lambda: self._write_or_split(batches))
        self._wrote_s = time.monotonic()
        if written.newest_ns:
            self.lag_ms = max(0.0, (self._clock_ns() - written.newest_ns) / NS_PER_MS)
        async with self._room:
            self._waiting -= sum(len(batch.events) for batch in batches)
            self._room.notify_all()
        for _, done in taken:
            if not done.done():
                done.set_result(None)
        self.hint()
        await self.run(self._check.run)  # after the acknowledgements: nobody waits for it
        await self.run(self._write_part)

    def _write_part(self) -> None:
        """Write some of a frame that is under way; what fails is tried again the next time."""
        try:
            self._writer.frames.step()
        except (DatabaseError, OSError) as error:
            log.debug("no part of a frame: %s", error)

    def _write_or_split(self, batches: list[EventBatch]) -> Written:
        """Write all, or find the batch that is in the way and put a gap in its place."""
        try:
            return self._writer.write(batches)
        except Exception as error:
            if _is_of_the_database(error):
                raise
            log.exception("A report cannot be written; trying its batches one by one")
        newest = 0
        for batch in batches:
            try:
                newest = max(newest, self._writer.write([batch]).newest_ns)
            except Exception as error:
                if _is_of_the_database(error):
                    raise  # what is written already is found to be so when the rest is tried again
                self._writer.write_off(batch, type(error).__name__)
        return Written(sum(len(batch.events) for batch in batches), newest)

    async def _insist(self, step: Callable[[], T]) -> T:
        """Run in the journal's thread until it succeeds (R3)."""
        delay_s = RETRY_FIRST_S
        while True:
            try:
                result = await self.run(step)
            except (DatabaseError, OSError) as error:
                if not self.trouble:
                    log.error("The journal cannot be written, and will be tried again: %s", error)  # noqa: TRY400
                self.trouble = f"the journal cannot be written: {error}. Is the disk full?"
                with suppress(DatabaseError):
                    await self.run(connection.close)
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, RETRY_MAX_S)
            else:
                if self.trouble:
                    log.warning("The journal can be written again")
                self.trouble = ""
                return result

    # --- beside the writing ---------------------------------------------------------------------------------------

    async def _hint_on(self) -> None:
        while True:
            await self._hint_due.wait()
            self._hint_due.clear()
            await send_hint()
            await asyncio.sleep(HINT_EVERY_S)

    async def _pulse_on(self) -> None:
        keep = retention.limits()
        while True:
            began = time.monotonic()
            try:
                pruned = await self.run(self._pulse_and_prune, keep)
                if began - self._wrote_s > IDLE_S:
                    # Nothing came, so nothing is late; what a write takes is what is known now.
                    self.lag_ms = (time.monotonic() - began) * 1000
            except (DatabaseError, OSError) as error:
                # Events will find the same and say so; a pulse that stops is itself the sign.
                log.debug("no pulse: %s", error)
                pruned = 0
            await asyncio.sleep(PULSE_EVERY_S if pruned < retention.STEP_ROWS else retention.PAUSE_S)

    def _pulse_and_prune(self, keep: retention.Limits) -> int:
        values = {
            "at_ns": self._clock_ns(),
            "lag_ms": self.lag_ms,
            "waiting": self._waiting,
            "trouble": self.trouble,
        }
        if not Pulse.objects.filter(pk=1).update(**values):
            Pulse.objects.create(pk=1, **values)
        self._check.note()
        self._write_part()
        return retention.prune(keep, self._clock_ns())


def _is_of_the_database(error: Exception) -> bool:
    """Say whether it is the database that fails, rather than what was to be written."""
    return isinstance(error, DatabaseError | OSError) and not isinstance(error, DataError | IntegrityError)


async def send_hint() -> None:
    """Tell every page that there is something to read. A hint that is lost costs a second, so errors are not ours."""
    layer = get_channel_layer()
    if layer is None:
        return
    try:
        await layer.group_send(LIVE_GROUP, HINT)
    except Exception as error:  # noqa: BLE001 - any backend, any error
        log.warning("Pages could not be told at once: %s", error)
