"""What clients did and were told, and whether locks may behave like that.

Pure, and no part of what it judges: it sees invocations and answers, and
beside them what nodes were seen to do and what a guarded register took.

A *hold* is the time in which a client was entitled to believe that it held a
lock: from the answer to its acquisition to the earlier of its unlock's
invocation and the end it computed itself (send time of the last renewal that
was answered + TTL - margin). An acquisition without an answer is no hold.

Elsewhere: making histories (clients, real or simulated), what is written
down (record), nodes (deeds), the register (register), files (ndjson).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lockcore.testing.deeds import back_after_release, check_deeds
from lockcore.testing.record import Call, Deed, Did, Violation, Write
from lockcore.testing.register import check_writes

__all__ = ["Call", "Did", "History", "Hold", "Violation", "check"]

NEVER_NS = 1 << 63


@dataclass(slots=True)
class Hold:
    """One client's right to one key: believed from `begin_ns` to `end_ns`."""

    client: str
    key: str
    generation: int
    begin_ns: int
    end_ns: int
    acquired: Call
    released_ok: bool = False


@dataclass(slots=True)
class History:
    """Calls in the order in which they were made, deeds and writes in that of their time."""

    margin: float = 0.02
    calls: list[Call] = field(default_factory=list)
    deeds: list[Deed] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)

    def holds(self) -> list[Hold]:
        """Return every hold of the history."""
        out: list[Hold] = []
        open_holds: dict[tuple[str, str, int], Hold] = {}
        for call in self.calls:
            if call.did is Did.ACQUIRE and call.ok:
                end_ns = self._end_ns(call)
                hold = Hold(call.client, call.key, call.generation, call.returned_ns, end_ns, call)
                open_holds[call.client, call.key, call.generation] = hold
                out.append(hold)
                continue
            known = open_holds.get((call.client, call.key, call.generation))
            if known is None:
                continue
            if call.did is Did.RENEW and call.ok and call.returned_ns <= known.end_ns:
                known.end_ns = max(known.end_ns, self._end_ns(call))
            elif call.did is Did.UNLOCK:
                known.end_ns = min(known.end_ns, call.invoked_ns)
                known.released_ok |= call.ok is True
        return out

    def _end_ns(self, call: Call) -> int:
        return call.invoked_ns + int(call.ttl_ms * 1_000_000 * (1 - self.margin))


def check(history: History) -> list[Violation]:
    """Judge a history; return what is wrong with it.

    I1, I2, I3 and I6 from calls, I3, I4, I6, I7 and I9 from deeds, I10 from
    writes. I5 and I8 need a world that has come to rest (simulate, single).
    """
    holds = history.holds()
    return [
        *_overlaps(holds),
        *_generations(history),
        *_states(history),
        *_superseded(history),
        *_revived(history),
        *check_deeds(history.deeds),
        *check_writes(history.writes),
    ]


def _by_key(holds: list[Hold]) -> dict[str, list[Hold]]:
    out: dict[str, list[Hold]] = {}
    for hold in holds:
        out.setdefault(hold.key, []).append(hold)
    return out


def _overlaps(holds: list[Hold]) -> list[Violation]:
    """I1: no two holds of a key overlap."""
    found = []
    for key, group in _by_key(holds).items():
        group.sort(key=lambda h: h.begin_ns)
        latest: Hold | None = None
        for hold in group:
            if latest is not None and hold.begin_ns < latest.end_ns and hold.end_ns > hold.begin_ns:
                text = (
                    f"{key}: {hold.client} held generation {hold.generation} from {hold.begin_ns} while "
                    f"{latest.client} held generation {latest.generation} until {latest.end_ns}"
                )
                found.append(Violation("I1", text, (latest.acquired, hold.acquired)))
            if latest is None or hold.end_ns > latest.end_ns:
                latest = hold
    return found


def _generations(history: History) -> list[Violation]:
    """I2: generations rise in real-time order, and each has one grant."""
    found = []
    grants: dict[str, list[Call]] = {}
    for call in history.calls:
        if call.did is Did.ACQUIRE and call.ok:
            grants.setdefault(call.key, []).append(call)
    for key, calls in grants.items():
        calls.sort(key=lambda c: c.returned_ns)
        highest = calls[0]
        for call in calls[1:]:
            if call.generation == highest.generation:
                found.append(Violation("I2", f"{key}: generation {call.generation} granted twice", (highest, call)))
            # Only where one was answered before the other was asked is there an order.
            elif call.generation < highest.generation and highest.returned_ns < call.invoked_ns:
                text = f"{key}: generation {call.generation} granted after {highest.generation}"
                found.append(Violation("I2", text, (highest, call)))
            if call.generation > highest.generation:
                highest = call
    return found


def _states(history: History) -> list[Violation]:
    """I3: one (key, generation, seq) has one token."""
    found = []
    seen: dict[tuple[str, int, int], Call] = {}
    for call in history.calls:
        if not call.ok or not call.token or call.did is Did.UNLOCK:
            continue
        state = (call.key, call.generation, call.seq)
        known = seen.setdefault(state, call)
        if known.token != call.token:
            text = f"{call.key}: generation {call.generation} seq {call.seq} has two tokens"
            found.append(Violation("I3", text, (known, call)))
    return found


def _superseded(history: History) -> list[Violation]:
    """I1: who is told of a renewal after a higher generation was granted is a second holder.

    Except where a released lock came back in a grace (deeds).
    """
    found = []
    back = back_after_release(history.deeds)
    newest: dict[str, Call] = {}
    for at_ns, call in _moments(history):
        if call.did is Did.ACQUIRE and at_ns == call.returned_ns:
            top = newest.get(call.key)
            if top is None or call.generation > top.generation:
                newest[call.key] = call
        elif call.did in (Did.RENEW, Did.UNLOCK) and at_ns == call.invoked_ns:
            top = newest.get(call.key)
            excused = call.returned_ns >= back.get((call.key, call.generation), NEVER_NS)
            if top is not None and not excused and _overtakes(top, call):
                text = f"{call.key}: {call.did} of generation {call.generation} after {top.generation} was granted"
                found.append(Violation("I1", text, (top, call)))
    return found


def _overtakes(top: Call, call: Call) -> bool:
    return top.generation > call.generation and top.returned_ns < call.invoked_ns


def _moments(history: History) -> list[tuple[int, Call]]:
    """Return the beginnings and ends of what was answered with ok, by time."""
    moments = [(at_ns, c) for c in history.calls if c.ok for at_ns in {c.invoked_ns, c.returned_ns}]
    return sorted(moments, key=lambda m: m[0])


def _revived(history: History) -> list[Violation]:
    """I6: a generation whose unlock was acknowledged is never renewed, released or reported again.

    Except where it came back in a grace (deeds).
    """
    found = []
    back = back_after_release(history.deeds)
    released: dict[tuple[str, int], Call] = {}
    for call in sorted((c for c in history.calls if c.ok), key=lambda c: c.returned_ns):
        unlock = released.get((call.key, call.generation))
        excused = call.returned_ns >= back.get((call.key, call.generation), NEVER_NS)
        again = call.did is not Did.ACQUIRE and not excused
        if unlock is not None and again and unlock.returned_ns < call.invoked_ns:
            text = f"{call.key}: {call.did} of generation {call.generation} was answered with ok after its release"
            found.append(Violation("I6", text, (unlock, call)))
        if call.did is Did.UNLOCK:
            released.setdefault((call.key, call.generation), call)
    return found
