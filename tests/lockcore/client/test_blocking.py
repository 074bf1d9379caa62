"""The blocking face: the same client, for programs without an event loop."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

import lockcore
from lockcore.client.blocking import Client
from lockcore.client.client import LockClient
from lockcore.core.operations import Granted, Released

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lockcore.client.conftest import ThreadedCluster

pytestmark = pytest.mark.acceptance
WAIT_S = 20.0


@pytest.fixture
def client(nodes: ThreadedCluster) -> Iterator[Client]:
    with lockcore.connect(nodes.target) as connected:
        yield connected


def test_a_lock_is_held_in_its_block(client: Client) -> None:
    with client.lock("block", owner="me") as lock:
        assert lock.is_locked
        assert lock.generation > 0
        assert (lock.key, lock.owner, client.owner_of("block")) == ("block", "me", "me")
    assert not lock.is_locked
    assert not lock.lost.is_set()
    assert client.owner_of("block") is None


def test_another_thread_is_refused_and_told_by_whom(client: Client) -> None:
    with client.lock("busy", owner="ada"), pytest.raises(lockcore.NotAcquired, match="ada"):
        client.lock("busy", owner="bob", wait=0).acquire()


def test_two_threads_take_turns(client: Client) -> None:
    inside = threading.Semaphore(1)
    generations: list[int] = []

    def work() -> None:
        for _ in range(5):
            with client.lock("turns", wait=WAIT_S) as lock:
                assert inside.acquire(blocking=False)
                generations.append(lock.generation)
                inside.release()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert generations == sorted(set(generations))
    assert len(generations) == 10


def test_a_callback_that_blocks_delays_no_renewal(client: Client) -> None:
    """A user's callback has a thread of its own (T1)."""
    go_on = threading.Event()
    seen: list[str] = []

    def slow(owner: str) -> None:
        seen.append(owner)
        go_on.wait(WAIT_S)

    lock = client.start_long_lived_lock("slow", "me", slow, ttl=0.5)
    try:
        with client.lock("other", ttl=0.5) as other:
            before_ns = other.live.held_until_ns
            assert until(lambda: other.live.held_until_ns > before_ns)
            assert seen == ["me"]
    finally:
        go_on.set()
        lock.stop()


def until(condition: object) -> bool:
    """Wait for a condition; say whether it came."""
    assert callable(condition)
    waiting = threading.Event()
    for _ in range(int(WAIT_S / 0.01)):
        if condition():
            return True
        waiting.wait(0.01)
    return False


def test_single_operations_give_results(client: Client) -> None:
    result = client.acquire("single", owner="me")
    assert isinstance(result, Granted)
    renewed = client.renew("single", result.token)
    assert isinstance(renewed, Granted)
    assert isinstance(client.unlock("single", renewed.token), Released)


def test_the_ring_answers_is_this_key_mine(client: Client, nodes: ThreadedCluster) -> None:
    primary = client.primary_of("folder/7")
    assert primary == nodes.running.address(nodes.running.primary("folder/7"))
    assert client.is_mine("folder/7", primary)
    assert client.backup_of("folder/7") != primary
    assert client.view is not None


def test_a_watch_tells_each_holder(client: Client) -> None:
    seen = client.watch("watched")
    assert next(seen) is None
    with client.lock("watched", owner="ada") as lock:
        found = next(seen)
        assert found is not None
        assert (found.owner, found.generation) == ("ada", lock.generation)
    assert next(seen) is None
    seen.close()  # type: ignore[attr-defined]


def test_a_watch_ends_with_its_client(nodes: ThreadedCluster) -> None:
    client = lockcore.connect(nodes.target)
    seen = client.watch("watched too")
    assert next(seen) is None
    told: list[str] = []

    def wait() -> None:
        try:
            next(seen)
        except lockcore.LockError as error:
            told.append(str(error))

    waiting = threading.Thread(target=wait)
    waiting.start()
    client.close()
    waiting.join(WAIT_S)
    assert not waiting.is_alive()
    assert "connect again" in told[0]


def test_a_short_lock_is_the_same(client: Client) -> None:
    with client.short_lock("short", owner="me") as lock:
        assert lock.is_locked


def test_every_question_of_the_asyncio_face_is_here_too() -> None:
    """One face must not fall behind the other."""
    asked = {name for name, value in vars(LockClient).items() if callable(value) and not name.startswith("_")}
    inner = {"open", "adopt", "forget", "route", "ask", "adopt_session", "forget_session", "refuse_if_closed"}
    assert asked - inner <= set(vars(Client))


def test_bad_input_is_refused_without_a_cluster() -> None:
    with pytest.raises(lockcore.InvalidRequest, match="host:grpcPort"):
        lockcore.connect("nowhere")


def test_no_cluster_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    with pytest.raises(lockcore.ClusterUnavailable):
        lockcore.connect("127.0.0.1:1", timeout=0.2)
    assert threading.active_count() <= before


def test_a_closed_client_says_what_to_do(nodes: ThreadedCluster) -> None:
    client = lockcore.connect(nodes.target)
    client.close()
    client.close()
    with pytest.raises(lockcore.LockError, match="connect again"):
        client.owner_of("k")


def test_a_client_of_the_parent_process_is_refused_after_a_fork(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thread did not come along: waiting for it would never end."""
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(lockcore.LockError, match="forked"):
        client.owner_of("k")


def test_a_lost_lock_sets_its_event_and_calls_back(tmp_path_factory: pytest.TempPathFactory) -> None:
    from tests.lockcore.client.conftest import ThreadedCluster

    own = ThreadedCluster(tmp_path_factory.mktemp("own"))
    try:
        own.start()
        told: list[object] = []
        with lockcore.connect(own.target) as client, client.lock("k", ttl=1.0, on_lost=told.append) as lock:
            for process in own.running.nodes.values():
                process.kill()
            assert lock.lost.wait(WAIT_S)
            assert not lock.is_locked
            with pytest.raises(lockcore.LockLost):
                lock.check()
        assert until(lambda: told == [lock])
    finally:
        own.stop()
