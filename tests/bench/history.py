"""Makes histories: millions of rows that look like those of a cluster at work, by way of the journal's own writer.

Grants, releases, expiries and refusals on `keys` keys while `held` locks are held all the time; now and then a node
dies, its locks are promoted at their backups, and it is up again later. Rows, held locks, frames, seals and views are
as the recorder makes them, with a clock of the history's own. The same arguments give the same rows.

Elsewhere: who measures with it (moments), how long the recorder takes (recorder).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from dlmsite.journal.nodes import NodeBook, NodeSample, ViewSample, write_view
from dlmsite.journal.writer import JournalWriter
from lockcore.core.events import Event, EventBatch, EventKind, NumberedEvent
from lockcore.core.ring import HashRing

if TYPE_CHECKING:
    from collections.abc import Callable

START_NS: Final = 1_790_000_000_000_000_000
NS_PER_S: Final = 1_000_000_000
BATCH_EVENTS: Final = 1_000
INCARNATION: Final = START_NS
REFUSED_SHARE: Final = 0.05
EXPIRED_SHARE: Final = 0.03
SESSION_SHARE: Final = 0.1
OPEN_MAX: Final = 2_000
"""Locks that are held for a while only."""


@dataclass(slots=True)
class History:
    """What to make.

    Attributes:
        rows: about so many.
        held: locks that are held from the beginning on.
        rate: rows a second, by the history's clock.
        deaths: how often a node dies, spread over all of it.
        told: called with how many rows there are, now and then.
    """

    rows: int
    nodes: int = 5
    keys: int = 50_000
    held: int = 10_000
    rate: int = 500
    deaths: int = 20
    seed: int = 1
    told: Callable[[int], None] = lambda _: None
    made: int = 0
    _numbers: dict[str, int] = field(default_factory=dict)
    _waiting: dict[str, list[NumberedEvent]] = field(default_factory=dict)
    _held: dict[str, Event] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)
    _down: str | None = None
    _ring: HashRing = field(default_factory=lambda: HashRing(()))
    _generation: int = START_NS
    _chance: random.Random = field(default_factory=random.Random)
    _writer: JournalWriter = field(init=False)
    _book: NodeBook = field(default_factory=NodeBook)

    @property
    def servers(self) -> list[str]:
        """Ring addresses."""
        return [f"10.0.0.{i}:8888.18888" for i in range(1, self.nodes + 1)]

    @property
    def now_ns(self) -> int:
        """The history's clock."""
        return START_NS + self.made * NS_PER_S // self.rate

    def make(self) -> tuple[int, int]:
        """Write it into an empty journal; return when it begins and ends, wall clock in nanoseconds."""
        self._chance = random.Random(self.seed)  # noqa: S311 - the same history each time
        self._writer = JournalWriter(lambda: self.now_ns)
        self._publish(None)
        for at in range(self.held):
            self._grant(f"held/{at}")
        every = max(1, (self.rows - self.made) // (2 * self.deaths + 1))
        due = self.made + every
        while self.made < self.rows:
            if self.made >= due:
                due += every
                self._publish(self._chance.choice(self.servers) if self._down is None else None)
            self._turn()
        self._flush()
        return START_NS, self.now_ns

    # --- what happens -----------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        if self._chance.random() < REFUSED_SHARE:
            key = f"orders/{self._chance.randrange(self.keys)}"
            self._tell(self._owner(key), Event(EventKind.REFUSED, key, owner="late", detail="token mismatch"))
        elif len(self._open) >= OPEN_MAX or (self._open and self._chance.random() < 0.5):
            at = self._chance.randrange(len(self._open))
            self._open[at], self._open[-1] = self._open[-1], self._open[at]
            self._end(self._open.pop())
        else:
            key = f"orders/{self._chance.randrange(self.keys)}"
            if key not in self._held:
                self._grant(key)
                self._open.append(key)

    def _grant(self, key: str) -> None:
        self._generation += 1
        session = f"s{self._chance.randrange(50)}" if self._chance.random() < SESSION_SHARE else ""
        event = Event(
            EventKind.GRANTED, key, owner=f"worker-{self._chance.randrange(200)}", generation=self._generation, seq=1,
            ttl_ms=30_000, session=session,
        )  # fmt: skip
        self._held[key] = event
        self._tell(self._owner(key), event)

    def _end(self, key: str) -> None:
        held = self._held.pop(key)
        kind = EventKind.EXPIRED if self._chance.random() < EXPIRED_SHARE else EventKind.RELEASED
        self._tell(self._owner(key), Event(kind, key, owner=held.owner, generation=held.generation, seq=held.seq + 1))

    def _publish(self, down: str | None) -> None:
        """Publish a view in which `down` has died; who was down before is back."""
        before, was_down = self._ring, self._down
        self._ring, self._down = HashRing(self.servers, down=[down] if down else []), down
        view = self.now_ns
        if down:
            self._tell("master", Event(EventKind.DIED, view=view, peer=down, detail="not heard for 2 s"))
        self._tell("master", Event(EventKind.VIEW, view=view, version=view))
        if before.servers:
            for key, held in self._held.items():
                self._move(key, held, before.primary(key), was_down)
        self._flush()
        members = tuple((server, INCARNATION, server == down) for server in self.servers)
        write_view(ViewSample(view, view, 0, members, settled=True), view)
        samples = [
            NodeSample(f"n{i}", server, "killed" if server == down else "up", INCARNATION, settled=True, view=view)
            for i, server in enumerate(self.servers, 1)
        ]
        self._book.write(samples, view)

    def _move(self, key: str, held: Event, before: str | None, was_down: str | None) -> None:
        now = self._ring.primary(key)
        if now is None or now == before:
            return
        kind = EventKind.TRANSFERRED if was_down else EventKind.PROMOTED
        event = Event(
            kind, key, owner=held.owner, generation=held.generation, seq=held.seq + 1, ttl_ms=held.ttl_ms,
            session=held.session,
        )  # fmt: skip
        self._held[key] = event
        self._tell(now, event)

    # --- writing it down --------------------------------------------------------------------------------------------

    def _owner(self, key: str) -> str:
        return self._ring.primary(key) or self.servers[0]

    def _tell(self, source: str, event: Event) -> None:
        number = self._numbers[source] = self._numbers.get(source, 0) + 1
        self._waiting.setdefault(source, []).append(NumberedEvent(number, self.now_ns, event))
        self.made += 1
        if self.made % BATCH_EVENTS == 0:
            self._flush()

    def _flush(self) -> None:
        batches = [EventBatch(source, INCARNATION, tuple(told)) for source, told in self._waiting.items()]
        self._waiting = {}
        if not batches:
            return
        self._writer.write(batches)
        self._writer.frames.step()
        if self.made % (100 * BATCH_EVENTS) == 0:
            self.told(self.made)
