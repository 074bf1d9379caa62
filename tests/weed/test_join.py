"""A Lockring node on the lock ring of a real SeaweedFS: what it serves and gets, hands on and refuses."""

from __future__ import annotations

import re
import signal
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import grpc
import pytest

from lockcore.core.operations import Granted, Lock, Refused, Released
from lockcore.core.weedlocks import LockState
from lockcore.wire.seaweed_client import (
    decode_lock_answer,
    encode_lock,
)
from lockcore.wire.seaweed_peer import encode_moved, encode_replica
from tests.weed.asking import PATIENCE_S, TTL_MS, acquire, eventually, everybody, keys_of, owner_at, release
from tests.weed.cluster import WeedCluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.weed.cluster import WeedProcess

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def joined() -> Iterator[WeedCluster]:
    """Two filers and a Lockring node, for tests that harm none of them."""
    with WeedCluster(filers=2) as running:
        running.add_member()
        running.wait_ring(everybody(running))
        yield running


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


# --- command line ------------------------------------------------------------


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
