"""Locks of sessions on small clusters in virtual time: queues, ends, repetitions, migration."""

from __future__ import annotations

from lockcore.core.messages import Code, FindOwner, How, Lock, OwnerIs, SessionIs
from tests.lockcore.core.sessionworld import Client, Cluster, granted, refused, released, run_while


def test_a_lock_of_a_session_outlives_every_ttl_as_long_as_the_session_is_kept() -> None:
    """One message renews all: no lock is renewed by itself."""
    cluster = Cluster()
    ada = Client(cluster, "ada", ttl_ms=6_000)
    keys = [cluster.key(n) for n in ("a:1", "b:2", "c:3")]
    for key in keys:
        granted(ada.lock(key))
    run_while(cluster, 20_000, lambda: ada.keep("a:1"), every_ms=2_000)
    eve = Client(cluster, "eve")
    assert all(refused(eve.lock(key)).code is Code.HELD for key in keys)


def test_waiters_are_granted_in_the_order_in_which_they_came() -> None:
    cluster = Cluster()
    key = cluster.key("b:2")
    clients = [Client(cluster, f"c{i}") for i in range(5)]
    granted(clients[0].lock(key))
    waits = [c.wait_for(key) for c in clients[1:]]
    order: list[int] = []
    for _ in waits:
        holder = order[-1] + 1 if order else 0
        released(clients[holder].unlock(key))
        cluster.world.run_ms(50)
        answered = [i for i, w in enumerate(waits) if w.answers and i not in order]
        order += answered
    assert order == [0, 1, 2, 3]
    generations = [granted(w.answers[0]).generation for w in waits]
    assert generations == sorted(set(generations))


def test_nobody_passes_a_queue_neither_with_a_session_nor_with_a_token() -> None:
    """Strictly first come, first served, also for SeaweedFS's clients."""
    cluster = Cluster()
    key = cluster.key("b:2")
    ada = Client(cluster, "ada", ttl_ms=2_000)
    bob, eve = (Client(cluster, n, ttl_ms=60_000) for n in ("bob", "eve"))
    granted(ada.lock(key, delay_ms=5_000))
    waiting = bob.wait_for(key)
    cluster.world.run_ms(3_200)
    assert not waiting.answers  # the lock-delay: the lock is free, and the queue is not empty
    assert refused(eve.lock(key)).code is Code.HELD
    assert refused(cluster.world.ask("b:2", Lock(key, 5_000, "eve"))).code is Code.HELD


def test_the_queue_survives_the_death_of_the_primary_in_its_order() -> None:
    cluster = Cluster()
    key = cluster.key("b:2", "c:3")
    ada, bob, eve = (Client(cluster, n, at="c:3") for n in ("ada", "bob", "eve"))
    held = granted(ada.lock(key))
    first, second = bob.wait_for(key), eve.wait_for(key)
    cluster.world.kill("b:2")
    cluster.world.run_ms(3_000)
    assert cluster.primary(key) == "c:3"
    assert cluster.generation(key) == held.generation
    again_second = eve.wait_for(key, op_id=second.op_id)  # attaches first, and is second all the same
    again_first = bob.wait_for(key, op_id=first.op_id)
    released(ada.unlock(key))
    assert granted(again_first.answer()).owner == "bob"
    assert not again_second.answers
    released(bob.unlock(key))
    assert granted(again_second.answer()).owner == "eve"


def test_the_queue_moves_with_its_lock_when_a_node_joins() -> None:
    cluster = Cluster("a:1", "b:2")
    world = cluster.world
    ada, bob, eve = (Client(cluster, n, ttl_ms=30_000) for n in ("ada", "bob", "eve"))
    keys = [str(i) for i in range(60)]
    held = {key: granted(ada.lock(key)) for key in keys}
    waits = {key: (bob.wait_for(key), eve.wait_for(key)) for key in keys}
    world.start_node("d:4")
    world.settle()
    moved = [key for key in keys if cluster.primary(key) == "d:4"]
    assert moved
    for key in moved:
        first, second = waits[key]
        assert refused(first.answers[0]).code is Code.MOVED
        assert refused(first.answers[0]).moved_to == "d:4"
        assert cluster.generation(key) == held[key].generation
        late = eve.wait_for(key, op_id=second.op_id)
        early = bob.wait_for(key, op_id=first.op_id)
        released(ada.unlock(key))
        assert granted(early.answer()).owner == "bob"
        assert not late.answers


def test_a_repeated_acquisition_is_answered_and_not_done_twice() -> None:
    """Also by the backup that was promoted: the answer is part of the lock's state."""
    cluster = Cluster()
    key = cluster.key("b:2", "c:3")
    ada = Client(cluster, "ada", at="c:3")
    first = granted(ada.lock(key, op_id=7))
    assert granted(ada.lock(key, op_id=7)).generation == first.generation
    cluster.world.kill("b:2")
    cluster.world.run_ms(3_000)
    assert granted(ada.lock(key, op_id=7)).generation == first.generation
    released(ada.unlock(key, op_id=7))
    released(ada.unlock(key, op_id=7))
    assert refused(ada.lock(key, op_id=7)).code is Code.NOT_FOUND
    assert granted(ada.lock(key, op_id=8)).generation > first.generation


def test_another_acquisition_of_the_same_session_waits_like_anybody() -> None:
    cluster = Cluster()
    key = cluster.key("b:2")
    ada = Client(cluster, "ada")
    granted(ada.lock(key, op_id=1))
    assert refused(ada.lock(key, op_id=2)).code is Code.HELD


def test_a_session_that_goes_silent_loses_its_locks_and_its_places() -> None:
    cluster = Cluster()
    key, other = cluster.key("b:2"), cluster.key("c:3")
    ada = Client(cluster, "ada", ttl_ms=3_000)
    bob, eve = Client(cluster, "bob", ttl_ms=60_000), Client(cluster, "eve", ttl_ms=60_000)
    granted(ada.lock(key))
    granted(bob.lock(other))
    ada.wait_for(other)
    waiting = eve.wait_for(key)
    behind = eve.wait_for(other)
    cluster.world.run_ms(2_900)
    assert not waiting.answers
    assert granted(waiting.answer()).owner == "eve"
    assert cluster.world.now_ns > 4_000 * 1_000_000
    released(bob.unlock(other))
    assert granted(behind.answer()).owner == "eve"
    kinds = [f.event.kind.value for f in cluster.world.facts if f.event.owner == "ada"]
    assert kinds.count("lapsed") == 1
    assert "expired" in kinds


def test_a_session_that_goes_silent_leaves_every_queue_at_once() -> None:
    """The queue tells who is next, and how many wait: nobody dead."""
    cluster = Cluster()
    key = cluster.key("b:2")
    bob, ada = Client(cluster, "bob", ttl_ms=60_000), Client(cluster, "ada", ttl_ms=3_000)
    granted(bob.lock(key))
    ada.wait_for(key)
    cluster.world.run_ms(5_000)
    left = [f.event for f in cluster.world.facts if f.event.kind.value == "unqueued"]
    assert [(e.owner, e.detail) for e in left] == [("ada", "its session ended")]


def test_a_request_after_the_end_of_its_session_is_refused() -> None:
    """Gluster 3182: in flight while the session was cleaned up, it was granted to the dead."""
    cluster = Cluster()
    key = cluster.key("b:2")
    ada = Client(cluster, "ada", ttl_ms=2_000)
    cluster.world.run_ms(2_700)
    assert refused(ada.lock(key)).code is Code.SESSION_LOST  # lapsed, not cleaned up yet
    cluster.world.run_ms(5_000)
    assert refused(ada.lock(key)).code is Code.SESSION_LOST
    assert refused(ada.keep()).code is Code.SESSION_LOST
    bob = Client(cluster, "bob")
    bob.end("c:3")
    assert refused(bob.lock(key)).code is Code.SESSION_LOST


def test_ending_a_session_releases_everything_at_once_at_every_node() -> None:
    cluster = Cluster()
    keys = [cluster.key(n) for n in ("a:1", "b:2", "c:3")]
    ada, eve = Client(cluster, "ada"), Client(cluster, "eve")
    for key in keys:
        granted(ada.lock(key))
    ada.end("b:2")
    cluster.world.run_ms(50)
    assert all(granted(eve.lock(key)).owner == "eve" for key in keys)


def test_a_waiter_that_leaves_frees_its_place() -> None:
    cluster = Cluster()
    key = cluster.key("b:2")
    ada, bob, eve = (Client(cluster, n) for n in ("ada", "bob", "eve"))
    granted(ada.lock(key))
    left, stays = bob.wait_for(key), eve.wait_for(key)
    released(bob.unlock(key, op_id=left.op_id))
    assert refused(left.answer()).code is Code.NOT_FOUND
    released(ada.unlock(key))
    assert granted(stays.answer()).owner == "eve"


def test_a_wait_ends_at_its_time_with_who_holds_the_lock() -> None:
    cluster = Cluster()
    key = cluster.key("b:2")
    ada, bob = Client(cluster, "ada"), Client(cluster, "bob")
    granted(ada.lock(key))
    waiting = bob.wait_for(key, wait_ms=1_500)
    cluster.world.run_ms(1_000)
    assert not waiting.answers
    answer = refused(waiting.answer(2_000))
    assert (answer.code, answer.owner) == (Code.HELD, "ada")


def test_a_lock_delay_holds_after_an_expiry_and_never_after_a_release() -> None:
    cluster = Cluster()
    key = cluster.key("b:2")
    eve = Client(cluster, "eve", ttl_ms=60_000)
    ada = Client(cluster, "ada", ttl_ms=2_000)
    granted(ada.lock(key, delay_ms=4_000))
    cluster.world.run_ms(3_200)
    assert refused(eve.lock(key)).code is Code.HELD
    cluster.world.run_ms(4_000)
    granted(eve.lock(key, delay_ms=4_000, op_id=50))
    released(eve.unlock(key, op_id=50))
    granted(Client(cluster, "bob").lock(key))


def test_a_watch_tells_when_a_key_changes_hands() -> None:
    cluster = Cluster()
    key = cluster.key("b:2")
    ada, bob = Client(cluster, "ada"), Client(cluster, "bob")
    first = granted(ada.lock(key))
    bob.wait_for(key)
    seen: list[object] = []
    cluster.world.call("b:2", FindOwner(key, first.generation), seen.append, 30_000)
    cluster.world.run_ms(500)
    assert not seen
    released(ada.unlock(key))
    cluster.world.run_ms(50)
    assert isinstance(seen[0], OwnerIs)
    assert seen[0].owner == "bob"


def test_a_migration_keeps_the_generation_and_everybody_else_s_place() -> None:
    """Both problems of the Gluster RFC: no conflict with oneself, and nobody slips in."""
    cluster = Cluster()
    key = cluster.key("b:2")
    old, new, eve = (Client(cluster, n) for n in ("old", "new", "eve"))
    held = granted(old.lock(key))
    waiting = eve.wait_for(key)
    assert refused(new.lock(key)).code is Code.HELD  # plain: a conflict with oneself
    moved = granted(new.move(key, old, op_id=9))
    assert (moved.how, moved.generation) == (How.MIGRATED, held.generation)
    again = granted(new.move(key, old, op_id=9))
    assert (again.how, again.generation) == (How.MIGRATED, held.generation)
    cluster.world.run_ms(100)
    assert not waiting.answers
    old.end()  # its later clean-up cannot touch what moved
    cluster.world.run_ms(100)
    assert cluster.generation(key) == held.generation
    released(new.unlock(key))
    assert granted(waiting.answer()).owner == "eve"


def test_a_lapsed_session_can_be_taken_over_until_it_is_cleaned_up() -> None:
    cluster = Cluster()
    key = cluster.key("b:2")
    old, new = Client(cluster, "old", ttl_ms=2_000), Client(cluster, "new")
    held = granted(old.lock(key))
    cluster.world.run_ms(2_700)
    assert refused(old.keep()).code is Code.SESSION_LOST
    assert granted(new.move(key, old)).generation == held.generation
    cluster.world.run_ms(5_000)
    assert cluster.generation(key) == held.generation


def test_a_migration_of_nothing_says_acquired_or_refuses() -> None:
    cluster = Cluster()
    key, other = cluster.key("b:2"), cluster.key("c:3")
    old, new, eve = (Client(cluster, n) for n in ("old", "new", "eve"))
    assert refused(new.move(key, old, require_held=True)).code is Code.NOT_HELD
    assert granted(new.move(key, old)).how is How.ACQUIRED
    granted(eve.lock(other))
    assert refused(new.move(other, old)).code is Code.HELD


def test_the_old_session_s_places_move_with_the_migration() -> None:
    cluster = Cluster()
    key = cluster.key("b:2")
    ada, old, new, eve = (Client(cluster, n) for n in ("ada", "old", "new", "eve"))
    granted(ada.lock(key))
    place = old.wait_for(key)
    behind = eve.wait_for(key)
    assert refused(new.move(key, old)).code is Code.HELD
    old.end()
    again = new.wait_for(key, op_id=place.op_id)
    released(ada.unlock(key))
    assert granted(again.answer()).owner == "old"
    assert not behind.answers


def test_a_migration_is_answered_again_by_the_backup_that_was_promoted() -> None:
    cluster = Cluster()
    key = cluster.key("b:2", "c:3")
    old, new = Client(cluster, "old", at="c:3"), Client(cluster, "new", at="c:3")
    held = granted(old.lock(key))
    granted(new.move(key, old, op_id=4))
    cluster.world.kill("b:2")
    cluster.world.run_ms(3_000)
    again = granted(new.move(key, old, op_id=4))
    assert (again.how, again.generation) == (How.MIGRATED, held.generation)


def test_after_a_double_failure_a_session_and_its_locks_are_taken_in_again() -> None:
    """Nobody who lives knows the lock; whoever proves to hold it has it back."""
    cluster = Cluster("a:1", "b:2", "c:3", "d:4")
    key = cluster.key("b:2", "c:3")
    ada = Client(cluster, "ada", ttl_ms=60_000)
    held = granted(ada.lock(key, op_id=1))
    world = cluster.world
    world.kill("b:2")
    world.kill("c:3")
    world.run_ms(3_000)
    eve = Client(cluster, "eve")
    assert refused(eve.lock(key)).code is Code.RECOVERING
    assert isinstance(ada.keep(), SessionIs)
    again = Lock(key, 5_000, "ada", held.token, ada.proof, 2)
    back = granted(world.ask(cluster.primary(key), again))
    assert back.generation == held.generation
    assert refused(eve.lock(key)).code is Code.HELD
