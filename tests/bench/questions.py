"""What people ask a long history: addresses of the API, with values that are drawn from its own rows.

Elsewhere: asking them (ask).
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from dlmsite.journal import momentread
from dlmsite.journal.models import LockEvent
from tests.bench.history import KEYS, OPERATORS, key_of

if TYPE_CHECKING:
    from collections.abc import Callable

NS_PER_S: Final = 1_000_000_000
INDEXED_MS: Final = 300.0
"""A first page where an index serves the filter."""
PAGE_MS: Final = 1_000.0
"""Any other page of the site."""
RARE: Final = "promoted,died,gap,operator"


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, how its next address is made, and how long 95 % of the answers may take."""

    name: str
    address: Callable[[], str]
    limit_ms: float = INDEXED_MS


class Draw:
    """Draws values from the rows of the journal."""

    def __init__(self, seed: int = 1) -> None:
        known = momentread.bounds()
        if known is None:
            raise ValueError("the journal is empty")
        self.known = known
        self._chance = random.Random(seed)  # noqa: S311 - the same questions each time

    def row(self, **has: Any) -> LockEvent:
        """Return a row near a place that is drawn evenly, with what it has to have."""
        at = self._chance.randint(self.known.first_id, self.known.last_id)
        found = LockEvent.objects.filter(id__gte=at, **has).order_by("id").first()
        return found or LockEvent.objects.filter(**has).order_by("-id")[0]

    def moment(self) -> int:
        """Return a time within."""
        return self._chance.randint(self.known.first_ns, self.known.last_ns)

    def below(self, limit: int) -> int:
        """Return a number from 0 on."""
        return self._chance.randrange(limit)


def audit(draw: Draw) -> list[Question]:
    """Return pages of the history, the page of a lock, and causes."""

    def page(**asked: object) -> str:
        return f"/api/audit/?{urlencode(asked)}"

    def about(width_s: float, name: str, **has: Any) -> str:
        """Ask for what a row has, about its time."""
        row = draw.row(**has)
        half = int(width_s * NS_PER_S / 2)
        column = {"node": "source"}.get(name, name)
        asked = {name: getattr(row, column)} if name else {}
        return page(**asked, **{"from": row.wall_ns - half, "to": row.wall_ns + half})

    def key() -> str:
        return draw.row(position__isnull=False).key

    busiest = key_of(0)
    owned, sessional = {"owner__gt": ""}, {"session__isnull": False}
    return [
        Question("nothing but the newest", page),
        Question("an older page", lambda: page(before=draw.row().pk)),
        Question("a key", lambda: page(key=key())),
        Question("a key that is rare", lambda: page(key=key_of(KEYS // 2 + draw.below(KEYS // 2)))),
        Question("the busiest key", lambda: page(key=busiest)),
        Question("a key in some minute", lambda: about(60, "key", position__isnull=False)),
        Question("a key in some hour", lambda: about(3_600, "key", position__isnull=False)),
        Question("the busiest key in some minute", lambda: about(60, "key", key=busiest)),
        Question("a key and a kind", lambda: page(key=key(), kind="expired")),
        Question("a key and a fencing token", lambda: _token(draw)),
        Question("a fencing token", lambda: page(generation=draw.row(generation__gt=0).generation)),
        Question("a prefix of 100 keys", lambda: page(prefix=key().rsplit("/", 1)[0] + "/")),
        Question("a prefix of nearly all keys", lambda: page(prefix="orders/")),
        Question("a prefix in some minute", lambda: about(60, "", position__isnull=False) + "&prefix=orders/01"),
        Question("an owner", lambda: page(owner=draw.row(**owned).owner)),
        Question("an owner in some minute", lambda: about(60, "owner", **owned)),
        Question("a node", lambda: page(node=draw.row().source)),
        Question("a node in some minute", lambda: about(60, "node")),
        Question("a session", lambda: page(session=draw.row(**sessional).session)),
        Question("a session in some minute", lambda: about(60, "session", **sessional)),
        Question("an operator", lambda: page(operator=OPERATORS[draw.below(len(OPERATORS))])),
        Question("a view", lambda: page(view=draw.row(view__gt=0).view)),
        Question("a view and a key", lambda: _in_view(draw)),
        Question("a version", lambda: page(version=draw.row(version__gt=0).version)),
        Question("a kind", lambda: page(kind=draw.row().kind)),
        Question("kinds that are rare", lambda: page(kind=RARE)),
        Question("kinds in some minute", lambda: about(60, "") + "&kind=refused,expired,queued"),
        Question("some second", lambda: about(1, "")),
        Question("a key that never was", lambda: page(key=f"nowhere/{draw.below(10**9)}")),
        Question("an owner and a session that never met", lambda: _strangers(draw)),
        Question("before the first row", lambda: page(to=draw.known.first_ns - 1, key=key())),
        Question("the busiest key with kind and text", lambda: _with_text(busiest), PAGE_MS),
        Question("a text in some minute (no index)", lambda: about(60, "") + "&text=nowhere", PAGE_MS),
        Question("a text in all of it (no index, bounded)", lambda: page(text="nowhere"), PAGE_MS),
        Question("one event and its causes", lambda: f"/api/audit/event/?id={draw.row().pk}", PAGE_MS),
        Question(
            "an operator's event and what came of it",
            lambda: f"/api/audit/event/?id={draw.row(kind='operator').pk}",
            PAGE_MS,
        ),
        Question("50 actions and what came of them", lambda: "/api/audit/actions/?limit=50", PAGE_MS),
        Question("the page of a lock", lambda: f"/api/lock/?{urlencode({'key': key()})}", PAGE_MS),
        Question("the page of the busiest lock", lambda: f"/api/lock/?{urlencode({'key': busiest})}", PAGE_MS),
        Question("an older page of it", lambda: _older_life(draw, busiest), PAGE_MS),
    ]


def moments(draw: Draw) -> list[Question]:
    """Return pictures of the past, drawn evenly from all of it."""

    def moment() -> str:
        return f"/api/moment/?at_ns={draw.moment()}"

    def stretch(width_s: int) -> str:
        at = draw.moment()
        return f"/api/timeline/?from_ns={at}&to_ns={at + width_s * NS_PER_S}"

    ends = (draw.known.first_ns - NS_PER_S, draw.known.last_ns + NS_PER_S)
    return [
        Question("a moment", moment, PAGE_MS),
        Question("the moment after an event", lambda: f"/api/moment/?event={draw.row().pk}", PAGE_MS),
        Question("before the first row, behind the last", lambda: f"/api/moment/?at_ns={ends[draw.below(2)]}", PAGE_MS),
        Question("two moments compared", lambda: f"/api/compare/?a_ns={draw.moment()}&b_ns={draw.moment()}", PAGE_MS),
        Question("the line of all of it", lambda: "/api/timeline/", PAGE_MS),
        Question("the line of some hour", lambda: stretch(3_600), PAGE_MS),
    ]


def _token(draw: Draw) -> str:
    row = draw.row(position__isnull=False, generation__gt=0)
    return f"/api/audit/?{urlencode({'key': row.key, 'generation': row.generation})}"


def _in_view(draw: Draw) -> str:
    row = draw.row(position__isnull=False, view__gt=0)
    return f"/api/audit/?{urlencode({'key': row.key, 'view': row.view})}"


def _strangers(draw: Draw) -> str:
    asked = {"owner": draw.row(owner__startswith="worker").owner, "session": draw.row(session__isnull=False).session}
    return f"/api/audit/?{urlencode(asked)}"


def _with_text(key: str) -> str:
    return f"/api/audit/?{urlencode({'key': key, 'kind': 'granted', 'text': 'worker-77'})}"


def _older_life(draw: Draw, key: str) -> str:
    return f"/api/lock/?{urlencode({'key': key, 'before': draw.row().pk})}"
