"""What is done to a cluster: one fault at a time, healed, and a quiet time after it.

Elsewhere: the kinds (kinds), the cluster, which come when (run), what they cost (measure).
"""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Final

from lockcore.client.clock import boot_ns
from lockcore.testing.chaos.cluster import CLIENTS, HOLDERS, MASTER, Cluster, Node, NotReached
from lockcore.testing.chaos.double import Double
from lockcore.testing.chaos.kinds import OF_HOLDERS, Kind, Trial

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from random import Random

    from lockcore.testing.chaos.records import Recorder

SHORT_S: Final = (0.5, 1.5)
"""Below the node lease of 2 s."""
LONG_S: Final = (3.3, 3.9)
"""Above node lease, margin, and the half second in which a cluster has to go on."""
BEFORE_REJOIN_S: Final = (1.5, 3.0)
CONVERGE_S: Final = 40.0
QUIET_S: Final = (0.4, 0.8)
PAIRS: Final = {Kind.CUT_BACKUP: "-", Kind.ONE_WAY_PEER: ">", Kind.DOUBLE: "+"}
"""Faults between two nodes, and how their target is written."""
OF_MASTER: Final = frozenset({Kind.MASTER_RESTART, Kind.MASTER_PAUSE_SHORT, Kind.MASTER_PAUSE_LONG})
MOVES_ALL: Final = frozenset({Kind.JOIN, Kind.LEAVE, *OF_MASTER})
"""Faults that concern the locks of every node."""
NOBODY: Final = "-"
"""Owns no lock: what is done to holders touches no node's."""


class Faults:
    """Carries out faults on a cluster, drawn from one source of chance."""

    def __init__(self, cluster: Cluster, draw: Random, recorder: Recorder) -> None:
        self._cluster = cluster
        self._draw = draw
        self._recorder = recorder
        self._number = 0
        self._deeds: dict[Kind, Callable[[Trial, Node], Awaitable[None]]] = {
            Kind.KILL_SEEN: self._kill_seen,
            Kind.KILL_UNSEEN: self._kill_unseen,
            Kind.KILL_RESTART: self._kill_restart,
            Kind.KILL_REJOIN: self._kill_rejoin,
            Kind.PAUSE_SHORT: self._pause_short,
            Kind.PAUSE_LONG: self._pause_long,
            Kind.CUT_MASTER: self._cut_master,
            Kind.CUT_BACKUP: self._cut_backup,
            Kind.ISOLATE: self._isolate,
            Kind.DEAF_TO_MASTER: self._deaf_to_master,
            Kind.MUTE_TO_MASTER: self._mute_to_master,
            Kind.ONE_WAY_PEER: self._one_way_peer,
            Kind.JOIN: self._join,
            Kind.LEAVE: self._leave,
            Kind.MASTER_RESTART: self._master_restart,
            Kind.MASTER_PAUSE_SHORT: self._master_pause_short,
            Kind.MASTER_PAUSE_LONG: self._master_pause_long,
            Kind.DOUBLE: self._double,
            Kind.HOLDER_PAUSE: self._holder_pause,
            Kind.REPLY_LOST: self._reply_lost,
        }

    async def carry_out(self, kind: Kind, begun: Callable[[Trial], None]) -> Trial:
        """Do it, heal it, wait until the cluster is settled, and a quiet time more.

        `begun` is called with the trial when its target is drawn.
        """
        cluster = self._cluster
        trial = self._draw_trial(kind)
        begun(trial)
        trial.begun_ns = boot_ns()
        try:
            await self._deeds[kind](trial, cluster.node(trial.node))
            trial.healed_ns = boot_ns()
            if kind not in OF_HOLDERS:
                await cluster.wait_settled(CONVERGE_S)
        except (NotReached, TimeoutError) as error:
            trial.problem = str(error) or type(error).__name__
        trial.settled_ns = boot_ns()
        trial.healed_ns = trial.healed_ns or trial.settled_ns
        if trial.problem:
            trial.hopeless = not await self._repaired()
        await asyncio.sleep(self._draw.uniform(*QUIET_S))
        trial.quiet_ns = boot_ns()
        return trial

    async def _repaired(self) -> bool:
        """Bring everything back that a fault which went wrong has left broken; say whether it is."""
        try:
            await self._cluster.repair(CONVERGE_S)
        except NotReached:
            return False
        return True

    def _draw_trial(self, kind: Kind) -> Trial:
        cluster = self._cluster
        node = cluster.spare if kind is Kind.JOIN else self._draw.choice(cluster.running)
        self._number += 1
        ring = tuple(sorted(cluster.seen.addresses))
        trial = Trial(self._number, kind, node.name, node.name, ring=ring, touched=(node.address,))
        if kind in PAIRS:
            peer = self._draw.choice([other for other in cluster.running if other is not node])
            trial.target = f"{node.name}{PAIRS[kind]}{peer.name}"
            trial.peer, trial.touched, trial.between = peer.name, (node.address, peer.address), True
        elif kind in OF_MASTER:
            trial.target = trial.node = MASTER
        elif kind in OF_HOLDERS:
            trial.target, trial.touched = HOLDERS, (NOBODY,)
        if kind in MOVES_ALL:
            trial.touched = ()
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
        await self._pause(node.name, SHORT_S)

    async def _pause_long(self, _: Trial, node: Node) -> None:
        await self._pause(node.name, LONG_S)

    async def _pause(self, name: str, bounds_s: tuple[float, float]) -> None:
        self._cluster.signal(name, signal.SIGSTOP)
        try:
            await self._last(bounds_s)
        finally:
            self._cluster.signal(name, signal.SIGCONT)

    # --- cuts ------------------------------------------------------------------------------

    async def _cut_master(self, _: Trial, node: Node) -> None:
        await self._cut(_both_ways(node.name, MASTER))

    async def _cut_backup(self, trial: Trial, node: Node) -> None:
        await self._cut(_both_ways(node.name, trial.peer))

    async def _isolate(self, _: Trial, node: Node) -> None:
        others = [other.name for other in self._cluster.nodes if other is not node]
        await self._cut([way for other in (*others, MASTER, CLIENTS, HOLDERS) for way in _both_ways(node.name, other)])

    async def _deaf_to_master(self, _: Trial, node: Node) -> None:
        await self._cut([(MASTER, node.name)])

    async def _mute_to_master(self, _: Trial, node: Node) -> None:
        await self._cut([(node.name, MASTER)])

    async def _one_way_peer(self, trial: Trial, node: Node) -> None:
        await self._cut([(node.name, trial.peer)])

    async def _cut(self, ways: list[tuple[str, str]]) -> None:
        self._cluster.links.cut(ways)
        try:
            await self._last(LONG_S)
        finally:
            self._cluster.links.heal(ways)

    # --- members and the master ------------------------------------------------------------

    async def _join(self, _: Trial, node: Node) -> None:
        await self._cluster.start_node(node)

    async def _leave(self, _: Trial, node: Node) -> None:
        """Have a node leave; if another one had joined, its place is the spare one now, otherwise it comes back."""
        cluster = self._cluster
        crowded = cluster.spare.process is not None
        await cluster.end_node(node)
        if crowded:
            cluster.spare = node
            return
        await cluster.wait_settled(CONVERGE_S)
        await cluster.start_node(node)

    async def _master_restart(self, _: Trial, __: Node) -> None:
        await self._cluster.kill_master()
        await self._cluster.start_master()

    async def _master_pause_short(self, _: Trial, __: Node) -> None:
        await self._pause(MASTER, SHORT_S)

    async def _master_pause_long(self, _: Trial, __: Node) -> None:
        await self._pause(MASTER, LONG_S)

    # --- clients, and what only clients can tell of ------------------------------------------

    async def _holder_pause(self, _: Trial, __: Node) -> None:
        await self._pause(HOLDERS, LONG_S)

    async def _reply_lost(self, _: Trial, __: Node) -> None:
        await self._cut([(node.name, HOLDERS) for node in self._cluster.nodes])

    async def _double(self, trial: Trial, node: Node) -> None:
        await Double(self._cluster, trial, self._recorder).carry_out(node, self._cluster.node(trial.peer))


def _both_ways(one: str, other: str) -> list[tuple[str, str]]:
    return [(one, other), (other, one)]
