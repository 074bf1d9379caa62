"""SeaweedFS's messages: its field numbers, its texts, and what it may not do."""

from __future__ import annotations

import pytest

from lockcore.core.messages import (
    Code,
    FindOwner,
    Granted,
    Lock,
    Outcome,
    Refused,
    Released,
    Unlock,
)
from lockcore.core.view import MemberId
from lockcore.wire import seaweed
from lockcore.wire.errors import CodecError
from lockcore.wire.gen import filer_pb2, master_pb2

ME = MemberId("127.0.0.1:1.10001", 7)

# name -> number, as SeaweedFS 4.48 reads and writes them (tests/weed)
NUMBERS = {
    filer_pb2.LockRequest: {"name": 1, "seconds_to_lock": 2, "renew_token": 3, "is_moved": 4, "owner": 5},
    filer_pb2.LockResponse: {
        "renew_token": 1,
        "lock_owner": 2,
        "lock_host_moved_to": 3,
        "error": 4,
        "generation": 5,
    },
    filer_pb2.UnlockRequest: {"name": 1, "renew_token": 2, "is_moved": 3},
    filer_pb2.UnlockResponse: {"error": 1, "moved_to": 2},
    filer_pb2.FindLockOwnerRequest: {"name": 1, "is_moved": 2},
    filer_pb2.FindLockOwnerResponse: {"owner": 1},
    filer_pb2.GetFilerConfigurationResponse: {
        "masters": 1,
        "signature": 8,
        "version": 11,
        "cluster_id": 12,
        "filer_group": 13,
        "major_version": 14,
        "minor_version": 15,
    },
    filer_pb2.TransferLocksRequest: {"locks": 1},
    filer_pb2.Lock: {
        "name": 1,
        "renew_token": 2,
        "expired_at_ns": 3,
        "owner": 4,
        "generation": 5,
        "is_backup": 6,
        "seq": 7,
    },
    filer_pb2.ReplicateLockRequest: {
        "name": 1,
        "renew_token": 2,
        "expired_at_ns": 3,
        "owner": 4,
        "generation": 5,
        "is_unlock": 6,
        "seq": 7,
    },
    master_pb2.KeepConnectedRequest: {
        "client_type": 1,
        "client_address": 3,
        "version": 4,
        "filer_group": 5,
        "data_center": 6,
        "rack": 7,
    },
    master_pb2.KeepConnectedResponse: {
        "volume_location": 1,
        "cluster_node_update": 2,
        "lock_ring_update": 3,
    },
    master_pb2.VolumeLocation: {"leader": 5},
    master_pb2.ClusterNodeUpdate: {
        "node_type": 1,
        "address": 2,
        "is_add": 4,
        "filer_group": 5,
        "created_at_ns": 6,
    },
    master_pb2.LockRingUpdate: {"filer_group": 1, "servers": 2, "version": 3},
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_field_numbers_are_those_of_seaweedfs(kind: type) -> None:
    """Additions start at 100, where SeaweedFS will not come soon."""
    fields = {f.name: f.number for f in kind.DESCRIPTOR.fields}  # type: ignore[attr-defined]
    assert {name: number for name, number in fields.items() if number < 100} == NUMBERS[kind]


def test_seconds_become_milliseconds_and_is_moved_is_kept() -> None:
    data = filer_pb2.LockRequest(name="k", seconds_to_lock=7, renew_token="t", is_moved=True, owner="o")
    call = seaweed.decode_lock(data.SerializeToString())
    assert call == seaweed.FilerCall(Lock("k", 7000, "o", "t"), moved=True)


def test_unlock_and_find_are_read() -> None:
    unlock = filer_pb2.UnlockRequest(name="k", renew_token="t").SerializeToString()
    find = filer_pb2.FindLockOwnerRequest(name="k", is_moved=True).SerializeToString()
    assert seaweed.decode_unlock(unlock) == seaweed.FilerCall(Unlock("k", "t"), moved=False)
    assert seaweed.decode_find(find) == seaweed.FilerCall(FindOwner("k"), moved=True)


def test_a_grant_carries_token_owner_generation_and_where_the_lock_lives() -> None:
    data = seaweed.encode_lock_response(Granted("t", "o", 2**62, 1, 5000, "b:1"))
    response = filer_pb2.LockResponse.FromString(data)
    assert (response.renew_token, response.lock_owner, response.error) == ("t", "o", "")
    assert (response.generation, response.lock_host_moved_to) == (2**62, "b:1")


def test_a_refusal_is_a_text_and_no_token() -> None:
    """W15: an answer without token and without error made clients believe they held the lock."""
    refused = Refused(Code.HELD, "lock already owned by x", "x", "b:1")
    response = filer_pb2.LockResponse.FromString(seaweed.encode_lock_response(refused))
    assert (response.error, response.lock_owner) == ("lock already owned by x", "x")
    assert (response.renew_token, response.lock_host_moved_to) == ("", "b:1")


def test_a_node_that_may_not_serve_says_no_lock_server_found() -> None:
    refused = Refused(Code.NOT_SERVING, "try another node")
    response = filer_pb2.UnlockResponse.FromString(seaweed.encode_unlock_response(refused))
    assert response.error == "no lock server found: try another node"


def test_an_unlock_says_where_it_was_done() -> None:
    response = filer_pb2.UnlockResponse.FromString(seaweed.encode_unlock_response(Released("b:1")))
    assert (response.error, response.moved_to) == ("", "b:1")


def moved(**changes: int | str) -> bytes:
    lock = filer_pb2.Lock(name="k", generation=5, seq=6, remaining_ns=10, ttl_ms=20)
    backup = filer_pb2.Lock(name="b", generation=5, seq=6, remaining_ns=10, ttl_ms=20, is_backup=True)
    fields: dict[str, int | str] = {"view": 9, "sender_address": "a:1", "sender_incarnation": 3, "lsn": 4}
    request = filer_pb2.TransferLocksRequest(locks=[backup, lock], **(fields | changes))  # type: ignore[arg-type]
    return request.SerializeToString()


def test_transferred_locks_become_a_batch_that_answers_lock_by_lock() -> None:
    """W5: a receiver that refuses silently lets the sender delete the only copy."""
    locks = seaweed.decode_transfer(moved(), ME)
    assert (locks.batch.sender, locks.batch.receiver) == (MemberId("a:1", 3), ME)
    assert (locks.batch.view, locks.batch.lsn) == (9, 4)
    assert [r.key for r in locks.batch.transfers] == ["k"]
    assert [r.key for r in locks.batch.replicas] == ["b"]
    assert locks.in_order([Outcome.STALE], [Outcome.ACCEPTED]) == [Outcome.STALE, Outcome.ACCEPTED]


@pytest.mark.parametrize("missing", ["view", "sender_address", "sender_incarnation", "lsn"])
def test_lock_state_without_view_or_sender_is_refused(missing: str) -> None:
    """W11: a transfer that carries no view cannot be told from a stale one."""
    with pytest.raises(CodecError, match="field 100"):
        seaweed.decode_transfer(moved(**{missing: "" if missing == "sender_address" else 0}), ME)


def test_a_lock_that_carries_only_a_date_is_refused() -> None:
    """W16: two wall clocks never agree on when a lease ends."""
    request = filer_pb2.ReplicateLockRequest(
        name="k",
        expired_at_ns=2**60,
        generation=1,
        seq=1,
        view=9,
        sender_address="a:1",
        sender_incarnation=3,
        lsn=4,
    )
    with pytest.raises(CodecError, match="not with a date"):
        seaweed.decode_replicate(request.SerializeToString(), ME)


def test_a_replicated_unlock_is_a_tombstone() -> None:
    """W9: without one, a late insert revives a released lock."""
    request = filer_pb2.ReplicateLockRequest(
        name="k", generation=1, seq=2, is_unlock=True, view=9, sender_address="a:1", sender_incarnation=3, lsn=4
    )
    locks = seaweed.decode_replicate(request.SerializeToString(), ME)
    assert locks.batch.replicas[0].gone


def test_the_ring_is_sent_complete_with_its_version() -> None:
    data = seaweed.encode_ring_update(["a:1", "b:1"], 2**60)
    update = master_pb2.KeepConnectedResponse.FromString(data).lock_ring_update
    assert (list(update.servers), update.version) == (["a:1", "b:1"], 2**60)
