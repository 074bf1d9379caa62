"""What a node tells people of a key and of sessions, as bytes of lockring.v1.

Invariants
  I1  decode(encode(x)) == x, and any bytes decode or raise CodecError.
Elsewhere: what is told (lockcore.core.inspecting), other messages (codec).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockcore.core.inspecting import (
    LEASES_TOLD_MAX,
    Holder,
    KeySeen,
    LeaseSeen,
    Place,
    RangePlace,
    SessionSeen,
    SessionsSeen,
)
from lockcore.core.limits import KEY_BYTES_MAX
from lockcore.wire.answering import piece_message, piece_of
from lockcore.wire.errors import CodecError
from lockcore.wire.gen import lockring_pb2 as pb
from lockcore.wire.parts import encoder, parse

if TYPE_CHECKING:
    from collections.abc import Iterable


@encoder
def encode_inspect(key: str) -> bytes:
    """Return the bytes that ask for a key."""
    return pb.InspectRequest(key=key).SerializeToString()


def decode_inspect(data: bytes) -> str:
    """Return the key that is asked for.

    Raises:
        CodecError: no key, or one that is too long.
    """
    return _checked(parse(pb.InspectRequest, data).key)


def _checked(key: str) -> str:
    size = len(key.encode())
    if not 0 < size <= KEY_BYTES_MAX:
        raise CodecError(f"a key has 1 to {KEY_BYTES_MAX} bytes of UTF-8; this one has {size}")
    return key


@encoder
def encode_keys(keys: Iterable[str]) -> bytes:
    """Return the bytes that ask for the leases of some keys."""
    return pb.KeysRequest(keys=keys).SerializeToString()


def decode_keys(data: bytes) -> tuple[str, ...]:
    """Return the keys that are asked for.

    Raises:
        CodecError: too many, or one that is empty or too long.
    """
    keys = parse(pb.KeysRequest, data).keys
    if len(keys) > LEASES_TOLD_MAX:
        raise CodecError(f"at most {LEASES_TOLD_MAX} keys at a time; these are {len(keys)}")
    return tuple(_checked(key) for key in keys)


@encoder
def encode_leases(seen: Iterable[LeaseSeen]) -> bytes:
    """Return the bytes of the leases that are seen."""
    leases = [pb.LeaseSeen(key=s.key, generation=s.generation, remaining_ms=s.remaining_ms) for s in seen]
    return pb.LeasesSeen(leases=leases).SerializeToString()


def decode_leases(data: bytes) -> tuple[LeaseSeen, ...]:
    """Return the leases that are seen.

    Raises:
        CodecError: they cannot be read.
    """
    return tuple(LeaseSeen(s.key, s.generation, s.remaining_ms) for s in parse(pb.LeasesSeen, data).leases)


@encoder
def encode_key(seen: KeySeen) -> bytes:
    """Return the bytes of what is seen of a key."""
    return pb.KeySeen(
        decides=seen.decides,
        holder=None if seen.holder is None else _holder(seen.holder),
        queue=[
            pb.Place(owner=p.owner, session=p.session, label=p.label, remaining_ms=p.remaining_ms) for p in seen.queue
        ],
        queue_total=seen.queue_total,
        ranges=[piece_message(piece) for piece in seen.ranges],
        ranges_total=seen.ranges_total,
        waiting=[
            pb.RangePlace(piece=piece_message(p.piece), fair=p.fair, remaining_ms=p.remaining_ms) for p in seen.waiting
        ],
        waiting_total=seen.waiting_total,
        order=pb.Order(generation=seen.order[0], seq=seen.order[1]),
    ).SerializeToString()


def _holder(holder: Holder) -> pb.Holder:
    return pb.Holder(
        owner=holder.owner,
        session=holder.session,
        label=holder.label,
        generation=holder.generation,
        seq=holder.seq,
        ttl_ms=holder.ttl_ms,
        remaining_ms=holder.remaining_ms,
    )


def decode_key(data: bytes) -> KeySeen:
    """Return what is seen of a key.

    Raises:
        CodecError: it cannot be read.
    """
    message = parse(pb.KeySeen, data)
    return KeySeen(
        decides=message.decides,
        order=(message.order.generation, message.order.seq),
        holder=_holder_of(message.holder) if message.HasField("holder") else None,
        queue=tuple(Place(p.owner, p.session, p.label, _left(p)) for p in message.queue),
        queue_total=message.queue_total,
        ranges=tuple(piece_of(piece) for piece in message.ranges),
        ranges_total=message.ranges_total,
        waiting=tuple(RangePlace(piece_of(p.piece), p.fair, _left(p)) for p in message.waiting),
        waiting_total=message.waiting_total,
    )


def _holder_of(holder: pb.Holder) -> Holder:
    return Holder(
        holder.owner,
        holder.session,
        holder.label,
        holder.generation,
        holder.seq,
        holder.ttl_ms,
        holder.remaining_ms,
    )


def _left(place: pb.Place | pb.RangePlace) -> int | None:
    return place.remaining_ms if place.HasField("remaining_ms") else None


@encoder
def encode_sessions(seen: SessionsSeen) -> bytes:
    """Return the bytes of the sessions that are seen."""
    sessions = [
        pb.SessionSeen(
            id=s.id,
            incarnation=s.incarnation,
            label=s.label,
            state=s.state,
            remaining_ms=s.remaining_ms,
            locks=s.locks,
            ranges=s.ranges,
            waits=s.waits,
        )
        for s in seen.sessions
    ]
    return pb.SessionsSeen(sessions=sessions, total=seen.total, counted=seen.counted).SerializeToString()


def decode_sessions(data: bytes) -> SessionsSeen:
    """Return the sessions that are seen.

    Raises:
        CodecError: they cannot be read.
    """
    message = parse(pb.SessionsSeen, data)
    sessions = tuple(
        SessionSeen(s.id, s.incarnation, s.label, s.state, s.remaining_ms, s.locks, s.ranges, s.waits)
        for s in message.sessions
    )
    return SessionsSeen(sessions, message.total, message.counted)
