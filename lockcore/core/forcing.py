"""An operator ends somebody's hold of a lock.

It is asked of the primary, with the generation that the operator has seen: a
lock that has changed hands since is not touched. It is a release like any
other, acknowledged by the pair, told as a fact with its reason, and whoever
waits comes next. The holder learns of it when it renews, or at its session's
next keep-alive.

Elsewhere: who may ask (service.operators), releases by holders (serving).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockcore.core import queueing
from lockcore.core.limits import PENDING_MAX
from lockcore.core.messages import Code

if TYPE_CHECKING:
    from lockcore.core.messages import ForceRelease
    from lockcore.core.requests import Request
    from lockcore.core.state import NodeState


def force(state: NodeState, request: Request, operation: ForceRelease) -> None:
    """Release the lock that was meant, or say why not."""
    view = state.view
    primary = view.ring.primary(operation.key) if view is not None else None
    lease = state.table.get(operation.key)
    if primary != state.me.address:
        state.refuse(request, Code.NOT_PRIMARY, "another node has this lock now; look again", moved_to=primary or "")
    elif lease is not None and not state.decides(lease.position):
        state.refuse(request, Code.HANDOFF, "this node is taking the lock over and does not decide yet; try again")
    elif lease is None or not lease.live(state.now.boot_ns):
        state.refuse(request, Code.NOT_FOUND, "nobody holds this lock now")
    elif lease.generation != operation.generation:
        text = f"the lock has changed hands since: {lease.owner} holds it at generation {lease.generation}; look again"
        state.refuse(request, Code.NOT_HELD, text, owner=lease.owner)
    elif state.desk.pending_count >= PENDING_MAX:
        state.refuse(request, Code.OVERLOADED, "too many requests wait for the backup; try again")
    else:
        queueing.release(state, lease, request, f"by an operator: {operation.reason}")
        queueing.advance(state, operation.key)
