"""What #8860 put on the wire, spoken to real nodes as SeaweedFS's clients and filers speak it.

Elsewhere: field by field (tests/lockcore/wire), the scenarios (test_failures, test_moves).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import grpc
import pytest

import lockcore
from lockcore.core.messages import Granted, Lock, OwnerIs
from lockcore.wire.addresses import grpc_target
from lockcore.wire.gen import filer_pb2
from tests.acceptance.scenarios.process_cluster import ProcessCluster

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.acceptance
MINUTE_NS = 60_000_000_000


@pytest.fixture
def forged(tmp_path: Path) -> Iterator[ProcessCluster]:
    """Three nodes for a test that speaks in the name of one of them, which nobody listens to any more afterwards."""
    real = ProcessCluster(tmp_path)
    try:
        real.start(3)
        yield real
    finally:
        real.close()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessCluster]:
    """Three settled nodes for the tests of this module."""
    data: Path = tmp_path_factory.mktemp("wire")
    real = ProcessCluster(data)
    try:
        real.start(3)
        yield real
    finally:
        real.close()


def call(cluster: ProcessCluster, address: str, method: str, request: bytes) -> bytes:
    """Call a method of filer_pb.SeaweedFiler as a member of the cluster."""
    with grpc.insecure_channel(grpc_target(address)) as channel:
        answer: bytes = _method(channel, method)(request, metadata=cluster.proof, timeout=10)
        return answer


def _method(channel: grpc.Channel, name: str) -> Any:
    return cast("Any", channel).unary_unary(f"/filer_pb.SeaweedFiler/{name}")  # bytes to bytes; its stub wants codecs


def lock(cluster: ProcessCluster, address: str, key: str, owner: str, token: str = "") -> filer_pb2.LockResponse:
    request = filer_pb2.LockRequest(name=key, seconds_to_lock=30, owner=owner, renew_token=token)
    return filer_pb2.LockResponse.FromString(call(cluster, address, "DistributedLock", request.SerializeToString()))


def test_a_reply_carries_the_generation_and_a_renewal_the_same(cluster: ProcessCluster) -> None:
    """8860:generation-in-reply."""
    key = cluster.keys()[0]
    first = lock(cluster, cluster.primary(key), key, "ada")
    assert (first.error, first.generation > 0) == ("", True)
    renewed = lock(cluster, cluster.primary(key), key, "ada", first.renew_token)
    assert (renewed.generation, renewed.renew_token != first.renew_token) == (first.generation, True)
    refused = lock(cluster, cluster.primary(key), key, "bob")
    assert (refused.error, refused.renew_token) == ("lock already owned by ada", "")


def test_a_client_that_asks_the_wrong_filer_is_answered_and_told_the_right_one(cluster: ProcessCluster) -> None:
    """8860:routed-by-ring."""
    key = cluster.keys()[0]
    primary, backup = cluster.owners(key)
    answer = lock(cluster, backup, key, "ada")
    assert (answer.error, answer.lock_host_moved_to) == ("", primary)


def test_a_client_of_the_library_knows_its_generation(cluster: ProcessCluster) -> None:
    """8860:generation-at-client. The holder hands it to whatever the lock protects."""
    key = cluster.keys()[0]
    seeds = ",".join(sorted(cluster.living))
    with lockcore.connect(seeds) as client, client.lock(key, ttl=10.0, owner="ada") as held:
        found = cluster.holder(key)
        assert isinstance(found, OwnerIs)
        assert (held.generation, held.owner, held.is_locked) == (found.generation, "ada", True)
        first = held.generation
    with lockcore.connect(seeds) as client, client.lock(key, ttl=10.0, owner="bob") as again:
        assert again.generation > first


def replicate(cluster: ProcessCluster, key: str, seq: int, lsn: int, *, unlock: bool = False) -> int:
    """Replicate a lock of eve's to the key's backup as its primary would; return the outcome."""
    primary, backup = cluster.owners(key)
    sender = cluster.member(primary)
    request = filer_pb2.ReplicateLockRequest(
        name=key, renew_token=f"t{seq}", owner="eve", generation=9, seq=seq, is_unlock=unlock,
        remaining_ns=MINUTE_NS, ttl_ms=60_000, view=cluster.view.number,
        sender_address=sender.address, sender_incarnation=sender.incarnation, lsn=lsn,
    )  # fmt: skip
    answer = call(cluster, backup, "ReplicateLock", request.SerializeToString())
    return filer_pb2.ReplicateLockResponse.FromString(answer).outcome


def test_replication_is_answered_and_stale_replication_rejected(forged: ProcessCluster) -> None:
    """8860:replicate-call, 8860:unlock-seq, 8860:stale-seq."""
    key = forged.keys()[0]
    accepted, stale = filer_pb2.MOVE_ACCEPTED, filer_pb2.MOVE_STALE
    assert replicate(forged, key, 2, 1_000_001) == accepted
    assert replicate(forged, key, 1, 1_000_002) == stale
    assert replicate(forged, key, 2, 1_000_003, unlock=True) == stale
    assert replicate(forged, key, 3, 1_000_004, unlock=True) == accepted
    assert replicate(forged, key, 2, 1_000_005) == stale


def test_a_transfer_says_generation_seq_and_whether_it_is_a_copy(forged: ProcessCluster) -> None:
    """8860:transfer-fields, 8860:stale-transfer. Each lock of it is answered by itself."""
    keys = forged.keys()
    receiver = forged.primary(keys[0])
    sender = forged.member(next(a for a in sorted(forged.living) if a != receiver))
    mine = [k for k in keys if forged.primary(k) == receiver][:2]
    copy = next(k for k in keys if forged.owners(k) == (sender.address, receiver))
    known = forged.ask(receiver, Lock(mine[1], 30_000, "ada"))
    assert isinstance(known, Granted)

    def one(key: str, generation: int, *, backup: bool = False) -> filer_pb2.Lock:
        return filer_pb2.Lock(
            name=key, renew_token="t", owner="eve", generation=generation, seq=7, is_backup=backup,
            remaining_ns=MINUTE_NS, ttl_ms=60_000,
        )  # fmt: skip

    request = filer_pb2.TransferLocksRequest(
        locks=[one(mine[0], 9), one(mine[1], known.generation - 1), one(copy, 9, backup=True)],
        view=forged.view.number, sender_address=sender.address, sender_incarnation=sender.incarnation, lsn=2_000_000,
    )  # fmt: skip
    answer = call(forged, receiver, "TransferLocks", request.SerializeToString())
    accepted, stale = filer_pb2.MOVE_ACCEPTED, filer_pb2.MOVE_STALE
    assert list(filer_pb2.TransferLocksResponse.FromString(answer).outcomes) == [accepted, stale, accepted]
    found = forged.holder(mine[0])
    assert isinstance(found, OwnerIs)
    assert (found.owner, found.generation) == ("eve", 9)


def test_lock_state_from_outside_the_cluster_is_refused(cluster: ProcessCluster) -> None:
    """Anybody who could call it would hold every lock."""
    key = cluster.keys()[0]
    with grpc.insecure_channel(grpc_target(cluster.primary(key))) as channel:
        for method in ("TransferLocks", "ReplicateLock"):
            with pytest.raises(grpc.RpcError) as refused:
                _method(channel, method)(b"", timeout=10)
            assert "UNAUTHENTICATED" in str(refused.value)
