"""What people are told of a key and of sessions: what the node decides, bounded, and no secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockcore.core import inspecting
from lockcore.core.events import EventKind
from lockcore.core.inspecting import KeySeen, SessionsSeen
from lockcore.core.messages import MoveRanges
from lockcore.core.rangerecords import Kind
from lockcore.wire.inspect_codec import (
    decode_key,
    decode_leases,
    decode_sessions,
    encode_key,
    encode_leases,
    encode_sessions,
)
from tests.lockcore.core.sessionworld import Client, Cluster, granted
from tests.lockcore.core.test_ranging import Ranger

if TYPE_CHECKING:
    import pytest

    from lockcore.core.events import Event


def see(cluster: Cluster, at: str, key: str) -> KeySeen:
    """Return what a node tells of a key, over the wire."""
    world = cluster.world
    seen = world.nodes[at].core.see_key(key, world.instant(world.nodes[at].clock))
    assert decode_key(encode_key(seen)) == seen
    return seen


def see_sessions(cluster: Cluster, at: str) -> SessionsSeen:
    """Return what a node tells of sessions, over the wire."""
    world = cluster.world
    seen = world.nodes[at].core.see_sessions(world.instant(world.nodes[at].clock))
    assert decode_sessions(encode_sessions(seen)) == seen
    return seen


def test_the_primary_tells_who_holds_and_who_waits_in_order() -> None:
    cluster = Cluster()
    ada, bob, eve = (Client(cluster, name) for name in ("ada", "bob", "eve"))
    held = granted(ada.lock("k"))
    bob.wait_for("k")
    eve.wait_for("k", wait_ms=5_000)
    seen = see(cluster, cluster.primary("k"), "k")
    assert seen.decides
    assert seen.holder is not None
    assert (seen.holder.label, seen.holder.session, seen.holder.generation) == ("ada", ada.proof.id, held.generation)
    assert [place.label for place in seen.queue] == ["bob", "eve"]
    first, second = (place.remaining_ms for place in seen.queue)
    assert first is None
    assert second is not None
    assert 0 < second <= 5_000


def test_leases_of_many_keys_are_told_where_they_are_held_and_decided() -> None:
    """As what is asked of one key tells them: people see the same in a list and in a dialog."""
    cluster = Cluster()
    ada = Client(cluster, "ada")
    keys = [f"k{i}" for i in range(12)]
    generations = {key: granted(ada.lock(key)).generation for key in keys}
    told: dict[str, int] = {}
    for node in cluster.world.nodes.values():
        seen = node.core.see_leases([*keys, "held by nobody"], cluster.world.instant(node.clock))
        assert decode_leases(encode_leases(seen)) == seen
        for lease in seen:
            assert lease.key not in told
            told[lease.key] = lease.generation
            holder = see(cluster, node.address, lease.key).holder
            assert holder is not None
            assert (lease.generation, lease.remaining_ms) == (holder.generation, holder.remaining_ms)
    assert told == generations


def test_rows_and_waiting_requests_are_told_as_they_stand() -> None:
    cluster = Cluster()
    ada, bob = Ranger(cluster, "ada"), Ranger(cluster, "bob")
    ada.set("k", Kind.WRITE, 10, 90)
    ada.set("k", Kind.READ, 200)
    bob.wait("k", Kind.WRITE, 0, 50)
    seen = see(cluster, cluster.primary("k"), "k")
    assert seen.holder is None
    assert [(row.label, row.kind, row.start, row.length) for row in seen.ranges] == [
        ("ada", Kind.WRITE, 10, 90),
        ("ada", Kind.READ, 200, 0),
    ]
    assert [(w.piece.label, w.piece.start, w.piece.length, w.fair) for w in seen.waiting] == [("bob", 0, 50, False)]


def test_a_node_that_does_not_decide_says_so_and_how_far_its_copy_is() -> None:
    """Its copy may be behind: what it says of the lock would be no answer."""
    cluster = Cluster()
    granted(Client(cluster, "ada").lock("k"))
    primary = cluster.primary("k")
    order = see(cluster, primary, "k").order
    backup = cluster.world.views[-1].ring.backup("k") or ""
    (other,) = set(cluster.world.nodes) - {primary, backup}
    assert order[0] > 0
    assert see(cluster, backup, "k") == KeySeen(decides=False, order=order)
    assert see(cluster, other, "k") == KeySeen(decides=False)


def test_what_sessions_have_adds_up_over_the_nodes() -> None:
    """Each node counts what it decides about."""
    cluster = Cluster()
    ada, bob = Ranger(cluster, "ada"), Ranger(cluster, "bob")
    for node in cluster.world.nodes:
        ada.lock(cluster.key(node))
        bob.wait_for(cluster.key(node))
        ada.set(cluster.key(node), Kind.WRITE, 0, 10)
    totals: dict[str, list[int]] = {}
    for node in cluster.world.nodes:
        seen = see_sessions(cluster, node)
        assert (seen.total, seen.counted) == (2, True)
        for one in seen.sessions:
            before = totals.setdefault(one.label, [0, 0, 0])
            totals[one.label] = [a + b for a, b in zip(before, (one.locks, one.ranges, one.waits), strict=True)]
    assert totals == {"ada": [3, 3, 0], "bob": [0, 0, 3]}


def test_a_session_is_told_as_alive_lapsed_and_ended() -> None:
    cluster = Cluster()
    Client(cluster, "lives")
    Client(cluster, "lapses", ttl_ms=1_000)
    Client(cluster, "ends").end()
    cluster.world.run_ms(1_500)
    states = {one.label: one.state for one in see_sessions(cluster, "a:1").sessions}
    assert states == {"lives": "alive", "lapses": "lapsed", "ends": "ended"}


def test_answers_are_bounded_and_say_of_how_much_they_are_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspecting, "ROWS_TOLD_MAX", 2)
    monkeypatch.setattr(inspecting, "SESSIONS_TOLD_MAX", 1)
    monkeypatch.setattr(inspecting, "COUNTED_MAX", 3)
    cluster = Cluster()
    Client(cluster, "older")
    ada = Ranger(cluster, "ada")
    for i in range(5):
        ada.set("k", Kind.WRITE, 10 * i, 5)
    seen = see(cluster, cluster.primary("k"), "k")
    assert (len(seen.ranges), seen.ranges_total) == (2, 5)
    sessions = see_sessions(cluster, cluster.primary("k"))
    assert [one.label for one in sessions.sessions] == ["ada"]
    assert (sessions.total, sessions.counted) == (2, False)
    assert sessions.sessions[0].ranges <= 3


def test_no_secret_is_told() -> None:
    cluster = Cluster()
    ada = Client(cluster, "ada")
    token = granted(ada.lock("k")).token
    told = f"{see(cluster, cluster.primary('k'), 'k')} {see_sessions(cluster, 'a:1')}"
    assert ada.proof.secret not in told
    assert token == "" or token not in told


# --- facts -------------------------------------------------------------------------------


def facts_of(cluster: Cluster, kind: EventKind) -> list[Event]:
    """Return what was told."""
    return [fact.event for fact in cluster.world.facts if fact.event.kind is kind]


def test_ranges_that_move_are_not_told_as_a_lock_that_moves() -> None:
    """A key may be a lock and have ranges; who reads of its promotion must know which of them is meant."""
    cluster = Cluster()
    ada = Ranger(cluster, "ada")
    ada.set("k", Kind.WRITE, 0, 10)
    cluster.world.kill(cluster.primary("k"))
    cluster.world.run_until(lambda: bool(facts_of(cluster, EventKind.RANGE_PROMOTED)), 10_000)
    (promoted,) = facts_of(cluster, EventKind.RANGE_PROMOTED)
    assert promoted.key == "k"
    assert facts_of(cluster, EventKind.PROMOTED) == []


def test_a_migration_is_told_with_the_session_it_came_from() -> None:
    cluster = Cluster()
    old, new = Ranger(cluster, "old"), Ranger(cluster, "new")
    old.lock("k")
    old.set("k", Kind.WRITE, 0, 10)
    new.move("k", old)
    cluster.world.ask(cluster.primary("k"), MoveRanges("k", new.proof, 99, old.proof))
    for kind in (EventKind.MIGRATED, EventKind.RANGE_MIGRATED):
        (told,) = facts_of(cluster, kind)
        assert (told.peer, told.session) == (old.proof.id, new.proof.id)
