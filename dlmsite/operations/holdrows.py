"""The rows of what is held: paused and isolated nodes.

Synchronous. The supervisor's process writes them, every process of the site reads them.

Invariants
  O3  A hold is a row before anything is held, and shown only once it has been seen.
Elsewhere: holding and letting go (holds), the page (dlmsite.dashboard.picture).
"""

import time
from typing import Final

from dlmsite.operations.models import Hold

PAUSED: Final = "paused"
ISOLATED: Final = "isolated"
NS_PER_S: Final = 1_000_000_000


def begin(hold: Hold) -> None:
    """Write down that a node is about to be held; whatever was known of it is no more."""
    hold.since_ns = None
    hold.save(force_insert=not Hold.objects.filter(pk=hold.pk).exists())


def confirm(label: str, left_s: float | None) -> None:
    """It has been seen to be held, for so long from now on."""
    now_ns = time.time_ns()
    until_ns = None if left_s is None else now_ns + int(left_s * NS_PER_S)
    Hold.objects.filter(pk=label).update(since_ns=now_ns, until_ns=until_ns)


def forget(label: str) -> None:
    """The node is not held any more."""
    Hold.objects.filter(pk=label).delete()


def seen() -> list[Hold]:
    """Return what is held, as far as it was seen."""
    return list(Hold.objects.exclude(since_ns=None).order_by("label"))


def everything() -> list[Hold]:
    """Return all rows, also of what may not have come to be held."""
    return list(Hold.objects.order_by("label"))


def of(label: str) -> Hold | None:
    """Return the hold of a node."""
    return Hold.objects.filter(pk=label).first()


def left_s(hold: Hold, at_most_s: float) -> float | None:
    """Return how long it is to last yet; None: until somebody ends it. A clock that was set does not make it longer."""
    if hold.until_ns is None:
        return None
    return min(max(0.0, (hold.until_ns - time.time_ns()) / NS_PER_S), at_most_s)


def tell(hold: Hold) -> str:
    """Say what is done to the node."""
    if hold.kind == PAUSED:
        return "paused"
    whom = {"everything": "everything", "master": "the master", "peers": "its peers"}[hold.scope]
    return f"isolated from {whom}" + {"both": "", "in": ", inward only", "out": ", outward only"}[hold.way]
