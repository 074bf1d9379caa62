"""Watches clusters: listens to their masters, has what they say written down, and tells the pages.

    master -> ring feed -> Sight: facts -> the journal's thread: rows -> hint -> pages

Invariants
  V1  An observer is never a member: it connects as a client of type `s3`, and asks filers only what changes nothing.
      (Canaries, which do lock, are somebody's wish: canary.)
  V2  What a master says never fills the memory: FACTS_WAITING_MAX facts wait at most, and what is lost is a fact too.
  V3  Nothing that goes wrong with a watched cluster ends the watching, of it or of others.
Elsewhere: what is a fact (sight), the rows (book), redirects and pauses (lockcore.client.ringfeed).
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

from channels.layers import get_channel_layer
from django.db import DatabaseError

from dlmsite.observing import book
from dlmsite.observing.canary import Canary
from dlmsite.observing.models import ObservedCluster
from dlmsite.observing.naming import read_parts
from dlmsite.observing.sight import Fact, Sight
from dlmsite.observing.weedask import NoAnswer, NoFiler, what_is
from lockcore.client.ringfeed import PAUSE_MS_FIRST, PAUSE_MS_MAX, RingFeed
from lockcore.client.route import target_of
from lockcore.core.ring import HashRing
from lockcore.wire.seaweed_client import FilerIs, MasterTold

log = logging.getLogger(__name__)

LOOK_S: Final = 1.0
"""How soon a cluster that was attached is watched."""
PRUNE_EVERY: Final = 60
GATHER_S: Final = 0.005
"""Waited for company before a transaction: a master says several things at once."""
RETRY_S: Final = 1.0
FACTS_WAITING_MAX: Final = 5_000
OLDEST: Final = (4, 44)
Run = Callable[..., Coroutine[Any, Any, Any]]
"""Runs a function in the journal's thread."""


def group_of(name: str) -> str:
    """Return the group on the channel layer that is told of a cluster's news."""
    return f"observed.{name}"


async def send_news(name: str) -> None:
    """Tell the pages that there is something to read; one that is not reached finds it within a second."""
    layer = get_channel_layer()
    if layer is None:
        return
    try:
        await layer.group_send(group_of(name), {"type": "observed.news"})
    except Exception as error:  # noqa: BLE001 - whatever the layer is made of: a lost hint loses nothing
        log.debug("no hint: %s", error)


class Observer:
    """Watches one cluster.

    Args:
        row: what is to be watched.
        run: runs a step in the journal's thread.
    """

    def __init__(self, row: ObservedCluster, run: Run) -> None:
        self.row = row
        self._run = run
        self._sight = Sight(row.group)
        self._facts: list[Fact] = []
        self._lost = 0
        self._dirty = asyncio.Event()
        self._heard_at_ns: int | None = None
        self._asked: set[str] = set()
        self._canary = Canary()

    def is_of(self, row: ObservedCluster) -> bool:
        """Say whether it watches what the row says."""
        return (row.masters, row.group, row.attached_at_ns) == (
            self.row.masters,
            self.row.group,
            self.row.attached_at_ns,
        )

    async def live(self) -> None:
        """Watch until cancelled."""
        self._sight.ring = await self._insist(book.last_ring, self.row.pk, self.row.group)
        self._know_group(self.row.group)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            tasks.create_task(self._write_on())
            tasks.create_task(self._ask_on())
            tasks.create_task(self._try_canaries())

    def _know_group(self, group: str) -> None:
        self._sight.group = group

    # --- listening --------------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        masters, group = await self._introduce()
        self._know_group(group)
        await RingFeed(masters, group, on_told=self._take, on_away=self._away).follow()

    async def _introduce(self) -> tuple[list[str], str]:
        """Return the masters' targets and the group; a filer that was named names both."""
        wanted = read_parts(self.row.name, self.row.masters, self.row.group)
        pause_ms = PAUSE_MS_FIRST
        while True:
            answers = await asyncio.gather(*(what_is(target) for target in wanted.targets), return_exceptions=True)
            found = list(zip(wanted.targets, answers, strict=True))
            masters = [target for target, answer in found if isinstance(answer, NoFiler)]
            filers = [answer for answer in answers if isinstance(answer, FilerIs)]
            masters += [target for filer in filers for name in filer.masters if (target := target_of(name))]
            if masters:
                named = next((filer.group for filer in filers), "")
                return list(dict.fromkeys(masters)), self.row.group or named
            for target, answer in found:
                if isinstance(answer, NoAnswer):
                    self._away(target, str(answer))
            await asyncio.sleep(pause_ms / 1_000)
            pause_ms = min(pause_ms * 2, PAUSE_MS_MAX)

    def _take(self, master: str, told: MasterTold) -> None:
        self._heard_at_ns = at_ns = time.time_ns()
        if told.leader or told.ring is not None or told.node is not None:
            self._note(self._sight.told(master, told, at_ns))

    def _away(self, master: str, why: str) -> None:
        self._note(self._sight.away(master, why, time.time_ns()))

    def _note(self, facts: list[Fact]) -> None:
        room = FACTS_WAITING_MAX - len(self._facts)
        self._facts += facts[:room]
        self._lost += len(facts[room:])
        self._dirty.set()

    # --- writing ----------------------------------------------------------------------------------------------------

    async def _write_on(self) -> None:
        while True:
            await self._dirty.wait()
            await asyncio.sleep(GATHER_S)
            self._dirty.clear()
            facts, self._facts = self._facts, []
            if self._lost:
                text = f"{self._lost} more facts came than could be written down, and are lost"
                facts.append(Fact(time.time_ns(), "missed", text))
                self._lost = 0
            await self._insist(book.write, self.row.pk, facts, self._state())
            await send_news(self.row.name)

    def _state(self) -> book.State:
        sight = self._sight
        connected = None if sight.connected is None else frozenset(sight.connected)
        version = 0 if sight.ring is None else sight.ring.version
        return book.State(sight.state, sight.leader, sight.problem, self._heard_at_ns, connected, version)

    async def _insist(self, step: Callable[..., Any], *args: Any) -> Any:
        """Run in the journal's thread until it succeeds."""
        while True:
            try:
                return await self._run(step, *args)
            except (DatabaseError, OSError) as error:
                log.debug("a watched cluster cannot be written down: %s", error)
                await asyncio.sleep(RETRY_S)

    # --- asking filers ----------------------------------------------------------------------------------------------

    async def _ask_on(self) -> None:
        """Ask each filer once what it is, and again when it has come back."""
        while True:
            servers = set(self._sight.ring.servers) if self._sight.ring is not None else set()
            self._asked &= servers
            for address in sorted(servers - self._asked):
                target = target_of(address)
                with suppress(NoAnswer):
                    answer = await what_is(target) if target else NoFiler()
                    self._asked.add(address)
                    await self._insist(book.write_software, self.row.pk, address, _software(answer))
                    await send_news(self.row.name)
            await asyncio.sleep(LOOK_S)

    async def _try_canaries(self) -> None:
        try:
            while True:
                await asyncio.sleep(self._canary.pause_s)
                ring = self._sight.ring
                if not self.row.canary or ring is None:
                    continue
                seen, facts = await self._canary.round(HashRing(ring.servers))
                await self._insist(book.write_canaries, self.row.pk, seen, facts)
                await send_news(self.row.name)
        finally:
            await self._canary.close()


class Observatory:
    """Watches whatever is attached.

    Args:
        run: runs a step in the journal's thread.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._watched: dict[int, tuple[Observer, asyncio.Task[None]]] = {}

    async def watch(self) -> None:
        """Watch until cancelled."""
        turn = 0
        try:
            while True:
                try:
                    await self._look()
                    if turn % PRUNE_EVERY == 0:
                        for number in self._watched:
                            await self._run(book.prune, number)
                except (DatabaseError, OSError) as error:
                    log.debug("watched clusters cannot be read: %s", error)
                turn += 1
                await asyncio.sleep(LOOK_S)
        finally:
            await self._end(list(self._watched))

    async def _look(self) -> None:
        rows = {row.pk: row for row in await self._run(book.attached)}
        await self._end(
            [n for n, (observer, _) in self._watched.items() if n not in rows or not observer.is_of(rows[n])]
        )
        for number, row in rows.items():
            if number not in self._watched:
                observer = Observer(row, self._run)
                self._watched[number] = (observer, asyncio.create_task(self._live(observer)))
            self._watched[number][0].row.canary = row.canary
        await self._run(book.note_seen, list(self._watched))

    async def _live(self, observer: Observer) -> None:
        while True:
            try:
                await observer.live()
            except Exception:
                log.exception("the watching of %s has failed, and begins again", observer.row.name)
            await asyncio.sleep(RETRY_S)

    async def _end(self, numbers: list[int]) -> None:
        tasks = [self._watched.pop(number)[1] for number in numbers]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _software(answer: FilerIs | NoFiler) -> str:
    """Return what a filer is, in words."""
    if isinstance(answer, NoFiler):
        return "no filer's configuration: a lock-only member"
    numbers = ".".join(map(str, answer.version_number)) if any(answer.version_number) else ""
    version = numbers or answer.version or "of a version that it does not say"
    old = (0, 0) < answer.version_number < OLDEST
    return f"SeaweedFS {version}" + (f", older than {OLDEST[0]}.{OLDEST[1]}: perhaps no generations" if old else "")
