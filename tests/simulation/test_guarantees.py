"""Bounds and limits that docs/guarantees.md states, on whole clusters of real cores.

A bound is kept just inside of it, and seen to break beyond it; a limit is shown to be what it is said to be, and no
worse.

Elsewhere: the promises under random faults (test_simulation), single rules (tests/lockcore/core).
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Literal

import pytest

from lockcore.core.config import NodeConfig
from lockcore.core.limits import LEASE_MS_MAX
from lockcore.core.messages import Code, Granted, Lock, Refused, Released, Unlock
from lockcore.core.operations import FindOwner
from lockcore.testing.network import Clock
from lockcore.testing.world import CLIENT, MASTER, World

if TYPE_CHECKING:
    from lockcore.core.messages import Operation, Result

A, B, C = NODES = ("a:1", "b:2", "c:3")
TTL_MS = 20_000


def cluster(config: NodeConfig | None = None) -> World:
    """Return three settled nodes."""
    world = World(config=config)
    world.start(*NODES)
    world.settle()
    return world


def key_of(world: World, primary: str, backup: str) -> str:
    """Return a key with these owners in the newest view."""
    ring = world.views[-1].ring
    return next(key for key in map(str, count()) if ring.owners(key) == (primary, backup))


def hold(world: World, key: str, owner: str = "ada") -> Granted:
    """Take a lock at its primary."""
    result = world.ask(world.views[-1].ring.primary(key) or A, Lock(key, TTL_MS, owner))
    assert isinstance(result, Granted), result
    return result


def send(world: World, address: str, operation: Operation) -> list[Result]:
    """Ask without waiting; the list gets the answer when there is one."""
    answers: list[Result] = []
    world.call(address, operation, answers.append)
    return answers


def free_at_ns(world: World, address: str, key: str) -> tuple[int, Granted]:
    """Ask again and again in somebody else's name; return when it was granted, and how."""
    while True:
        result = world.ask(address, Lock(key, TTL_MS, "bob"))
        if isinstance(result, Granted):
            return world.now_ns, result
        world.run_ms(50)


# --- clocks --------------------------------------------------------------------------------------


def fenced_and_given_up_ms(node_rate: float, master_rate: float) -> tuple[float, float]:
    """Return how long a node serves after its last acknowledged heartbeat, and when the master marks it down."""
    world = World()
    world.master_clock = Clock(rate=master_rate)
    world.start_node(A, Clock(rate=node_rate))
    world.start_node(B)
    world.run_until(lambda: world.is_settled(A, B))
    node = world.nodes[A]
    lease_ns = node.core.lease_until_ns
    world.run_until(lambda: node.core.lease_until_ns > lease_ns)
    world.cut(A, MASTER)
    cut_ns = world.now_ns
    moments: dict[str, float] = {}
    while len(moments) < 2:
        world.run_ms(1)
        since_ms = (world.now_ns - cut_ns) / 1e6
        if not node.core.serving(world.instant(node.clock)):
            moments.setdefault("fenced", since_ms)
        if A not in world.views[-1].up:
            moments.setdefault("given up", since_ms)
    return moments["fenced"], moments["given up"]


@pytest.mark.parametrize(("node_rate", "master_rate"), [(1.0, 1.0), (0.9, 1.1), (1.0, 1.24), (1.1, 0.9)])
def test_a_cut_node_is_fenced_first_while_clocks_differ_by_less_than_a_quarter(
    node_rate: float, master_rate: float
) -> None:
    """F1, M2: 2.0 s on the node's clock end before 2.5 s on the master's, unless that runs 1.25 times as fast."""
    fenced_ms, given_up_ms = fenced_and_given_up_ms(node_rate, master_rate)
    assert fenced_ms < given_up_ms


def test_beyond_a_quarter_the_margin_does_not_cover_it() -> None:
    """The bound is a bound: the test above can fail."""
    fenced_ms, given_up_ms = fenced_and_given_up_ms(1.0, 1.3)
    assert given_up_ms < fenced_ms


def test_generations_rise_although_everybody_died_and_the_clock_was_set_back() -> None:
    """L2, M1: the journal knows the last view only, and many locks were granted since."""
    world = cluster()
    key = key_of(world, A, B)
    granted = hold(world, key)
    for _ in range(20):
        assert isinstance(world.ask(A, Unlock(key, granted.token)), Released)
        granted = hold(world, key)
    for address in NODES:
        world.kill(address, seen=False)
    world.kill_master()
    world.master_clock.wall_ns -= 3_600 * 1_000_000_000
    world.start_master()
    for address in NODES:
        world.start_node(address)
    world.run_until(lambda: len(world.views) > 1 and world.is_settled(*NODES))
    world.run_ms(LEASE_MS_MAX)
    _, again = free_at_ns(world, world.views[-1].ring.primary(key) or A, key)
    assert again.generation > granted.generation


# --- replies that are lost -----------------------------------------------------------------------


def test_an_acquisition_whose_answer_was_lost_is_held_by_its_sender_until_its_lease_ends() -> None:
    """It has no token, so it cannot prove to be itself; nobody else gets the lock either."""
    world = cluster()
    key = key_of(world, A, B)
    world.cut(A, CLIENT, both=False)
    begun_ns = world.now_ns
    assert send(world, A, Lock(key, TTL_MS, "ada")) == []
    world.run_ms(100)
    world.mend(A, CLIENT)
    again = world.ask(A, Lock(key, TTL_MS, "ada"))
    assert isinstance(again, Refused)
    assert (again.code, again.owner) == (Code.HELD, "ada")
    at_ns, _ = free_at_ns(world, A, key)
    assert TTL_MS * 1_000_000 <= at_ns - begun_ns < (TTL_MS + 500) * 1_000_000


# --- two failures --------------------------------------------------------------------------------


def test_an_unlock_caught_in_a_handover_is_acknowledged_when_no_single_death_can_undo_it() -> None:
    """S5, docs/decisions/0008: while one node has it, nobody is told; when that node dies, its heir is asked again."""
    world = cluster()
    key = key_of(world, A, B)
    granted = hold(world, key)
    world.run_ms(50)
    world.cut(A, B)  # so that the unlock still waits when the view changes
    unlocked = send(world, A, Unlock(key, granted.token))
    world.leave(A)
    world.run_until(lambda: any(lease.key == key for lease in world.nodes[C].core.leases()))
    assert unlocked == []
    world.cut(B, C)  # the new primary hears of the unlock, its backup does not
    world.mend(A, B)
    world.run_until(lambda: any(lease.key == key and lease.gone for lease in world.nodes[B].core.leases()))
    world.run_ms(300)
    assert unlocked == []
    world.kill(B)
    world.run_until(lambda: bool(unlocked))
    assert isinstance(unlocked[0], Refused)
    assert unlocked[0].moved_to == C
    assert isinstance(world.ask(C, Unlock(key, granted.token)), Released)
    found = world.ask(C, FindOwner(key))
    assert isinstance(found, Refused)
    assert found.code is Code.NOT_FOUND


# --- durability ----------------------------------------------------------------------------------


@pytest.mark.parametrize("durability", ["async", "backup"])
def test_only_with_async_durability_is_anything_acknowledged_that_dies_with_its_primary(
    durability: Literal["async", "backup"],
) -> None:
    """The price of SeaweedFS's way, and why it is not the default."""
    world = cluster(NodeConfig(durability=durability))
    key = key_of(world, A, B)
    world.cut(A, B)
    answers = send(world, A, Lock(key, TTL_MS, "ada"))
    world.run_ms(200)
    assert bool(answers) is (durability == "async")
    world.kill(A)
    world.run_until(lambda: A not in world.views[-1].up)
    world.run_ms(50)
    stolen = world.ask(B, Lock(key, TTL_MS, "bob"))
    assert isinstance(stolen, Granted)
