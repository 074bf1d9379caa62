"""Judging what nodes and views did: how many ring updates, who was away, who stopped before whom.

Pure. Elsewhere: the rules of judging, and what is about the lock itself (verdicts).
"""

from typing import Final

from dlmsite.operations.scenarios.facts import NS_PER_MS, Record, span
from dlmsite.operations.scenarios.verdicts import KILL, Verdict, absent, broken, kept, unknown
from lockcore.core.events import EventKind
from lockcore.core.limits import STABILISATION_MS

MASTER: Final = "master"


def one_ring_update(record: Record) -> Verdict:
    """A node that drops and joins within the stabilisation delay is one new version of the ring."""
    drop = record.deed(KILL)
    if drop is None:
        return unknown("it has not come to that")
    gone = next((t for t in record.nodes if t.kind == EventKind.DIED and t.peer == drop.label), None)
    came = next((t for t in record.nodes if t.kind == EventKind.JOINED and t.peer == drop.label), None)
    if gone is None or came is None:
        return unknown(f"the master has not told of {'its death' if gone is None else 'its return'}")
    took = f"{drop.label} asked to join {span(came.at_ns, gone.at_ns)} after its death was seen"
    if came.at_ns - gone.at_ns > STABILISATION_MS * NS_PER_MS:
        return unknown(f"{took}: later than the delay of 1 s, so the ring was right to be updated twice")
    if record.gap or not record.views:
        return unknown(f"{took}; {record.gap or 'no view was recorded'}")
    before = max((v.version for v in record.views if v.at_ns <= gone.at_ns), default=0)
    versions = {v.version for v in record.views if v.at_ns > gone.at_ns and v.version != before}
    text = f"{took}; {len(versions)} new ring version{'' if len(versions) == 1 else 's'}"
    return (kept if len(versions) == 1 else broken)(text, came.at_ns, came.event)


def each_restarted_once(record: Record) -> Verdict:
    """Each node left once and came back once."""
    if not record.before:
        return unknown("it has not come to that")
    # One that was put out for its silence meanwhile comes back as the same incarnation, which the detail names.
    joined = (t for t in record.nodes if t.kind == EventKind.JOINED and t.source == MASTER)
    came = [label for label, _ in dict.fromkeys((told.peer, told.detail) for told in joined)]
    missing = [label for label in record.before if label not in came]
    if missing:
        return absent(record, f"{', '.join(missing)} did not come back")
    often = sorted({label for label in came if came.count(label) > 1})
    if often:
        return broken(f"{', '.join(often)} joined more than once")
    last = next(told for told in reversed(record.nodes) if told.kind == EventKind.JOINED)
    return kept(f"{', '.join(dict.fromkeys(came))}, in this order", last.at_ns, last.event)


def one_away_at_a_time(record: Record) -> Verdict:
    """In no view was more than one of the nodes missing."""
    if record.gap or not record.views:
        return unknown(record.gap or "no view was recorded")
    for view in record.views:
        away = sorted(set(record.before) - view.up)
        if len(away) > 1:
            return broken(f"{', '.join(away)} were away together", view.at_ns)
    return kept(f"{len(record.views)} views, with {len(record.before) - 1} or {len(record.before)} nodes")


def stops_before_another_serves(record: Record) -> Verdict:
    """A node that is cut off from the master stops by itself before its backup takes its place."""
    cut = record.deed("isolate")
    if cut is None:
        return unknown("it has not come to that")
    fenced = next((t for t in record.nodes if t.kind == EventKind.FENCED and t.source == cut.label), None)
    promoted = next((t for t in record.lock if t.kind == EventKind.PROMOTED and t.at_ns >= cut.began_ns), None)
    if fenced is None or promoted is None:
        missing = f"{cut.label} told that it stopped" if fenced is None else "another node told that it serves the lock"
        return absent(record, f"nothing says that {missing}")
    text = (
        f"{cut.label} stopped after {span(fenced.at_ns, cut.began_ns)}, "
        f"{promoted.source} served after {span(promoted.at_ns, cut.began_ns)}"
    )
    return (kept if fenced.at_ns <= promoted.at_ns else broken)(text, fenced.at_ns, fenced.event)


def as_before(record: Record) -> Verdict:
    """The same nodes serve as before, and the lock is free."""
    if record.after is None:
        return unknown("nobody has looked yet")
    missing = sorted(set(record.before) - set(record.after))
    if missing:
        return broken(f"{', '.join(missing)} did not come back: start it in the table of nodes")
    ends = (EventKind.RELEASED, EventKind.EXPIRED)
    freed = next((t for t in record.lock if t.kind in ends and t.generation == record.generation), None)
    if freed is None:
        return unknown("no node has told yet that the lock is free; its lease ends by itself")
    return kept(f"{', '.join(record.after)} serve, and the lock is free", freed.at_ns, freed.event)
