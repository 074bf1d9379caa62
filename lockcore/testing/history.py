"""What clients did and were told, and whether locks may behave like that.

Pure, and no part of what it judges: it sees invocations and answers only.

A *hold* is the time in which a client was entitled to believe that it held a
lock: from the answer to its acquisition to the earlier of its unlock's
invocation and the end it computed itself (send time of the last renewal that
was answered + TTL - margin). An acquisition without an answer is no hold.

Elsewhere: making histories (clients, real or simulated).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lockcore.testing.record import Call, Did, Violation

__all__ = ["Call", "Did", "History", "Hold", "Violation", "check"]


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
    """Calls in the order in which they were made."""

    margin: float = 0.02
    calls: list[Call] = field(default_factory=list)

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
    """Judge a history; return what is wrong with it (I1, I2, I3, I6)."""
    holds = history.holds()
    return [
        *_overlaps(holds),
        *_generations(history),
        *_states(history),
        *_revived(history),
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


def _revived(history: History) -> list[Violation]:
    """I6: a generation whose unlock was acknowledged is never renewed again."""
    found = []
    released: dict[tuple[str, int], Call] = {}
    for call in sorted(history.calls, key=lambda c: c.returned_ns):
        if call.did is Did.UNLOCK and call.ok:
            released.setdefault((call.key, call.generation), call)
        elif call.did is Did.RENEW and call.ok:
            unlock = released.get((call.key, call.generation))
            if unlock is not None and unlock.returned_ns < call.invoked_ns:
                text = f"{call.key}: generation {call.generation} renewed after its release"
                found.append(Violation("I6", text, (unlock, call)))
    return found
