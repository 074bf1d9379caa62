"""What nodes say to each other, as bytes of lockring.v1.

Invariants
  C1, C2 of `codec`. A record that no node of ours can have made (an empty
  key, more lease than the longest) is a CodecError: it never reaches a table.
Elsewhere: SeaweedFS's form of the same (seaweed), the streams (service).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from lockcore.core.limits import (
    ANSWERS_KEPT,
    KEY_BYTES_MAX,
    LEASE_MS_MAX,
    LOCK_DELAY_MS_MAX,
    NS_PER_MS,
    OWNER_BYTES_MAX,
    PEER_BATCH_RECORDS_MAX,
    SESSION_LABEL_BYTES_MAX,
    TOKEN_BYTES_MAX,
    WAITERS_MAX,
)
from lockcore.core.messages import (
    Answered,
    BatchStatus,
    Forward,
    ForwardReply,
    How,
    LeaseRecord,
    Outcome,
    PeerAck,
    PeerBatch,
    PeerMessage,
    Seal,
    SessionRecord,
    WaiterRecord,
)
from lockcore.wire.answering import put_result, result_of
from lockcore.wire.asking import key_operation_of, put_operation
from lockcore.wire.errors import CodecError
from lockcore.wire.files import file, files_of, session_id, session_id_of, wait_left_of
from lockcore.wire.gen import lockring_pb2 as pb
from lockcore.wire.parts import (
    encoder,
    member_id_message,
    member_id_of,
    parse,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

UNKNOWN_ACK_TEXT: Final = "an acknowledgement says something that this version does not know: update this node"
MESSAGES_MAX: Final = 20_000
"""In one envelope; the sender's queue is shorter."""

_OUTCOME_TO_WIRE: Final = {outcome: pb.Outcome.Value(outcome.name) for outcome in Outcome}
_OUTCOME_FROM_WIRE: Final[dict[int, Outcome]] = {number: o for o, number in _OUTCOME_TO_WIRE.items()}
_STATUS_TO_WIRE: Final = {
    BatchStatus.OK: pb.OK,
    BatchStatus.WRONG_VIEW: pb.WRONG_VIEW,
    BatchStatus.NOT_SERVING: pb.RECEIVER_NOT_SERVING,
}
_STATUS_FROM_WIRE: Final[dict[int, BatchStatus]] = {number: s for s, number in _STATUS_TO_WIRE.items()}


@encoder
def encode_peer_message(message: PeerMessage) -> bytes:
    """Return one message, to be joined with others by `join_envelope`."""
    return pb.PeerEnvelope(messages=[_peer_message(message)]).SerializeToString()


def join_envelope(parts: Iterable[bytes]) -> bytes:
    """Return one PeerEnvelope that carries all of `parts`, in order.

    Envelopes concatenate: protobuf joins repeated fields of messages that
    follow each other, so nothing is encoded twice.
    """
    return b"".join(parts)


@encoder
def encode_envelope(messages: Iterable[PeerMessage]) -> bytes:
    """Return several messages as one PeerEnvelope."""
    return pb.PeerEnvelope(messages=[_peer_message(message) for message in messages]).SerializeToString()


def decode_envelope(data: bytes) -> tuple[PeerMessage, ...]:
    """Return the messages of a PeerEnvelope.

    Raises:
        CodecError: it, or one of them, cannot be read or is out of bounds.
    """
    envelope = parse(pb.PeerEnvelope, data)
    if len(envelope.messages) > MESSAGES_MAX:
        raise CodecError(f"a peer envelope has at most {MESSAGES_MAX} messages")
    return tuple(_peer_message_of(message) for message in envelope.messages)


def _peer_message(message: PeerMessage) -> pb.PeerMessage:
    match message:
        case PeerBatch():
            return pb.PeerMessage(batch=_batch(message))
        case PeerAck():
            return pb.PeerMessage(ack=_ack(message))
        case Forward():
            forward = pb.Forward(
                sender=member_id_message(message.sender),
                forward_id=message.forward_id,
                timeout_ms=message.timeout_ms,
                may_park=message.may_park,
                again=message.again,
            )
            put_operation(forward, message.operation)
            return pb.PeerMessage(forward=forward)
        case ForwardReply():
            reply = pb.ForwardReply(sender=member_id_message(message.sender))
            reply.result.id = message.forward_id
            put_result(reply.result, message.result)
            return pb.PeerMessage(forward_reply=reply)


def _peer_message_of(message: pb.PeerMessage) -> PeerMessage:
    kind = message.WhichOneof("message")
    if kind is None:
        raise CodecError("a peer message is empty, or of a kind that this version does not know: update this node")
    return _READERS[kind](message)


def _batch(batch: PeerBatch) -> pb.PeerBatch:
    seal = batch.seal
    return pb.PeerBatch(
        sender=member_id_message(batch.sender),
        receiver=member_id_message(batch.receiver),
        view=batch.view,
        lsn=batch.lsn,
        replicas=[_record(record) for record in batch.replicas],
        transfers=[_record(record) for record in batch.transfers],
        seal=None if seal is None else _seal(seal),
        sessions=[_session(record) for record in batch.sessions],
        files=[file(record) for record in batch.files],
    )


def _batch_of(message: pb.PeerMessage) -> PeerBatch:
    batch = message.batch
    locks = len(batch.replicas) + len(batch.transfers) + len(batch.files)
    if locks > PEER_BATCH_RECORDS_MAX or len(batch.sessions) > PEER_BATCH_RECORDS_MAX:
        raise CodecError(f"a peer batch has at most {PEER_BATCH_RECORDS_MAX} locks, and as many sessions")
    seal = batch.seal
    return PeerBatch(
        sender=member_id_of(batch.sender),
        receiver=member_id_of(batch.receiver),
        view=batch.view,
        lsn=batch.lsn,
        replicas=tuple(_record_of(record) for record in batch.replicas),
        transfers=tuple(_record_of(record) for record in batch.transfers),
        seal=Seal(seal.handover, seal.backup, seal.floor, seal.informed) if batch.HasField("seal") else None,
        sessions=tuple(_session_of(record) for record in batch.sessions),
        files=files_of(batch.files),
    )


def _seal(seal: Seal) -> pb.Seal:
    return pb.Seal(handover=seal.handover, backup=seal.backup, floor=seal.floor, informed=seal.informed)


def _session(record: SessionRecord) -> pb.SessionRecord:
    return pb.SessionRecord(
        session=session_id(record.ref),
        remaining_ns=record.remaining_ns,
        ttl_ms=record.ttl_ms,
        label=record.label,
        ended=record.ended,
        healed=record.healed,
    )


def _session_of(record: pb.SessionRecord) -> SessionRecord:
    if record.ttl_ms > LEASE_MS_MAX or record.remaining_ns > LEASE_MS_MAX * NS_PER_MS:
        raise CodecError(f"a session has at most {LEASE_MS_MAX} ms left: is another time unit meant?")
    if len(record.label.encode()) > SESSION_LABEL_BYTES_MAX:
        raise CodecError(f"a session's label has at most {SESSION_LABEL_BYTES_MAX} bytes")
    ref = session_id_of(record.session)
    return SessionRecord(ref, record.remaining_ns, record.ttl_ms, record.label, record.ended, record.healed)


def _record(record: LeaseRecord) -> pb.LeaseRecord:
    return pb.LeaseRecord(
        key=record.key,
        token=record.token,
        owner=record.owner,
        generation=record.generation,
        seq=record.seq,
        remaining_ns=record.remaining_ns,
        ttl_ms=record.ttl_ms,
        confirmed_seq=record.confirmed_seq,
        gone=record.gone,
        session=None if record.session is None else session_id(record.session),
        waiters=[_waiter(waiter) for waiter in record.waiters],
        answers=[_answered(answer) for answer in record.answers],
        delay_ms=record.delay_ms,
        delay_ns=record.delay_ns,
        served=record.served,
    )


def _waiter(waiter: WaiterRecord) -> pb.WaiterRecord:
    return pb.WaiterRecord(
        session=session_id(waiter.session),
        session_ns=waiter.session_ns,
        op_id=waiter.op_id,
        owner=waiter.owner,
        remaining_ns=waiter.remaining_ns,
        delay_ms=waiter.delay_ms,
    )


def _waiter_of(message: pb.WaiterRecord) -> WaiterRecord:
    if message.session_ns > LEASE_MS_MAX * NS_PER_MS or message.delay_ms > LOCK_DELAY_MS_MAX:
        raise CodecError("a waiter's times are out of bounds: is another time unit meant?")
    if len(message.owner.encode()) > OWNER_BYTES_MAX:
        raise CodecError(f"an owner has at most {OWNER_BYTES_MAX} bytes")
    session, remaining_ns = session_id_of(message.session), wait_left_of(message)
    return WaiterRecord(session, message.session_ns, message.op_id, message.owner, remaining_ns, message.delay_ms)


def _answered(answer: Answered) -> pb.Answered:
    return pb.Answered(
        session=session_id(answer.session),
        op_id=answer.op_id,
        generation=answer.generation,
        migrated=answer.how is How.MIGRATED,
    )


def _answered_of(message: pb.Answered) -> Answered:
    how = How.MIGRATED if message.migrated else How.ACQUIRED
    return Answered(session_id_of(message.session), message.op_id, message.generation, how)


def _record_of(record: pb.LeaseRecord) -> LeaseRecord:
    return checked_record(
        LeaseRecord(
            key=record.key,
            token=record.token,
            owner=record.owner,
            generation=record.generation,
            seq=record.seq,
            remaining_ns=record.remaining_ns,
            ttl_ms=record.ttl_ms,
            confirmed_seq=record.confirmed_seq,
            gone=record.gone,
            session=session_id_of(record.session) if record.HasField("session") else None,
            waiters=tuple(_waiter_of(waiter) for waiter in record.waiters),
            answers=tuple(_answered_of(answer) for answer in record.answers),
            delay_ms=record.delay_ms,
            delay_ns=record.delay_ns,
            served=record.served,
        )
    )


def checked_record(record: LeaseRecord) -> LeaseRecord:
    """Return a record whose every value a node of ours can have made.

    Raises:
        CodecError: says which value is out of bounds.
    """
    if not 0 < len(record.key.encode()) <= KEY_BYTES_MAX:
        raise CodecError(f"a lock's name has 1 to {KEY_BYTES_MAX} bytes of UTF-8")
    if len(record.owner.encode()) > OWNER_BYTES_MAX or len(record.token) > TOKEN_BYTES_MAX:
        raise CodecError(f"a lock's owner has at most {OWNER_BYTES_MAX} bytes, its token {TOKEN_BYTES_MAX}")
    if record.ttl_ms > LEASE_MS_MAX or not 0 <= record.remaining_ns <= LEASE_MS_MAX * NS_PER_MS:
        raise CodecError(f"a lock has at most {LEASE_MS_MAX} ms left: is another time unit meant?")
    if len(record.waiters) > WAITERS_MAX or len(record.answers) > ANSWERS_KEPT:
        raise CodecError(f"a lock has at most {WAITERS_MAX} waiters and {ANSWERS_KEPT} answers")
    if record.delay_ms > LOCK_DELAY_MS_MAX or not 0 <= record.delay_ns <= LOCK_DELAY_MS_MAX * NS_PER_MS:
        raise CodecError(f"a lock-delay lasts at most {LOCK_DELAY_MS_MAX} ms")
    if record.generation <= 0 or record.seq <= 0:
        raise CodecError("a lock's generation and seq count from 1")
    return record


def _ack(ack: PeerAck) -> pb.PeerAck:
    return pb.PeerAck(
        sender=member_id_message(ack.sender),
        receiver=member_id_message(ack.receiver),
        view=ack.view,
        lsn=ack.lsn,
        status=_STATUS_TO_WIRE[ack.status],
        replicas=[_OUTCOME_TO_WIRE[outcome] for outcome in ack.replicas],
        transfers=[_OUTCOME_TO_WIRE[outcome] for outcome in ack.transfers],
        floor=ack.floor,
        sessions=[_OUTCOME_TO_WIRE[outcome] for outcome in ack.sessions],
        files=[_OUTCOME_TO_WIRE[outcome] for outcome in ack.files],
    )


def _ack_of(message: pb.PeerMessage) -> PeerAck:
    ack = message.ack
    status = _STATUS_FROM_WIRE.get(ack.status)
    if status is None:
        raise CodecError(UNKNOWN_ACK_TEXT)
    return PeerAck(
        sender=member_id_of(ack.sender),
        receiver=member_id_of(ack.receiver),
        view=ack.view,
        lsn=ack.lsn,
        status=status,
        replicas=_outcomes_of(ack.replicas),
        transfers=_outcomes_of(ack.transfers),
        floor=ack.floor,
        sessions=_outcomes_of(ack.sessions),
        files=_outcomes_of(ack.files),
    )


def _outcomes_of(numbers: Sequence[int]) -> tuple[Outcome, ...]:
    outcomes = [_OUTCOME_FROM_WIRE.get(number) for number in numbers]
    known = tuple(o for o in outcomes if o is not None)
    if len(known) != len(outcomes) or len(known) > PEER_BATCH_RECORDS_MAX:
        raise CodecError(UNKNOWN_ACK_TEXT)
    return known


def _forward_of(message: pb.PeerMessage) -> Forward:
    forward = message.forward
    return Forward(
        sender=member_id_of(forward.sender),
        forward_id=forward.forward_id,
        operation=key_operation_of(forward),
        timeout_ms=forward.timeout_ms,
        may_park=forward.may_park,
        again=forward.again,
    )


def _forward_reply_of(message: pb.PeerMessage) -> ForwardReply:
    reply = message.forward_reply
    return ForwardReply(member_id_of(reply.sender), reply.result.id, result_of(reply.result))


_READERS: Final[dict[str, Callable[[pb.PeerMessage], PeerMessage]]] = {
    "batch": _batch_of,
    "ack": _ack_of,
    "forward": _forward_of,
    "forward_reply": _forward_reply_of,
}
