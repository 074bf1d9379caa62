"""A Lockring node on the lock ring of a real SeaweedFS: what it serves and gets, hands on and refuses."""

from __future__ import annotations

import re
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

import grpc
import pytest

from lockcore.core.operations import FindOwner, Granted, Lock, Refused, Released, Unlock
from lockcore.core.ring import HashRing
from lockcore.core.weedlocks import LockState
from lockcore.wire.seaweed_client import (
    decode_find_answer,
    decode_lock_answer,
    decode_unlock_answer,
    encode_find,
    encode_lock,
    encode_unlock,
)
from lockcore.wire.seaweed_peer import encode_moved, encode_replica
from tests.weed.cluster import PACE_S, PAUSE, WeedCluster

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.weed.cluster import WeedProcess

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

T = TypeVar("T")

LOCKS: Final = 100
TTL_MS: Final = 50_000
PATIENCE_S: Final = 60.0


@pytest.fixture(scope="module")
def joined() -> Iterator[WeedCluster]:
    """Two filers and a Lockring node, for tests that harm none of them."""
    with WeedCluster(filers=2) as running:
        running.add_member()
        running.wait_ring(everybody(running))
        yield running


def everybody(weed: WeedCluster) -> list[WeedProcess]:
    return [*weed.filers, *weed.members]


def keys_of(
    ring: HashRing, primary: WeedProcess, prefix: str, count: int, backup: WeedProcess | None = None
) -> list[str]:
    """Return keys that a member serves, of which (`backup`) a certain other one has the copy."""
    keys = []
    for i in range(100_000):
        first, second = ring.owners(key := f"{prefix}/{i}")
        if first == primary.address and (backup is None or second == backup.address):
            keys.append(key)
        if len(keys) == count:
            return keys
    raise AssertionError(f"only {len(keys)} keys")


def acquire(weed: WeedCluster, at: WeedProcess, key: str, token: str = "", owner: str = "ada") -> Granted | Refused:
    """Acquire or renew at one member."""
    asked = Lock(key, TTL_MS, owner, token)
    return decode_lock_answer(weed.call(at.target, "DistributedLock", encode_lock(asked), 10), asked)


def must_acquire(weed: WeedCluster, at: WeedProcess, key: str) -> Granted:
    """Acquire, asking again while a ring change is under way."""
    answer = eventually(lambda: acquire(weed, at, key), lambda got: isinstance(got, Granted))
    assert isinstance(answer, Granted)
    return answer


def release(weed: WeedCluster, at: WeedProcess, key: str, token: str) -> Released | Refused:
    return decode_unlock_answer(weed.call(at.target, "DistributedUnlock", encode_unlock(Unlock(key, token))))


def owner_at(weed: WeedCluster, at: WeedProcess, key: str, *, moved: bool = False) -> str:
    """Return who holds a key, empty for nobody."""
    try:
        return decode_find_answer(weed.call(at.target, "FindLockOwner", encode_find(FindOwner(key), moved=moved)))
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.NOT_FOUND:
            raise
        return ""


def eventually(ask: Callable[[], T], done: Callable[[T], bool]) -> T:
    """Ask until the answer is good, and return it."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        last: object
        try:
            if done(answer := ask()):
                return answer
            last = answer
        except grpc.RpcError as error:
            last = error
        assert time.monotonic() < deadline, f"the last answer was {last}"
        PAUSE.wait(PACE_S)


def renewable(weed: WeedCluster, at: list[WeedProcess], held: dict[str, Granted]) -> int:
    """Count the locks that are renewed with the very token that their holder has, at whoever serves them now."""
    ring = HashRing([each.address for each in at])

    def renewed(key: str) -> bool:
        serves = next(each for each in at if each.address == ring.primary(key))
        answer = acquire(weed, serves, key, held[key].token)
        return isinstance(answer, Granted) and answer.generation == held[key].generation

    with ThreadPoolExecutor(8) as side_by_side:
        return sum(side_by_side.map(renewed, held))


# --- an arc of its own -----------------------------------------------------------------------


def test_a_node_serves_its_arc_and_is_forwarded_to(joined: WeedCluster) -> None:
    """Whoever asks a real filer gets the lock from us, and is told where it lives."""
    filer, node = joined.filers[0], joined.members[0]
    (key,) = keys_of(joined.ring(), node, "ours", 1)
    got = acquire(joined, filer, key)
    assert isinstance(got, Granted)
    assert got.moved_to == node.address
    refused = acquire(joined, joined.filers[1], key, owner="bob")
    assert isinstance(refused, Refused)
    assert (refused.text, refused.moved_to) == ("lock already owned by ada", node.address)
    assert owner_at(joined, filer, key) == "ada"
    renewed = acquire(joined, node, key, got.token)
    assert isinstance(renewed, Granted)
    assert (renewed.generation, renewed.moved_to) == (got.generation, "")
    assert renewed.token != got.token
    assert release(joined, filer, key, renewed.token) == Released(node.address)
    assert owner_at(joined, filer, key) == ""


def test_a_node_forwards_to_real_filers(joined: WeedCluster) -> None:
    filer, node = joined.filers[0], joined.members[0]
    (key,) = keys_of(joined.ring(), filer, "theirs", 1)
    got = acquire(joined, node, key)
    assert isinstance(got, Granted)
    assert got.moved_to == filer.address
    refused = acquire(joined, node, key, owner="bob")
    assert isinstance(refused, Refused)
    assert refused.text == "lock already owned by ada"
    assert owner_at(joined, node, key) == "ada"
    assert release(joined, node, key, got.token) == Released(filer.address)
    wrong = release(joined, node, key, "no token of it")
    assert isinstance(wrong, Refused)
    assert wrong.text == "lock not found"


def test_what_is_stale_is_refused(joined: WeedCluster) -> None:
    """A replica, a transfer and an unlock that were overtaken by (generation, seq) change nothing."""
    node = joined.members[0]
    (key,) = keys_of(joined.ring(), node, "stale", 1)
    state = LockState(key, "first", "ada", generation=9_000, seq=5, remaining_ns=TTL_MS * 1_000_000)
    joined.call(node.target, "TransferLocks", encode_moved([state], time.time_ns()))
    assert owner_at(joined, node, key) == "ada"
    for stale in (replace(state, seq=4), replace(state, generation=8_999, seq=7), state):
        late = replace(stale, token="stale", owner="bob")
        joined.call(node.target, "TransferLocks", encode_moved([late], time.time_ns()))
        joined.call(node.target, "ReplicateLock", encode_replica(late, time.time_ns()))
        joined.call(node.target, "ReplicateLock", encode_replica(replace(stale, seq=3, gone=True), time.time_ns()))
        assert owner_at(joined, node, key) == "ada"
    renewed = acquire(joined, node, key, "first")
    assert isinstance(renewed, Granted)
    assert renewed.generation == 9_000
    assert isinstance(release(joined, node, key, renewed.token), Released)
    joined.call(node.target, "ReplicateLock", encode_replica(state, time.time_ns()))
    assert owner_at(joined, node, key) == ""
    again = acquire(joined, node, key)
    assert isinstance(again, Granted)
    assert again.generation > 9_000


def test_a_request_that_is_wrong_is_told_so(joined: WeedCluster) -> None:
    node = joined.members[0]
    refused = decode_lock_answer(
        joined.call(node.target, "DistributedLock", encode_lock(Lock("k", 0, "ada"))), Lock("k", 0, "ada")
    )
    assert isinstance(refused, Refused)
    assert "ask for 1 to 86400 seconds" in refused.text
    with pytest.raises(grpc.RpcError) as failed:
        joined.call(node.target, "TransferLocks", b"\xff\xff")
    assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT


# --- what a filer asks of its peers --------------------------------------------------------------


def test_filers_follow_the_node_without_a_word_more(joined: WeedCluster) -> None:
    """A peer that refuses to be followed is asked again every 1.7 s, with four lines in the log each time."""
    node = joined.members[0]
    for filer in joined.filers:
        eventually(filer.log_text, lambda text: f"subscribing remote {short(node)}" in text)
    before = [len(lines_about(filer, node)) for filer in joined.filers]
    assert all(0 < count < 12 for count in before), before
    asked = threading.Event()
    asked.wait(6)  # not for something to come: for nothing to
    assert [len(lines_about(filer, node)) for filer in joined.filers] == before
    assert len(re.findall(r"(?m)^.*(WARNING|ERROR).*$", node.log_text())) == 0, node.log_text()


def short(process: WeedProcess) -> str:
    return f"127.0.0.1:{process.port}"


def lines_about(filer: WeedProcess, node: WeedProcess) -> list[str]:
    """Return the lines of a filer's log on following another."""
    return [line for line in filer.log_text().splitlines() if "aggregator" in line and short(node) in line]


def test_what_a_node_without_files_cannot_do_is_unimplemented_with_a_reason(joined: WeedCluster) -> None:
    """POSIX locks that a filer sends to the ring's member are among it: the filer's client is told."""
    filer, node = joined.filers[0], joined.members[0]
    for method in ("LookupDirectoryEntry", "ListEntries", "CreateEntry", "KvGet", "StreamMutateEntry", "NoSuchMethod"):
        with pytest.raises(grpc.RpcError) as failed:
            joined.call(node.target, method, b"")
        assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED
        assert "stores no files" in (failed.value.details() or "")
    (key,) = keys_of(joined.ring(), node, "posix", 1)
    request = b"\x0a" + bytes([len(key)]) + key.encode() + b"\x22\x00"  # PosixLockRequest: key, an empty lock
    with pytest.raises(grpc.RpcError) as failed:
        joined.call(filer.target, "PosixLock", request)
    assert "stores no files" in (failed.value.details() or "")
    assert joined.call(node.target, "Ping", b"")


def test_the_client_uses_the_node_like_a_filer(joined: WeedCluster) -> None:
    """As a seed, for its own arc and for those of others."""
    import lockcore

    with lockcore.connect(f"seaweedfs://{joined.members[0].address}") as client:
        for i in range(12):
            with client.lock(f"client/{i}", owner="eve") as lock:
                assert lock.is_locked
                assert client.owner_of(f"client/{i}") == "eve"


# --- deaths, joins, departures ---------------------------------------------------------------------


def test_100_of_100_locks_replicated_from_a_killed_filer_are_renewable_at_the_node(
    record_property: Callable[[str, object], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Promoted here, with the same token and generation."""
    monkeypatch.setenv("LOCKRING_LOG_LEVEL", "DEBUG")
    with WeedCluster(filers=2) as weed:
        node = weed.add_member()
        ring = weed.wait_ring(everybody(weed))
        dying, left = weed.filers
        keys = keys_of(ring, dying, "killed", LOCKS, backup=node)
        held = {key: must_acquire(weed, dying, key) for key in keys}
        eventually(lambda: node.log_text().count("has a copy of killed/"), lambda copies: copies == LOCKS)
        dying.kill()
        weed.wait_ring([left, node])
        kept = renewable(weed, [left, node], held)
        record_property(
            "locks replicated from a killed real filer, renewable at the Lockring node", f"{kept} of {LOCKS}"
        )
        assert kept == LOCKS


def test_100_of_100_locks_of_a_leaving_node_are_renewable_at_the_filers(
    record_property: Callable[[str, object], None],
) -> None:
    """Also those that are renewed while it leaves; and its goodbye ends with 0."""
    with WeedCluster(filers=2) as weed:
        node = weed.add_member()
        ring = weed.wait_ring(everybody(weed))
        held = {key: must_acquire(weed, node, key) for key in keys_of(ring, node, "left", LOCKS)}
        node.send(signal.SIGTERM)
        assert node.wait_end(PATIENCE_S) == 0
        weed.wait_ring(weed.filers)
        kept = renewable(weed, weed.filers, held)
        record_property("locks of a leaving Lockring node, renewable at the real filers", f"{kept} of {LOCKS}")
        assert kept == LOCKS


def test_a_killed_node_loses_no_lock_either(record_property: Callable[[str, object], None]) -> None:
    """A grant is answered when the filer that backs it up has it."""
    with WeedCluster(filers=2) as weed:
        node = weed.add_member()
        ring = weed.wait_ring(everybody(weed))
        held = {key: must_acquire(weed, node, key) for key in keys_of(ring, node, "dead", LOCKS)}
        node.kill()
        weed.wait_ring(weed.filers)
        kept = renewable(weed, weed.filers, held)
        record_property(
            "locks of a Lockring node after its kill -9, renewable at the real filers", f"{kept} of {LOCKS}"
        )
        assert kept == LOCKS


def test_a_node_that_joins_gives_no_held_lock_away_and_one_that_restarts_neither(
    record_property: Callable[[str, object], None],
) -> None:
    """SeaweedFS's own filers give away all of them in both cases (known-failures)."""
    with WeedCluster(filers=2) as weed:
        node = weed.make_member()
        coming = HashRing([each.address for each in everybody(weed)])
        keys = keys_of(coming, node, "join", LOCKS)
        held = {key: must_acquire(weed, weed.filers[0], key) for key in keys}
        node.start()
        stolen = steal(weed, node, keys)
        weed.wait_ring(everybody(weed))
        assert renewable(weed, everybody(weed), held) == LOCKS
        held = {key: must_acquire(weed, node, key) for key in keys_of(coming, node, "again", LOCKS)}
        node.kill()
        node.start()
        stolen += steal(weed, node, list(held))
        weed.wait_ring(everybody(weed))
        assert renewable(weed, everybody(weed), held) == LOCKS
        record_property("locks given away as a Lockring node joins, and restarts", f"{stolen} of {2 * LOCKS}")
        assert stolen == 0


def steal(weed: WeedCluster, node: WeedProcess, keys: list[str]) -> int:
    """Ask the node for held keys, from before it answers until it serves them; return how many it gave away."""
    stolen = 0
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        refused = 0
        for key in keys:
            try:
                answer = acquire(weed, node, key, owner="thief")
            except grpc.RpcError:
                continue
            stolen += isinstance(answer, Granted)
            refused += (
                isinstance(answer, Refused) and answer.text == "lock already owned by ada" and not answer.moved_to
            )
        if refused == len(keys) or stolen:
            return stolen
    raise AssertionError("the node never served its keys")


def test_a_node_that_finds_no_master_waits_and_says_so() -> None:
    with WeedCluster(filers=0) as weed:
        weed.master.kill()
        node = weed.add_member()
        eventually(node.log_text, lambda text: "waits for the master" in text)
        assert node.is_running
        node.send(signal.SIGTERM)
        assert node.wait_end(PATIENCE_S) == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--join-seaweedfs", ",", "--address", "127.0.0.1:1.2"], "names no master"),
        (["--join-seaweedfs", "nowhere", "--address", "127.0.0.1:1.2"], "'nowhere' is no ring address"),
        (["--join-seaweedfs=127.0.0.1:9333", "--address", "here"], "'here' is no ring address"),
        (["--join-seaweedfs", "127.0.0.1:9333"], "--address"),
    ],
)
def test_a_command_line_that_is_wrong_is_told_so(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from lockcore.node_command import main

    try:
        code = main(arguments)
    except SystemExit as end:
        code = int(end.code or 0)
    assert code == 2
    assert says in capsys.readouterr().err
