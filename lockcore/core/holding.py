"""What a session holds where this node is primary, as one number for its client to compare.

Kept up to date by what changes: named locks are counted anew when one of the
session's has changed, pieces when their file has.

Invariants
  W5  A digest is of all that the session holds here, and is told only where
      everybody has settled in the view that it names.
Elsewhere: marks (digest), the whole list (ranging), what follows from a
difference (lockcore.client.belief).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockcore.core.digest import MODULUS, Digest, lock_mark, piece_mark

if TYPE_CHECKING:
    from lockcore.core.rangefiles import RangeFile
    from lockcore.core.sessions import Session
    from lockcore.core.state import NodeState


def digest(state: NodeState, session: Session) -> Digest | None:
    """Return what a session holds here, once this node has all that it is primary of."""
    view = state.settled_view
    if not view:
        return None
    locks, total = _locks(state, session)
    pieces = 0
    for key in session.keys:
        file = state.files.get(key)
        if file is not None and file.serving:
            count, marks = _pieces(file, session)
            pieces, total = pieces + count, total + marks
    return Digest(view, locks, pieces, total % MODULUS)


def _locks(state: NodeState, session: Session) -> tuple[int, int]:
    if session.tally is None:
        leases = (state.table.get(key) for key in session.keys)
        mine = [le for le in leases if le is not None and le.serving and le.session is session and not le.gone]
        session.tally = len(mine), sum(lock_mark(le.key, le.generation) for le in mine)
    return session.tally


def _pieces(file: RangeFile, session: Session) -> tuple[int, int]:
    found = file.tallies.get(session.ref)
    if found is None or found[0] != file.order:
        rows = [r for o in file.table.owners_of(session.ref.id, session.ref.incarnation) for r in file.table.rows_of(o)]
        marks = (piece_mark(file.name, r.owner.lock_owner, r.kind, r.start, r.length, r.fence) for r in rows)
        found = file.tallies[session.ref] = (file.order, len(rows), sum(marks))
    return found[1], found[2]
