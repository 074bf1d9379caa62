"""What is done to a cluster: one fault at a time, healed, and a quiet time after it.

Elsewhere: the cluster, which kinds come when (run), what they cost (measure).
"""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from lockcore.client.clock import boot_ns
from lockcore.testing.chaos.cluster import CLIENTS, MASTER, Cluster, Node, NotReached

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from random import Random

SHORT_S: Final = (0.5, 1.5)
"""Below the node lease of 2 s."""
LONG_S: Final = (4.0, 6.0)
"""Above node lease and margin."""
BEFORE_REJOIN_S: Final = (1.5, 3.0)
CONVERGE_S: Final = 40.0
QUIET_S: Final = (1.0, 2.0)


class Kind(StrEnum):
    """The kinds of faults."""

    KILL_SEEN = "kill, seen"
    KILL_UNSEEN = "kill, unseen"
    KILL_RESTART = "kill + restart < 1 s"
    KILL_REJOIN = "kill + rejoin"
    PAUSE_SHORT = "pause < node lease"
    PAUSE_LONG = "pause > node lease"
    CUT_MASTER = "cut from master"
    CUT_PEER = "cut from a peer"
    ISOLATE = "full isolation"
    ONE_WAY = "one-way cut"
    JOIN = "clean join"
    LEAVE = "clean leave"
    MASTER_RESTART = "master kill + restart"
    MASTER_PAUSE = "master pause"


@dataclass(slots=True)
class Trial:
    """One fault: when it began and ended, and whose locks it touched.

    `touched`: addresses whose primary locks it concerns; empty: everybody's.
    `back_ns`: when a dead node was started again, 0 for other faults: what
    its return costs is no failover.
    `problem`: why the cluster did not come back, empty where it did.
    """

    kind: Kind
    target: str
    begun_ns: int = 0
    back_ns: int = 0
    healed_ns: int = 0
    settled_ns: int = 0
    quiet_ns: int = 0
    ring: tuple[str, ...] = ()
    touched: tuple[str, ...] = ()
    between: bool = False
    problem: str = ""
    notes: list[str] = field(default_factory=list)


class Faults:
    """Carries out faults on a cluster, drawn from one source of chance."""

    def __init__(self, cluster: Cluster, draw: Random) -> None:
        self._cluster = cluster
        self._draw = draw
        self._deeds: dict[Kind, Callable[[Trial, Node], Awaitable[None]]] = {
            Kind.KILL_SEEN: self._kill_seen,
            Kind.KILL_UNSEEN: self._kill_unseen,
            Kind.KILL_RESTART: self._kill_restart,
            Kind.KILL_REJOIN: self._kill_rejoin,
            Kind.PAUSE_SHORT: self._pause_short,
            Kind.PAUSE_LONG: self._pause_long,
            Kind.CUT_MASTER: self._cut_master,
            Kind.CUT_PEER: self._cut_peer,
            Kind.ISOLATE: self._isolate,
            Kind.ONE_WAY: self._one_way,
            Kind.JOIN: self._join,
            Kind.LEAVE: self._leave,
            Kind.MASTER_RESTART: self._master_restart,
            Kind.MASTER_PAUSE: self._master_pause,
        }

    async def carry_out(self, kind: Kind) -> Trial:
        """Do it, heal it, wait until the cluster is settled, and a quiet time more."""
        cluster = self._cluster
        node = self._draw.choice(cluster.running)
        if kind is Kind.LEAVE and cluster.spare.process is not None:
            node = cluster.spare
        trial = Trial(kind, node.name, ring=tuple(sorted(cluster.seen.addresses)), touched=(node.address,))
        trial.begun_ns = boot_ns()
        try:
            await self._deeds[kind](trial, node)
            trial.healed_ns = boot_ns()
            await cluster.wait_settled(CONVERGE_S)
        except (NotReached, TimeoutError) as error:
            trial.problem = str(error) or type(error).__name__
        finally:
            cluster.links.heal()
        trial.settled_ns = boot_ns()
        trial.healed_ns = trial.healed_ns or trial.settled_ns
        await asyncio.sleep(self._draw.uniform(*QUIET_S))
        trial.quiet_ns = boot_ns()
        return trial

    async def _last(self, bounds_s: tuple[float, float]) -> None:
        await asyncio.sleep(self._draw.uniform(*bounds_s))

    # --- deaths ----------------------------------------------------------------------------

    async def _kill_seen(self, trial: Trial, node: Node) -> None:
        await self._cluster.kill_node(node, seen=True)
        await self._gone_and_back(trial, node)

    async def _kill_unseen(self, trial: Trial, node: Node) -> None:
        await self._cluster.kill_node(node, seen=False)
        await self._gone_and_back(trial, node)

    async def _gone_and_back(self, trial: Trial, node: Node) -> None:
        await self._cluster.wait_settled(CONVERGE_S)
        trial.notes.append(f"settled without it after {(boot_ns() - trial.begun_ns) / 1e9:.2f} s")
        await self._last(SHORT_S)
        await self._start_again(trial, node)

    async def _kill_restart(self, _: Trial, node: Node) -> None:
        await self._cluster.kill_node(node, seen=False)
        await self._cluster.start_node(node)

    async def _kill_rejoin(self, trial: Trial, node: Node) -> None:
        await self._cluster.kill_node(node, seen=True)
        await self._last(BEFORE_REJOIN_S)
        await self._start_again(trial, node)

    async def _start_again(self, trial: Trial, node: Node) -> None:
        trial.back_ns = boot_ns()
        await self._cluster.start_node(node)

    # --- pauses ----------------------------------------------------------------------------

    async def _pause_short(self, _: Trial, node: Node) -> None:
        await self._pause(node, SHORT_S)

    async def _pause_long(self, _: Trial, node: Node) -> None:
        await self._pause(node, LONG_S)

    async def _pause(self, node: Node | None, bounds_s: tuple[float, float]) -> None:
        self._cluster.signal(node, signal.SIGSTOP)
        try:
            await self._last(bounds_s)
        finally:
            self._cluster.signal(node, signal.SIGCONT)

    # --- cuts ------------------------------------------------------------------------------

    async def _cut_master(self, _: Trial, node: Node) -> None:
        await self._cut(_both_ways(node.name, MASTER))

    async def _cut_peer(self, trial: Trial, node: Node) -> None:
        peer = self._peer_of(node)
        trial.target = f"{node.name}-{peer.name}"
        trial.touched, trial.between = (node.address, peer.address), True
        await self._cut(_both_ways(node.name, peer.name))

    async def _isolate(self, _: Trial, node: Node) -> None:
        others = [other.name for other in self._cluster.nodes if other is not node]
        await self._cut([way for other in (*others, MASTER, CLIENTS) for way in _both_ways(node.name, other)])

    async def _one_way(self, trial: Trial, node: Node) -> None:
        other = self._draw.choice([MASTER, self._peer_of(node).name])
        ways = self._draw.choice([(node.name, other), (other, node.name)])
        trial.target = f"{ways[0]}>{ways[1]}"
        if other != MASTER:
            trial.touched = tuple(n.address for n in self._cluster.nodes if n.name in ways)
            trial.between = True
        await self._cut([ways])

    async def _cut(self, ways: list[tuple[str, str]]) -> None:
        self._cluster.links.cut(ways)
        await self._last(LONG_S)
        self._cluster.links.heal()

    def _peer_of(self, node: Node) -> Node:
        return self._draw.choice([other for other in self._cluster.running if other is not node])

    # --- members and the master ------------------------------------------------------------

    async def _join(self, trial: Trial, _: Node) -> None:
        spare = self._cluster.spare
        trial.target, trial.touched = spare.name, ()
        await self._cluster.start_node(spare)

    async def _leave(self, trial: Trial, node: Node) -> None:
        trial.touched = ()
        await self._cluster.end_node(node)
        if node is not self._cluster.spare:
            await self._cluster.wait_settled(CONVERGE_S)
            await self._cluster.start_node(node)

    async def _master_restart(self, trial: Trial, _: Node) -> None:
        trial.target, trial.touched = MASTER, ()
        await self._cluster.kill_master()
        await self._cluster.start_master()

    async def _master_pause(self, trial: Trial, _: Node) -> None:
        bounds_s = self._draw.choice([SHORT_S, LONG_S])
        trial.target, trial.touched = MASTER, ()
        await self._pause(None, bounds_s)
        trial.notes.append("shorter than the node lease" if bounds_s is SHORT_S else "longer than the node lease")


def _both_ways(one: str, other: str) -> list[tuple[str, str]]:
    return [(one, other), (other, one)]
