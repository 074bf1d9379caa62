"""The pieces that several messages share: members, views, gauges.

Functions between frozen core messages and generated ones. Private to
`lockcore.wire`; everybody else uses the codecs, which speak bytes.

Invariants
  P1  `parse` and the `*_of` functions raise CodecError and nothing else.
Elsewhere: operations and results (asking, answering), whole messages (codec,
peer_codec, master_codec, seaweed).
"""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from google.protobuf.message import DecodeError, EncodeError, Message

from lockcore.core.limits import ADDRESS_BYTES_MAX, MEMBERS_MAX
from lockcore.core.messages import Gauges
from lockcore.core.region import SPACE, Region
from lockcore.core.timing import COUNTS, Timing
from lockcore.core.view import Grace, Member, MemberId, View
from lockcore.wire.errors import CodecError
from lockcore.wire.gen import lockring_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable

MESSAGE_BYTES_MAX: Final = 8 * 1024 * 1024
INTERVALS_MAX: Final = 100_000
"""Arcs of a full ring are at most MEMBERS_MAX x VNODES; with room."""

M = TypeVar("M", bound=Message)
P = ParamSpec("P")
T = TypeVar("T")


# --- any message ---------------------------------------------------------------


def parse(kind: type[M], data: bytes) -> M:
    """Return the message that `data` is.

    Raises:
        CodecError: it is none: truncated, not protobuf, or text that is not UTF-8.
    """
    if len(data) > MESSAGE_BYTES_MAX:
        raise CodecError(f"a message has at most {MESSAGE_BYTES_MAX} bytes; this one has {len(data)}")
    try:
        return kind.FromString(data)
    except DecodeError:
        raise CodecError(
            f"these {len(data)} bytes are no {kind.DESCRIPTOR.full_name}: they are cut short or damaged, "
            "or a text in them is not UTF-8; send whole protobuf messages with UTF-8 keys and owners"
        ) from None


def encoder(function: Callable[P, T]) -> Callable[P, T]:
    """Let an encoding function raise CodecError where a value does not fit its field."""

    @wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except UnicodeError:
            raise CodecError("a text in this message is not valid UTF-8; send valid Unicode text") from None
        except (ValueError, TypeError, EncodeError) as error:
            raise CodecError(f"this message does not fit the wire: {error}") from None

    return guarded


# --- members and views -----------------------------------------------------------


def address_of(text: str) -> str:
    """Return a ring address if it can be one."""
    if not text or len(text.encode()) > ADDRESS_BYTES_MAX:
        raise CodecError(f"an address has 1 to {ADDRESS_BYTES_MAX} bytes")
    return text


def member_id_message(member: MemberId) -> pb.MemberId:
    """MemberId -> message."""
    return pb.MemberId(address=member.address, incarnation=member.incarnation)


def member_id_of(message: pb.MemberId) -> MemberId:
    """MemberId <- message."""
    return MemberId(address_of(message.address), message.incarnation)


def view_message(view: View, *, settled: bool = False) -> pb.ViewInfo:
    """View -> message."""
    return pb.ViewInfo(
        number=view.number,
        version=view.version,
        members=[pb.Member(address=m.address, incarnation=m.incarnation, down=m.down) for m in view.members],
        previous=view.previous,
        graces=[
            pb.Grace(
                intervals=[pb.Interval(start=start, stop=stop) for start, stop in grace.region.intervals],
                remaining_ms=grace.remaining_ms,
            )
            for grace in view.graces
        ],
        settled=settled,
    )


def view_of(message: pb.ViewInfo) -> View:
    """View <- message."""
    if len(message.members) > MEMBERS_MAX:
        raise CodecError(f"a view has at most {MEMBERS_MAX} members")
    return View(
        number=message.number,
        version=message.version,
        members=tuple(Member(address_of(m.address), m.incarnation, m.down) for m in message.members),
        previous=message.previous,
        graces=tuple(_grace_of(grace) for grace in message.graces),
    )


def _grace_of(message: pb.Grace) -> Grace:
    intervals = [(i.start, i.stop) for i in message.intervals]
    if len(intervals) > INTERVALS_MAX or any(not start < stop <= SPACE for start, stop in intervals):
        raise CodecError("a grace's intervals must lie within the ring, and be few")
    return Grace(Region.of(intervals), message.remaining_ms)


def gauges_message(gauges: Gauges) -> pb.Gauges:
    """Gauges -> message."""
    return pb.Gauges(
        held_primary=gauges.held_primary,
        held_backup=gauges.held_backup,
        operations=gauges.operations,
        renewals=gauges.renewals,
        parked=gauges.parked,
        waiting=gauges.waiting,
        acquiring=gauges.acquiring,
        serving=gauges.serving,
        answered=_timing_message(gauges.answered),
        replicated=_timing_message(gauges.replicated),
        replication_lag_us=gauges.replication_lag_us,
    )


def gauges_of(message: pb.Gauges) -> Gauges:
    """Gauges <- message."""
    return Gauges(
        held_primary=message.held_primary,
        held_backup=message.held_backup,
        operations=message.operations,
        renewals=message.renewals,
        parked=message.parked,
        waiting=message.waiting,
        acquiring=message.acquiring,
        serving=message.serving,
        answered=_timing_of(message.answered),
        replicated=_timing_of(message.replicated),
        replication_lag_us=message.replication_lag_us,
    )


def _timing_message(timing: Timing) -> pb.Timing:
    return pb.Timing(counts=timing.counts, total_us=timing.total_us)


def _timing_of(message: pb.Timing) -> Timing:
    """Timing <- message; one with other bounds than ours counts as not measured."""
    if len(message.counts) != COUNTS:
        return Timing()
    return Timing(tuple(message.counts), message.total_us)
