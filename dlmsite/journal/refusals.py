"""How often each life of a node refused a view, counted in the transaction that writes the facts.

Pure but for one statement. A node tells such a refusal as a fact of kind "refused" that is about no key.

Invariants
  V1  A fact is counted once: only what is beyond the cursor gets here, and the count is committed with the cursor.
Elsewhere: the fact (lockcore.core.views), the cursor (intake, writer), who shows it (dlmsite.dashboard.picture).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from django.db import connection

from dlmsite.journal.models import RefusedViews
from dlmsite.journal.projection import Fact, Life
from lockcore.core.events import EventKind

_STALE_VIEW: Final = re.compile(r"stale view (\d{1,18}|\d{19})\b", re.ASCII)
_NUMBER_MAX: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Refused:
    """How many views a life refused, and which one last."""

    count: int
    last_view: int
    last_ns: int


def count_refused(facts: Iterable[Fact]) -> dict[Life, Refused]:
    """Return what the facts say of refused views; nothing for lives that refused none."""
    found: dict[Life, Refused] = {}
    for fact in facts:
        view = _refused_view(fact)
        if view is not None:
            life = fact.source, fact.incarnation
            before = found.get(life, Refused(0, 0, 0))
            found[life] = replace(before, count=before.count + 1, last_view=view, last_ns=fact.told.wall_ns)
    return found


def write_refused(found: dict[Life, Refused]) -> None:
    """Add to the rows; in the caller's transaction."""
    if not found:
        return
    table = connection.ops.quote_name(RefusedViews._meta.db_table)  # noqa: SLF001 - the name that Django gave it
    # The name is Django's own, never from a report.
    statement = (
        f"INSERT INTO {table} (source, incarnation, count, last_view, last_ns) VALUES (%s, %s, %s, %s, %s) "  # noqa: S608
        f"ON CONFLICT (source, incarnation) DO UPDATE SET count = {table}.count + excluded.count, "
        "last_view = excluded.last_view, last_ns = excluded.last_ns"
    )
    rows = [(*life, refused.count, refused.last_view, refused.last_ns) for life, refused in found.items()]
    with connection.cursor() as cursor:
        cursor.executemany(statement, rows)


def _refused_view(fact: Fact) -> int | None:
    event = fact.told.event
    if event.kind is not EventKind.REFUSED or event.key:
        return None
    told = _STALE_VIEW.match(event.detail)
    return min(int(told.group(1)), _NUMBER_MAX) if told else None
