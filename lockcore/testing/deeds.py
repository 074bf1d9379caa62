"""Rules over what nodes did: I3, I4, I6, I7, I9 and I12.

Each takes deeds in the order of true time and returns what contradicts what.
A deed is a decision; it counts as acknowledged when its answer left the node.

Elsewhere: seeing deeds (witness), rules over what clients were told (history).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockcore.testing.record import MUTATIONS, Act, Deed, Violation

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

State = tuple[str, int, int]
AFTER_A_LOSS = frozenset({Act.READMITTED, Act.RECOVERED})
"""What happens only where both of a pair have died, and nobody may know the newest state."""


def check_deeds(deeds: Sequence[Deed]) -> list[Violation]:
    """Judge what nodes did."""
    acknowledged = _acknowledged(deeds)
    return [
        *_states(deeds),
        *_one_line(deeds, acknowledged),
        *_one_node_a_view(deeds, acknowledged),
        *_revived(deeds, acknowledged),
        *_views(deeds),
        *_leases(deeds),
        *_pairs(deeds),
    ]


def _state(deed: Deed) -> State:
    return deed.key, deed.generation, deed.seq


def back_after_release(deeds: Iterable[Deed]) -> dict[tuple[str, int], int]:
    """Return which (key, generation) came back in a grace after their release, and when first (nobody knew of it)."""
    freed: set[tuple[str, int]] = set()
    back: dict[tuple[str, int], int] = {}
    for deed in deeds:
        generation = deed.key, deed.generation
        if deed.what is Act.FREED:
            freed.add(generation)
        elif deed.what in AFTER_A_LOSS and generation in freed:
            back.setdefault(generation, deed.at_ns)
    return back


def _acknowledged(deeds: Iterable[Deed]) -> set[State]:
    return {_state(d) for d in deeds if d.what in (Act.ACKNOWLEDGED, Act.FREED)}


def _states(deeds: Iterable[Deed]) -> list[Violation]:
    """I3: one (key, generation, seq) is decided once, so it has one token and expiry."""
    found = []
    seen: dict[State, Deed] = {}
    for deed in deeds:
        if deed.what in MUTATIONS or deed.what is Act.TOOK_BACK:
            first = seen.setdefault(_state(deed), deed)
            if first is not deed:
                text = f"{deed.key}: generation {deed.generation} seq {deed.seq} was decided twice"
                found.append(Violation("I3", text, (first, deed)))
    return found


def _one_line(deeds: Iterable[Deed], acknowledged: set[State]) -> list[Violation]:
    """I4: who decides after an acknowledgement decides on top of it.

    Two nodes that both perform mutations of a key, in one view or in two,
    break this: one of them does not know of the other's. After a loss of
    state a new line begins: who could know of the old one has died.
    """
    found = []
    newest: dict[str, Deed] = {}
    for deed in deeds:
        top = newest.get(deed.key)
        if deed.what in (Act.ACKNOWLEDGED, Act.FREED):
            if top is None or deed.order > top.order:
                newest[deed.key] = deed
        elif deed.what in AFTER_A_LOSS:
            newest.pop(deed.key, None)
        elif deed.what in MUTATIONS and top is not None and deed.order < top.order and _state(deed) in acknowledged:
            text = (
                f"{deed.key}: {deed.node} decided {deed.order} in view {deed.view} after {top.node} had acknowledged "
                f"{top.order} in view {top.view}"
            )
            found.append(Violation("I4", text, (top, deed)))
    return found


def _one_node_a_view(deeds: Iterable[Deed], acknowledged: set[State]) -> list[Violation]:
    """I4: within a view a key passes from the old primary to the new one, and never back."""
    found = []
    turns: dict[tuple[str, int], list[Deed]] = {}
    for deed in deeds:
        if deed.what not in MUTATIONS or _state(deed) not in acknowledged:
            continue
        turn = turns.setdefault((deed.key, deed.view), [])
        if turn and turn[-1].incarnation == deed.incarnation:
            continue
        if any(d.incarnation == deed.incarnation for d in turn):
            text = f"{deed.key}: {deed.node} and {turn[-1].node} both perform mutations in view {deed.view}"
            found.append(Violation("I4", text, (turn[-1], deed)))
        turn.append(deed)
    return found


def _revived(deeds: Iterable[Deed], acknowledged: set[State]) -> list[Violation]:
    """I6: a released generation is never promoted, handed over or renewed.

    Except in a grace, by its own token or from an older copy, when everybody
    who knew of the release has died: then it is a lock like any other, until
    it is released again.
    """
    found = []
    freed: dict[tuple[str, int], Deed] = {}
    for deed in deeds:
        generation = deed.key, deed.generation
        if deed.what is Act.FREED:
            freed.setdefault(generation, deed)
        elif deed.what in AFTER_A_LOSS:
            freed.pop(generation, None)
        back = deed.what in (Act.PROMOTED, Act.TRANSFERRED) or (
            deed.what is Act.RENEWED and _state(deed) in acknowledged
        )
        if back and generation in freed:
            text = f"{deed.key}: generation {deed.generation} was {deed.what} at {deed.node} after its release"
            found.append(Violation("I6", text, (freed[generation], deed)))
    return found


def _views(deeds: Iterable[Deed]) -> list[Violation]:
    """I7: views rise within an incarnation, and none serves below the view it started under."""
    found = []
    newest: dict[tuple[str, int], Deed] = {}
    for deed in deeds:
        life = deed.node, deed.incarnation
        before = newest.get(life)
        if deed.what is Act.STARTED:
            newest[life] = deed
        elif deed.what is Act.ADOPTED or deed.what is Act.PUBLISHED:
            if before is not None and deed.view <= before.view and before.what is deed.what:
                text = f"{deed.node} went from view {before.view} to {deed.view}"
                found.append(Violation("I7", text, (before, deed)))
            if before is None or before.what is deed.what or deed.view >= before.view:
                newest[life] = deed
        elif deed.what in MUTATIONS and (deed.view <= 0 or (before is not None and deed.view < before.view)):
            least = before.view if before is not None else 1
            text = f"{deed.node} served {deed.key} in view {deed.view}, and may not below {least}"
            found.append(Violation("I7", text, (before or deed, deed)))
    return found


def _leases(deeds: Iterable[Deed]) -> list[Violation]:
    """I9: no mutation is decided by a node past its node lease."""
    found = []
    for deed in deeds:
        if deed.what in MUTATIONS and deed.left_ns <= 0:
            text = f"{deed.node} decided {deed.what} of {deed.key} {-deed.left_ns / 1e6:.3f} ms past its node lease"
            found.append(Violation("I9", text, (deed,)))
    return found


def _pairs(deeds: Iterable[Deed]) -> list[Violation]:
    """I12: what a client is told of has been accepted, as it is or newer, by a second node in the same view.

    Of an unlock that a handover caught, the old primary hears from the new
    one, maybe a view later than the pair accepted it; whether its client was
    told of the lock before makes no difference.
    """
    found = []
    taken: dict[str, list[Deed]] = {}
    released: dict[State, int] = {}
    alone: Deed | None = None
    for deed in deeds:
        if deed.what is Act.ACCEPTED:
            taken.setdefault(deed.key, []).append(deed)
        elif deed.what is Act.ALONE:
            alone = deed
        elif deed.what in (Act.RELEASED, Act.TOOK_BACK):
            released[_state(deed)] = deed.view
        elif deed.what in (Act.ACKNOWLEDGED, Act.FREED):
            if alone is not None and alone.order == deed.order and alone.key == deed.key:
                continue
            since = released.get(_state(deed), deed.view) if deed.what is Act.FREED else deed.view
            if not any(_backs(other, deed, since) for other in reversed(taken.get(deed.key, ()))):
                text = f"{deed.key}: {deed.node} told of {deed.order}, which no other node has in view {deed.view}"
                found.append(Violation("I12", text, (deed,)))
    return found


def _backs(other: Deed, deed: Deed, since: int) -> bool:
    return since <= other.view <= deed.view and other.incarnation != deed.incarnation and other.order >= deed.order
