"""Requests whose time is up: what they are told, and what becomes of what they have begun.

A fresh grant that nobody heard of is taken back (W18). A release stays: it
was asked for by the holder, and it is told of when the pair has it.

Elsewhere: deciding requests (serving), where they wait (requests).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockcore.core import queueing
from lockcore.core.limits import NS_PER_MS, REQUEST_TIMEOUT_MS
from lockcore.core.messages import ClearRange, Code, Unlock
from lockcore.core.requests import Request
from lockcore.core.serving import pass_on

if TYPE_CHECKING:
    from lockcore.core.state import NodeState


def overdue(state: NodeState, request: Request) -> None:
    """Answer a request whose time is up; take back a grant nobody heard of."""
    if request.place is not None and state.desk.queued.get(request.place) is request:
        state.desk.forget(request)
        if state.with_backup(request.place[0]):
            state.refuse(request, Code.WAITING, queueing.WAITING_TEXT)
        else:
            state.refuse(request, Code.TIMEOUT, "the backup does not know of the place in the queue yet; ask again")
        return
    pending = state.desk.forget(request)
    if request.again and request.target and pending is None:
        pass_on(state, _nobodys(state, request), request.target)
    text = "no answer in time: the outcome is unknown; ask again with the same token"
    if pending is not None and isinstance(request.operation, Unlock | ClearRange):
        pending.request = _nobodys(state, request)
    if pending is not None:
        text = "the backup did not answer in time, so nothing is promised; retry"
        lease = state.table.get(request.key)
        in_session = getattr(request.operation, "session", None) is not None  # it will be asked for again
        same = (
            lease is not None and lease.generation == pending.order[0] and not lease.gone
        )  # its queue may have changed
        untold = pending.fresh and not in_session
        if untold:
            pending.event = None  # also where somebody else has the lock meanwhile
        if untold and lease is not None and same:
            state.table.release(lease)
            state.spread(lease)
            queueing.advance(state, lease.key)
    state.refuse(request, Code.TIMEOUT, text)


def _nobodys(state: NodeState, request: Request) -> Request:
    """Return the same request, for which nobody waits: a handover that catches it has to confirm it all the same."""
    deadline_ns = state.now.boot_ns + REQUEST_TIMEOUT_MS * NS_PER_MS
    again = Request(request.operation, deadline_ns, request.may_park, one_hop=request.forwarded, again=request.again)
    again.fact, request.fact = request.fact, None
    state.desk.watch(again)
    return again
