"""A space-time picture in text: one column for each party, one line for each thing that happened.

Made from the tape of a run, reduced to what bears on one violation: the
messages and facts of its lock, and what happened to nodes and views.

Elsewhere: the tape (stage), the violations (history, deeds, register).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import TYPE_CHECKING, Any

from lockcore.core import messages as msg
from lockcore.core.events import Event
from lockcore.testing.stage import CLIENT, MASTER, Note

if TYPE_CHECKING:
    from lockcore.testing.record import Violation
    from lockcore.testing.stage import Stage

LINES_MAX = 60
WIDTH = 14
ARROWS = {"send": "->", "take": "<-", "lost": "-x"}
BESIDE = frozenset({"start", "die", "stop", "wake", "do"})
LOUD = frozenset({"died", "joined", "left", "view", "settled", "fenced", "unfenced"})


def transcript(world: Stage, violation: Violation, lines_max: int = LINES_MAX) -> str:
    """Return the last lines before the contradiction.

    Each line stands in the column of the party where it happened, and runs
    on to the right: no two things happen at once.
    """
    reader = _Reader(violation.key, {getattr(c, "generation", 0) for c in violation.calls})
    end_ns = _end_ns(violation)
    lines = [(n, text) for n in world.tape or () if n.at_ns <= end_ns and (text := reader.text(n))]
    parties = ["faults", MASTER, *sorted(world.nodes), CLIENT]
    columns = {party: (WIDTH + 1) * i for i, party in enumerate(parties)}
    out = [" " * 11 + " ".join(p.ljust(WIDTH) for p in parties).rstrip()]
    for note, text in lines[-lines_max:]:
        out.append(f"{note.at_ns / 1e9:10.6f} {' ' * columns.get(note.party, 0)}{text}".rstrip())
    return _shorten("\n".join(out), world)


def _end_ns(violation: Violation) -> int:
    ends = [max(getattr(c, "at_ns", 0), getattr(c, "returned_ns", 0)) for c in violation.calls]
    return max(ends, default=0) or 1 << 63


def _shorten(text: str, world: Stage) -> str:
    """Views and generations are 19 digits long; people compare v1 with v2, and v2+1 with v2+3."""
    numbers = sorted(v.number for v in world.views)

    def short(match: re.Match[str]) -> str:
        number = int(match[0])
        at = bisect_right(numbers, number)
        if at == 0:
            return match[0]
        above = number - numbers[at - 1]
        return f"v{at}+{above}" if above else f"v{at}"

    return re.sub(r"\b\d{19}\b", short, text.replace(" g1", " g 1"))


class _Reader:
    """Says what to show of each note about one lock; nothing where it is of no interest."""

    def __init__(self, key: str, generations: set[int]) -> None:
        """Read for a key, and for what its violation names."""
        self.key = key
        self.generations = generations
        self._shown: dict[tuple[str, str, int], int] = {}

    def text(self, note: Note) -> str:
        """Return the line of a note."""
        if note.verb in BESIDE:
            return f"** {note.verb} {note.what}".rstrip()
        if note.verb == "fact":
            return self._fact(note.what)
        what = self._message(note.what)
        return f"{ARROWS[note.verb]} {note.other} {what}" if what else ""

    def _fact(self, event: Any) -> str:
        if not isinstance(event, Event) or (event.key != self.key and event.kind not in LOUD):
            return ""
        if event.key:
            return f"!! {event.kind} {event.owner} g{event.generation}.{event.seq} {event.detail}".rstrip()
        return f"!! {event.kind} {event.view} {event.peer} {event.detail}".rstrip()

    def _message(self, what: Any) -> str:  # noqa: PLR0911 - a case for each kind of message
        match what:
            case msg.ViewUpdate(view):
                return f"view {view.number} up {','.join(sorted(view.up))}"
            case msg.Lock() | msg.Unlock() | msg.FindOwner() if what.key == self.key:
                return _operation(what)
            case msg.Forward() if what.operation.key == self.key:
                return f"forward {_operation(what.operation)}"
            case msg.PeerBatch():
                return self._batch(what)
            case msg.PeerAck() if self._answers_shown(what):
                return f"ack #{what.lsn} {what.status} in {what.view} {' '.join((*what.replicas, *what.transfers))}"
            case msg.Granted() | msg.OwnerIs() if what.generation in self.generations:
                return f"{type(what).__name__.lower()} {what.owner} g{what.generation}"
            case msg.ForwardReply():
                return self._message(what.result)
        return ""

    def _answers_shown(self, ack: msg.PeerAck) -> bool:
        view = self._shown.get((ack.receiver.address, ack.sender.address, ack.lsn))
        return view is not None and (view == ack.view) == (ack.status is not msg.BatchStatus.WRONG_VIEW)

    def _batch(self, batch: msg.PeerBatch) -> str:
        records = [
            f"{name} g{r.generation}.{r.seq}{' gone' if r.gone else ''}"
            for name, group in (("replica", batch.replicas), ("transfer", batch.transfers))
            for r in group
            if r.key == self.key
        ]
        seal = batch.seal
        if seal is not None and (seal.handover or seal.backup):
            seals = [n for n, on in (("handover", seal.handover), ("backup", seal.backup)) if on]
            records.append(f"seals {'+'.join(seals)}")
        if not records:
            return ""
        self._shown[batch.sender.address, batch.receiver.address, batch.lsn] = batch.view
        return f"batch #{batch.lsn} in {batch.view}: {', '.join(records)}"


def _operation(operation: Any) -> str:
    name = {msg.Lock: "lock", msg.Unlock: "unlock"}.get(type(operation), "find")
    owner = f" by {operation.owner}" if isinstance(operation, msg.Lock) else ""
    return f"{name}{owner}{' with token' if getattr(operation, 'token', '') else ''}"
