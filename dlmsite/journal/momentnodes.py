"""What the nodes were like in the past: a row whenever something about them has changed, and now and then without.

Invariants
  S1  Nobody is said to have been well on the strength of an old row: a row speaks for VALID_NS at most, and while
      somebody looks there is a newer one by then.
  S2  Bounded: a change of state is written at once, figures at most every FIGURES_EVERY_NS, and SIGHTS_MAX rows stay.
Elsewhere: who looks (nodes), reading them (momentread), when old ones go (retention).
"""

from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Any, Final

from dlmsite.journal.models import Node, NodesSeen
from dlmsite.journal.moments import squeeze, unsqueeze

FIGURES_EVERY_NS: Final = 10_000_000_000
UNCHANGED_EVERY_NS: Final = 60_000_000_000
VALID_NS: Final = UNCHANGED_EVERY_NS + FIGURES_EVERY_NS
SIGHTS_MAX: Final = 100_000
"""More than two months of an idle cluster; some ten days of one that is always busy."""
_TIDY_EVERY: Final = 100

_STATE: Final = ("label", "address", "color", "incarnation", "pid", "state", "settled", "view")
_FIGURES: Final = ("held_primary", "held_backup", "ops_per_s")
_COLUMNS: Final = (*_STATE, *_FIGURES, "heartbeat_at_ns")
_state_of: Final = attrgetter(*_STATE)
_figures_of: Final = attrgetter(*_FIGURES)
_values_of: Final = attrgetter(*_COLUMNS)


class Sights:
    """Writes what has changed; remembers what was written last."""

    def __init__(self) -> None:
        self._states: list[Any] = []
        self._figures: list[Any] = []
        self._at_ns = 0

    def note(self, nodes: Iterable[Node], now_ns: int) -> bool:
        """Write the nodes down if that is due; say whether it was.

        What is remembered of a write that is rolled back afterwards is at worst one row less: the next is due a minute
        later.
        """
        rows = sorted(nodes, key=lambda node: (len(node.label), node.label))
        states, figures = [_state_of(row) for row in rows], [_figures_of(row) for row in rows]
        wait_ns = FIGURES_EVERY_NS if figures != self._figures else UNCHANGED_EVERY_NS
        if states == self._states and 0 <= now_ns - self._at_ns < wait_ns:
            return False
        seen = NodesSeen.objects.create(at_ns=now_ns, blob=squeeze([_values_of(row) for row in rows]))
        if seen.pk % _TIDY_EVERY == 0:
            NodesSeen.objects.filter(id__lte=seen.pk - SIGHTS_MAX).delete()
        self._states, self._figures, self._at_ns = states, figures, now_ns
        return True


def seen_at(at_ns: int) -> tuple[int, list[Mapping[str, Any]]] | None:
    """Return when the nodes were last looked at by then, and what was seen (fields of Node); None if never."""
    row = NodesSeen.objects.filter(at_ns__lte=at_ns).order_by("-at_ns").first()
    return None if row is None else (row.at_ns, _nodes_of(row))


def seen_between(from_ns: int, to_ns: int, limit: int) -> list[tuple[int, list[Mapping[str, Any]]]]:
    """Return the first looks at the nodes from one time to another: when, and what was seen."""
    rows = NodesSeen.objects.filter(at_ns__range=(from_ns, to_ns)).order_by("at_ns")[:limit]
    return [(row.at_ns, _nodes_of(row)) for row in rows]


def _nodes_of(row: NodesSeen) -> list[Mapping[str, Any]]:
    return [dict(zip(_COLUMNS, values, strict=True)) for values in unsqueeze(bytes(row.blob))]


def prune(before_ns: int, limit: int) -> int:
    """Remove what was seen before, but for the newest of it; at most `limit` rows. Return how many."""
    old = NodesSeen.objects.filter(at_ns__lt=before_ns).order_by("-at_ns")
    gone = list(old.values_list("id", flat=True)[1 : limit + 1])
    NodesSeen.objects.filter(id__in=gone).delete()
    return len(gone)
