"""What other nodes send: batches, their answers, requests on their one hop.

Invariants
  I1  A batch of another view, of an older number, or for another incarnation
      changes nothing (W3, W11).
  I2  A record is taken only in the role the ring gives this node, and only
      if it is newer than what is known (W4, W5, W9, W10).
  I3  A lock is handed over when the receiver has accepted exactly the state
      this node still has; otherwise it is sent again.
Elsewhere: building batches (outbox), completeness (handover), sessions
(keeping), queues (queueing).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockcore.core import keeping, queueing
from lockcore.core.events import HANDED_OVER_TEXT, EventKind
from lockcore.core.limits import NS_PER_MS, REQUEST_TIMEOUT_MS_MAX
from lockcore.core.messages import (
    PROBE_LSN,
    BatchStatus,
    ClearRange,
    Code,
    FileRecord,
    Forward,
    ForwardReply,
    LeaseRecord,
    Lock,
    Move,
    Outcome,
    PeerAck,
    PeerBatch,
    PeerMessage,
    SendPeer,
    Unlock,
)
from lockcore.core.outbox import Delivered, Part, Told
from lockcore.core.rangefiles import id_of
from lockcore.core.requests import Request
from lockcore.core.ring import position_of
from lockcore.core.serving import begin, handle, pass_on
from lockcore.core.state import with_moved_to
from lockcore.core.views import drop_if_surplus, promote_ready

if TYPE_CHECKING:
    from lockcore.core.state import NodeState

MOVED_TEXT = "the lock has moved; ask its new primary with the same token"


def receive(state: NodeState, message: PeerMessage) -> None:
    """Take one message from another node."""
    match message:
        case PeerBatch():
            _take_batch(state, message)
        case PeerAck():
            _take_ack(state, message)
        case Forward():
            _take_forward(state, message)
        case ForwardReply():
            _take_forward_reply(state, message)


def _take_batch(state: NodeState, batch: PeerBatch) -> None:
    if batch.receiver != state.me:
        return
    status = _standing(state, batch)
    if status is not BatchStatus.OK:
        _acknowledge(state, batch, status)
        return
    if batch.lsn == PROBE_LSN:
        _acknowledge(state, batch, status)
        return
    if batch.lsn <= state.last_lsn.get(batch.sender, 0):
        return  # a duplicate, or overtaken by its own repetition
    state.last_lsn[batch.sender] = batch.lsn
    if batch.seal is not None:
        state.table.raise_floor(batch.seal.floor)
    sessions = tuple(state.sessions.merge(record, state.now.boot_ns) for record in batch.sessions)
    replicas = tuple(_take_replica(state, batch, record) for record in batch.replicas)
    transfers = tuple(_take_transfer(state, batch, record) for record in batch.transfers)
    files = tuple(_take_file(state, batch, record) for record in batch.files)
    if batch.seal is not None:
        state.handover.take_seal(batch.sender, batch.seal)
    _acknowledge(state, batch, BatchStatus.OK, replicas, transfers, sessions, files)
    _go_on(state, batch)


def _go_on(state: NodeState, batch: PeerBatch) -> None:
    """Serve who waited for what has arrived; where all has, copies become locks first (W10)."""
    if batch.seal is not None:
        promote_ready(state)
    for record in batch.transfers:
        queueing.revive(state, record.key)
        for request in state.desk.unpark(record.key):
            handle(state, request)
    for file in batch.files:
        if file.transfer:
            queueing.revive(state, id_of(file.key))


def _standing(state: NodeState, batch: PeerBatch) -> BatchStatus:
    view = state.view
    if view is None or batch.view != view.number or not state.is_up:
        return BatchStatus.WRONG_VIEW
    if all(member.id != batch.sender for member in view.members):
        return BatchStatus.WRONG_VIEW
    return BatchStatus.OK if state.serving() else BatchStatus.NOT_SERVING


def _acknowledge(  # noqa: PLR0913, PLR0917 - three kinds of records, three answers
    state: NodeState,
    batch: PeerBatch,
    status: BatchStatus,
    replicas: tuple[Outcome, ...] = (),
    transfers: tuple[Outcome, ...] = (),
    sessions: tuple[Outcome, ...] = (),
    files: tuple[Outcome, ...] = (),
) -> None:
    view = batch.view if status is BatchStatus.OK else state.view_number
    ack = PeerAck(
        state.me, batch.sender, view, batch.lsn, status, replicas, transfers, state.table.floor, sessions, files
    )
    state.out.append(SendPeer(batch.sender.address, ack))


def _take_replica(state: NodeState, batch: PeerBatch, record: LeaseRecord) -> Outcome:
    owners = state.owners_at(position_of(record.key))
    if owners != (batch.sender.address, state.me.address):
        return Outcome.STALE
    known = state.table.get(record.key)
    outcome = state.table.merge(record, state.now.boot_ns)
    if outcome is Outcome.ACCEPTED:
        _overtaken(state, record.key, (record.generation, record.seq), batch.sender.address)
    if outcome is Outcome.ACCEPTED and known is not None and known.serving:
        lease = state.table.get(record.key)
        if lease is not None:
            state.table.serve(lease, serving=False)
        if known.live(state.now.boot_ns):
            state.emit(EventKind.DEMOTED, known, batch.sender.address, "the new primary has it")
    elif outcome is Outcome.STALE:
        _emit_stale(state, batch, record, "replica")
    return outcome


def _take_transfer(state: NodeState, batch: PeerBatch, record: LeaseRecord) -> Outcome:
    primary, _ = state.owners_at(position_of(record.key))
    if primary != state.me.address:
        return Outcome.STALE
    known = state.table.get(record.key)
    served = known is not None and known.serving and known.live(state.now.boot_ns)
    outcome = state.table.merge(record, state.now.boot_ns)
    lease = state.table.get(record.key)
    if outcome is Outcome.ACCEPTED and lease is not None and not lease.serving and _whole(state, record):
        state.begin_serving(lease)
        if not served and lease.live(state.now.boot_ns):
            state.emit(EventKind.TRANSFERRED, lease, batch.sender.address)
        state.spread(lease)
    elif outcome is Outcome.STALE and not record.gone:
        _emit_stale(state, batch, record, "transfer")
    return outcome


def _whole(state: NodeState, record: LeaseRecord) -> bool:
    """Say whether a record may be served before all have handed over (S7)."""
    return record.served or state.handover.ready(position_of(record.key))


def _take_file(state: NodeState, batch: PeerBatch, record: FileRecord) -> Outcome:
    owners = state.owners_at(position_of(record.key))
    here = owners[0] == state.me.address if record.transfer else owners == (batch.sender.address, state.me.address)
    if not here:
        return Outcome.STALE
    known = state.files.get(id_of(record.key))
    served = known is not None and known.serving
    held = served and known is not None and not known.gone
    state.table.raise_floor(record.generation)
    outcome = state.files.merge(record, state.now.boot_ns)
    file = state.files.get(id_of(record.key))
    if outcome is not Outcome.ACCEPTED or file is None:
        return outcome
    state.table.raise_floor(file.table.floor)
    if record.transfer and not file.serving:
        state.begin_serving(file)
        if not held and not file.gone:
            state.emit(EventKind.TRANSFERRED, file, batch.sender.address)
        state.spread(file)
    elif served and not file.serving:
        state.emit(EventKind.DEMOTED, file, batch.sender.address, "the new primary has it")
    return outcome


def _emit_stale(state: NodeState, batch: PeerBatch, record: LeaseRecord, what: str) -> None:
    detail = f"stale {what} of generation {record.generation} from {batch.sender.address}"
    state.emit_refusal(record.key, record.owner, detail)


def _take_ack(state: NodeState, ack: PeerAck) -> None:
    if ack.receiver != state.me:
        return
    link = state.links.get(ack.sender.address)
    state.reach.hear(ack.sender, state.now.boot_ns, more=False)
    if link is None or link.peer != ack.sender:
        return
    if ack.status is BatchStatus.OK:
        # Of another view it would lift this node's grants above those of a
        # later primary, which must win.
        state.table.raise_floor(ack.floor)
    for item in link.acknowledge(ack, state.now.boot_ns):
        if isinstance(item, Told):
            keeping.told(state, item, ack.sender.address)
        elif item.part is Part.REPLICA:
            _replica_delivered(state, item, ack.sender.address)
        else:
            _transfer_delivered(state, item, ack.sender.address)
    if link.due_ns() is not None:
        state.reach.hear(ack.sender, state.now.boot_ns, more=True)


def _replica_delivered(state: NodeState, item: Delivered, peer: str) -> None:
    if item.outcome is Outcome.ACCEPTED:
        state.commit(item.key, item.order, witness=peer)
    else:
        text = "the backup knows a newer state of this lock; ask again"
        state.fail(item.key, item.order, Code.TIMEOUT, text)


def _transfer_delivered(state: NodeState, item: Delivered, peer: str) -> None:
    lease = state.item(item.key)
    if item.outcome is Outcome.ACCEPTED:
        _ask_heir(state, item, peer)
        state.commit(item.key, item.order, moved_to=peer, witness=peer)
    else:
        state.fail(item.key, item.order, Code.MOVED, MOVED_TEXT, moved_to=peer)
    if lease is None or lease.order > item.order:
        return  # it changed since: spread() has queued the newer state
    if item.outcome is Outcome.STALE and state.me.address not in state.owners_at(lease.position):
        state.drop(item.key)
    elif item.outcome is Outcome.STALE:
        # As the backup it keeps what it helped to acknowledge: the newer state is on its way, and may never come.
        state.stop_serving(lease)
    elif lease.serving:
        state.stop_serving(lease)
        if lease.live(state.now.boot_ns):
            state.emit(EventKind.DEMOTED, lease, peer, HANDED_OVER_TEXT)
        drop_if_surplus(state, lease)  # this answer may come after the word that all have settled


def _ask_heir(state: NodeState, item: Delivered, peer: str) -> None:
    """Have the new primary do under the pair rule what was done here.

    It alone has it so far; were it to die before its backup has it too, a
    lease would end earlier than its holder was told, or a released lock would
    be held again (S5).
    """
    for pending in state.desk.pending.get(item.key, []):
        request = pending.request
        if pending.order > item.order or request is None:
            continue
        if isinstance(request.operation, Unlock | ClearRange) and _named(request.operation):
            request.again, request.fact = True, pending.event
            pending.request = pending.event = None
            pass_on(state, request, peer)
        elif isinstance(request.operation, Lock | Move):
            pending.request = None
            if request.forwarded:
                state.refuse(request, Code.MOVED, MOVED_TEXT, moved_to=peer)
            else:
                pass_on(state, request, peer)


def _overtaken(state: NodeState, key: str, order: tuple[int, int], peer: str) -> None:
    """Send on whoever waits for what the new primary went on without: it served before this node heard that it may.

    What became of the lock it tells itself; that this node has released it
    too may never have reached it, and means nothing there.
    """
    late = [pending for pending in state.desk.pending.get(key, []) if pending.order < order]
    if late:
        state.fail(key, late[-1].order, Code.MOVED, MOVED_TEXT, moved_to=peer)


def _named(operation: Unlock | ClearRange) -> bool:
    """Say whether it is known again when it is repeated: by its token, or in its session by its number."""
    return operation.session is None or operation.op_id > 0


def _take_forward(state: NodeState, forward: Forward) -> None:
    timeout_ms = min(max(forward.timeout_ms, 1), REQUEST_TIMEOUT_MS_MAX)
    request = Request(
        operation=forward.operation,
        deadline_ns=state.now.boot_ns + timeout_ms * NS_PER_MS,
        may_park=forward.may_park,
        peer=forward.sender,
        forward_id=forward.forward_id,
        again=forward.again,
    )
    begin(state, request)


def _take_forward_reply(state: NodeState, reply: ForwardReply) -> None:
    request = state.desk.forwards.get(reply.forward_id)
    if request is None or request.target != reply.sender.address:
        return
    del state.desk.forwards[reply.forward_id]
    moved_to = reply.result.moved_to or reply.sender.address
    state.answer(request, with_moved_to(reply.result, moved_to))
