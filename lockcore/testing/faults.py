"""The swarm: what is done to a cluster, each seed with other kinds of fault.

Assumed throughout: clocks run at rates that differ by 1 % at most; a master
that lost its journal knows that it had one, and its clock was not set back
as well (or numbers could fall once all nodes have died too, since nobody is
left who knows them); nobody lies.

Elsewhere: the world it is done to (world), one seed (simulate), one fault (single).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from lockcore.testing.network import Clock
from lockcore.testing.triggers import INSTANTS, Trigger

if TYPE_CHECKING:
    from collections.abc import Callable

    from lockcore.testing.network import Link
    from lockcore.testing.world import World

ADDRESSES = ("a:1", "b:2", "c:3", "d:4", "e:5")
SHARE = 0.35
"""How likely a seed knows a kind of fault at all."""
AIMED = 0.5
"""How many strikes wait for an interesting instant, and hit who takes part in it."""


class Faults:
    """A swarm: each seed draws which kinds of fault it knows at all.

    Args:
        until_ns: when it stops striking (true time).
        keys: whose owners may die together.
        share: how likely it knows a kind.
    """

    def __init__(self, world: World, until_ns: int, keys: list[str], share: float = SHARE) -> None:
        """Know a world; do nothing to it yet."""
        self.world = world
        self.until_ns = until_ns
        self.keys = keys
        self.share = share
        self.first_ns = until_ns
        self.hit: tuple[str, ...] = ()
        self.log: list[str] = []
        self.kinds: list[Callable[[], str]] = []

    def begin(self) -> None:
        """Draw the kinds, and strike again and again."""
        chance = self.world.random
        self.kinds = [k for k in (*self.single(), *self.several()) if chance.random() < self.share]
        if self.master_forgets in self.kinds and self.master_clock_back in self.kinds:
            self.kinds.remove(chance.choice((self.master_forgets, self.master_clock_back)))
        if self.kinds:
            self.world.after(chance.uniform(50, 1_500), self.strike)

    def single(self) -> list[Callable[[], str]]:
        """Return the kinds that are one fault: at most one node or one link fails."""
        return [
            self.kill, self.kill_unseen, self.restart_at_once, self.restart_late, self.pause_short, self.pause_long,
            self.cut_master, self.cut_pair, self.cut_one_way, self.isolate, self.join, self.leave, self.die_in_handover,
            self.restart_master, self.pause_master, self.master_clock_back, self.clock_step, self.lossy,
            self.slow,
        ]  # fmt: skip

    def several(self) -> list[Callable[[], str]]:
        """Return the kinds after which acknowledged state may be gone."""
        return [self.double, self.pause_all, self.crash_all, self.master_forgets]

    def strike(self) -> None:
        """Do one fault, or have it done at an instant, and come back."""
        if self.world.now_ns >= self.until_ns or not self.kinds:
            return  # a theme may have taken the last kind out
        chance = self.world.random
        kind = chance.choice(self.kinds)
        if chance.random() < AIMED:
            self.at(chance.choice(INSTANTS), chance.choice((1, 1, 2, 5)), kind, chance.choice((0.0, 0.5, 5.0, 40.0)))
        else:
            self.do(kind)
        self.world.after(chance.choice((5, 80, 700, 2_500)), self.strike)

    def at(self, instant: str, count: int, kind: Callable[[], str], late_ms: float = 0.0) -> None:
        """Do a fault when the `count`-th message of a kind leaves; it hits who sent it or is to get it."""

        def act(source: str, target: str) -> None:
            if self.world.now_ns < self.until_ns:
                self.hit = (source, target)
                self.do(kind, f"at {instant} {source} > {target}: ")
                self.hit = ()

        self.world.triggers.append(Trigger(instant, count, act, late_ms))

    def do(self, kind: Callable[[], str], when: str = "") -> None:
        """Do a fault and write it down."""
        self.first_ns = min(self.first_ns, self.world.now_ns)
        what = when + kind()
        self.log.append(f"{self.world.now_ns / 1e9:.3f} {what}")
        self.world.note("faults", "do", "", what)

    def living(self) -> list[str]:
        """Return who lives."""
        return sorted(n.address for n in self.world.nodes.values() if n.alive)

    def _one(self) -> str:
        living = self.living()
        aimed = [a for a in self.hit if a in living]
        return self.world.random.choice(aimed or living or list(ADDRESSES[:1]))

    def _coin(self) -> bool:
        return self.world.random.random() < 0.5  # noqa: PLR2004 - a coin

    def _back(self, address: str) -> None:
        node = self.world.nodes.get(address)
        if node is None or not node.alive:
            self.world.start_node(address, drawn_clock(self.world))

    def _kill(self, address: str, back_ms: tuple[int, ...], *, seen: bool) -> str:
        if not self.world.nodes[address].alive:
            return "kill nobody"
        self.world.kill(address, seen=seen)
        after_ms = self.world.random.choice(back_ms)
        self.world.after(after_ms, lambda: self._back(address))
        return f"kill {address} {'seen' if seen else 'unseen'}, back after {after_ms} ms"

    def kill(self) -> str:
        """SIGKILL, seen by a supervisor; back after a while."""
        return self._kill(self._one(), (200, 1_500, 4_000), seen=True)

    def kill_unseen(self) -> str:
        """SIGKILL that nobody reports."""
        return self._kill(self._one(), (200, 1_500, 4_000), seen=False)

    def restart_at_once(self) -> str:
        """Killed and started again within the stabilisation delay."""
        return self._kill(self._one(), (0, 50, 900), seen=self._coin())

    def restart_late(self) -> str:
        """Killed and started again after the stabilisation delay."""
        return self._kill(self._one(), (1_100, 1_300, 2_600), seen=self._coin())

    def double(self) -> str:
        """Both owners of a key die, at once or nearly so."""
        return self._double(seen=None)

    def double_seen(self) -> str:
        """Both owners of a key die, and the master is told of it."""
        return self._double(seen=True)

    def _double(self, *, seen: bool | None) -> str:
        view = self.world.views[-1] if self.world.views else None
        owners = view.ring.owners(self.world.random.choice(self.keys)) if view else (None, None)
        back_ms = (200, 1_500, 4_000)
        done = [self._kill(a, back_ms, seen=self._coin() if seen is None else seen) for a in owners if a is not None]
        return f"both owners: {'; '.join(done)}"

    def double_apart(self) -> str:
        """Both owners of a key die, the second before the first one's death has settled."""
        gap_ms = self.world.random.choice((1.0, 30.0, 400.0, 1_200.0))
        view = self.world.views[-1] if self.world.views else None
        owners = view.ring.owners(self.world.random.choice(self.keys)) if view else ()
        for number, address in enumerate(a for a in owners if a is not None):
            seen = self._coin()
            kill = partial(self._kill, address, (300, 1_500), seen=seen)
            self.world.after(number * gap_ms, partial(self.do, kill))
        return f"both owners within {gap_ms:.0f} ms"

    def kill_late(self) -> str:
        """SIGKILL, seen by a supervisor; back late."""
        return self._kill(self._one(), (4_000,), seen=True)

    def hang_up(self) -> str:
        """A node's stream to the master ends; it has another one soon."""
        node = self.world.nodes[self._one()]
        if node.connection is not None:
            self.world.hang_up(node, node.connection)
        return f"stream of {node.address} ends"

    def cut_for(self, source: str, target: str, duration_ms: float) -> str:
        """Two parties cannot reach each other for a time."""
        self.world.cut(source, target)
        self.world.after(duration_ms, lambda: self.world.mend(source, target))
        return f"cut {source} <> {target} {duration_ms:.0f} ms"

    def miss_views(self, address: str, duration_ms: float) -> str:
        """A node is sent views that never arrive, on a stream that goes on."""
        self.world.deaf_until_ns[address] = self.world.now_ns + int(duration_ms * 1_000_000)
        return f"{address} misses views for {duration_ms:.0f} ms"

    def crash_all(self) -> str:
        """Every node dies, and half of the times the master too."""
        done = [self._kill(address, (300, 2_000), seen=self._coin()) for address in self.living()]
        if self._coin():
            done.append(self.restart_master())
        return f"everybody: {'; '.join(done)}"

    def die_in_handover(self) -> str:
        """A node joins or leaves, and one dies while locks move."""
        done = self.join() if self._coin() else self.leave()
        before = len(self.world.views)
        seen, late_ms = self._coin(), self.world.random.uniform(0, 12)

        def strike() -> None:
            if len(self.world.views) == before:
                if self.world.now_ns < self.until_ns:
                    self.world.after(1, strike)
                return
            self.world.after(late_ms, lambda: self.do(lambda: self._kill(self._one(), (1_500,), seen=seen)))

        strike()
        return f"{done}, and a death in the handover"

    def _pause(self, duration_ms: float) -> str:
        return self._pause_one(self._one(), duration_ms)

    def _pause_one(self, address: str, duration_ms: float) -> str:
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
        others = ["master", *self.living()]
        pair = (self._one(), self.world.random.choice(others))
        return self._cut(*(pair if self._coin() else pair[::-1]), both=False)

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
        living = self.living()
        if len(living) > 1:
            address = self._one()
            self.world.leave(address)
            self.world.after(self.world.random.choice((1_000, 4_000)), lambda: self._back(address))
            return f"leave {address}"
        return "leave nobody"

    def pause_all(self) -> str:
        """All nodes stop and wake one after the other: what queued up arrives in bursts."""
        return "; ".join(self._pause_one(a, self.world.random.uniform(300, 3_500)) for a in self.living())

    def clock_step(self) -> str:
        """The wall clock of a node jumps."""
        address = self._one()
        step_s = self.world.random.choice((-3_600, -30, -2, 2, 30, 3_600))
        self.world.nodes[address].clock.wall_ns += step_s * 1_000_000_000
        return f"wall clock of {address} {step_s:+} s"

    def restart_master(self) -> str:
        """The master dies and starts again from its journal."""
        self.world.kill_master()
        delay_ms = self.world.random.choice((50, 1_000, 3_000))
        self.world.after(delay_ms, self.world.ensure_master)
        return f"master restart {delay_ms} ms"

    def master_forgets(self) -> str:
        """The master dies and starts again without its journal."""
        if not self.living():
            return "master restart put off: nobody could tell it what was"
        self.world.kill_master()
        delay_ms = self.world.random.choice((50, 1_000, 3_000))
        self.world.after(delay_ms, lambda: self.world.ensure_master(with_journal=False))
        return f"master restart without journal {delay_ms} ms"

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

    def _some_links(self) -> list[Link]:
        """Return the links between nodes, of clients, or both; those of the master rarely."""
        world = self.world
        pairs = [[world.default_link], [world.client_link], [world.default_link, world.client_link]]
        return world.random.choice((*pairs, [world.default_link, world.client_link, world.master_link]))

    def _for_a_while(self, links: list[Link], duration_ms: float) -> None:
        before = [link.delay_ms for link in links]

        def calm() -> None:
            for link, delay_ms in zip(links, before, strict=True):
                link.drop = link.duplicate = 0.0
                link.delay_ms = delay_ms

        self.world.after(duration_ms, calm)

    def slow(self) -> str:
        """Nothing is lost, and everything takes its time: what is short otherwise, as a handover, is long."""
        links = self._some_links()
        self._for_a_while(links, 2_500)
        for link in links:
            link.delay_ms = (5.0, self.world.random.choice((80.0, 400.0)))
        return "slow links"

    def lossy(self) -> str:
        """Messages are lost, doubled and late for a while."""
        links = self._some_links()
        self._for_a_while(links, 1_500)
        for link in links:
            link.drop, link.duplicate = self.world.random.choice((0.05, 0.3)), self.world.random.choice((0.05, 0.3))
            link.delay_ms = (0.1, self.world.random.choice((5.0, 60.0)))
        return "lossy links"


def drawn_clock(world: World) -> Clock:
    """Draw a clock within the assumption: rates differ by 1 % at most."""
    chance = world.random
    return Clock(
        rate=chance.uniform(0.995, 1.005),
        offset_ns=chance.randrange(10**15),
        wall_ns=chance.choice((0, 0, 5 * 10**9, -5 * 10**9)),
    )
