"""What a session holds where this node is primary, as one number for its client to compare.

Named locks are counted as they change (leases), pieces when their file has.

Invariants
  W5  A digest is of all that the session holds here, and is told only where
      everybody has settled in the view that it names.
Elsewhere: marks (digest), the whole list (ranging), what follows from a
difference (lockcore.client.belief).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockcore.core.digest import MODULUS, Digest, piece_mark

if TYPE_CHECKING:
    from lockcore.core.rangefiles import RangeFile
    from lockcore.core.sessions import Session
    from lockcore.core.state import NodeState


def digest(state: NodeState, session: Session) -> Digest | None:
    """Return what a session holds here, once this node has all that it is primary of."""
    view = state.settled_view
    if not view:
        return None
    pieces, total = 0, session.marks
    for key in session.keys:
        file = state.files.get(key)
        if file is not None and file.serving:
            count, marks = _pieces(file, session)
            pieces, total = pieces + count, total + marks
    return Digest(view, session.locks, pieces, total % MODULUS)


def _pieces(file: RangeFile, session: Session) -> tuple[int, int]:
    found = file.tallies.get(session.ref)
    if found is None or found[0] != file.order:
        rows = [r for o in file.table.owners_of(session.ref.id, session.ref.incarnation) for r in file.table.rows_of(o)]
        marks = (piece_mark(file.name, r.owner.lock_owner, r.kind, r.start, r.length, r.fence) for r in rows)
        found = file.tallies[session.ref] = (file.order, len(rows), sum(marks))
    return found[1], found[2]
