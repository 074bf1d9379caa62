"""Facts that an observer may see.

One flat shape for all of them, because that is what a row, a line in a
spool and a row on a page are. No fact ever carries a renew token.

Invariants
  E1  A fact about a mutation is emitted when it is committed, directly
      before the reply that acknowledges it.
Elsewhere: numbering and spooling (lockcore.service.spool), rows (journal).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class EventKind(StrEnum):
    """What happened."""

    GRANTED = "granted"
    RELEASED = "released"
    EXPIRED = "expired"
    PROMOTED = "promoted"  # a copy became the lock: its node is primary now
    DEMOTED = "demoted"  # the lock became a copy: another node is primary now
    TRANSFERRED = "transferred"  # this node received the lock by handover
    READMITTED = "readmitted"  # a holder came back by its token, in a grace
    REFUSED = "refused"  # a stale token, generation, replica or a fenced node
    JOINED = "joined"
    LEFT = "left"
    DIED = "died"
    VIEW = "view"  # the master published, or a node adopted, a view
    SETTLED = "settled"
    FENCED = "fenced"
    UNFENCED = "unfenced"
    QUEUED = "queued"  # a session waits for the lock
    UNQUEUED = "unqueued"  # it waits no longer, and did not get it
    MIGRATED = "migrated"  # the lock went to another session without a break
    OPENED = "opened"  # a session
    ENDED = "ended"  # a session, by its client
    LAPSED = "lapsed"  # a session: nothing was heard of it for its lease
    RANGE_LOCKED = "range-locked"
    RANGE_UNLOCKED = "range-unlocked"
    RANGE_QUEUED = "range-queued"
    RANGE_MIGRATED = "range-migrated"
    RANGE_PROMOTED = "range-promoted"  # of a key's ranges together, as PROMOTED, DEMOTED, TRANSFERRED of a lock
    RANGE_DEMOTED = "range-demoted"
    RANGE_RECEIVED = "range-received"
    GAP = "gap"  # made by observers: numbers that never arrived
    OPERATOR = "operator"  # made by the site: somebody asked for something


FORWARDED: Final = "forwarded by "
HANDED_OVER_TEXT: Final = "handed over"
ENDED_TEXT: Final = "its session ended"
LAPSED_TEXT: Final = "its session lapsed"
"""Details that say why, and by which readers tell facts of one kind apart."""


@dataclass(frozen=True, slots=True)
class Event:
    """A fact. Empty strings and zeros mean "does not apply".

    `peer`: the address of the other node; of a migration, the session that
    held it before; of a grant, a release or a place in a queue, the node that
    had it too when it was acknowledged. `detail` of a grant or a release that
    another node had forwarded begins with FORWARDED and names that node.
    """

    kind: EventKind
    key: str = ""
    owner: str = ""
    generation: int = 0
    seq: int = 0
    view: int = 0
    version: int = 0
    peer: str = ""
    detail: str = ""
    ttl_ms: int = 0
    renewals: int = 0
    session: str = ""


def witnessed(event: Event, peer: str, forwarder: str = "") -> Event:
    """Return a fact with who has it too, and who had forwarded what led to it, where it says neither yet."""
    peer = event.peer or peer
    detail = event.detail or (FORWARDED + forwarder if forwarder else "")
    if peer == event.peer and detail == event.detail:
        return event
    # Not `replace`, which takes three times as long: this is part of each grant and release.
    return Event(
        event.kind, event.key, event.owner, event.generation, event.seq, event.view, event.version, peer, detail,
        event.ttl_ms, event.renewals, event.session,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class NumberedEvent:
    """A fact with its place in its node's history.

    `number` counts from 1 within one incarnation without holes; `wall_ns`
    is when the node saw it, for people.
    """

    number: int
    wall_ns: int
    event: Event


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Consecutive facts of one incarnation of one source.

    `source` is a ring address, "master" or "site".
    """

    source: str
    incarnation: int
    events: tuple[NumberedEvent, ...]
