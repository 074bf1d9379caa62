"""Who is marked down although it speaks: the deaf, and one of two that are apart.

Elsewhere: who is not heard (test_master_members), how they come back (test_admission).
"""

from __future__ import annotations

import pytest

from lockcore.core.limits import HEARTBEAT_MS, LEASE_MS_MAX, NODE_LEASE_MARGIN_MS, NODE_LEASE_MS, NS_PER_MS
from lockcore.core.messages import FromNode, Granted, Heartbeat, Lock, Unreached
from lockcore.testing.world import World
from tests.lockcore.core.desk import Desk, Played

LIMIT_MS = NODE_LEASE_MS + NODE_LEASE_MARGIN_MS
SETTLE_MS = 3_000


def cut(desk: Desk, *pairs: tuple[Played, Played], silent_ms: int = 600) -> None:
    """Have each of these say from now on that it does not reach the other; the silence grows with `live`."""
    for one, other in pairs:
        one.apart[other.id] = other.apart[one.id] = desk.now_ms - silent_ms


def three(desk: Desk) -> list[Played]:
    """Start three nodes, the last the youngest, that the master has heard for long."""
    nodes = [desk.join(address, incarnation=i) for i, address in enumerate(("a:1", "b:2", "c:3"), 1)]
    desk.live(SETTLE_MS)
    assert desk.master.settled
    return nodes


# --- apart ---------------------------------------------------------------------------------


def test_one_of_two_that_are_apart_is_marked_down_after_node_lease_and_margin() -> None:
    """Counted from when the silence began, which a node knows better than the master."""
    desk = Desk()
    a, b, _ = three(desk)
    cut(desk, (a, b), silent_ms=0)
    desk.live(LIMIT_MS - 200)
    assert desk.up() == {"a:1", "b:2", "c:3"}
    desk.live(300)
    assert desk.up() == {"a:1", "c:3"}
    assert desk.view.graces == ()


def test_a_word_of_one_of_the_two_is_enough() -> None:
    """The other may have had nothing to say to it, or not have noticed."""
    desk = Desk()
    a, b, _ = three(desk)
    a.apart[b.id] = desk.now_ms
    desk.live(LIMIT_MS + 200)
    assert desk.up() == {"a:1", "c:3"}


def test_who_is_apart_from_more_members_goes() -> None:
    """Otherwise a node that reaches nobody would cost the cluster all the others, one after the other."""
    desk = Desk()
    a, b, c = three(desk)
    cut(desk, (a, b), (a, c))
    desk.live(2 * LIMIT_MS)
    assert desk.up() == {"b:2", "c:3"}


def test_of_two_that_are_apart_the_younger_goes_whoever_complains() -> None:
    """Always the same one: the other keeps what it has."""
    desk = Desk()
    a, b, c = three(desk)
    c.apart[b.id] = desk.now_ms
    desk.live(LIMIT_MS + 200)
    assert desk.up() == {"a:1", "b:2"}
    assert a.refused == ""


def test_a_silence_that_ends_in_time_costs_nobody_anything() -> None:
    desk = Desk()
    a, b, _ = three(desk)
    cut(desk, (a, b), silent_ms=0)
    desk.live(LIMIT_MS - 500)
    a.apart.clear()
    b.apart.clear()
    desk.live(LIMIT_MS)
    assert desk.up() == {"a:1", "b:2", "c:3"}


def test_a_cut_in_a_handover_is_resolved_too() -> None:
    """The newcomer would wait for the seal of the one it does not reach, and all its range with it."""
    desk = Desk()
    a, _, _ = three(desk)
    d = desk.join("d:4", incarnation=4, settles=False)
    desk.live(1_200)
    assert "d:4" in desk.up()
    cut(desk, (a, d), silent_ms=0)
    desk.live(LIMIT_MS + 300)
    assert desk.up() == {"a:1", "b:2", "c:3"}


@pytest.mark.parametrize("everybody", [False, True], ids=["both", "everybody"])
def test_being_apart_never_makes_a_double_failure(everybody: bool) -> None:  # noqa: FBT001 - a parameter
    """M6: whoever goes next would take with it what only it has left: waiting loses time, going loses locks."""
    desk = Desk()
    a, b, c = three(desk)
    for node in (a, b, c):
        node.settles = False  # nobody gets from b or c what it misses
    if everybody:
        cut(desk, (a, b), (b, c), (a, c))
    else:
        desk.die(a)
        cut(desk, (b, c))
    desk.live(4 * LIMIT_MS)
    assert len(desk.up()) == 2
    assert desk.view.graces == ()


def test_the_last_two_that_are_apart_become_one_and_not_none() -> None:
    """M6: it goes on alone, with all there is."""
    desk = Desk()
    a, b = desk.start("a:1", "b:2")
    cut(desk, (a, b))
    desk.live(4 * LIMIT_MS)
    assert len(desk.up()) == 1
    assert desk.view.graces == ()


def test_being_apart_counts_only_while_the_master_hears_both() -> None:
    """M8: one that slept has answered nobody, and is there again: its silence was its own."""
    desk = Desk()
    a, b, _ = three(desk)
    cut(desk, (a, b), silent_ms=0)
    b.silent = True
    desk.live(LIMIT_MS - 400)
    b.silent = False
    desk.live(LIMIT_MS - 200)
    assert desk.up() == {"a:1", "b:2", "c:3"}
    desk.live(400)
    assert desk.up() == {"a:1", "c:3"}


def test_a_master_that_slept_does_not_act_on_what_was_said_meanwhile() -> None:
    """M8: the words that waited for it speak of a time when it did not listen."""
    desk = Desk()
    a, b, _ = three(desk)
    desk.now_ms += 10_000
    for node in (a, b):
        node.beats += 1
        word = Unreached((b if node is a else a).id, 9_000)
        desk.step(
            FromNode(node.connection, Heartbeat(node.id, node.beats, desk.view.number, True, 0, unreached=(word,)))
        )
    desk.live(1_000)
    assert desk.up() == {"a:1", "b:2", "c:3"}


# --- deaf ----------------------------------------------------------------------------------


def test_a_member_that_is_heard_but_does_not_hear_is_marked_down() -> None:
    """It has fenced itself: without this its locks would wait for as long as the cut lasts."""
    desk = Desk()
    b = three(desk)[1]
    b.deaf = True
    desk.live(LIMIT_MS - HEARTBEAT_MS)
    assert "b:2" in desk.up()
    desk.live(3 * HEARTBEAT_MS)
    assert desk.up() == {"a:1", "c:3"}
    assert desk.view.graces == ()


def test_a_deaf_member_that_must_not_go_so_is_no_longer_acknowledged_and_goes_in_the_end() -> None:
    """M2, M6: with it goes all that is known of a range, so it must surely serve nothing first."""
    desk = Desk()
    a, b, c = three(desk)
    for node in (a, b, c):
        node.settles = False
    desk.die(a)
    b.deaf = True
    desk.live(LIMIT_MS + 2 * HEARTBEAT_MS)
    assert desk.up() == {"b:2", "c:3"}
    desk.live(LIMIT_MS)
    assert desk.up() == {"c:3"}
    assert desk.view.graces[0].remaining_ms > LEASE_MS_MAX - 2 * LIMIT_MS


def test_acknowledgements_that_arrive_late_are_heard() -> None:
    """A round trip of a second is slow, not deaf."""
    desk = Desk()
    b = three(desk)[1]
    behind = 3
    for _ in range(40):
        desk.live(HEARTBEAT_MS)
        b.acked = max(0, b.beats - behind * 4)
    assert desk.up() == {"a:1", "b:2", "c:3"}


def test_what_has_reached_a_member_counts_also_when_its_connection_has_been_lost() -> None:
    """Found by simulation (seed 2308868): its last word was on its way still, and it was put out with a lease."""
    desk = Desk()
    *_, c = three(desk)
    c.deaf = True
    desk.live(1_000)
    late = Heartbeat(c.id, c.beats + 1, c.view.number if c.view else 0, True, 0, acked=c.beats)
    desk.hang_up(c)
    desk.step(FromNode(c.connection, late))
    desk.live(LIMIT_MS - 200)
    assert "c:3" in desk.up()
    desk.live(400)
    assert "c:3" not in desk.up()


def test_a_member_that_slept_for_less_than_its_lease_is_not_deaf() -> None:
    desk = Desk()
    b = three(desk)[1]
    b.silent = b.deaf = True
    desk.live(NODE_LEASE_MS)
    b.silent = False
    desk.beat(b)
    b.deaf = False
    desk.live(LIMIT_MS)
    assert desk.up() == {"a:1", "b:2", "c:3"}


@pytest.mark.parametrize("who_slept", ["the master", "the member"])
def test_a_member_that_pauses_for_a_second_after_another_sleep_is_not_deaf(who_slept: str) -> None:
    """M8: found by simulation: several heartbeats came at once, and half a second later their answers were in vain."""
    desk = Desk()
    b = three(desk)[1]
    b.silent = b.deaf = True
    if who_slept == "the master":
        desk.now_ms += NODE_LEASE_MS
    else:
        desk.live(NODE_LEASE_MS)
    for _ in range(3):
        desk.beat(b)
    desk.live(1_100)
    assert "b:2" in desk.up()
    b.silent = b.deaf = False
    desk.live(LIMIT_MS)
    assert desk.up() == {"a:1", "b:2", "c:3"}


# --- whole clusters ------------------------------------------------------------------------


def cluster() -> World:
    """Return three settled nodes that have lived for a while."""
    world = World(7)
    world.start("a:1", "b:2", "c:3")
    world.run_ms(5_000)
    return world


def up(world: World) -> set[str]:
    """Return who is up."""
    assert world.master is not None
    assert world.master.view is not None
    return set(world.master.view.up)


@pytest.mark.parametrize("source", ["b:2", "c:3"])
@pytest.mark.parametrize("both", [True, False], ids=["both ways", "one way"])
def test_two_nodes_that_do_not_reach_each_other_cost_one_of_them_and_half_a_second(source: str, both: bool) -> None:  # noqa: FBT001
    """And not one view more, for as long as the cut lasts."""
    world = cluster()
    target = "c:3" if source == "b:2" else "b:2"
    world.cut(source, target, both=both)
    world.run_ms(LIMIT_MS + 1_700)  # nobody asks for a lock: the first question is a probe
    assert len(up(world)) == 2
    world.run_ms(2_000)
    views = len(world.views)
    world.run_ms(60_000)
    assert len(world.views) == views
    world.mend(source, target)
    world.run_until(world.is_settled, 5_000)
    assert up(world) == {"a:1", "b:2", "c:3"}
    assert all(view.graces == () for view in world.views)


@pytest.mark.parametrize("primary", ["b:2", "c:3"])
@pytest.mark.parametrize("both", [True, False], ids=["both ways", "one way"])
def test_a_lock_that_two_share_who_are_cut_off_from_each_other_is_had_again_in_time(primary: str, both: bool) -> None:  # noqa: FBT001
    """Node lease + margin + 0.5 s after the first request that had to wait, whichever of the two goes."""
    world = cluster()
    backup = "c:3" if primary == "b:2" else "b:2"
    assert world.master is not None
    assert world.master.view is not None
    ring = world.master.view.ring
    keys = [k for k in map(str, range(200)) if ring.owners(k) == (primary, backup)]
    held = world.ask(primary, Lock(keys[0], LEASE_MS_MAX, "ada"))
    assert isinstance(held, Granted)
    world.cut(primary, backup, both=both)
    began_ns = world.now_ns
    answers: list[Granted] = []
    patience_ms = 100

    def ask() -> None:
        """As a client does that renews: at whoever is primary now, again and again."""
        view = world.master.view if world.master else None
        where = view.ring.primary(keys[0]) if view else None
        if where is None or answers:
            return
        again = Lock(keys[0], LEASE_MS_MAX, "ada", held.token)
        world.call(where, again, lambda r: answers.append(r) if isinstance(r, Granted) else None, patience_ms)
        world.after(patience_ms, ask)

    ask()
    world.run_until(lambda: bool(answers), 10_000)
    assert answers[0].generation == held.generation
    assert world.now_ns - began_ns <= (LIMIT_MS + 500) * NS_PER_MS


def test_a_node_that_does_not_hear_the_master_is_marked_down_in_time_and_comes_back() -> None:
    world = cluster()
    world.cut("master", "b:2", both=False)
    world.run_ms(LIMIT_MS + 900)  # its stream breaks too, somewhen
    assert up(world) == {"a:1", "c:3"}
    world.run_ms(2_000)
    views = len(world.views)
    world.run_ms(30_000)
    assert len(world.views) == views
    world.mend("master", "b:2")
    world.run_until(world.is_settled, 10_000)
    assert up(world) == {"a:1", "b:2", "c:3"}
    assert all(view.graces == () for view in world.views)
