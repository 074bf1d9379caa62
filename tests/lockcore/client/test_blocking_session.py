"""Sessions, queues, byte ranges and take-over for programs without an event loop, against real nodes."""

from __future__ import annotations

import errno
import inspect
import threading
from typing import TYPE_CHECKING

import pytest

import lockcore
from lockcore import aio
from lockcore.client import blockingsession, ranges, session, sessionlock
from tests.lockcore.client.test_blocking import WAIT_S, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcore.client.blocking import Client
    from tests.lockcore.client.conftest import ThreadedCluster

pytestmark = pytest.mark.acceptance


@pytest.fixture
def client(nodes: ThreadedCluster) -> Iterator[Client]:
    with lockcore.connect(nodes.target, timeout=WAIT_S) as connected:
        yield connected


def test_locks_are_held_while_their_session_lives(client: Client) -> None:
    with client.session("ada") as ada:
        assert (ada.label, ada.state, ada.is_alive) == ("ada", aio.SessionState.CONNECTED, True)
        with ada.lock("bs/a") as lock:
            assert lock.is_locked
            assert lock.generation > 0
            assert client.owner_of("bs/a") == "ada"
        assert client.owner_of("bs/a") is None
        kept = ada.lock("bs/b").acquire()
    assert not ada.is_alive
    assert not kept.is_locked
    assert not kept.lost.is_set()
    assert client.owner_of("bs/b") is None


def test_threads_wait_in_a_queue_and_are_served_in_turn(client: Client) -> None:
    inside = threading.Semaphore(1)
    generations: list[int] = []
    with client.session("workers", ttl=30.0) as workers:

        def work() -> None:
            for _ in range(5):
                with workers.lock("bs/turns", wait=WAIT_S) as lock:
                    assert inside.acquire(blocking=False)
                    generations.append(lock.generation)
                    inside.release()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT_S)
    assert generations == sorted(set(generations))
    assert len(generations) == 20


def test_who_does_not_wait_is_refused_and_told_by_whom(client: Client) -> None:
    with client.session("ada", ttl=30.0) as ada, client.session("bob", ttl=30.0) as bob, ada.lock("bs/busy"):
        with pytest.raises(lockcore.NotAcquired, match="ada"):
            bob.lock("bs/busy", wait=0).acquire()
        with pytest.raises(lockcore.NotAcquired):
            bob.lock("bs/busy", wait=0.2).acquire()


def test_byte_ranges_speak_fcntl(client: Client) -> None:
    with client.session("ada", ttl=30.0) as ada:
        mine, other = ada.ranges("bs/file"), client.ranges("bs/file")
        assert mine.setlk("write", 0, 100).length == 100
        mine.unlck(40, 20)
        assert other.setlk("read", 45, 10).start == 45
        with pytest.raises(lockcore.RangeRefused) as refusal:
            other.setlk("write", 0, 0)
        assert (refusal.value.errno, refusal.value.held_by) == (errno.EAGAIN, ("ada", "write", 0, 40))
        found = other.getlk("write", 60, 10)
        assert found is not None
        assert (found.label, found.start, found.length) == ("ada", 60, 40)
        assert [(piece.start, piece.length) for piece in mine.pieces] == [(0, 40), (60, 40)]
        with mine.held("write", 500, 1, wait=WAIT_S):
            assert other.getlk("read", 500, 1)
        assert other.getlk("read", 500, 1) is None
        with pytest.raises(lockcore.RangeRefused) as timeout, other.held("write", 0, 10, wait=0.2):
            pass
        assert timeout.value.errno == errno.ETIMEDOUT
        other.unlck()


def test_a_range_is_waited_for_and_freed_at_the_end_of_a_block_that_fails(client: Client) -> None:
    with client.session("ada", ttl=30.0) as ada, client.session("bob", ttl=30.0) as bob:
        got = threading.Event()

        def wait() -> None:
            with bob.ranges("bs/wait").held("write", 0, 10, wait=WAIT_S):
                got.set()

        def hold_and_fail() -> None:
            with ada.ranges("bs/wait").held("write"):
                thread.start()
                assert not got.is_set()
                raise ValueError("on purpose")

        thread = threading.Thread(target=wait)
        with pytest.raises(ValueError, match="on purpose"):
            hold_and_fail()
        assert got.wait(WAIT_S)
        thread.join(WAIT_S)


def test_a_successor_takes_over_and_the_old_session_learns_of_it(client: Client) -> None:
    told = threading.Event()
    old = client.session("old", ttl=3.0, on_state=lambda s: told.set() if not s.is_alive else None).open()
    lost: list[str] = []
    before = old.lock("bs/moved", on_lost=lambda lock: lost.append(lock.key)).acquire()
    pieces: list[tuple[int, int]] = []
    file = old.ranges("bs/moved-file", on_lost=lambda piece: pieces.append((piece.start, piece.length)))
    file.setlk("write", 0, 10)
    with client.session("new", ttl=30.0) as new:
        taken = new.take_over(old.proof)
        assert list(taken.locks) == ["bs/moved"]
        assert taken.locks["bs/moved"].generation == before.generation
        assert taken.ranges["bs/moved-file"].how is aio.How.MIGRATED
        assert client.owner_of("bs/moved") == "new"
        assert told.wait(WAIT_S)
        assert before.lost.wait(WAIT_S)
        assert not before.is_locked
        assert taken.locks["bs/moved"].is_locked
        old.close()
        assert client.owner_of("bs/moved") == "new"
    assert until(lambda: (lost, pieces) == (["bs/moved"], [(0, 10)]))


def test_a_single_key_moves_by_name_of_its_ranges(client: Client) -> None:
    with client.session("old", ttl=30.0) as old, client.session("new", ttl=30.0) as new:
        old.ranges("bs/one").setlk("write", 0, 10)
        moved = new.ranges("bs/one").migrate(old.proof, "write", 0, 5)
        assert moved is not None
        assert (moved.how, moved.pieces[0].length) == (aio.How.MIGRATED, 5)
        left = new.ranges("bs/one").getlk("read")
        assert left is not None
        assert (left.label, left.start) == ("old", 5)


def test_nothing_of_the_asyncio_face_is_missing_here() -> None:
    """One face must not fall behind the other."""
    inner = {
        *("ask", "undo", "adopt", "forget", "error_of", "next_op", "refuse_if_over"),
        *("extend", "take_keep_alive", "call", "background", "belief", "holders"),
        *("adopt_grant", "session_lost", "held_for_ns"),
    }
    for here, there in (
        (blockingsession.Session, session.Session),
        (blockingsession.SessionLock, sessionlock.SessionLock),
        (blockingsession.Ranges, ranges.Ranges),
    ):
        wanted = {name for name, _ in inspect.getmembers(there) if not name.startswith("_")}
        assert wanted - inner <= {name for name, _ in inspect.getmembers(here)}


def test_a_session_of_a_closed_client_says_what_to_do(nodes: ThreadedCluster) -> None:
    client = lockcore.connect(nodes.target)
    mine = client.session("me").open()
    client.close()
    with pytest.raises(lockcore.LockError, match="connect again"):
        mine.lock("bs/k").acquire()
    assert not mine.is_alive
