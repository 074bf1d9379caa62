"""Makes a plan of what is there: which nodes are meant, which locks are held, what would become of them.

Elsewhere: the rules (dlmsite.operations.foresight), when a plan is refused (settling), the addresses (plan).
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from dlmsite.dashboard import picture, settling
from dlmsite.dashboard.problems import Refusal, invalid
from dlmsite.environment import GRPC_PORT_OFFSET
from dlmsite.journal.models import HeldLock, Node, RingVersion
from dlmsite.operations import seats
from dlmsite.operations.foresight import CHANGES_MAX, Change, Course, Fate, Foresight, Pace, What
from dlmsite.operations.outcomes import Expected
from dlmsite.operations.planrows import Draft
from lockcore.core.limits import LEASE_MS_MAX
from lockcore.core.ring import position_of

FLOWS_MAX: Final = 100
_ADDRESS: Final = re.compile(r"(.+):([0-9]{1,5})\.([0-9]{1,5})")
_CHANGE: Final = re.compile(r"add|(kill|stop):(.{1,64})")
EXAMPLE: Final = "Write the changes as `kill:n1,stop:n2,add`."

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A change as it is asked for: `label` is empty for a node to be added."""

    what: What
    label: str


def read_changes(text: str) -> tuple[Wanted, ...]:
    """Return the changes that "kill:n1,stop:n2,add" asks for.

    Raises:
        Refusal: it is not understood, too many, or one node twice.
    """
    parts = [part for part in text.split(",") if part]
    if len(parts) > CHANGES_MAX:
        raise invalid(f"A plan has at most {CHANGES_MAX} changes; these are {len(parts)}.")
    return checked(_read(part) for part in parts)


def checked(wanted: Iterable[Wanted]) -> tuple[Wanted, ...]:
    """Return the changes if each node is in them once.

    Raises:
        Refusal: one is there twice.
    """
    found = tuple(wanted)
    twice = [label for label, times in Counter(each.label for each in found if each.label).items() if times > 1]
    if twice:
        raise invalid(f"{twice[0][:64]} is in the plan twice: a node can be killed or stopped once.")
    return found


def draft_of(wanted: Sequence[Wanted], pace: Pace) -> Draft:
    """Return the plan of some changes, from the newest view and what is held now.

    Raises:
        Refusal: the ring is not at rest, or a node is not there to be changed.
    """
    after_event = picture.last_event_id()  # first: what happens meanwhile is judged afterwards, and changes nothing
    view = picture.newest_view()
    why = settling.reasons(view)
    if why or view is None:
        text = " ".join([*why, "Wait until the ring is at rest; then the plan can be made."])
        raise Refusal(HTTPStatus.CONFLICT, "The cluster is still settling", text)
    changes = _changes(wanted, view)
    foresight = Foresight((str(member["address"]) for member in view.members), changes, pace)
    locks, unserved = _locks(foresight)
    return Draft(view.number, pace, changes, _totals(foresight, changes, locks, unserved), locks, after_event)


def _read(part: str) -> Wanted:
    found = _CHANGE.fullmatch(part)
    if found is None:
        raise invalid(f"{part[:40]!r} is no change of the ring. {EXAMPLE}")
    return Wanted(What(found[1] or What.ADD), found[2] or "")


def _changes(wanted: Iterable[Wanted], view: RingVersion) -> tuple[Change, ...]:
    nodes = {row.label: row for row in Node.objects.all()}
    members = {str(member["address"]) for member in view.members}
    used = set(nodes)
    changes = []
    for each in wanted:
        if each.what is What.ADD:
            label = seats.next_label(used)
            if label is None:
                text = f"All {seats.NODES_MAX} labels are in use. Restart a node that was stopped instead."
                raise Refusal(HTTPStatus.CONFLICT, "Not possible", text)
            used.add(label)
            changes.append(Change(each.what, label, _address_of(label, nodes)))
        else:
            changes.append(_change(each, nodes, members))
    return tuple(changes)


def _change(wanted: Wanted, nodes: Mapping[str, Node], members: set[str]) -> Change:
    node = nodes.get(wanted.label)
    if node is None:
        text = f"There is no node {wanted.label[:64]!r}. Look at the table of nodes for those there are."
        raise Refusal(HTTPStatus.CONFLICT, "Not possible", text)
    if node.address not in members:
        raise Refusal(HTTPStatus.CONFLICT, "Not possible", f"{node.label} is not in the ring: it was {node.state}.")
    if node.pid is None:
        text = f"The process of {node.label} was not started here, so nobody here can touch it."
        raise Refusal(HTTPStatus.CONFLICT, "Not possible", text)
    return Change(wanted.what, node.label, node.address)


def _address_of(label: str, nodes: Mapping[str, Node]) -> str:
    """Return the address that a node to come will get, as its neighbours got theirs."""
    for node in nodes.values():
        index, found = seats.index_of(node.label), _ADDRESS.fullmatch(node.address)
        if index is None or found is None:
            continue
        plan = seats.Plan(found[1], int(found[2]) - index)
        if int(found[3]) == int(found[2]) + GRPC_PORT_OFFSET:
            return plan.address(label)
    text = "Where a node to come will listen cannot be told: no node was started here. Add it by itself."
    raise Refusal(HTTPStatus.CONFLICT, "Not possible", text)


def _locks(foresight: Foresight) -> tuple[list[Expected], int]:
    """Return what is held, by key, with what will become of it; and how many are held by nobody that lives."""
    members = set(foresight.before.servers)
    found, unserved = [], 0
    rows = HeldLock.objects.values_list("key", "generation", "owner", "node").iterator(chunk_size=5_000)
    for key, generation, owner, node in rows:
        if node in members:
            found.append(Expected(key, generation, owner, foresight.course_at(position_of(key))))
        else:
            unserved += 1
    return sorted(found, key=lambda lock: lock.key), unserved


def _totals(foresight: Foresight, changes: Sequence[Change], locks: Sequence[Expected], unserved: int) -> Json:
    flows = foresight.flows()
    fates = _count(locks, lambda course: course.fate)
    going = [lock for lock in locks if lock.course.fate is not Fate.STAYS]
    pairs = _count(going, lambda course: (course.before[0], course.after[0], course.fate))
    members, living = set(foresight.before.servers), set(foresight.after.servers)
    waves = {change: number for number, wave in enumerate(foresight.waves) for change in wave}
    labels = picture.node_labels() | {change.address: change.label for change in changes}
    return {
        "changes": [
            {"what": c.what.value, "label": c.label, "address": c.address, "wave": waves[c]} for c in changes
        ],
        "nodes": [
            {"address": address, "label": labels.get(address, address), "before": address in members,
             "after": address in living}
            for address in sorted(members | living)
        ],
        "space": {
            "moved": sum(share for _, _, share in flows),
            "copied": foresight.copied_share(),
            "fates": {fate.value: share for fate, share in foresight.shares().items()},
            "flows": [{"source": a, "target": b, "share": share} for a, b, share in flows[:FLOWS_MAX]],
            "flows_total": len(flows),
        },
        "held": {
            "total": len(locks),
            "fates": {fate.value: fates[fate] for fate in Fate},
            "copied": sum(lock.course.copied for lock in locks),
            "unserved": unserved,
            "flows": [
                {"source": a, "target": b, "fate": fate.value, "locks": number}
                for (a, b, fate), number in pairs.most_common(FLOWS_MAX)
            ],
        },
        "grace_ms": LEASE_MS_MAX,
    }  # fmt: skip


def _count(locks: Iterable[Expected], of: Callable[[Course], Any]) -> Counter[Any]:
    return Counter(of(lock.course) for lock in locks)
