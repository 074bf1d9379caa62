"""The other side of `seaweed`: what a client of SeaweedFS sends, and what filers and masters answer.

A filer's refusal is text with status OK; here it becomes a `Refused` with the
code that decides what a client of ours does. A text that nobody knows is
NOT_SERVING: try again, elsewhere perhaps.

Invariants
  C2 of `codec`.
Elsewhere: Lockring as the filer (seaweed), the calls (lockcore.client.filers).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lockcore.core.limits import MEMBERS_MAX
from lockcore.core.messages import Code, FindOwner, Granted, Lock, Refused, Released, Unlock
from lockcore.wire.errors import CodecError
from lockcore.wire.gen import filer_pb2, master_pb2
from lockcore.wire.parts import address_of, encoder, parse

MS_PER_S: Final = 1_000
OWNED: Final = "lock already owned by "

_CODES: Final = (
    (OWNED.strip(), Code.HELD),
    ("lock: token mismatch", Code.TOKEN_MISMATCH),
    ("unlock: token mismatch", Code.TOKEN_MISMATCH),
    ("lock: non-empty token on a new lock", Code.TOKEN_ON_NEW),
    ("lock: non-empty token on an expired lock", Code.TOKEN_ON_EXPIRED),
    ("lock not found", Code.NOT_FOUND),
)


@dataclass(frozen=True, slots=True)
class FilerIs:
    """What a filer says of itself. `masters`: ring addresses; `version` as people read it, and as (major, minor)."""

    masters: tuple[str, ...] = ()
    group: str = ""
    version: str = ""
    version_number: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class RingUpdate:
    """A complete lock ring, as a master publishes it; `version` in Unix nanoseconds."""

    group: str
    servers: tuple[str, ...]
    version: int


@dataclass(frozen=True, slots=True)
class NodeUpdate:
    """A member of the cluster, of any type, that came (`is_add`) or went."""

    node_type: str
    address: str
    is_add: bool
    group: str
    created_at_ns: int


@dataclass(frozen=True, slots=True)
class MasterTold:
    """One message of a master. `leader`: its address, where the message names one."""

    leader: str = ""
    ring: RingUpdate | None = None
    node: NodeUpdate | None = None


# --- filers -------------------------------------------------------------------------


@encoder
def encode_lock(operation: Lock, *, moved: bool = False) -> bytes:
    """Return a LockRequest; a TTL is rounded up to whole seconds, which is what the field holds."""
    request = filer_pb2.LockRequest(
        name=operation.key,
        seconds_to_lock=-(-operation.ttl_ms // MS_PER_S),
        renew_token=operation.token,
        is_moved=moved,
        owner=operation.owner,
    )
    return request.SerializeToString()


@encoder
def encode_unlock(operation: Unlock, *, moved: bool = False) -> bytes:
    """Return an UnlockRequest."""
    request = filer_pb2.UnlockRequest(name=operation.key, renew_token=operation.token, is_moved=moved)
    return request.SerializeToString()


@encoder
def encode_find(operation: FindOwner, *, moved: bool = False) -> bytes:
    """Return a FindLockOwnerRequest."""
    return filer_pb2.FindLockOwnerRequest(name=operation.key, is_moved=moved).SerializeToString()


def decode_lock_answer(data: bytes, asked: Lock) -> Granted | Refused:
    """Return what a LockResponse says.

    Raises:
        CodecError: it cannot be read, or it grants nothing and refuses nothing (known-failures W15).
    """
    response = parse(filer_pb2.LockResponse, data)
    moved_to = response.lock_host_moved_to
    if response.error:
        return refused_of(response.error, response.lock_owner, moved_to)
    if not response.renew_token:
        raise CodecError("the filer answered with neither a token nor an error: ask again")
    return Granted(
        token=response.renew_token,
        owner=response.lock_owner or asked.owner,
        generation=response.generation,
        seq=0,
        ttl_ms=asked.ttl_ms,
        moved_to=moved_to,
    )


def decode_unlock_answer(data: bytes) -> Released | Refused:
    """Return what an UnlockResponse says.

    Raises:
        CodecError: it cannot be read.
    """
    response = parse(filer_pb2.UnlockResponse, data)
    return refused_of(response.error, "", response.moved_to) if response.error else Released(response.moved_to)


def decode_find_answer(data: bytes) -> str:
    """Return the owner that a FindLockOwnerResponse names.

    Raises:
        CodecError: it cannot be read.
    """
    return parse(filer_pb2.FindLockOwnerResponse, data).owner


def decode_filer_is(data: bytes) -> FilerIs:
    """Return what a GetFilerConfigurationResponse says.

    Raises:
        CodecError: it cannot be read, or names what cannot be a master.
    """
    told = parse(filer_pb2.GetFilerConfigurationResponse, data)
    masters = tuple(map(address_of, told.masters[:MEMBERS_MAX]))
    return FilerIs(masters, told.filer_group, told.version, (told.major_version, told.minor_version))


def refused_of(text: str, owner: str, moved_to: str) -> Refused:
    """Return a refusal in our words."""
    code = next((code for beginning, code in _CODES if text.startswith(beginning)), Code.NOT_SERVING)
    if code is Code.HELD and not owner:
        owner = text.removeprefix(OWNED)
    return Refused(code, text, owner, moved_to)


# --- masters ------------------------------------------------------------------------


@encoder
def encode_keep_connected(client_type: str, client_address: str, group: str = "") -> bytes:
    """Return the first message to a master; `s3` and `filer` are told the ring at once, `filer` joins it."""
    request = master_pb2.KeepConnectedRequest(
        client_type=client_type, client_address=client_address, version="lockring", filer_group=group
    )
    return request.SerializeToString()


def decode_master_told(data: bytes) -> MasterTold:
    """Return what a KeepConnectedResponse says.

    Raises:
        CodecError: it cannot be read, or names what cannot be a member.
    """
    response = parse(master_pb2.KeepConnectedResponse, data)
    ring = node = None
    if response.HasField("lock_ring_update"):
        update = response.lock_ring_update
        if len(update.servers) > MEMBERS_MAX:
            raise CodecError(f"the ring has {len(update.servers)} members; at most {MEMBERS_MAX} are read")
        ring = RingUpdate(update.filer_group, tuple(map(address_of, update.servers)), update.version)
    if response.HasField("cluster_node_update"):
        told = response.cluster_node_update
        node = NodeUpdate(told.node_type, told.address, told.is_add, told.filer_group, told.created_at_ns)
    return MasterTold(response.volume_location.leader, ring, node)
