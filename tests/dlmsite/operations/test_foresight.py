"""What is foreseen is what the cluster does: compared with the real cores in a virtual world."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlmsite.operations.foresight import Change, Fate, Foresight, Hop, Pace, What, waves
from lockcore.core.messages import Granted
from lockcore.core.operations import Lock
from lockcore.core.ring import HashRing, position_of
from lockcore.testing.world import World

NODES = [f"127.0.0.1:{8000 + i}.{18000 + i}" for i in range(1, 10)]
KEYS = [f"reports/{i}" for i in range(30)]
MOVES = {"promoted": Fate.PROMOTED, "transferred": Fate.TRANSFERRED}


def change(what: str, i: int) -> Change:
    return Change(What(what), f"n{i + 1}", NODES[i])


def world_with_locks(nodes: Sequence[str], seed: int) -> World:
    world = World(seed)
    world.start(*nodes)
    world.settle()
    for key in KEYS:
        primary = HashRing(nodes).primary(key)
        assert primary is not None
        assert isinstance(world.ask(primary, Lock(key, ttl_ms=60_000, owner="ada")), Granted)
    return world


def carry_out(world: World, changes: Sequence[Change], pace: Pace) -> None:
    """Do what the helm does: wave after wave, and in turn only what has settled before."""
    deeds: dict[What, Callable[[str], object]] = {
        What.KILL: world.kill,
        What.ADD: world.start_node,
        What.STOP: world.leave,
    }
    for wave in waves(changes, pace):
        for each in wave:
            deeds[each.what](each.address)
        for each in wave:
            up = each.what is What.ADD
            world.run_until(lambda each=each, up=up: (each.address in up_in(world)) == up, 30_000)  # type: ignore[misc]
        if pace is Pace.IN_TURN:
            world.settle()
    world.settle()


def up_in(world: World) -> set[str]:
    view = world.master.view if world.master else None
    return set(view.up) if view else set()


def hops_of(world: World, key: str, since: int) -> tuple[Hop, ...]:
    return tuple(
        Hop(fact.source, MOVES[fact.event.kind.value])
        for fact in world.facts[since:]
        if fact.event.key == key and fact.event.kind.value in MOVES
    )


@st.composite
def plans(draw: st.DrawFn) -> tuple[int, list[Change], Pace]:
    """A cluster of 2 to 6 nodes, and up to 3 changes that leave somebody."""
    size = draw(st.integers(2, 6))
    going = draw(st.lists(st.integers(0, size - 1), unique=True, max_size=min(3, size - 1)))
    joining = draw(st.integers(0 if going else 1, 3 - len(going)))
    changes = [change(draw(st.sampled_from(["kill", "stop"])), i) for i in going]
    changes += [change("add", size + i) for i in range(joining)]
    return size, draw(st.permutations(changes)), draw(st.sampled_from(Pace))


@settings(max_examples=60, deadline=None)
@given(plans(), st.integers(0, 1_000))
def test_each_lock_fares_in_the_cluster_as_it_was_foreseen(plan: tuple[int, list[Change], Pace], seed: int) -> None:
    """The planner has no rule of its own: where the cores do otherwise, it is wrong."""
    size, changes, pace = plan
    world = world_with_locks(NODES[:size], seed)
    foresight = Foresight(NODES[:size], changes, pace)
    since = len(world.facts)
    carry_out(world, changes, pace)
    assert world.master is not None
    assert world.master.view is not None
    assert world.master.view.ring == foresight.after
    for key in KEYS:
        course, hops = foresight.course_at(position_of(key)), hops_of(world, key, since)
        primary, backup = world.master.view.ring.owners(key)
        assert course.after == (primary, backup)
        if course.fate is Fate.GRACE:
            # Nobody had it when both had died; a hop on the way before is all there was.
            assert hops == course.hops
            continue
        assert {hop.how for hop in hops} == {hop.how for hop in course.hops}
        assert [hop.node for hop in hops][-1:] == [hop.node for hop in course.hops][-1:]
        assert primary is not None
        lease = world.nodes[primary].core.see_key(key, world.instant()).holder
        assert lease is not None, (key, course)
        assert lease.owner == "ada"


def test_both_owners_killed_together_are_a_grace_and_in_turn_are_not() -> None:
    """In between, the copy that was lost is made anew on another node."""
    kills = [change("kill", 0), change("kill", 1)]
    together, in_turn = (Foresight(NODES[:4], kills, pace).shares() for pace in (Pace.TOGETHER, Pace.IN_TURN))
    assert together[Fate.GRACE] > 0.02
    assert in_turn[Fate.GRACE] == 0


@pytest.mark.parametrize("pace", Pace)
def test_two_goodbyes_lose_nothing_at_any_pace(pace: Pace) -> None:
    found = Foresight(NODES[:3], [change("stop", 0), change("stop", 1)], pace)
    assert found.shares()[Fate.GRACE] == 0
    assert {course.after for _, course in found.stretches()} == {(NODES[2], None)}


@pytest.mark.parametrize("what", ["kill", "stop"])
def test_when_nobody_is_left_everything_waits(what: str) -> None:
    found = Foresight(NODES[:2], [change(what, 0), change(what, 1)], Pace.IN_TURN)
    assert found.shares()[Fate.GRACE] == 1
    assert found.after.servers == ()


def test_an_empty_ring_can_be_begun() -> None:
    found = Foresight([], [change("add", 0)], Pace.TOGETHER)
    assert found.flows() == [(None, NODES[0], 1.0)]


def test_no_change_moves_nothing() -> None:
    found = Foresight(NODES[:3], [], Pace.TOGETHER)
    assert (found.shares()[Fate.STAYS], found.flows(), found.copied_share()) == (1, [], 0)
    assert Foresight([], [], Pace.TOGETHER).shares()[Fate.STAYS] == 1


@given(plans())
def test_shares_add_up_and_flows_are_those_of_the_two_rings(plan: tuple[int, list[Change], Pace]) -> None:
    size, changes, pace = plan
    found = Foresight(NODES[:size], changes, pace)
    assert sum(found.shares().values()) == pytest.approx(1)
    flows = {(source, target): share for source, target, share in found.flows()}
    assert flows == pytest.approx(found.before.diff(found.after).shares())


def test_together_kills_come_first_and_goodbyes_last() -> None:
    changes = [change("stop", 0), change("add", 4), change("kill", 1), change("kill", 2)]
    kinds = [[each.what for each in wave] for wave in waves(changes, Pace.TOGETHER)]
    assert kinds == [[What.KILL, What.KILL], [What.ADD], [What.STOP]]
    assert [len(wave) for wave in waves(changes, Pace.IN_TURN)] == [1, 1, 1, 1]
