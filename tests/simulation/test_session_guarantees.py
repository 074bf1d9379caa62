"""Limits of sessions, queues and byte ranges that docs/guarantees.md states, on whole clusters of real cores.

A bound is kept just inside of it, and seen to break beyond it; a limit is shown to be what it is said to be, and no
worse.

Elsewhere: the promises under random faults (test_sessions_sim), single rules (tests/lockcore/core).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lockcore.client.sessionlease import SessionLease, SessionState
from lockcore.core import keeping, queueing, ranging
from lockcore.core.limits import ANSWERS_KEPT, LEASE_MS_MAX, NS_PER_MS
from lockcore.core.messages import (
    Code,
    KeepAlive,
    Lock,
    OpenSession,
    RangeDenied,
    RangeLocked,
    Refused,
    SessionIs,
    SetRange,
)
from lockcore.core.rangerecords import Errno, Kind
from tests.lockcore.core.sessionworld import Client, Cluster, granted, refused, released, run_while

if TYPE_CHECKING:
    from lockcore.core.messages import Result

LONG_MS = 60_000


# --- keep-alives and silent nodes ---------------------------------------------------------------


class Keeper:
    """A session and what its client may believe: it asks after a third, and again each second that has no answer."""

    def __init__(self, cluster: Cluster, ttl_ms: int) -> None:
        """Open it at a node that will live."""
        self.world = cluster.world
        self.lease = SessionLease(ttl_ms)
        sent_ns = self.world.now_ns
        opened = self.world.ask("a:1", OpenSession("ada", ttl_ms))
        assert isinstance(opened, SessionIs)
        self.proof = opened.session
        self.lease.extend(sent_ns, self.world.now_ns)
        self.asked_ns = 0
        self.seen = {SessionState.CONNECTED}

    def live(self, ms: int) -> None:
        """Let time pass and do what a client does."""
        for _ in range(ms // 10):
            now_ns = self.world.now_ns
            if now_ns >= max(self.lease.due_ns, self.asked_ns + 1_000 * NS_PER_MS):
                self.asked_ns = now_ns
                keep = KeepAlive(self.proof, self.lease.ttl_ms)
                self.world.call("a:1", keep, lambda result, sent_ns=now_ns: self._hear(result, sent_ns))  # type: ignore[misc]
            self.world.run_ms(10)
            self.seen.add(self.lease.state(self.world.now_ns))

    def _hear(self, result: Result, sent_ns: int) -> None:
        if isinstance(result, SessionIs):
            self.lease.extend(sent_ns, self.world.now_ns)


@pytest.mark.parametrize(("ttl_ms", "lost"), [(2_000, True), (4_000, False), (15_000, False)])
def test_a_death_that_nobody_sees_costs_sessions_of_two_seconds_and_none_of_four(ttl_ms: int, *, lost: bool) -> None:
    """X1: until the silent one is marked down nobody's keep-alive is answered, whatever the session holds and where."""
    losses = []
    for wait_ms in range(0, ttl_ms // 3, max(100, ttl_ms // 12)):
        cluster = Cluster()
        keeper = Keeper(cluster, ttl_ms)
        keeper.live(1_000 + wait_ms)
        cluster.world.kill("c:3", seen=False)
        keeper.live(4_000)
        losses.append(SessionState.LOST in keeper.seen)
    assert any(losses) is lost


def test_a_death_that_is_seen_suspends_no_session() -> None:
    keeper = Keeper(cluster := Cluster(), 4_000)
    keeper.live(1_300)
    cluster.world.kill("c:3")
    keeper.live(4_000)
    assert keeper.seen == {SessionState.CONNECTED}


# --- queues -----------------------------------------------------------------------------------------


def test_after_the_death_of_both_nodes_a_queue_begins_anew() -> None:
    """The limit: places die with the pair. Who asks again first after the grace is first."""
    cluster = Cluster("a:1", "b:2", "c:3", "d:4")
    key = cluster.key("b:2", "c:3")
    ada, bob, eve = (Client(cluster, name, LONG_MS) for name in ("ada", "bob", "eve"))
    granted(ada.lock(key))
    first, second = bob.wait_for(key), eve.wait_for(key)
    cluster.world.kill("b:2")
    cluster.world.kill("c:3")
    cluster.world.run_ms(3_000)
    assert refused(eve.lock(key)).code is Code.RECOVERING
    bob_and_eve = (bob, eve)
    run_while(cluster, LEASE_MS_MAX, lambda: [one.keep() for one in bob_and_eve], every_ms=5_000)
    assert granted(eve.lock(key, op_id=second.op_id)).owner == "eve"
    assert refused(bob.lock(key, op_id=first.op_id)).code is Code.HELD


def test_a_lock_delay_goes_with_the_lock_to_the_node_that_takes_over() -> None:
    cluster = Cluster()
    key = cluster.key("b:2", "c:3")
    ada, eve = Client(cluster, "ada", 2_000, "c:3"), Client(cluster, "eve", LONG_MS)
    granted(ada.lock(key, delay_ms=8_000))
    cluster.world.kill("b:2")
    cluster.world.run_ms(5_000)
    assert cluster.primary(key) == "c:3"
    assert refused(eve.lock(key)).code is Code.HELD
    cluster.world.run_ms(8_000)
    assert granted(eve.lock(key)).owner == "eve"


def test_named_locks_and_circles_over_two_nodes_end_by_their_deadline_only() -> None:
    """The limit: deadlocks are looked for among the byte ranges of one primary."""
    cluster = Cluster()
    here, there = cluster.key("a:1"), cluster.key("b:2")
    ada, bob = Client(cluster, "ada", LONG_MS), Client(cluster, "bob", LONG_MS)
    granted(ada.lock(here))
    granted(bob.lock(there))
    circle = ada.wait_for(there, wait_ms=3_000), bob.wait_for(here, wait_ms=3_000)
    assert [refused(wait.answer()).code for wait in circle] == [Code.HELD] * 2
    for client, key in ((ada, here), (bob, there)):
        assert isinstance(_set(client, key), RangeLocked)
    answers = _set_waiting(ada, there, 3_000), _set_waiting(bob, here, 3_000)
    cluster.world.run_ms(2_500)
    assert answers == ([], [])
    cluster.world.run_ms(1_500)
    ended: Result = answers[0][0]
    assert isinstance(ended, RangeDenied)
    assert ended.error is Errno.ETIMEDOUT


def _range(client: Client, key: str, wait_ms: int) -> SetRange:
    return SetRange(key, client.proof, client.operation(key).op_id, "t", Kind.WRITE, 0, 1, wait_ms)


def _set(client: Client, key: str) -> Result:
    return client.cluster.world.ask(client.cluster.primary(key), _range(client, key, 0))


def _set_waiting(client: Client, key: str, wait_ms: int) -> list[Result]:
    answers: list[Result] = []
    world = client.cluster.world
    world.call(client.cluster.primary(key), _range(client, key, wait_ms), answers.append, 60_000)
    world.run_ms(20)
    return answers


# --- repeated operations ------------------------------------------------------------------------------


def test_of_a_lock_the_last_eight_grants_are_remembered() -> None:
    """U3 and its limit: what is older is a new acquisition again."""
    cluster = Cluster()
    key = cluster.key("b:2")
    ada, bob = Client(cluster, "ada", LONG_MS), Client(cluster, "bob", LONG_MS)
    granted(ada.lock(key, op_id=1))
    released(ada.unlock(key, op_id=1))
    for number in range(1, ANSWERS_KEPT):
        granted(bob.lock(key, op_id=number))
        released(bob.unlock(key, op_id=number))
    assert refused(ada.lock(key, op_id=1)).code is Code.NOT_FOUND
    granted(bob.lock(key, op_id=ANSWERS_KEPT))
    released(bob.unlock(key, op_id=ANSWERS_KEPT))
    granted(ada.lock(key, op_id=1))


# --- bounds ---------------------------------------------------------------------------------------------


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """A cluster in which two of everything is the most."""
    monkeypatch.setattr(keeping, "SESSIONS_MAX", 2)
    monkeypatch.setattr(queueing, "SESSION_KEYS_MAX", 2)
    monkeypatch.setattr(queueing, "WAITERS_MAX", 2)
    monkeypatch.setattr(ranging, "FILES_MAX", 2)
    return Cluster()


def test_sessions_are_bounded_and_the_next_one_is_told(small: Cluster) -> None:
    for name in ("ada", "bob"):
        Client(small, name)
    answer = small.world.ask("b:2", OpenSession("eve", 5_000))
    assert isinstance(answer, Refused)
    assert answer.code is Code.OVERLOADED
    assert "retry" in answer.text


def test_a_queue_is_bounded_and_the_next_one_is_told(small: Cluster) -> None:
    key = small.key("b:2")
    ada, bob = Client(small, "ada"), Client(small, "bob")
    granted(ada.lock(key))
    kept = [bob.wait_for(key), bob.wait_for(key)]
    answer = refused(bob.wait_for(key).answer())
    assert answer.code is Code.OVERLOADED
    assert "2 wait for this lock already" in answer.text
    released(ada.unlock(key))
    assert granted(kept[0].answer()).owner == "bob"


def test_what_one_session_holds_at_a_node_is_bounded(small: Cluster) -> None:
    keys = [key for key in map(str, range(100)) if small.primary(key) == "b:2"][:3]
    ada, bob = Client(small, "ada"), Client(small, "bob")
    for key in keys[:2]:
        granted(ada.lock(key))
    answer = refused(ada.lock(keys[2]))
    assert answer.code is Code.OVERLOADED
    assert "use another session" in answer.text
    granted(bob.lock(keys[2]))


def test_keys_with_ranges_at_a_node_are_bounded(small: Cluster) -> None:
    keys = [key for key in map(str, range(100)) if small.primary(key) == "b:2"][:3]
    ada, bob = Client(small, "ada"), Client(small, "bob")
    for client, key in zip((ada, bob), keys, strict=False):
        assert isinstance(_set(client, key), RangeLocked)
    answer = _set(bob, keys[2])
    assert isinstance(answer, Refused)
    assert answer.code is Code.OVERLOADED


def test_a_token_client_is_never_granted_past_a_queue_and_has_no_place_in_it() -> None:
    """The limit: while a queue is not empty, who asks with a token waits without bound."""
    cluster = Cluster()
    key = cluster.key("b:2")
    ada, bob = Client(cluster, "ada", LONG_MS), Client(cluster, "bob", LONG_MS)
    granted(ada.lock(key))
    for one, other in ((ada, bob), (bob, ada), (ada, bob)):
        waiting = other.wait_for(key)
        assert refused(cluster.world.ask("b:2", Lock(key, 5_000, "eve"))).code is Code.HELD
        released(one.unlock(key))
        assert granted(waiting.answer()).owner == other.name
    released(bob.unlock(key))
    granted(cluster.world.ask("b:2", Lock(key, 5_000, "eve")))
