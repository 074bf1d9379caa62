"""Judging: what was expected, against the facts of a run.

Pure. A judge returns kept, broken or unknown, the figures, and where to look: a moment, a row of the history.

Invariants
  J1  Kept and broken each rest on a fact that says so. That something did *not* happen is a fact only where the record
      is whole (`Record.gap` is empty).
  J2  What a run has not come to is unknown.
Elsewhere: facts (facts), judges that are about nodes and views (ringverdicts), which scenario expects what (catalog).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import groupby
from typing import Final

from dlmsite.operations.scenarios.facts import (
    GRANTED,
    LOST,
    NS_PER_S,
    RELEASED,
    RENEWED,
    SILENT,
    Answer,
    Deed,
    Record,
    Told,
    span,
)
from lockcore.core.events import EventKind
from lockcore.core.operations import Code

KILL: Final = "kill"
SERVES: Final = frozenset({"granted", "promoted", "transferred", "readmitted"})


class Result(StrEnum):
    """How an expectation fared."""

    KEPT = "kept"
    BROKEN = "broken"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`measured`: for people. `at_ns`, `event`: where to look."""

    result: Result
    measured: str
    at_ns: int = 0
    event: int = 0


Judge = Callable[[Record], Verdict]


def kept(measured: str, at_ns: int = 0, event: int = 0) -> Verdict:
    """It was as expected."""
    return Verdict(Result.KEPT, measured, at_ns, event)


def broken(measured: str, at_ns: int = 0, event: int = 0) -> Verdict:
    """It was not."""
    return Verdict(Result.BROKEN, measured, at_ns, event)


def unknown(measured: str) -> Verdict:
    """Nobody can say."""
    return Verdict(Result.UNKNOWN, measured)


def absent(record: Record, what: str) -> Verdict:
    """Judge that something did not happen: broken where all is recorded, unknown elsewhere (J1)."""
    return unknown(f"{what}, as far as is recorded: {record.gap}") if record.gap else broken(what)


# --- the lock -----------------------------------------------------------------------------------------------------


def same_generation(record: Record) -> Verdict:
    """The fencing token stays the same, wherever the lock is served."""
    if not record.generation:
        return unknown("the lock was never got")
    served = [told for told in record.lock if told.kind in SERVES]
    for told in served:
        if told.generation != record.generation:
            return broken(f"{told.source} served generation {told.generation}", told.at_ns, told.event)
    changed = [belief for belief in record.beliefs if belief.generation not in {0, record.generation}]
    if changed:
        return broken(f"its holder was given generation {changed[0].generation}", changed[0].at_ns)
    if record.gap:
        return unknown(record.gap)
    where = ", then ".join(source for source, _ in groupby(told.source for told in served))
    if not where:
        return unknown("no node has told of the lock")
    return kept(f"{record.generation}, served by {where}", served[-1].at_ns, served[-1].event)


def holder_believes(record: Record) -> Verdict:
    """The holder believes to hold the lock from the first moment to the last."""
    for belief in record.beliefs:
        if belief.what == LOST:
            return broken(f"its client lost it: {belief.why}", belief.at_ns)
    renewals = sum(belief.what == RENEWED for belief in record.beliefs)
    if not record.beliefs or record.beliefs[-1].what != RELEASED:
        return unknown(f"{_times(renewals, 'renewal')} so far")
    held = span(record.beliefs[-1].at_ns, record.beliefs[0].at_ns)
    return kept(f"is_locked was true for all {held}, over {_times(renewals, 'renewal')}", record.beliefs[0].at_ns)


def nobody_else(record: Record) -> Verdict:
    """Nobody else was granted the lock: strangers were refused, and neither history nor nodes know of another grant."""
    for answer in record.answers:
        if answer.says == GRANTED:
            return broken(f"a stranger was granted it{_by(answer.node)}", answer.at_ns)
    for told in record.lock:
        if told.kind == EventKind.GRANTED and told.generation != record.generation:
            return broken(f"{told.source} granted generation {told.generation}", told.at_ns, told.event)
    for seen in record.seen:
        if (seen.generation or 0) > record.generation:
            return broken(f"{seen.label} knows of a later grant, generation {seen.generation}")
    refused = sum(answer.count for answer in record.answers if answer.says != SILENT)
    text = f"a stranger asked for it and was refused {_times(refused, 'time')}"
    if not record.generation or not refused or record.gap:
        return unknown(f"{text}; {record.gap or 'nobody asked'}")
    silent = [seen.label for seen in record.seen if seen.generation is None]
    if silent or not record.seen:
        return unknown(f"{text}; nobody heard what {', '.join(silent) or 'any node'} knows in the end")
    return kept(f"{text}; the history has one grant, and no node knows a later one")


def served_again(within_s: float, what: str = KILL) -> Judge:
    """Whoever asks is told again who holds it, so long after an action on a node."""

    def judge(record: Record) -> Verdict:
        fault = record.deed(what)
        if fault is None:
            return unknown("it has not come to that")
        found = (a for a in record.answers if not a.node and a.says == Code.HELD)
        answer = next((a for a in found if a.asked_ns >= fault.began_ns or a.until_ns > fault.began_ns), None)
        if answer is None:
            return absent(record, "nobody was told who holds it")
        # The same answers before and after: nobody noticed more than the longest pause between two of them.
        all_along = answer.asked_ns < fault.began_ns
        took_ns = answer.pause_ns if all_along else answer.at_ns - fault.began_ns
        text = f"{'answers came all the time, at most' if all_along else 'after'} {span(took_ns, 0)}"
        text += " apart" if all_along else ""
        return (kept if took_ns <= within_s * NS_PER_S else broken)(text, max(answer.at_ns, fault.began_ns))

    return judge


def renewed_after(what: str, within_s: float) -> Judge:
    """The holder's renewal succeeds, so long after an action on a node: at another node, if another serves it then."""

    def judge(record: Record) -> Verdict:
        fault = record.deed(what)
        if fault is None:
            return unknown("it has not come to that")
        promoted = _after(record.lock, EventKind.PROMOTED, fault)
        since_ns = max(fault.began_ns, promoted.at_ns if promoted else 0)
        renewals = (b for b in record.beliefs if b.what == RENEWED and b.sent_ns >= fault.began_ns)
        first = next((b for b in renewals if b.at_ns >= since_ns), None)
        lost = next((b for b in record.beliefs if b.what == LOST and b.at_ns >= fault.began_ns), None)
        if first is None:
            return broken(f"it was lost: {lost.why}", lost.at_ns) if lost else absent(record, "it was not renewed")
        took = span(first.at_ns, fault.began_ns)
        judged = kept if first.at_ns - fault.began_ns <= within_s * NS_PER_S else broken
        return judged(f"renewed after {took}, with generation {first.generation}", first.at_ns)

    return judge


def served_by_backup(what: str) -> Judge:
    """After an action on the primary its backup of before serves the lock, with the same generation."""

    def judge(record: Record) -> Verdict:
        fault = record.deed(what)
        promoted = _after(record.lock, EventKind.PROMOTED, fault)
        if fault is None:
            return unknown("it has not come to that")
        if promoted is None:
            return absent(record, "no other node told that it serves the lock")
        text = f"{promoted.source} serves it since {span(promoted.at_ns, fault.began_ns)} after that"
        right = promoted.source == record.backup and promoted.generation == record.generation
        return (kept if right else broken)(text, promoted.at_ns, promoted.event)

    return judge


def moves_home(record: Record) -> Verdict:
    """Once the primary of before is back, the ring gives the lock back to it, with the same generation."""
    back = record.deed("restart", record.primary)
    if back is None:
        return unknown("it has not come to that")
    moved = _after(record.lock, EventKind.TRANSFERRED, back)
    if moved is None:
        return absent(record, f"{record.primary} did not get it")
    text = f"{moved.source} has it since {span(moved.at_ns, back.began_ns)} after it was started"
    right = moved.source == record.primary and moved.generation == record.generation
    return (kept if right else broken)(text, moved.at_ns, moved.event)


def kept_out(record: Record) -> Verdict:
    """Until the holder is back, whoever else asks is told to wait: nobody knows who held what."""
    fault = record.deed(KILL)
    if fault is None:
        return unknown("it has not come to that")
    told = [a for a in record.answers if not a.node and a.at_ns >= fault.began_ns]
    for answer in told:
        if answer.says == GRANTED:
            return broken("a stranger was granted it", answer.at_ns)
    waits = [answer for answer in told if answer.says == Code.RECOVERING]
    if not waits:
        return unknown("no stranger asked between the deaths and the holder's return")
    times = _times(sum(answer.count for answer in waits), "time")
    return kept(f"a stranger was told to wait {times}", waits[0].at_ns)


def readmitted(record: Record) -> Verdict:
    """After both nodes have died, the holder comes back by its token, with the same generation."""
    fault = record.deed(KILL)
    found = _after(record.lock, EventKind.READMITTED, fault)
    if fault is None:
        return unknown("it has not come to that")
    if found is None:
        return absent(record, "no node told that it let the holder come back")
    text = f"{found.source} let it come back after {span(found.at_ns, fault.began_ns)}, generation {found.generation}"
    return (kept if found.generation == record.generation else broken)(text, found.at_ns, found.event)


# --- what a node says that should not serve -----------------------------------------------------------------------


def refuses_once_awake(record: Record) -> Verdict:
    """A node that slept past its lease grants nothing when it wakes: it refuses until it has the newest view."""
    return _refuses(record, record.deed("resume"), "since it woke")


def refuses_while_cut(record: Record) -> Verdict:
    """A node that cannot reach the master refuses whoever can still reach it."""
    return _refuses(record, record.deed("isolate"), "while it was cut off")


def _refuses(record: Record, since: Deed | None, when: str) -> Verdict:
    if since is None:
        return unknown("it has not come to that")
    asked = [a for a in record.answers if a.node == since.label and a.until_ns >= since.began_ns and a.says != SILENT]
    for answer in asked:
        if answer.says == GRANTED:
            return broken(f"{since.label} granted the lock to a stranger", answer.at_ns)
    fenced = [answer for answer in asked if answer.says == Code.NOT_SERVING]
    if not fenced:
        return unknown(f"{since.label} was not heard before it had the newest view")
    first = fenced[0]
    return kept(f"{since.label} refused {_times(sum(a.count for a in fenced), 'time')} {when}", first.at_ns)


# --- small things -------------------------------------------------------------------------------------------------


def _after(rows: tuple[Told, ...], kind: EventKind, deed: Deed | None) -> Told | None:
    """Return the first row of a kind after an action began."""
    if deed is None:
        return None
    return next((told for told in rows if told.kind == kind and told.at_ns >= deed.began_ns), None)


def _times(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _by(node: str) -> str:
    return f" by {node}" if node else ""


def answers_merged(answers: list[Answer], new: Answer) -> list[Answer]:
    """Return the answers with one more: those in a row that say the same are one, with a count."""
    last = next((i for i in range(len(answers) - 1, -1, -1) if answers[i].node == new.node), None)
    if last is None or answers[last].says != new.says:
        return [*answers, new]
    same = answers[last]
    longer = replace(
        same,
        until_ns=new.until_ns,
        count=same.count + 1,
        pause_ns=max(same.pause_ns, new.at_ns - same.until_ns),
    )
    return [*answers[:last], longer, *answers[last + 1 :]]
