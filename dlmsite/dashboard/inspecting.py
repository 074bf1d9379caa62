"""What is on a key, and which sessions there are, as the nodes say now; since when somebody waits, as the facts say.

Invariants
  N1  Nothing is told that no node has said: who does not answer is named, and what was not counted is said.
Elsewhere: asking (dlmsite.operations.asking), what nodes tell (lockcore.core.inspecting), the page (static/js).
"""

import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

from asgiref.sync import async_to_sync

from dlmsite.dashboard import picture
from dlmsite.dashboard.problems import Refusal
from dlmsite.journal.models import LockEvent
from dlmsite.operations import asking
from lockcore.core.events import EventKind
from lockcore.core.inspecting import SESSIONS_TOLD_MAX, Holder, KeySeen, SessionSeen, SessionsSeen
from lockcore.core.operations import HeldRange
from lockcore.core.ring import position_of

Json = dict[str, Any]

MIGRATIONS_TOLD: Final = 10
LOOKED_BACK_ROWS: Final = 200_000
"""Events; what happened before is not looked for each second."""
QUEUED_MAX: Final = 2_000
_WORST_FIRST: Final = ("ended", "lapsed", "alive")


def key_of(key: str, primary: str) -> Json:
    """Return what is on a key.

    Raises:
        Refusal: its primary does not answer, or does not decide at the moment.
    """
    seen = async_to_sync(asking.ask_key)(primary, key)
    if seen is None:
        raise _unknown(f"{primary} did not answer within {asking.ANSWER_S:.0f} s. Try again.")
    if not seen.decides:
        raise _unknown(f"{primary} is taking this key over and does not decide yet. Try again.")
    return _key_json(key, primary, seen)


def _key_json(key: str, primary: str, seen: KeySeen) -> Json:
    since = _Since(key, seen)
    return {
        "key": key,
        "primary": primary,
        "seen_ms": time.time() * 1_000,
        "holder": None if seen.holder is None else _holder(seen.holder),
        "queue": [
            {
                "owner": place.owner,
                "session": place.session,
                "label": place.label,
                "since_ms": since.next(EventKind.QUEUED, place.session),
                "remaining_ms": place.remaining_ms,
            }
            for place in seen.queue
        ],
        "queue_total": seen.queue_total,
        "ranges": [_piece(piece) for piece in seen.ranges],
        "ranges_total": seen.ranges_total,
        "waiting": [
            {
                **_piece(place.piece),
                "fair": place.fair,
                "since_ms": since.next(EventKind.RANGE_QUEUED, place.piece.session),
                "remaining_ms": place.remaining_ms,
            }
            for place in seen.waiting
        ],
        "waiting_total": seen.waiting_total,
        "migrations": _migrations(key),
    }


def _holder(holder: Holder) -> Json:
    return {
        "owner": holder.owner,
        "session": holder.session,
        "label": holder.label,
        "generation": picture.wide(holder.generation),
        "seq": picture.wide(holder.seq),
        "ttl_ms": holder.ttl_ms,
        "remaining_ms": holder.remaining_ms,
    }


def _piece(piece: HeldRange) -> Json:
    """Return a piece; `end` is its last byte, null: to the end."""
    return {
        "session": piece.session,
        "label": piece.label,
        "owner": piece.lock_owner,
        "kind": piece.kind.value,
        "start": str(piece.start),
        "end": str(piece.start + piece.length - 1) if piece.length else None,
        "fence": picture.wide(piece.fence),
    }


class _Since:
    """Since when sessions wait on a key: each one's last queue facts belong to its places, in order."""

    def __init__(self, key: str, seen: KeySeen) -> None:
        waits = Counter((EventKind.QUEUED.value, place.session) for place in seen.queue)
        waits.update((EventKind.RANGE_QUEUED.value, place.piece.session) for place in seen.waiting)
        times: dict[tuple[str, str], list[int]] = defaultdict(list)
        if waits:
            kinds, sessions = {kind for kind, _ in waits}, {session for _, session in waits}
            rows = _facts(key, kinds).filter(session__in=sessions).values_list("kind", "session", "wall_ns")
            for kind, session, wall_ns in rows[:QUEUED_MAX]:
                if len(times[kind, session]) < waits[kind, session]:
                    times[kind, session].append(wall_ns)
        self._times = times

    def next(self, kind: EventKind, session: str) -> float | None:
        """Return when the session's next place was taken; None where no fact says."""
        times = self._times.get((kind.value, session))
        return picture.ms(times.pop()) if times else None


def _migrations(key: str) -> list[Json]:
    """Return the newest migrations, newest first; `from` and `to` are sessions."""
    rows = _facts(key, {EventKind.MIGRATED, EventKind.RANGE_MIGRATED})[:MIGRATIONS_TOLD]
    return [
        {
            "time_ms": picture.ms(row.wall_ns),
            "kind": row.kind,
            "from": row.peer,
            "to": row.session or "",
            "label": row.owner,
            "detail": row.detail,
        }
        for row in rows
    ]


def _facts(key: str, kinds: Iterable[str]) -> Any:
    rows = LockEvent.objects.filter(id__gt=picture.last_event_id() - LOOKED_BACK_ROWS, kind__in=list(kinds))
    return rows.filter(position=position_of(key), key=key).order_by("-id")


# --- sessions ------------------------------------------------------------------------------------------------------


def sessions_of(addresses: Iterable[str]) -> Json:
    """Return the newest sessions, added up over the nodes that answer; `silent` names those that do not."""
    labels = picture.node_labels()
    answers = async_to_sync(asking.ask_sessions)(sorted(addresses))
    told = [seen for seen in answers.values() if seen is not None]
    sessions = _merged(told)
    return {
        "seen_ms": time.time() * 1_000,
        "sessions": [_session(session) for session in sessions[:SESSIONS_TOLD_MAX]],
        "total": max([len(sessions), *(seen.total for seen in told)]),
        "counted": all(seen.counted for seen in told),
        "asked": len(answers),
        "silent": [labels.get(address, address) for address, seen in answers.items() if seen is None],
    }


def _merged(told: Iterable[SessionsSeen]) -> list[SessionSeen]:
    """Return each session once, newest first: over where one node says so, with the sum of what it has."""
    found: dict[tuple[str, int], list[SessionSeen]] = defaultdict(list)
    for seen in told:
        for session in seen.sessions:
            found[session.id, session.incarnation].append(session)
    return [_sum(found[name]) for name in sorted(found, key=lambda name: name[1], reverse=True)]


def _sum(same: list[SessionSeen]) -> SessionSeen:
    worst = min(same, key=lambda one: (_WORST_FIRST.index(one.state), one.remaining_ms))
    return SessionSeen(
        id=worst.id,
        incarnation=worst.incarnation,
        label=worst.label,
        state=worst.state,
        remaining_ms=worst.remaining_ms,
        locks=sum(one.locks for one in same),
        ranges=sum(one.ranges for one in same),
        waits=sum(one.waits for one in same),
    )


def _session(session: SessionSeen) -> Json:
    return {
        "id": session.id,
        "incarnation": picture.wide(session.incarnation),
        "label": session.label,
        "state": session.state,
        "remaining_ms": session.remaining_ms,
        "locks": session.locks,
        "ranges": session.ranges,
        "waits": session.waits,
    }


def _unknown(detail: str) -> Refusal:
    return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "What is on this key is unknown", detail)
