"""SeaweedFS's messages, in terms of the core's.

A refusal travels as text in `error`, with status OK: SeaweedFS's clients
decide by that text. Lock state (TransferLocks, ReplicateLock) becomes a
PeerBatch like that of any other node; what SeaweedFS's fields cannot say
(view, sender, number, time remaining) is in fields from 100 up.

Invariants
  C2 of `codec`. Nothing that lacks the fields from 100 up becomes a batch.
Elsewhere: who may send lock state (lockcore.service.seaweed_filer).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from lockcore.core.limits import PEER_BATCH_RECORDS_MAX
from lockcore.core.messages import (
    Code,
    FindOwner,
    Granted,
    LeaseRecord,
    Lock,
    Operation,
    Outcome,
    OwnerIs,
    PeerBatch,
    Refused,
    Released,
    Result,
    Unlock,
)
from lockcore.core.view import MemberId
from lockcore.wire.errors import CodecError
from lockcore.wire.gen import filer_pb2, master_pb2
from lockcore.wire.parts import address_of, encoder, parse
from lockcore.wire.peer_codec import checked_record

if TYPE_CHECKING:
    from collections.abc import Iterable

NO_SERVER_TEXT: Final = "no lock server found"
MS_PER_S: Final = 1_000

_OUTCOME_TO_WIRE: Final = {
    Outcome.ACCEPTED: filer_pb2.MOVE_ACCEPTED,
    Outcome.STALE: filer_pb2.MOVE_STALE,
}


@dataclass(frozen=True, slots=True)
class FilerCall:
    """An operation as a filer gets it; `moved`: it had its one hop already."""

    operation: Operation
    moved: bool


@dataclass(frozen=True, slots=True)
class MovedLocks:
    """Lock state from another node, and the role of each lock in order."""

    batch: PeerBatch
    backups: tuple[bool, ...]

    def in_order(self, replicas: Iterable[Outcome], transfers: Iterable[Outcome]) -> list[Outcome]:
        """Return the outcomes of both roles in the order of the request."""
        by_role = {True: iter(replicas), False: iter(transfers)}
        return [next(by_role[backup], Outcome.STALE) for backup in self.backups]


@dataclass(frozen=True, slots=True)
class KeepConnected:
    """Who keeps a connection to the master."""

    client_type: str
    client_address: str


# --- operations -------------------------------------------------------------------


def decode_lock(data: bytes) -> FilerCall:
    """Return what a LockRequest asks; seconds become milliseconds.

    Raises:
        CodecError: it cannot be read.
    """
    request = parse(filer_pb2.LockRequest, data)
    ttl_ms = request.seconds_to_lock * MS_PER_S
    return FilerCall(Lock(request.name, ttl_ms, request.owner, request.renew_token), request.is_moved)


def decode_unlock(data: bytes) -> FilerCall:
    """Return what an UnlockRequest asks.

    Raises:
        CodecError: it cannot be read.
    """
    request = parse(filer_pb2.UnlockRequest, data)
    return FilerCall(Unlock(request.name, request.renew_token), request.is_moved)


def decode_find(data: bytes) -> FilerCall:
    """Return what a FindLockOwnerRequest asks.

    Raises:
        CodecError: it cannot be read.
    """
    request = parse(filer_pb2.FindLockOwnerRequest, data)
    return FilerCall(FindOwner(request.name), request.is_moved)


@encoder
def encode_lock_response(result: Result) -> bytes:
    """Return a LockResponse."""
    match result:
        case Granted():
            response = filer_pb2.LockResponse(
                renew_token=result.token,
                lock_owner=result.owner,
                lock_host_moved_to=result.moved_to,
                generation=result.generation,
            )
        case Refused():
            response = filer_pb2.LockResponse(
                error=error_text(result), lock_owner=result.owner, lock_host_moved_to=result.moved_to
            )
        case Released() | OwnerIs():
            response = filer_pb2.LockResponse(error="internal error: this is no answer to a lock; retry")
    return response.SerializeToString()


@encoder
def encode_unlock_response(result: Result) -> bytes:
    """Return an UnlockResponse."""
    error = error_text(result) if isinstance(result, Refused) else ""
    return filer_pb2.UnlockResponse(error=error, moved_to=result.moved_to).SerializeToString()


@encoder
def encode_find_response(owner: str) -> bytes:
    """Return a FindLockOwnerResponse."""
    return filer_pb2.FindLockOwnerResponse(owner=owner).SerializeToString()


def error_text(refused: Refused) -> str:
    """Return the text by which SeaweedFS's clients decide."""
    if refused.code is Code.NOT_SERVING:
        return f"{NO_SERVER_TEXT}: {refused.text}"
    return refused.text


# --- lock state ---------------------------------------------------------------------


def decode_transfer(data: bytes, receiver: MemberId) -> MovedLocks:
    """Return the locks of a TransferLocksRequest as a batch for `receiver`.

    Raises:
        CodecError: it cannot be read, or lacks the fields from 100 up.
    """
    request = parse(filer_pb2.TransferLocksRequest, data)
    if len(request.locks) > PEER_BATCH_RECORDS_MAX:
        raise CodecError(f"one request moves at most {PEER_BATCH_RECORDS_MAX} locks: split it")
    records = [(lock.is_backup, _record(lock, gone=lock.gone)) for lock in request.locks]
    batch = replace(
        _empty_batch(request, receiver),
        replicas=tuple(record for backup, record in records if backup),
        transfers=tuple(record for backup, record in records if not backup),
    )
    return MovedLocks(batch, tuple(backup for backup, _ in records))


def decode_replicate(data: bytes, receiver: MemberId) -> MovedLocks:
    """Return the lock of a ReplicateLockRequest as a batch for `receiver`.

    Raises:
        CodecError: it cannot be read, or lacks the fields from 100 up.
    """
    request = parse(filer_pb2.ReplicateLockRequest, data)
    record = _record(request, gone=request.is_unlock)
    return MovedLocks(replace(_empty_batch(request, receiver), replicas=(record,)), (True,))


def _empty_batch(
    request: filer_pb2.TransferLocksRequest | filer_pb2.ReplicateLockRequest, receiver: MemberId
) -> PeerBatch:
    if not (request.view and request.sender_address and request.sender_incarnation and request.lsn):
        raise CodecError(
            "lock state is taken only with its view (field 100), its sender's address and incarnation (101, 102) and "
            "a rising number (103): a SeaweedFS filer cannot be a member of this ring"
        )
    sender = MemberId(address_of(request.sender_address), request.sender_incarnation)
    return PeerBatch(sender, receiver, request.view, request.lsn)


def _record(message: filer_pb2.Lock | filer_pb2.ReplicateLockRequest, *, gone: bool) -> LeaseRecord:
    if not gone and not (message.remaining_ns and message.ttl_ms):
        raise CodecError("a lock travels with the time it has left and its ttl (remaining_ns, ttl_ms), not with a date")
    return checked_record(
        LeaseRecord(
            key=message.name,
            token=message.renew_token,
            owner=message.owner,
            generation=message.generation,
            seq=message.seq,
            remaining_ns=message.remaining_ns,
            ttl_ms=message.ttl_ms,
            confirmed_seq=message.confirmed_seq,
            gone=gone,
        )
    )


@encoder
def encode_transfer_response(outcomes: Iterable[Outcome]) -> bytes:
    """Return a TransferLocksResponse, an outcome for each lock."""
    return filer_pb2.TransferLocksResponse(outcomes=[_OUTCOME_TO_WIRE[o] for o in outcomes]).SerializeToString()


@encoder
def encode_replicate_response(outcomes: Iterable[Outcome]) -> bytes:
    """Return a ReplicateLockResponse."""
    outcome = next(iter(outcomes), Outcome.STALE)
    return filer_pb2.ReplicateLockResponse(outcome=_OUTCOME_TO_WIRE[outcome]).SerializeToString()


# --- the master's side ----------------------------------------------------------------


def decode_keep_connected(data: bytes) -> KeepConnected:
    """Return who connects.

    Raises:
        CodecError: it cannot be read.
    """
    request = parse(master_pb2.KeepConnectedRequest, data)
    return KeepConnected(request.client_type, request.client_address)


@encoder
def encode_ring_update(servers: Iterable[str], version: int) -> bytes:
    """Return a KeepConnectedResponse with the complete lock ring."""
    update = master_pb2.LockRingUpdate(servers=list(servers), version=version)
    return master_pb2.KeepConnectedResponse(lock_ring_update=update).SerializeToString()


@encoder
def encode_node_update(address: str, *, is_add: bool, created_at_ns: int) -> bytes:
    """Return a KeepConnectedResponse that says who came or went."""
    update = master_pb2.ClusterNodeUpdate(
        node_type="filer", address=address, is_add=is_add, created_at_ns=created_at_ns
    )
    return master_pb2.KeepConnectedResponse(cluster_node_update=update).SerializeToString()
