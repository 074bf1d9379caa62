"""Makes histories: millions of facts such as a cluster at work tells, in the order in which a recorder would get them.

Many keys of which few are busy (Zipf), `held` locks that are held nearly all the time and sometimes change hands,
sessions, queues, byte ranges, refusals. Now and then an operator kills a node: its locks are promoted at their backups,
its last facts come late or are lost (gaps), and later it is back as a new life and is handed its locks. The same
arguments give the same facts, with a clock of the history's own.

Elsewhere: writing them down (bulk), measuring with them (longhistory).
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from dlmsite.journal.intake import gap
from dlmsite.journal.nodes import NodeSample, ViewSample
from dlmsite.journal.projection import Fact
from lockcore.core.events import Event, EventKind, NumberedEvent
from lockcore.core.ring import HashRing

if TYPE_CHECKING:
    from collections.abc import Iterator

START_NS: Final = 1_790_000_000_000_000_000
NS_PER_S: Final = 1_000_000_000
STEP_NS: Final = 2_000_000
"""500 facts a second."""
NODES: Final = 5
BATCH_EVENTS: Final = 2_000
"""As the recorder at its busiest."""
SEEN_EVERY_NS: Final = 10 * NS_PER_S
OPEN_MAX: Final = 2_000
"""Locks that are held for a while only."""
WAITERS_MAX: Final = 5
SESSIONS: Final = 300
OWNERS: Final = 5_000
FILES: Final = 200
KEYS: Final = 100_000
OPERATORS: Final = ("ann", "ben", "eve")
LATE_ROWS: Final = 600
"""So many rows after a death, the last facts of the dead are found: a second."""
TTL_MS: Final = 30_000
DRAWN: Final = 4_096
_SHARES: Final = {"refuse": 0.03, "range": 0.03, "hold": 0.03, "session": 0.004, "migrate": 0.003}
RARE: Final = sum(_SHARES.values())


def key_of(number: int) -> str:
    """Return a key; the lower its number, the busier it is."""
    return f"orders/{number % 1_000:03}/{number}"


@dataclass(frozen=True, slots=True)
class Deed:
    """What an operator did: number from 1, who, "kill" or "restart", which node; the newest view before and after."""

    number: int
    who: str
    what: str
    label: str
    address: str
    at_ns: int
    view_from: int
    view_to: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Facts of one transaction, and what was seen of the cluster just before (None: not looked)."""

    now_ns: int
    facts: list[Fact]
    nodes: list[NodeSample] | None = None
    view: ViewSample | None = None
    deed: Deed | None = None


class History:
    """A cluster at work.

    Args:
        rows: about so many facts.
        held: locks that are held from the beginning on.
        view_rows: a node dies, or comes back, every so many facts.
        seed: another one, another history.
    """

    def __init__(self, rows: int, *, held: int = 10_000, view_rows: int = 100_000, seed: int = 1) -> None:
        self._rows, self._standing, self._view_rows = rows, held, view_rows
        self._labels = {f"10.0.0.{i}:8888.18888": f"n{i}" for i in range(1, NODES + 1)}
        self._chance = random.Random(seed)  # noqa: S311 - the same history each time
        self._random = self._chance.random
        self._weights = list(accumulate((number + 3) ** -0.95 for number in range(KEYS)))
        self._drawn: list[int] = []
        self._lives = dict.fromkeys((*self._labels, "master", "site"), START_NS)
        self._numbers: dict[str, int] = {}
        self._facts: list[Fact] = []
        self._late: list[Fact] = []
        self._held: dict[str, Event] = {}
        self._open: list[str] = []
        self._waiting: dict[str, deque[Event]] = {}
        self._sessions: list[str] = []
        self._owners: dict[str, str] = {}
        self._ring, self._down = HashRing(()), ""
        self._view = self._version = 0
        self._generation, self._opened, self._deeds = START_NS, 0, 0
        self.made = 0

    @property
    def now_ns(self) -> int:
        """The history's clock."""
        return START_NS + self.made * STEP_NS

    def batches(self) -> Iterator[Batch]:
        """Yield it from the beginning to the end, once."""
        yield self._publish("")
        for at in range(SESSIONS):
            self._open_session(at)
        for at in range(self._standing):
            self._grant(f"held/{at:05}")
        due, seen_ns, late_due = self.made + self._view_rows, self.now_ns, 0
        while self.made < self._rows:
            self._turn()
            if self._late and self.made >= late_due:
                self._facts += self._late
                self._late = []
            if self.made >= due:
                yield from self._take(0 if self._down else LATE_ROWS)
                yield self._restart() if self._down else self._kill()
                due, late_due, seen_ns = due + self._view_rows, self.made + LATE_ROWS, self.now_ns
            if len(self._facts) >= BATCH_EVENTS:
                yield from self._take()
                if self.now_ns - seen_ns >= SEEN_EVERY_NS:
                    seen_ns = self.now_ns
                    yield Batch(seen_ns, [], self._seen())
        self._facts += self._late
        yield from self._take()

    # --- what happens -----------------------------------------------------------------------------------------------

    def _turn(self) -> None:
        what = self._random()
        if what < RARE:
            for name, share in _SHARES.items():
                if what < share:
                    getattr(self, f"_turn_{name}")()
                    return
                what -= share
        if len(self._open) >= OPEN_MAX or (self._open and self._random() < 0.5):
            at = self._below(len(self._open))
            self._open[at], self._open[-1] = self._open[-1], self._open[at]
            key = self._open.pop()
            self._end(key)
            if waiting := self._waiting.get(key):
                self._grant(key, waiting.popleft())
                self._open.append(key)
        else:
            self._want(key_of(self._draw()))

    def _want(self, key: str) -> None:
        held = self._held.get(key)
        if held is None:
            self._grant(key)
            self._open.append(key)
            return
        line = self._waiting.setdefault(key, deque())
        if len(line) < WAITERS_MAX:
            owner, session = self._somebody(by_session=True)
            line.append(Event(EventKind.QUEUED, key, owner, session=session))
            self._tell_of(EventKind.QUEUED, replace(held, owner=owner, session=session), detail=f"place {len(line)}")

    def _turn_refuse(self) -> None:
        key = key_of(self._draw())
        self._tell(self._owner(key), Event(
            EventKind.REFUSED, key, "late", view=self._view, version=self._version, detail="renewal: token mismatch",
        ))  # fmt: skip

    def _turn_range(self) -> None:
        first = self._below(1_000)
        key, (owner, session) = f"files/{self._below(FILES)}", self._somebody(by_session=True)
        locks = self._random() < 0.5
        kind = EventKind.RANGE_LOCKED if locks else EventKind.RANGE_UNLOCKED
        detail = f"write {first} to {first + 99} by main" if locks else f"{first} length 100 by main"
        self._generation += 1
        self._tell(self._owner(key), Event(
            kind, key, owner, self._generation, self._generation, self._view, self._version, detail=detail,
            session=session,
        ))  # fmt: skip

    def _turn_hold(self) -> None:
        if self._standing:
            key = f"held/{self._below(self._standing):05}"
            self._end(key)
            self._grant(key)

    def _turn_session(self) -> None:
        at = self._below(len(self._sessions))
        kind = EventKind.ENDED if self._random() < 0.9 else EventKind.LAPSED
        self._tell_session(kind, self._sessions[at])
        self._open_session(at)

    def _turn_migrate(self) -> None:
        if self._open:
            held = self._held[self._open[self._below(len(self._open))]]
            if held.session:
                session, before = self._sessions[self._below(SESSIONS)], held.session
                held = replace(held, session=session, seq=held.seq + 1)
                self._held[held.key] = held
                self._tell_of(EventKind.MIGRATED, held, peer=before, detail=f"from session {before}")

    def _grant(self, key: str, waiter: Event | None = None) -> None:
        self._generation += 1
        owner, session = (waiter.owner, waiter.session) if waiter else self._somebody()
        event = Event(
            EventKind.GRANTED, key, owner, self._generation, 1, self._view, self._version, ttl_ms=TTL_MS,
            session=session,
        )  # fmt: skip
        self._held[key] = event
        self._tell(self._owner(key), event)

    def _end(self, key: str) -> None:
        held, renewals = self._held.pop(key), self._below(4)
        kind = EventKind.EXPIRED if self._random() < 0.03 else EventKind.RELEASED
        self._tell(self._owner(key), Event(
            kind, key, held.owner, held.generation, held.seq + renewals + 1, self._view, self._version, ttl_ms=TTL_MS,
            renewals=renewals, session=held.session,
        ))  # fmt: skip

    def _open_session(self, at: int) -> None:
        self._opened += 1
        session = f"{0x18EA << 48 | self._opened:016x}"
        self._sessions[at : at + 1] = [session]
        self._tell_session(EventKind.OPENED, session)

    # --- the ring ---------------------------------------------------------------------------------------------------

    def _kill(self) -> Batch:
        """Have an operator kill a node; what it told last is found later, some of it never."""
        down = self._chance.choice(list(self._labels))
        lost = [fact for fact in self._facts if fact.source == down]
        return self._publish(down, lost, self._deed("kill", down))

    def _restart(self) -> Batch:
        deed = self._deed("restart", self._down)
        self._lives[self._down], self._numbers[self._down] = self.now_ns, 0
        return self._publish("", deed=deed)

    def _deed(self, what: str, address: str) -> Deed:
        self._deeds += 1
        who, label = self._chance.choice(OPERATORS), self._labels[address]
        event = Event(EventKind.OPERATOR, owner=who, seq=self._deeds, view=self._view, version=self._version)
        for text in ("asked for", "done"):
            self._tell("site", replace(event, peer=address, detail=f"{who}: {what} {label} {text}"))
        return Deed(self._deeds, who, what, label, address, self.now_ns, self._view, self.now_ns)

    def _publish(self, down: str, last: list[Fact] | None = None, deed: Deed | None = None) -> Batch:
        """Publish a view in which `down` has died; who was down before is back."""
        before, was_down = self._ring, self._down
        previous, self._view = self._view, deed.view_to if deed else self.now_ns
        self._version = self._version if down else self._view
        self._ring, self._down, self._owners = HashRing(self._labels, down=[down] if down else []), down, {}
        about = Event(EventKind.VIEW, view=self._view, version=self._version)
        if down:
            self._lose(last or [])
            self._tell("master", replace(about, kind=EventKind.DIED, peer=down, detail="its process has ended"))
        elif was_down:
            self._tell("master", replace(about, kind=EventKind.JOINED, peer=was_down, detail="wants to be a member"))
        self._tell("master", about)
        living = [server for server in self._labels if server != down]
        for server in living:
            self._tell(server, replace(about, detail="adopted"))
        if previous:
            self._move_all(before, was_down)
        for server in living:
            self._tell(server, replace(about, kind=EventKind.SETTLED))
        members = tuple((server, self._lives[server], server == down) for server in self._labels)
        view = ViewSample(self._view, self._version, previous, members, settled=True)
        return Batch(self._view, [], self._seen(), view, deed)

    def _lose(self, last: list[Fact]) -> None:
        """Have the last facts of a dead node come later, but for some that never do."""
        if not last:
            return
        gone = {(fact.source, fact.told.number) for fact in last}
        self._facts = [fact for fact in self._facts if (fact.source, fact.told.number) not in gone]
        missing, self._late = last[:2], last[2:]
        if self._late:
            source, life = missing[0].source, missing[0].incarnation
            hole = gap(missing[0].told.number, missing[-1].told.number, life, self._late[0].told.wall_ns)
            self._late.insert(0, Fact(source, life, hole))

    def _move_all(self, before: HashRing, was_down: str) -> None:
        for held in list(self._held.values()):
            then, now = before.primary(held.key), self._owner(held.key)
            if then is None or then == now:
                continue
            moved = replace(held, seq=held.seq + 1)
            self._held[held.key] = moved
            self._tell_of(EventKind.TRANSFERRED if was_down else EventKind.PROMOTED, moved, peer=then)
            if was_down:
                handed = replace(moved, kind=EventKind.DEMOTED, view=self._view, version=self._version)
                self._tell(then, replace(handed, peer=now, detail="handed over"))

    def _seen(self) -> list[NodeSample]:
        held = len(self._held) // len(self._labels)
        return [
            NodeSample(
                label, server, "killed" if server == self._down else "up", self._lives[server], settled=True,
                view=self._view, held_primary=held + self._below(20),
            )
            for server, label in self._labels.items()
        ]  # fmt: skip

    # --- telling ----------------------------------------------------------------------------------------------------

    def _below(self, limit: int) -> int:
        return int(self._random() * limit)  # a third of what randrange takes

    def _draw(self) -> int:
        if not self._drawn:
            self._drawn = self._chance.choices(range(KEYS), cum_weights=self._weights, k=DRAWN)
        return self._drawn.pop()

    def _somebody(self, *, by_session: bool = False) -> tuple[str, str]:
        if by_session or self._random() < 0.2:
            session = self._sessions[self._below(SESSIONS)]
            return f"service-{int(session, 16) % 100}", session
        return f"worker-{self._below(OWNERS)}", ""

    def _owner(self, key: str) -> str:
        owner = self._owners.get(key)
        if owner is None:
            owner = self._owners[key] = self._ring.primary(key) or ""
        return owner

    def _tell_session(self, kind: EventKind, session: str) -> None:
        owner = f"service-{int(session, 16) % 100}"
        event = Event(kind, owner=owner, view=self._view, version=self._version, ttl_ms=TTL_MS, session=session)
        self._tell(self._owner(session), event)

    def _tell_of(self, kind: EventKind, held: Event, peer: str = "", detail: str = "") -> None:
        event = replace(held, kind=kind, view=self._view, version=self._version, peer=peer, detail=detail)
        self._tell(self._owner(held.key), event)

    def _tell(self, source: str, event: Event) -> None:
        number = self._numbers[source] = self._numbers.get(source, 0) + 1
        self._facts.append(Fact(source, self._lives[source], NumberedEvent(number, self.now_ns, event)))
        self.made += 1

    def _take(self, but: int = 0) -> Iterator[Batch]:
        cut = max(0, len(self._facts) - but)
        facts, self._facts = self._facts[:cut], self._facts[cut:]
        for at in range(0, len(facts), BATCH_EVENTS):
            some = facts[at : at + BATCH_EVENTS]
            yield Batch(some[-1].told.wall_ns, some)
