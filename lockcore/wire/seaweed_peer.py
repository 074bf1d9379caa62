"""What filers of a SeaweedFS say to each other about locks, and what they ask of a new peer.

Plain SeaweedFS, without Lockring's fields from 100 up. A lock travels with
the wall-clock time at which it ends; here that is the time it has left, by
the clock of whoever reads or writes it (known-failures W16).

Invariants
  C2 of `codec`.
Elsewhere: Lockring's own nodes among each other (seaweed, peer_codec), what
clients say (seaweed_client), who does what with it (lockcore.seaweed).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

from lockcore.core.limits import KEY_BYTES_MAX, OWNER_BYTES_MAX, TOKEN_BYTES_MAX
from lockcore.core.weedlocks import LockState
from lockcore.wire.errors import CodecError
from lockcore.wire.gen import filer_pb2
from lockcore.wire.parts import encoder, parse

if TYPE_CHECKING:
    from collections.abc import Iterable

MOVED_LOCKS_MAX: Final = 10_000
"""Of one TransferLocks; SeaweedFS sends one at a time."""
SPEAKS: Final = (4, 44)
"""The version of SeaweedFS whose lock protocol this is."""


# --- lock state ---------------------------------------------------------------------


def decode_moved(data: bytes, wall_ns: int) -> list[LockState]:
    """Return the locks of a TransferLocksRequest.

    Raises:
        CodecError: it cannot be read, or is beyond a bound.
    """
    request = parse(filer_pb2.TransferLocksRequest, data)
    if len(request.locks) > MOVED_LOCKS_MAX:
        raise CodecError(f"one request moves at most {MOVED_LOCKS_MAX} locks: split it")
    return [_state(lock, wall_ns, gone=False) for lock in request.locks]


def decode_replica(data: bytes, wall_ns: int) -> LockState:
    """Return the lock of a ReplicateLockRequest.

    Raises:
        CodecError: it cannot be read, or is beyond a bound.
    """
    request = parse(filer_pb2.ReplicateLockRequest, data)
    return _state(request, wall_ns, gone=request.is_unlock)


def _state(message: filer_pb2.Lock | filer_pb2.ReplicateLockRequest, wall_ns: int, *, gone: bool) -> LockState:
    texts = (
        ("key", message.name, KEY_BYTES_MAX),
        ("owner", message.owner, OWNER_BYTES_MAX),
        ("renew token", message.renew_token, TOKEN_BYTES_MAX),
    )
    for what, text, bytes_max in texts:
        if len(text.encode()) > bytes_max:
            raise CodecError(f"a {what} has at most {bytes_max} bytes")
    if not message.name or message.generation < 0 or message.seq < 0:
        raise CodecError("a lock has a key, and neither generation nor seq is negative")
    return LockState(
        key=message.name,
        token=message.renew_token,
        owner=message.owner,
        generation=message.generation,
        seq=message.seq,
        remaining_ns=0 if gone else message.expired_at_ns - wall_ns,
        gone=gone,
    )


@encoder
def encode_moved(states: Iterable[LockState], wall_ns: int) -> bytes:
    """Return a TransferLocksRequest."""
    locks = [filer_pb2.Lock(**_fields(state, wall_ns)) for state in states]
    return filer_pb2.TransferLocksRequest(locks=locks).SerializeToString()


@encoder
def encode_replica(state: LockState, wall_ns: int) -> bytes:
    """Return a ReplicateLockRequest."""
    if state.gone:
        request = filer_pb2.ReplicateLockRequest(
            name=state.key, generation=state.generation, seq=state.seq, is_unlock=True
        )
    else:
        request = filer_pb2.ReplicateLockRequest(**_fields(state, wall_ns))
    return request.SerializeToString()


def _fields(state: LockState, wall_ns: int) -> dict[str, Any]:
    """Return a lock's fields, which have the same names in either message."""
    return {
        "name": state.key,
        "renew_token": state.token,
        "expired_at_ns": wall_ns + state.remaining_ns,
        "owner": state.owner,
        "generation": state.generation,
        "seq": state.seq,
    }


# --- what a filer asks of a new peer ----------------------------------------------------


@encoder
def encode_filer_is(address: str, masters: Iterable[str], group: str) -> bytes:
    """Return a GetFilerConfigurationResponse of a member without files.

    The signature is that of a store: other for each address and always the same, so that no filer takes our store for
    its own.
    """
    major, minor = SPEAKS
    told = filer_pb2.GetFilerConfigurationResponse(
        masters=list(masters),
        signature=crc32(address.encode()) >> 1 or 1,
        version=f"lockring, locks only, as {major}.{minor}",
        filer_group=group,
        major_version=major,
        minor_version=minor,
    )
    return told.SerializeToString()


def wants_heartbeats(data: bytes) -> bool:
    """Say whether whoever subscribes understands a message without an event.

    Raises:
        CodecError: it cannot be read.
    """
    return parse(filer_pb2.SubscribeMetadataRequest, data).client_supports_idle_heartbeat


@encoder
def encode_heartbeat(wall_ns: int) -> bytes:
    """Return "you have all my changes up to now, and they are on disk": there never are any."""
    return filer_pb2.SubscribeMetadataResponse(ts_ns=wall_ns, flushed_ts_ns=wall_ns).SerializeToString()


def decode_ping(data: bytes) -> str:
    """Return whom a PingRequest wants asked; empty: only the receiver itself.

    Raises:
        CodecError: it cannot be read.
    """
    return parse(filer_pb2.PingRequest, data).target


@encoder
def encode_pong(wall_ns: int) -> bytes:
    """Return a PingResponse."""
    return filer_pb2.PingResponse(
        start_time_ns=wall_ns, remote_time_ns=wall_ns, stop_time_ns=wall_ns
    ).SerializeToString()


# --- what another filer answers ------------------------------------------------------------


def decode_moved_to(data: bytes) -> str:
    """Return where an UnlockResponse says that the lock lives, empty where it lives there.

    Raises:
        CodecError: it cannot be read.
    """
    return parse(filer_pb2.UnlockResponse, data).moved_to
