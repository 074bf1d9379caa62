"""Why a plan cannot be made just now: the ring is not at rest, or nobody knows whether it is.

A plan begins at a settled view of which every member is up and heard. Where that is not so, what comes next is not
known, and the plan says why instead of guessing.

Elsewhere: the plan (plan), what is seen of nodes (dlmsite.operations.watch).
"""

import time
from collections.abc import Iterable, Iterator
from typing import Final

from dlmsite.dashboard import picture
from dlmsite.journal.models import MasterSight, Node, Pulse, RingVersion
from dlmsite.operations import holdrows, requests

SIGHT_MS_MAX: Final = 3_000
"""The site looks at master and nodes five times a second."""
LAG_MS_MAX: Final = 2_000.0
AT_REST: Final = frozenset({"up", "killed", "stopped"})
SHOWN: Final = 3


def reasons(view: RingVersion | None) -> list[str]:
    """Return why the ring is not at rest, most telling first; none if it is."""
    now_ns = time.time_ns()
    found = [*_of_view(view), *_of_nodes(now_ns), *_of_sight(now_ns), *_of_deeds()]
    return found[:SHOWN]


def _of_view(view: RingVersion | None) -> Iterator[str]:
    if view is None:
        yield "No view has been published yet."
        return
    if view.settled_at_ns is None:
        yield "The ring is settling: not every node has all it needs in the present view."
    down = [str(member["address"]) for member in view.members if member["down"]]
    if down:
        yield f"{_names(down)} down, and about to be taken off the ring."


def _of_nodes(now_ns: int) -> Iterator[str]:
    seen = Node.objects.filter(updated_at_ns__gte=now_ns - SIGHT_MS_MAX * picture.NS_PER_MS)  # rows stay for ever
    restless = {row.label: row.state for row in seen.exclude(state__in=AT_REST).order_by("label")}
    held = {hold.label: holdrows.tell(hold) for hold in holdrows.seen()}
    for label, state in {**restless, **held}.items():
        yield f"{label} is {state}: what comes of that is not known yet."


def _of_sight(now_ns: int) -> Iterator[str]:
    sight = MasterSight.objects.filter(pk=1).first()
    if sight is None or picture.ms(now_ns - sight.at_ns) > SIGHT_MS_MAX:
        yield "The master has not been seen just now, so nobody knows whether the ring is at rest."
    elif sight.stabilising_until_ns is not None:
        yield "The master is about to change the ring: its stabilisation delay is running."
    lag_ms = picture.lag_ms_of(Pulse.objects.filter(pk=1).first(), now_ns)
    if lag_ms is not None and lag_ms > LAG_MS_MAX:
        yield f"The record is {lag_ms / 1000:.0f} s behind the cluster, so what is held now is not known."


def _of_deeds() -> Iterator[str]:
    other = requests.open_changes()
    if other is not None:
        deed = f"{other.what} {other.target}".strip()
        yield f"{other.who} changes the ring just now ({deed})."


def _names(addresses: Iterable[str]) -> str:
    labels = picture.node_labels()
    names = sorted(labels.get(address, address) for address in addresses)
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}"
