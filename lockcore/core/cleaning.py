"""Cleaning up after sessions that are gone, a bounded piece in each step.

What they held excludes nobody any more from the moment they are gone
(sessions, J2); to say so for each lock, and to grant it to the next in its
queue, takes a while where there are thousands, and a node that is busy for
longer than its lease is fenced.

Invariants
  X4  No step cleans up more than CLEAN_KEYS_MAX keys, and none is forgotten.
Elsewhere: what becomes of one key (queueing, ranging), who is gone (sessions).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockcore.core import queueing
from lockcore.core.events import EventKind
from lockcore.core.keeping import speaks_for, tell
from lockcore.core.limits import CLEAN_KEYS_MAX
from lockcore.core.rangefiles import is_file

if TYPE_CHECKING:
    from lockcore.core.sessions import Session
    from lockcore.core.state import NodeState


def pass_time(state: NodeState) -> None:
    """Clean up after sessions that are gone, and see to queues whose time has come."""
    now_ns = state.now.boot_ns
    for session in state.sessions.due(now_ns):
        if not session.ended and speaks_for(state, session):
            tell(state, EventKind.LAPSED, session)
        clean(state, session)
    if state.cleaning:
        _go_on(state)
    for key in state.alarms.due(now_ns):
        queueing.advance(state, key)


def clean(state: NodeState, session: Session) -> None:
    """Release all that a session held and leave its queues, where this node decides; from the next look on."""
    if all(other is not session for other, _ in state.cleaning):
        state.cleaning.append((session, sorted(session.keys, reverse=True)))


def sweep(state: NodeState) -> None:
    """Clean up once more where this node could not decide before."""
    for session in state.sessions:
        if session.cleaned and session.keys:
            clean(state, session)
    _go_on(state)


def _go_on(state: NodeState) -> None:
    room = CLEAN_KEYS_MAX
    while state.cleaning and room:
        session, keys = state.cleaning[0]
        while keys and room:
            room -= 1
            _clean_key(state, session, keys.pop())
        if not keys:
            state.cleaning.pop(0)


def _clean_key(state: NodeState, session: Session, key: str) -> None:
    queueing.revive(state, key)
    file = state.files.get(key)
    if is_file(key) and (file is None or not state.files.concerns(file, session.ref)):
        session.keys.discard(key)
