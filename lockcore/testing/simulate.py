"""One seed, one run: a cluster under a random subset of faults, then a verdict.

Elsewhere: the world (world), its clients (clients), the rules (history).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lockcore.testing.clients import SimClient
from lockcore.testing.history import Did, History, Violation, check
from lockcore.testing.network import Clock, Link
from lockcore.testing.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

ADDRESSES = ("a:1", "b:2", "c:3", "d:4")
FAULTS_MS = 12_000
QUIET_MS = 8_000


@dataclass(slots=True)
class Verdict:
    """What a seed showed."""

    seed: int
    violations: list[Violation]
    trace: str
    counts: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


class Faults:
    """A swarm: each seed draws which kinds of fault it knows at all."""

    def __init__(self, world: World, until_ns: int) -> None:
        """Draw the kinds and begin."""
        self.world = world
        self.until_ns = until_ns
        self.log: list[str] = []
        kinds: list[Callable[[], str]] = [
            self.kill, self.kill_unseen, self.restart_at_once, self.pause_short, self.pause_long,
            self.cut_master, self.cut_pair, self.cut_one_way, self.isolate, self.join, self.leave,
            self.restart_master, self.pause_master, self.master_clock_back, self.lossy,
        ]  # fmt: skip
        self.kinds = [k for k in kinds if world.random.random() < 0.4]  # noqa: PLR2004 - a share
        if self.kinds:
            world.after(world.random.uniform(50, 1_500), self.strike)

    def strike(self) -> None:
        """Do one fault, and come back."""
        if self.world.now_ns >= self.until_ns:
            return
        what = self.world.random.choice(self.kinds)()
        self.log.append(f"{self.world.now_ns / 1e9:.3f} {what}")
        self.world.after(self.world.random.choice((5, 80, 700, 2_500)), self.strike)

    def _living(self) -> list[str]:
        return sorted(n.address for n in self.world.nodes.values() if n.alive)

    def _one(self) -> str:
        return self.world.random.choice(self._living() or list(ADDRESSES[:1]))

    def _back(self, address: str) -> None:
        node = self.world.nodes.get(address)
        if node is None or not node.alive:
            self.world.start_node(address, drawn_clock(self.world))

    def kill(self) -> str:
        """SIGKILL, seen by a supervisor; back after a while."""
        address = self._one()
        if self.world.nodes[address].alive:
            self.world.kill(address)
            self.world.after(self.world.random.choice((200, 1_500, 4_000)), lambda: self._back(address))
        return f"kill {address}"

    def kill_unseen(self) -> str:
        """SIGKILL that nobody reports."""
        address = self._one()
        if self.world.nodes[address].alive:
            self.world.kill(address, seen=False)
            self.world.after(self.world.random.choice((200, 1_500, 4_000)), lambda: self._back(address))
        return f"kill unseen {address}"

    def restart_at_once(self) -> str:
        """Killed and started again within the stabilisation delay."""
        address = self._one()
        if self.world.nodes[address].alive:
            self.world.kill(address, seen=self.world.random.random() < 0.5)  # noqa: PLR2004
            self._back(address)
        return f"restart {address}"

    def _pause(self, duration_ms: float) -> str:
        address = self._one()
        node = self.world.nodes[address]
        if node.alive and not node.paused:
            self.world.pause(address)
            self.world.after(duration_ms, lambda: self.world.resume_node(node))
        return f"pause {address} {duration_ms:.0f} ms"

    def pause_short(self) -> str:
        """SIGSTOP shorter than the node lease."""
        return self._pause(self.world.random.uniform(100, 1_800))

    def pause_long(self) -> str:
        """SIGSTOP longer than node lease and margin."""
        return self._pause(self.world.random.uniform(2_000, 6_000))

    def _cut(self, source: str, target: str, *, both: bool) -> str:
        self.world.cut(source, target, both=both)
        duration_ms = self.world.random.choice((300, 1_500, 5_000))
        self.world.after(duration_ms, lambda: self.world.mend(source, target))
        return f"cut {source} {'<>' if both else '>'} {target} {duration_ms} ms"

    def cut_master(self) -> str:
        """One node cannot reach the master."""
        return self._cut(self._one(), "master", both=True)

    def cut_pair(self) -> str:
        """Two nodes cannot reach each other."""
        return self._cut(self._one(), self._one(), both=True)

    def cut_one_way(self) -> str:
        """One direction is lost."""
        others = ["master", *self._living()]
        pair = (self._one(), self.world.random.choice(others))
        return self._cut(*(pair if self.world.random.random() < 0.5 else pair[::-1]), both=False)  # noqa: PLR2004

    def isolate(self) -> str:
        """One node reaches nobody."""
        address = self._one()
        for other in ("master", "client", *ADDRESSES):
            if other != address:
                self._cut(address, other, both=True)
        return f"isolate {address}"

    def join(self) -> str:
        """A node that is not there joins."""
        absent = [a for a in ADDRESSES if a not in self.world.nodes or not self.world.nodes[a].alive]
        if absent:
            self._back(absent[0])
        return f"join {absent[:1]}"

    def leave(self) -> str:
        """A node says goodbye and comes back."""
        living = self._living()
        if len(living) > 1:
            address = self._one()
            self.world.leave(address)
            self.world.after(self.world.random.choice((1_000, 4_000)), lambda: self._back(address))
            return f"leave {address}"
        return "leave nobody"

    def restart_master(self) -> str:
        """The master dies and starts again from its journal."""
        self.world.kill_master()
        delay_ms = self.world.random.choice((50, 1_000, 3_000))
        self.world.after(delay_ms, self.world.ensure_master)
        return f"master restart {delay_ms} ms"

    def pause_master(self) -> str:
        """SIGSTOP of the master."""
        duration_ms = self.world.random.uniform(200, 4_000)
        self.world.pause_master(paused=True)
        self.world.after(duration_ms, lambda: self.world.pause_master(paused=False))
        return f"master pause {duration_ms:.0f} ms"

    def master_clock_back(self) -> str:
        """The master's wall clock is set back."""
        self.world.master_clock.wall_ns -= 3_600 * 1_000_000_000
        return "master wall clock an hour back"

    def lossy(self) -> str:
        """Messages are lost, doubled and late for a while."""
        link = self.world.default_link
        link.drop, link.duplicate = 0.05, 0.05
        link.delay_ms = (0.1, self.world.random.choice((5.0, 60.0)))

        def calm() -> None:
            link.drop = link.duplicate = 0.0
            link.delay_ms = (0.2, 2.0)

        self.world.after(1_500, calm)
        return "lossy links"


def drawn_clock(world: World) -> Clock:
    """Draw a clock within the assumption: rates differ by 1 % at most."""
    chance = world.random
    return Clock(
        rate=chance.uniform(0.995, 1.005),
        offset_ns=chance.randrange(10**15),
        wall_ns=chance.choice((0, 0, 5 * 10**9, -5 * 10**9)),
    )


def simulate(seed: int) -> Verdict:
    """Run one seed and judge it."""
    world = World(seed)
    world.default_link = Link()
    for address in ADDRESSES[: world.random.choice((3, 3, 4))]:
        world.start_node(address, drawn_clock(world))
    world.run_until(lambda: world.master is not None and world.master.settled)
    history = History()
    stop_ns = world.now_ns + (FAULTS_MS + QUIET_MS // 2) * 1_000_000
    keys = [f"key-{i}" for i in range(12)]
    for i in range(14):
        SimClient(world, f"client-{i}", keys, history, stop_ns)
    faults = Faults(world, world.now_ns + FAULTS_MS * 1_000_000)
    world.run_ms(FAULTS_MS)
    world.calm()
    world.run_ms(QUIET_MS)
    violations = check(history)
    try:
        world.settle(30_000)
    except AssertionError as error:
        violations.append(Violation("I8", f"no settled view: {error}"))
    else:
        violations += agreement(world)
    return Verdict(seed, violations, trace_of(world, history), counts_of(world, history), faults.log)


def agreement(world: World) -> list[Violation]:
    """I8: primaries and backups agree about every live lock."""
    world.run_ms(1_000)
    found = []
    view = world.master.view if world.master else None
    if view is None:
        return [Violation("I8", "the master has no view")]
    tables = {
        n.address: {le.key: le for le in n.core.leases() if le.live(n.clock.boot(world.now_ns))}
        for n in world.nodes.values()
        if n.alive
    }
    for address, table in tables.items():
        for key, lease in table.items():
            primary, backup = view.ring.owners(key)
            if address == primary and backup is not None:
                copy = tables[backup].get(key)
                left_ns = lease.expires_ns - world.nodes[address].clock.boot(world.now_ns)
                if left_ns > 300_000_000 and (copy is None or copy.order != lease.order):  # noqa: PLR2004
                    found.append(Violation("I8", f"{key}: primary {address} has {lease}, backup {backup} {copy}"))
    return found


def counts_of(world: World, history: History) -> dict[str, int]:
    """Count what happened, so that a batch in which nothing did can fail."""
    counts: dict[str, int] = {}
    for fact in world.facts:
        counts[fact.event.kind.value] = counts.get(fact.event.kind.value, 0) + 1
    counts["calls"] = len(history.calls)
    counts["ok"] = sum(1 for c in history.calls if c.ok)
    counts["acquired"] = sum(1 for c in history.calls if c.ok and c.did is Did.ACQUIRE)
    counts["unknown"] = sum(1 for c in history.calls if c.ok is None)
    return counts


def trace_of(world: World, history: History) -> str:
    """Return a hash of all that happened: the same seed, the same hash."""
    lines = [
        f"{f.at_ns} {f.source} {(e := f.event).kind} {e.key} {e.generation} {e.seq} {e.view} {e.peer} {e.detail}"
        for f in world.facts
    ]
    lines += [f"{c.invoked_ns} {c.client} {c.did} {c.key} {c.returned_ns} {c.ok} {c.token}" for c in history.calls]
    lines += [f"{d.at_ns} {d.node} {d.what} {d.key} {d.order} {d.left_ns}" for d in world.witness.deeds]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
