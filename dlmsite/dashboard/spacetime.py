"""What went from where to where: recorded events as points on lanes, and the messages between them as arrows. Pure.

No message is recorded as such. What is known of one are facts about its ends: the master published a view and a node
adopted it; a node took a lock and the other one learnt that it has. An arrow is drawn where a fact says that there was
a message, and each of its ends is a recorded event or open.

    view          master -> node: published, adopted; also a view that a node refused as stale
    settled       node -> master: missing nothing, said in a heartbeat; all have it
    join, goodbye node -> master
    transfer      a lock's old primary -> the new one, where it was taken (or refused as stale)
    handed over   back: taken, and the old primary learnt it
    replica       the new primary's copy -> the node that thereby is primary no longer; or one that was refused
    copy          a change's other node -> the node that tells of it: "I have it too", before it was acknowledged
    forward       a node that was asked -> the primary that answered
    request       client -> node: a place in a queue, a session
    answer        node -> client (or to who forwarded): granted, released, readmitted, migrated, byte ranges

Invariants
  S1  No arrow without a fact that says so. An end of which nobody recorded the time is open, and says why.
  S2  Both ends are told by the clocks of their own lanes; an arrow that arrives before it left says by how much.
  S3  Bounded: at most three arrows a point, CLIENTS_MAX lanes of clients; the others share one.
Elsewhere: which events (spacetimepage), what is never recorded (docs/space-time.md), drawing (static/js/spacetime*.js).
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from dlmsite.dashboard.life import BY_OPERATOR
from dlmsite.journal.models import LockEvent
from lockcore.core.events import ENDED_TEXT, FORWARDED, HANDED_OVER_TEXT, EventKind

CLIENTS_MAX: Final = 12
MASTER: Final = "master"
SITE: Final = "site"
OTHERS: Final = "clients"
CLIENT: Final = "client:"
SESSION_CHARS: Final = 6
UNSENT: Final = "its sending is not recorded"
UNHEARD: Final = "its arrival is not recorded"
ELSEWHERE: Final = "its other end is not among these events"
AT_LEAST: Final = "it left then or later"

_STALE: Final = re.compile(r"stale (?P<what>replica|transfer) of generation \d+ from (?P<peer>\S+)", re.ASCII)
_STALE_VIEW: Final = re.compile(r"stale view (?P<number>\d{1,19})", re.ASCII)
TAKEN: Final = frozenset({EventKind.TRANSFERRED, EventKind.RANGE_RECEIVED})
GIVEN: Final = frozenset({EventKind.DEMOTED, EventKind.RANGE_DEMOTED})
PROMOTED: Final = frozenset({EventKind.PROMOTED, EventKind.RANGE_PROMOTED})
WITNESSED: Final = frozenset(
    {
        EventKind.GRANTED,
        EventKind.RELEASED,
        EventKind.EXPIRED,
        EventKind.READMITTED,
        EventKind.QUEUED,
        EventKind.UNQUEUED,
        EventKind.RANGE_LOCKED,
        EventKind.RANGE_UNLOCKED,
        EventKind.RANGE_QUEUED,
    }
)
"""Their `peer` is the node that had it too; a migration's is a session."""
ASKED: Final = frozenset({EventKind.QUEUED, EventKind.RANGE_QUEUED, EventKind.OPENED, EventKind.ENDED})
ANSWERED: Final = frozenset(
    {
        EventKind.GRANTED,
        EventKind.RELEASED,
        EventKind.READMITTED,
        EventKind.MIGRATED,
        EventKind.RANGE_LOCKED,
        EventKind.RANGE_UNLOCKED,
        EventKind.RANGE_MIGRATED,
    }
)
UNASKED: Final = (ENDED_TEXT, BY_OPERATOR)
"""How the detail of a release begins that no client asked for."""


@dataclass(frozen=True, slots=True)
class Lane:
    """A line of somebody's time. `kind`: master, node, site, client or clients."""

    id: str
    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Arrow:
    """A message.

    Attributes:
        begin_event: id of the event at which it left; 0: open.
        end_event: same where it arrived.
        why: what is not known of it; empty: nothing.
        back_ns: by how much it arrives before it left, by the two clocks; 0 if it does not.
        refused: it was refused where it arrived.
    """

    kind: str
    begin: str
    end: str
    begin_event: int = 0
    end_event: int = 0
    why: str = ""
    back_ns: int = 0
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Drawing:
    """Lanes from top to bottom, and arrows between them. Points are the events, each on its source's lane."""

    lanes: tuple[Lane, ...]
    arrows: tuple[Arrow, ...]


def draw(rows: Sequence[LockEvent], members: Iterable[str] = (), labels: Mapping[str, str] | None = None) -> Drawing:
    """Return what went between lanes.

    Args:
        rows: events, in any order.
        members: addresses that have a lane, also without an event.
        labels: of addresses.
    """
    known = _Known(rows)
    arrows = [_dated(arrow, known) for row in rows for arrow in _arrows_of(row, known)]
    lanes = _lanes(rows, arrows, members, labels or {})
    kept = {lane.id for lane in lanes}
    return Drawing(lanes, tuple(_gathered(arrow, kept) for arrow in arrows))


class _Known:
    """The rows, by what the two ends of a message have in common."""

    def __init__(self, rows: Iterable[LockEvent]) -> None:
        self.by_id: dict[int, LockEvent] = {}
        self.published: dict[int, LockEvent] = {}
        self.all_settled: dict[int, LockEvent] = {}
        self.left: dict[str, LockEvent] = {}
        self.taken: dict[tuple[object, ...], LockEvent] = {}
        self.promoted: dict[tuple[object, ...], LockEvent] = {}
        self.given: set[tuple[object, ...]] = set()
        self.told_left: set[str] = set()
        for row in rows:
            self._note(row)

    def _note(self, row: LockEvent) -> None:
        self.by_id[row.pk] = row
        if row.source == MASTER:
            if row.kind == EventKind.VIEW:
                self.published[row.view] = row
            elif row.kind == EventKind.SETTLED:
                self.all_settled[row.view] = row
            elif row.kind == EventKind.LEFT:
                self.left[row.peer] = row
        elif row.kind in TAKEN:
            self.taken[_handover(row, row.peer, row.source)] = row
        elif row.kind in PROMOTED:
            self.promoted[row.source, row.key, row.generation, row.view] = row
        elif row.kind == EventKind.LEFT:
            self.told_left.add(row.source)


def _handover(row: LockEvent, giver: str, taker: str) -> tuple[object, ...]:
    ranges = row.kind.startswith("range-")
    return (ranges, giver, taker, row.key, row.generation, row.seq, row.view)


def _arrows_of(row: LockEvent, known: _Known) -> Iterator[Arrow]:
    """Yield the messages that a fact tells of; those that two facts tell of come from the later one."""
    if row.source == MASTER:
        yield from _to_master(row, known)
        return
    yield from _with_master(row, known)
    yield from _between_nodes(row, known)
    yield from _with_client(row)


def _to_master(row: LockEvent, known: _Known) -> Iterator[Arrow]:
    if row.kind == EventKind.JOINED:
        yield Arrow("join", row.peer, MASTER, end_event=row.pk, why=UNSENT)
    elif row.kind == EventKind.LEFT and row.peer not in known.told_left:
        yield Arrow("goodbye", row.peer, MASTER, end_event=row.pk, why=ELSEWHERE)


def _with_master(row: LockEvent, known: _Known) -> Iterator[Arrow]:
    if row.kind == EventKind.VIEW:
        yield _from(known.published.get(row.view), Arrow("view", MASTER, row.source, end_event=row.pk))
    elif row.kind == EventKind.SETTLED:
        yield _to(known.all_settled.get(row.view), Arrow("settled", row.source, MASTER, begin_event=row.pk))
    elif row.kind == EventKind.LEFT and row.detail.startswith("goodbye"):
        yield _to(known.left.get(row.source), Arrow("goodbye", row.source, MASTER, begin_event=row.pk))
    elif row.kind == EventKind.REFUSED and (stale := _STALE_VIEW.fullmatch(row.detail)):
        arrow = Arrow("view", MASTER, row.source, end_event=row.pk, refused=True)
        yield _from(known.published.get(int(stale["number"])), arrow)


def _between_nodes(row: LockEvent, known: _Known) -> Iterator[Arrow]:
    if row.kind in TAKEN and row.peer:
        yield Arrow("transfer", row.peer, row.source, end_event=row.pk, why=UNSENT)
    elif row.kind in GIVEN and row.peer:
        yield _learnt(row, known)
    elif row.kind == EventKind.REFUSED and (stale := _STALE.search(row.detail)):
        yield Arrow(stale["what"], stale["peer"], row.source, end_event=row.pk, why=UNSENT, refused=True)
    if row.kind in WITNESSED and row.peer:
        yield Arrow("copy", row.peer, row.source, end_event=row.pk, why=UNSENT)
    if row.kind in ANSWERED and row.detail.startswith(FORWARDED):
        yield Arrow("forward", row.detail.removeprefix(FORWARDED), row.source, end_event=row.pk, why=UNSENT)


def _learnt(row: LockEvent, known: _Known) -> Arrow:
    """Return how a node learnt that it is primary no longer."""
    if row.detail == HANDED_OVER_TEXT:
        return _from(
            known.taken.get(_handover(row, row.source, row.peer)),
            Arrow("handed over", row.peer, row.source, end_event=row.pk),
        )
    promoted = known.promoted.get((row.peer, row.key, row.generation, row.view))
    arrow = Arrow("replica", row.peer, row.source, end_event=row.pk)
    # What the new primary has changed since comes as a replica too, and nothing tells them apart.
    return replace(arrow, why=UNSENT) if promoted is None else replace(arrow, begin_event=promoted.pk, why=AT_LEAST)


def _with_client(row: LockEvent) -> Iterator[Arrow]:
    client = row.session or row.owner
    if not client:
        return
    if row.kind in ASKED:
        yield Arrow("request", CLIENT + client, row.source, end_event=row.pk, why=UNSENT)
    elif row.kind in ANSWERED and not row.detail.startswith(UNASKED):
        forwarded = row.detail.startswith(FORWARDED)
        to = row.detail.removeprefix(FORWARDED) if forwarded else CLIENT + client
        yield Arrow("answer", row.source, to, begin_event=row.pk, why=UNHEARD)


def _from(row: LockEvent | None, arrow: Arrow) -> Arrow:
    return replace(arrow, why=ELSEWHERE) if row is None else replace(arrow, begin_event=row.pk)


def _to(row: LockEvent | None, arrow: Arrow) -> Arrow:
    return replace(arrow, why=ELSEWHERE) if row is None else replace(arrow, end_event=row.pk)


def _dated(arrow: Arrow, known: _Known) -> Arrow:
    """Return it with how much it goes back in time (S2)."""
    begin, end = known.by_id.get(arrow.begin_event), known.by_id.get(arrow.end_event)
    if begin is None or end is None or begin.wall_ns <= end.wall_ns:
        return arrow
    return replace(arrow, back_ns=begin.wall_ns - end.wall_ns)


def _lanes(
    rows: Sequence[LockEvent], arrows: Sequence[Arrow], members: Iterable[str], labels: Mapping[str, str]
) -> tuple[Lane, ...]:
    """Return the lanes: master, nodes by label, the site, the clients that are met most."""
    met = Counter(end for arrow in arrows for end in (arrow.begin, arrow.end))
    sources = {row.source for row in rows}
    nodes = ({*members, *sources, *met} - {MASTER, SITE}) - {end for end in met if end.startswith(CLIENT)}
    named = sorted(
        (Lane(address, "node", labels.get(address, address)) for address in nodes),
        key=lambda lane: (len(lane.name), lane.name, lane.id),
    )
    clients = [end for end in met if end.startswith(CLIENT)]
    shown = {end for end, _ in Counter({end: met[end] for end in clients}).most_common(CLIENTS_MAX)}
    lanes = [Lane(MASTER, MASTER, MASTER)] if MASTER in sources or MASTER in met else []
    lanes += named
    lanes += [Lane(SITE, SITE, "operators")] if SITE in sources else []
    owners = {CLIENT + row.session: row.owner for row in rows if row.session and row.owner}
    lanes += [Lane(end, "client", _client(end, owners.get(end, ""))) for end in clients if end in shown]
    if others := len(clients) - len(shown):
        lanes.append(Lane(OTHERS, "clients", "another client" if others == 1 else f"{others:,} other clients"))
    return tuple(lanes)


def _client(lane: str, owner: str) -> str:
    """Return a client's name: its own, with the end of its session's id, in which sessions of a time differ."""
    name = lane.removeprefix(CLIENT)
    return f"{owner} \u2026{name[-SESSION_CHARS:]}" if owner else name


def _gathered(arrow: Arrow, lanes: set[str]) -> Arrow:
    """Return it with the lane that clients without their own share (S3)."""
    return replace(
        arrow,
        begin=arrow.begin if arrow.begin in lanes else OTHERS,
        end=arrow.end if arrow.end in lanes else OTHERS,
    )
