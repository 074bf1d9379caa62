"""What clients say and hear, as bytes of lockring.v1.

Functions from frozen core messages to bytes and back. Decoding checks types,
sizes and counts, so that the core only meets values of the right kind;
whether a key or a ttl is acceptable is the core's answer to give
(lockcore.core.requests), because it is the same for every protocol.

Invariants
  C1  decode(encode(x)) == x.
  C2  Any bytes decode or raise CodecError; nothing else is ever raised.
  C3  One bad operation spoils itself only, where its batch can be read.
Elsewhere: nodes among each other (peer_codec), nodes and master
(master_codec), SeaweedFS (seaweed), field numbers (proto/).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from lockcore.core.messages import Code, Gauges, Operation, Refused, Result
from lockcore.core.view import MemberId, View
from lockcore.wire.answering import put_result, result_of
from lockcore.wire.asking import operation_of, put_operation
from lockcore.wire.errors import CodecError
from lockcore.wire.gen import lockring_pb2 as pb
from lockcore.wire.parts import (
    MESSAGE_BYTES_MAX,
    encoder,
    gauges_message,
    gauges_of,
    parse,
    view_message,
    view_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "MESSAGE_BYTES_MAX",
    "OPS_PER_BATCH_MAX",
    "Call",
    "ClientBatch",
    "CodecError",
    "NodeStatus",
    "ServerBatch",
    "ViewState",
    "decode_client_batch",
    "decode_server_batch",
    "decode_status",
    "decode_view",
    "encode_client_batch",
    "encode_server_batch",
    "encode_status",
    "encode_view",
]

OPS_PER_BATCH_MAX: Final = 4_096
"""A client splits what is more; bounds how long one message keeps the loop."""


@dataclass(frozen=True, slots=True)
class Call:
    """One operation with the client's number for it; timeout 0 = default."""

    id: int
    operation: Operation
    timeout_ms: int = 0


@dataclass(frozen=True, slots=True)
class ClientBatch:
    """What a client sent: operations, and the ids that held none, with why."""

    calls: tuple[Call, ...] = ()
    faults: tuple[tuple[int, Refused], ...] = ()


@dataclass(frozen=True, slots=True)
class ViewState:
    """A view, and whether every member has all that it needs in it."""

    view: View
    settled: bool = False


@dataclass(frozen=True, slots=True)
class ServerBatch:
    """Results by the client's ids, and the view where it is new."""

    results: tuple[tuple[int, Result], ...] = ()
    view: ViewState | None = None


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """What a node says of itself.

    `state` is joining, up, acquiring, fenced or leaving. `events_unwritten`
    could not be spooled (disk full) and will be seen as a gap.
    """

    member: MemberId
    label: str
    view: ViewState | None
    state: str
    uptime_ms: int
    pid: int
    master: str
    master_connected: bool
    durability: str
    gauges: Gauges = field(default_factory=Gauges)
    handler_errors: int = 0
    events_unreported: int = 0
    events_unwritten: int = 0


# --- views ------------------------------------------------------------------------


@encoder
def encode_view(view: View, *, settled: bool = False) -> bytes:
    """Return a view as a ViewInfo."""
    return view_message(view, settled=settled).SerializeToString()


def decode_view(data: bytes) -> ViewState:
    """Return what a ViewInfo says.

    Raises:
        CodecError: it cannot be read.
    """
    return _view_state(parse(pb.ViewInfo, data))


def _view_state(message: pb.ViewInfo) -> ViewState:
    return ViewState(view_of(message), message.settled)


# --- Converse -----------------------------------------------------------------------


@encoder
def encode_client_batch(calls: Iterable[Call]) -> bytes:
    """Return operations as one ClientBatch.

    Raises:
        CodecError: an id, a time or a text that does not fit.
    """
    batch = pb.ClientBatch()
    add = batch.ops.add
    for call in calls:
        message = add(id=call.id, timeout_ms=call.timeout_ms)
        put_operation(message, call.operation)
    return batch.SerializeToString()


def decode_client_batch(data: bytes) -> ClientBatch:
    """Return the operations of a ClientBatch (C3).

    Raises:
        CodecError: it cannot be read, or has more than OPS_PER_BATCH_MAX operations.
    """
    batch = parse(pb.ClientBatch, data)
    if len(batch.ops) > OPS_PER_BATCH_MAX:
        raise CodecError(f"a batch has at most {OPS_PER_BATCH_MAX} operations, this one {len(batch.ops)}: split it")
    calls: list[Call] = []
    faults: list[tuple[int, Refused]] = []
    for message in batch.ops:
        try:
            calls.append(Call(message.id, operation_of(message), message.timeout_ms))
        except CodecError as error:
            faults.append((message.id, Refused(Code.INVALID, str(error))))
    return ClientBatch(tuple(calls), tuple(faults))


@encoder
def encode_server_batch(results: Iterable[tuple[int, Result]], view: ViewState | None = None) -> bytes:
    """Return results, and the view where it is new, as one ServerBatch."""
    batch = pb.ServerBatch()
    add = batch.results.add
    for call_id, result in results:
        put_result(add(id=call_id), result)
    if view is not None:
        batch.view.CopyFrom(view_message(view.view, settled=view.settled))
    return batch.SerializeToString()


def decode_server_batch(data: bytes) -> ServerBatch:
    """Return what a ServerBatch says.

    Raises:
        CodecError: it cannot be read.
    """
    batch = parse(pb.ServerBatch, data)
    return ServerBatch(
        tuple((message.id, result_of(message)) for message in batch.results),
        _view_state(batch.view) if batch.HasField("view") else None,
    )


# --- Status ---------------------------------------------------------------------------


@encoder
def encode_status(status: NodeStatus) -> bytes:
    """Return a node's status as a StatusReply."""
    return pb.StatusReply(
        address=status.member.address,
        incarnation=status.member.incarnation,
        label=status.label,
        view=None if status.view is None else view_message(status.view.view, settled=status.view.settled),
        state=status.state,
        gauges=gauges_message(status.gauges),
        uptime_ms=status.uptime_ms,
        pid=status.pid,
        master=status.master,
        master_connected=status.master_connected,
        durability=status.durability,
        handler_errors=status.handler_errors,
        events_unreported=status.events_unreported,
        events_unwritten=status.events_unwritten,
    ).SerializeToString()


def decode_status(data: bytes) -> NodeStatus:
    """Return what a StatusReply says.

    Raises:
        CodecError: it cannot be read.
    """
    message = parse(pb.StatusReply, data)
    return NodeStatus(
        member=MemberId(message.address, message.incarnation),
        label=message.label,
        view=_view_state(message.view) if message.HasField("view") else None,
        state=message.state,
        uptime_ms=message.uptime_ms,
        pid=message.pid,
        master=message.master,
        master_connected=message.master_connected,
        durability=message.durability,
        gauges=gauges_of(message.gauges),
        handler_errors=message.handler_errors,
        events_unreported=message.events_unreported,
        events_unwritten=message.events_unwritten,
    )
