"""SeaweedFS's clients and filers, with the bytes they would send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc

from lockcore.service.addresses import grpc_target
from lockcore.service.channels import open_channel
from lockcore.wire.gen import filer_pb2
from tests.lockcore.service.cluster import WAIT_S, refusal

if TYPE_CHECKING:
    from tests.lockcore.service.cluster import Cluster

ANSWERS: dict[str, Any] = {
    "DistributedLock": filer_pb2.LockResponse,
    "DistributedUnlock": filer_pb2.UnlockResponse,
    "FindLockOwner": filer_pb2.FindLockOwnerResponse,
    "TransferLocks": filer_pb2.TransferLocksResponse,
    "ReplicateLock": filer_pb2.ReplicateLockResponse,
}


async def call(cluster: Cluster, label: str, method: str, request: Any, *, member: bool = False) -> Any:
    async with open_channel(grpc_target(cluster.address(label))) as channel:
        opener: Any = channel.unary_unary
        stub = opener(
            f"/filer_pb.SeaweedFiler/{method}",
            request_serializer=lambda m: m.SerializeToString(),
            response_deserializer=ANSWERS[method].FromString,
        )
        return await stub(request, metadata=cluster.gate.metadata if member else (), timeout=WAIT_S)


def lock(name: str, token: str = "", *, moved: bool = False, owner: str = "me", seconds: int = 30) -> Any:
    return filer_pb2.LockRequest(name=name, seconds_to_lock=seconds, renew_token=token, is_moved=moved, owner=owner)


async def test_lock_renew_and_unlock_as_lock_client_go_does(three: Cluster) -> None:
    key = three.key_of("n1")
    first = await call(three, "n1", "DistributedLock", lock(key))
    assert (first.error, first.lock_owner, first.lock_host_moved_to) == ("", "me", "")
    second = await call(three, "n1", "DistributedLock", lock(key, first.renew_token))
    assert second.renew_token != first.renew_token
    assert second.generation == first.generation > 0
    other = await call(three, "n1", "DistributedLock", lock(key, owner="you"))
    assert (other.error, other.lock_owner) == ("lock already owned by me", "me")
    done = await call(
        three, "n1", "DistributedUnlock", filer_pb2.UnlockRequest(name=key, renew_token=second.renew_token)
    )
    assert done.error == ""
    third = await call(three, "n1", "DistributedLock", lock(key, owner="you"))
    assert third.generation > second.generation


async def test_refusals_have_the_texts_by_which_clients_decide(three: Cluster) -> None:
    key = three.key_of("n1")
    held = await call(three, "n1", "DistributedLock", lock(key))
    wrong = await call(three, "n1", "DistributedLock", lock(key, "wrong"))
    assert wrong.error == "lock: token mismatch"
    unlock = filer_pb2.UnlockRequest(name=key, renew_token="wrong")
    assert (await call(three, "n1", "DistributedUnlock", unlock)).error == "unlock: token mismatch"
    new = await call(three, "n1", "DistributedLock", lock(three.key_of("n1") + "", "token"))
    assert new.error == "lock: token mismatch"
    free = next(k for k in (f"other-{i}" for i in range(1_000)) if three.primary(k) == "n1")
    assert (await call(three, "n1", "DistributedLock", lock(free, "t"))).error == (
        "lock: non-empty token on a new lock"
    )
    unheld = filer_pb2.UnlockRequest(name=free, renew_token="t")
    assert (await call(three, "n1", "DistributedUnlock", unheld)).error == "lock not found"
    await call(three, "n1", "DistributedUnlock", filer_pb2.UnlockRequest(name=key, renew_token=held.renew_token))
    late = await call(three, "n1", "DistributedLock", lock(key, held.renew_token))
    assert late.error == "lock: non-empty token on an expired lock"


async def test_bad_keys_and_ttls_are_told_in_the_error(three: Cluster) -> None:
    assert "1 to 4096 bytes" in (await call(three, "n1", "DistributedLock", lock(""))).error
    assert "1 to 4096 bytes" in (await call(three, "n1", "DistributedLock", lock("k" * 5_000))).error
    assert "ask for less" in (await call(three, "n1", "DistributedLock", lock("k", seconds=3_600))).error
    assert "ask for less" in (await call(three, "n1", "DistributedLock", lock("k", seconds=-1))).error


async def test_a_request_is_forwarded_once_and_names_the_primary(three: Cluster) -> None:
    key = three.key_of("n1")
    answer = await call(three, "n2", "DistributedLock", lock(key))
    assert (answer.error, answer.lock_host_moved_to) == ("", three.address("n1"))
    assert answer.renew_token


async def test_a_forwarded_request_is_never_forwarded_again(three: Cluster) -> None:
    """W15: a two-hop mismatch answered with no token and no error."""
    answer = await call(three, "n2", "DistributedLock", lock(three.key_of("n1"), moved=True))
    assert answer.error
    assert not answer.renew_token
    assert answer.lock_host_moved_to == three.address("n1")


async def test_find_lock_owner_answers_or_says_not_found(three: Cluster) -> None:
    key = three.key_of("n1")
    code, text = await refusal(call(three, "n1", "FindLockOwner", filer_pb2.FindLockOwnerRequest(name=key)))
    assert (code, text) == (grpc.StatusCode.NOT_FOUND, "lock not found")
    await call(three, "n1", "DistributedLock", lock(key))
    found = await call(three, "n2", "FindLockOwner", filer_pb2.FindLockOwnerRequest(name=key))
    assert found.owner == "me"


async def test_a_node_in_no_ring_says_no_lock_server_found(cluster: Cluster) -> None:
    """W1: a node with no state must not serve as primary."""
    cluster.master_target = "127.0.0.1:1"
    await cluster.start_node("n1")
    while True:
        try:
            answer = await call(cluster, "n1", "DistributedLock", lock("k"))
            break
        except grpc.aio.AioRpcError:
            continue  # it has only just been started
    assert answer.error.startswith("no lock server found")


async def test_a_request_that_is_none_is_invalid_argument(three: Cluster) -> None:
    from tests.lockcore.service.cluster import unary

    target = grpc_target(three.address("n1"))
    for method in ANSWERS:
        metadata = three.gate.metadata
        code, text = await refusal(unary(target, f"/filer_pb.SeaweedFiler/{method}", b"\xff\xff", metadata))
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "whole protobuf messages" in text


def moved(cluster: Cluster, key: str, sender: str, lsn: int, generation: int, **changes: int) -> Any:
    member = cluster.member(sender)
    assert cluster.master.view is not None
    fields: dict[str, Any] = {
        "view": cluster.master.view.number,
        "sender_address": member.address,
        "sender_incarnation": member.incarnation,
        "lsn": lsn,
    }
    one = filer_pb2.Lock(
        name=key, renew_token="t", owner="o", generation=generation, seq=1, remaining_ns=10**10, ttl_ms=30_000
    )
    return filer_pb2.TransferLocksRequest(locks=[one], **(fields | changes))


async def test_lock_state_from_strangers_is_refused(three: Cluster) -> None:
    request = moved(three, three.key_of("n1"), "n2", 10**6, 2**62)
    code, text = await refusal(call(three, "n1", "TransferLocks", request))
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert "cluster.secret" in text


async def test_lock_state_of_another_view_is_refused_and_the_sender_told_to_look_again(three: Cluster) -> None:
    """W11: transfers carry a view; a receiver in another one refuses."""
    request = moved(three, three.key_of("n1"), "n2", 10**6, 2**62, view=5)
    code, text = await refusal(call(three, "n1", "TransferLocks", request, member=True))
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "of view 5: look at the ring again" in text


async def test_transferred_locks_are_answered_lock_by_lock_and_stale_ones_change_nothing(three: Cluster) -> None:
    """W5, #8860: reject stale lock transfers."""
    key = three.key_of("n1")
    held = await call(three, "n1", "DistributedLock", lock(key))
    stale = moved(three, key, "n2", 10**6, held.generation - 1)
    answer = await call(three, "n1", "TransferLocks", stale, member=True)
    assert list(answer.outcomes) == [filer_pb2.MOVE_STALE]
    assert (await call(three, "n1", "DistributedLock", lock(key, held.renew_token))).error == ""
    newer = moved(three, key, "n2", 10**6 + 1, held.generation + 1)
    answer = await call(three, "n1", "TransferLocks", newer, member=True)
    assert list(answer.outcomes) == [filer_pb2.MOVE_ACCEPTED]
    refused = await call(three, "n1", "DistributedLock", lock(key, held.renew_token))
    assert refused.error == "lock: token mismatch"


async def test_a_replayed_transfer_is_refused(three: Cluster) -> None:
    key = three.key_of("n1")
    request = moved(three, key, "n2", 10**6, 2**62)
    await call(three, "n1", "TransferLocks", request, member=True)
    code, text = await refusal(call(three, "n1", "TransferLocks", request, member=True))
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "stale" in text


async def test_a_replica_is_taken_by_the_backup_only(three: Cluster) -> None:
    """I2: a record is taken only in the role the ring gives this node."""
    key = three.key_of("n1")
    sender = three.member("n1")
    assert three.master.view is not None
    request = filer_pb2.ReplicateLockRequest(
        name=key,
        renew_token="t",
        owner="o",
        generation=2**62,
        seq=1,
        view=three.master.view.number,
        sender_address=sender.address,
        sender_incarnation=sender.incarnation,
        lsn=10**6,
        remaining_ns=10**10,
        ttl_ms=30_000,
    )
    backup = three.backup(key)
    other = next(label for label in ("n2", "n3") if label != backup)
    taken = await call(three, backup, "ReplicateLock", request, member=True)
    assert taken.outcome == filer_pb2.MOVE_ACCEPTED
    refused = await call(three, other, "ReplicateLock", request, member=True)
    assert refused.outcome == filer_pb2.MOVE_STALE
