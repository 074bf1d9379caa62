"""What nodes, observers and the master say to each other, as bytes of lockring.v1.

Invariants
  C1, C2 of `codec`. Facts come with ascending numbers, or not at all.
Elsewhere: views to clients and observers (codec), KeepConnected (seaweed).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from lockcore.core.events import Event, EventBatch, EventKind, NumberedEvent
from lockcore.core.limits import MEMBERS_MAX
from lockcore.core.messages import (
    Close,
    Farewell,
    Goodbye,
    Heartbeat,
    HeartbeatAck,
    MasterMessage,
    NodeMessage,
    Register,
    RegisterRefused,
    Unreached,
    ViewUpdate,
)
from lockcore.core.roster import MemberStatus
from lockcore.wire.codec import ViewState
from lockcore.wire.errors import CodecError
from lockcore.wire.gen import lockring_pb2 as pb
from lockcore.wire.parts import (
    address_of,
    encoder,
    gauges_message,
    gauges_of,
    member_id_message,
    member_id_of,
    parse,
    view_message,
    view_of,
)

EVENTS_PER_BATCH_MAX: Final = 1_000
"""One transaction of the recorder; keeps a message far below its size limit
(a fact holds at most a key, an owner and a few hundred bytes)."""
TEXT_BYTES_MAX: Final = 8_192
"""Of one text in a fact."""

_KINDS: Final = {kind.value: kind for kind in EventKind}


@dataclass(frozen=True, slots=True)
class Overview:
    """What the master knows. `incarnation`: when this master started."""

    view: ViewState | None
    members: tuple[MemberStatus, ...]
    incarnation: int


# --- Attend -------------------------------------------------------------------------


@encoder
def encode_node_message(message: NodeMessage) -> bytes:
    """Return a node's message as a NodeToMaster."""
    out = pb.NodeToMaster()
    match message:
        case Register():
            out.register.member.CopyFrom(member_id_message(message.member))
            out.register.floor = message.floor
            if message.view is not None:
                out.register.view.CopyFrom(view_message(message.view))
        case Heartbeat():
            out.heartbeat.CopyFrom(
                pb.Heartbeat(
                    member=member_id_message(message.member),
                    number=message.number,
                    view=message.view,
                    settled=message.settled,
                    floor=message.floor,
                    gauges=gauges_message(message.gauges),
                    acked=message.acked,
                    unreached=[
                        pb.Unreached(member=member_id_message(u.member), silent_ms=u.silent_ms)
                        for u in message.unreached
                    ],
                )
            )
        case Goodbye():
            out.goodbye.member.CopyFrom(member_id_message(message.member))
        case Farewell():
            out.farewell.member.CopyFrom(member_id_message(message.member))
            out.farewell.longest_ms = message.longest_ms
    return out.SerializeToString()


def decode_node_message(data: bytes) -> NodeMessage:
    """Return what a NodeToMaster says.

    Raises:
        CodecError: it cannot be read.
    """
    message = parse(pb.NodeToMaster, data)
    match message.WhichOneof("message"):
        case "register":
            register = message.register
            view = view_of(register.view) if register.HasField("view") else None
            return Register(member_id_of(register.member), register.floor, view)
        case "heartbeat":
            return _heartbeat_of(message.heartbeat)
        case "goodbye":
            return Goodbye(member_id_of(message.goodbye.member))
        case "farewell":
            return Farewell(member_id_of(message.farewell.member), message.farewell.longest_ms)
    raise CodecError("a node's message is empty, or of a kind that this master does not know: update the master")


def _heartbeat_of(beat: pb.Heartbeat) -> Heartbeat:
    if len(beat.unreached) > MEMBERS_MAX:
        raise CodecError(f"a heartbeat names at most {MEMBERS_MAX} members that are not reached")
    return Heartbeat(
        member_id_of(beat.member),
        beat.number,
        beat.view,
        beat.settled,
        beat.floor,
        gauges_of(beat.gauges),
        beat.acked,
        tuple(Unreached(member_id_of(u.member), u.silent_ms) for u in beat.unreached),
    )


@encoder
def encode_master_message(message: MasterMessage) -> bytes:
    """Return a master's message as a MasterToNode."""
    out = pb.MasterToNode()
    match message:
        case ViewUpdate():
            out.view.CopyFrom(view_message(message.view))
        case HeartbeatAck():
            ack = out.heartbeat_ack
            ack.number, ack.view, ack.settled = message.number, message.view, message.settled
            ack.SetInParent()
        case RegisterRefused():
            out.register_refused.text = message.text
            out.register_refused.SetInParent()
        case Close():
            out.close.SetInParent()
    return out.SerializeToString()


def decode_master_message(data: bytes) -> MasterMessage:
    """Return what a MasterToNode says.

    Raises:
        CodecError: it cannot be read.
    """
    message = parse(pb.MasterToNode, data)
    match message.WhichOneof("message"):
        case "view":
            return ViewUpdate(view_of(message.view))
        case "heartbeat_ack":
            ack = message.heartbeat_ack
            return HeartbeatAck(ack.number, ack.view, ack.settled)
        case "register_refused":
            return RegisterRefused(message.register_refused.text)
        case "close":
            return Close()
    raise CodecError("the master's message is empty, or of a kind that this node does not know: update the node")


# --- Report -------------------------------------------------------------------------


@encoder
def encode_events(batch: EventBatch) -> bytes:
    """Return facts as an EventBatch message."""
    out = pb.EventBatch(source=batch.source, incarnation=batch.incarnation)
    for numbered in batch.events:
        event = numbered.event
        out.events.add(
            number=numbered.number,
            wall_ns=numbered.wall_ns,
            kind=event.kind.value,
            key=event.key,
            owner=event.owner,
            generation=event.generation,
            seq=event.seq,
            view=event.view,
            version=event.version,
            peer=event.peer,
            detail=event.detail,
            ttl_ms=event.ttl_ms,
            renewals=event.renewals,
            session=event.session,
        )
    return out.SerializeToString()


def decode_events(data: bytes) -> EventBatch:
    """Return the facts of an EventBatch message.

    Raises:
        CodecError: it cannot be read, is too large, or its numbers do not ascend.
    """
    message = parse(pb.EventBatch, data)
    if len(message.events) > EVENTS_PER_BATCH_MAX:
        raise CodecError(f"a report has at most {EVENTS_PER_BATCH_MAX} facts: split it")
    events = tuple(_event_of(event) for event in message.events)
    if any(a.number >= b.number for a, b in pairwise(events)) or (events and events[0].number < 1):
        raise CodecError("the numbers of facts must ascend from 1")
    return EventBatch(address_of(message.source), message.incarnation, events)


def _event_of(message: pb.Event) -> NumberedEvent:
    kind = _KINDS.get(message.kind)
    if kind is None:
        raise CodecError("a fact is of a kind that this recorder does not know: update the site")
    texts = (message.key, message.owner, message.peer, message.detail)
    if any(len(text.encode()) > TEXT_BYTES_MAX for text in texts):
        raise CodecError(f"a text in a fact has at most {TEXT_BYTES_MAX} bytes")
    return NumberedEvent(
        message.number,
        message.wall_ns,
        Event(
            kind=kind,
            key=message.key,
            owner=message.owner,
            generation=message.generation,
            seq=message.seq,
            view=message.view,
            version=message.version,
            peer=message.peer,
            detail=message.detail,
            ttl_ms=message.ttl_ms,
            renewals=message.renewals,
            session=message.session,
        ),
    )


@encoder
def encode_report_ack(number: int) -> bytes:
    """Return "everything up to `number` is recorded" as a ReportAck."""
    return pb.ReportAck(number=number).SerializeToString()


def decode_report_ack(data: bytes) -> int:
    """Return the number up to which everything is recorded.

    Raises:
        CodecError: it cannot be read.
    """
    return parse(pb.ReportAck, data).number


# --- Overview -------------------------------------------------------------------------


@encoder
def encode_overview(overview: Overview) -> bytes:
    """Return what the master knows as an OverviewReply."""
    view = overview.view
    return pb.OverviewReply(
        view=None if view is None else view_message(view.view, settled=view.settled),
        members=[
            pb.MemberStatus(
                address=m.address,
                incarnation=m.incarnation,
                state=m.state,
                view=m.view,
                settled=m.settled,
                heartbeat_age_ms=m.heartbeat_age_ms,
                gauges=gauges_message(m.gauges),
            )
            for m in overview.members
        ],
        incarnation=overview.incarnation,
    ).SerializeToString()


def decode_overview(data: bytes) -> Overview:
    """Return what an OverviewReply says.

    Raises:
        CodecError: it cannot be read.
    """
    message = parse(pb.OverviewReply, data)
    return Overview(
        ViewState(view_of(message.view), message.view.settled) if message.HasField("view") else None,
        tuple(
            MemberStatus(
                address=m.address,
                incarnation=m.incarnation,
                state=m.state,
                view=m.view,
                settled=m.settled,
                heartbeat_age_ms=m.heartbeat_age_ms if m.HasField("heartbeat_age_ms") else None,
                gauges=gauges_of(m.gauges),
            )
            for m in message.members
        ),
        message.incarnation,
    )
