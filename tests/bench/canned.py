"""A cluster that exists on paper only: what the site would send a page about 64 nodes and 10,000 locks.

Elsewhere: the shapes (static/js/contract.js, dlmsite.dashboard.picture), the page that gets them (page).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

from lockcore.core.ring import HashRing

Json = dict[str, Any]

TTL_MS: Final = 7_000
EVENTS_IN_SNAPSHOT: Final = 100
OWNERS: Final = 40
HISTORY_NS: Final = 3_600 * 10**9
VIEW_EVERY_NS: Final = 60 * 10**9
MASTER: Final[Json] = {"seen_age_ms": 40, "stabilising_ms": None}


@dataclass(frozen=True, slots=True)
class Held:
    """One lock on paper."""

    key: str
    owner: str
    generation: int
    since_ms: float


class CannedCluster:
    """What is held where, and the messages about it.

    Args:
        nodes: members of the ring.
        locks: how many are held, at all times.
    """

    def __init__(self, nodes: int, locks: int) -> None:
        self._addresses = [f"127.0.0.1:{8_000 + i}.{18_000 + i}" for i in range(1, nodes + 1)]
        self._down: set[str] = set()
        self._wide = count(time.time_ns())
        self._event_ids = count(1)
        self._keys = count(1)
        self._last_event_id = 0
        self._version = self._number = next(self._wide)
        self._ring = HashRing(self._addresses)
        self._held = [self._take() for _ in range(locks)]
        self._events = [self._event("granted", lock) for lock in self._held[-EVENTS_IN_SNAPSHOT:]]

    def snapshot(self) -> Json:
        """Return the whole picture."""
        rows = [
            [lock.key, lock.owner, str(lock.generation), "1", self._primary(lock.key), lock.since_ms, TTL_MS]
            for lock in self._held
        ]
        return {
            "type": "snapshot",
            "last_event_id": str(self._last_event_id),
            "view": self._view(),
            "master": MASTER,
            "nodes": self._nodes(),
            "locks": rows,
            "actions": [],
            "workload": {"available": False, "on": False},
            "invariants": None,
            "events": self._events,
            "lag_ms": 10,
        }

    def turn_over(self, locks: int) -> Json:
        """Release the oldest locks, grant as many; return the delta about it."""
        events = []
        for lock in self._held[:locks]:
            events.append(self._event("released", lock))
            fresh = self._take()
            self._held.append(fresh)
            events.append(self._event("granted", fresh))
        del self._held[:locks]
        return self._delta(events) | {"nodes": self._nodes(), "master": MASTER}

    def line(self) -> Json:
        """Return the line of time: a history of an hour, with a view every minute."""
        now_ns = time.time_ns()
        first_ns = now_ns - HISTORY_NS
        times = range(first_ns, now_ns, VIEW_EVERY_NS)
        marks = [
            {"at_ns": str(at), "until_ns": str(at), "at_ms": at / 1e6, "until_ms": at / 1e6, "kind": "view"}
            | {"count": 1, "text": "n1 was marked down", "event": ""}
            for at in times
        ]
        edges = {"from_ns": str(first_ns), "to_ns": str(now_ns), "first_ns": str(first_ns), "last_ns": str(now_ns)}
        return {**edges, "now_ns": str(now_ns), "total": len(marks), "marks": marks, "cut": []}

    def nothing(self) -> Json:
        """Return what a quiet cluster sends: the nodes' figures, as they were."""
        return self._delta([]) | {"nodes": self._nodes(), "master": MASTER}

    def kill(self, index: int) -> Json:
        """Mark a node as down; return the delta with the new view."""
        self._down.add(self._addresses[index])
        self._number = next(self._wide)
        self._ring = HashRing(self._addresses, down=self._down)
        return self._delta([]) | {"view": self._view(), "nodes": self._nodes(), "master": MASTER}

    # --- inside -----------------------------------------------------------------------------

    def _take(self) -> Held:
        number = next(self._keys)
        return Held(f"/bench/{number % 97}/{number:07d}", f"worker-{number % OWNERS}", next(self._wide), _now_ms())

    def _primary(self, key: str) -> str:
        return self._ring.primary(key) or ""

    def _delta(self, events: list[Json]) -> Json:
        last = str(self._last_event_id)
        return {"type": "delta", "last_event_id": last, "events": events, "skipped": 0, "lag_ms": 10}

    def _event(self, kind: str, lock: Held) -> Json:
        self._last_event_id = next(self._event_ids)
        node = self._primary(lock.key)
        told = {"kind": kind, "key": lock.key, "owner": lock.owner, "generation": str(lock.generation), "seq": "1"}
        place = {"node": node, "label": self._label(node), "view": str(self._number), "version": str(self._version)}
        rest = {"peer": "", "detail": "", "ttl_ms": TTL_MS, "renewals": 0, "session": ""}
        return {"id": str(self._last_event_id), "time_ms": _now_ms(), **told, **place, **rest}

    def _view(self) -> Json:
        members = [
            {"address": address, "label": self._label(address), "incarnation": "1", "down": address in self._down}
            for address in self._addresses
        ]
        numbers = {"number": str(self._number), "version": str(self._version)}
        return {**numbers, "settled": True, "at_ms": _now_ms(), "members": members}

    def _nodes(self) -> list[Json]:
        each = len(self._held) // len(self._addresses)
        return [
            {
                "address": address,
                "label": self._label(address),
                "color": index,
                "incarnation": "1",
                "pid": 1_000 + index,
                "state": "killed" if address in self._down else "up",
                "settled": True,
                "view": str(self._number),
                "refused_views": 0,
                "refused_last": "",
                "refused_ms": None,
                "held_primary": each,
                "held_backup": each,
                "ops_per_s": 8.0,
                "heartbeat_age_ms": 120,
                "seen_age_ms": 40,
            }
            for index, address in enumerate(self._addresses)
        ]

    def _label(self, address: str) -> str:
        return f"n{self._addresses.index(address) + 1}"


def _now_ms() -> float:
    return time.time_ns() / 1_000_000
