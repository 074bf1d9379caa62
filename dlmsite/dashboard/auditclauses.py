"""A filter as parts of a WHERE, each with what it takes to let an index serve it. Pure, but for the database's vendor.

Invariants
  C1  SQL holds names of ours only; what people send are parameters.
Elsewhere: the filter (auditfilter), which clause leads (auditquery), the indexes (dlmsite.journal.models).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from zlib import crc32

from django.db import connection

from dlmsite.dashboard.auditfilter import NS_MAX, Filter
from dlmsite.journal.indexes import HEAD_CHARS, POSTGRESQL, head_of
from lockcore.core.events import EventKind

TEXT_COLUMNS: Final = ("key", "owner", "detail", "peer", "session", "source")
_SURROGATES: Final = (0xD800, 0xDFFF)
_POINT_MAX: Final = 0x10FFFF


@dataclass(frozen=True, slots=True)
class Clause:
    """A part of a WHERE.

    Attributes:
        leads: an index gives its rows.
        ordered: and gives them in the order of ids.
        exact: rows of the index need no second look.
        branches: one clause for each index range, where there are several (kinds).
    """

    sql: str
    values: tuple[Any, ...] = ()
    leads: bool = False
    ordered: bool = True
    exact: bool = True
    full: str = ""
    full_values: tuple[Any, ...] = ()
    branches: tuple["Clause", ...] = ()

    def compared(self) -> "Clause":
        """Return what decides row by row."""
        return Clause(self.full, self.full_values) if self.full else self


def clauses(asked: Filter) -> list[Clause]:
    """Return what a row has to be, the likely rarest first."""
    return [*_of_names(asked), *_of_places(asked), *_of_the_rest(asked)]


def _of_names(asked: Filter) -> Iterator[Clause]:
    kinds = (EventKind.OPERATOR,) if asked.operator else asked.kinds
    if asked.key:
        yield _key(asked.key, kinds)
    if asked.session:
        yield Clause('"session" = %s', (asked.session,), leads=True)
    if kinds:
        yield _kinds(kinds)
    if asked.operator:
        yield _owner(asked.operator)
    if asked.owner:
        yield _owner(asked.owner)


def _of_places(asked: Filter) -> Iterator[Clause]:
    for name, number in (("generation", asked.generation), ("view", asked.view), ("version", asked.version)):
        if number:
            yield Clause(f'"{name}" > 0 AND "{name}" = %s', (number,), leads=True)
    if asked.node:
        yield Clause('"source" = %s', (asked.node,), leads=True)
    if asked.prefix:
        yield _prefix(asked.prefix)


def _of_the_rest(asked: Filter) -> Iterator[Clause]:
    if asked.from_ns is not None or asked.to_ns is not None:
        yield Clause('"wall_ns" BETWEEN %s AND %s', (asked.from_ns or 0, until_ns(asked)))
    if asked.text:
        yield _text(asked.text)


def until_ns(asked: Filter) -> int:
    """Return the end of its time range."""
    return NS_MAX if asked.to_ns is None else asked.to_ns


def _key(key: str, kinds: Sequence[str]) -> Clause:
    """Return what finds a key, and of a busy one only the kinds that are asked for: its index has them too."""
    position = crc32(key.encode())
    sql, values = '"position" = %s', (position, *map(str, kinds))
    if kinds:
        # SQLite would rather use the index on kinds; a plus keeps it from that.
        column = '"kind"' if connection.vendor == POSTGRESQL else '+"kind"'
        sql += f" AND {column} IN ({_marks(kinds)})"
    return Clause(sql, values, True, True, False, '"position" = %s AND "key" = %s', (position, key))


def _marks(values: Sequence[str]) -> str:
    return ", ".join(["%s"] * len(values))


def _kinds(kinds: Sequence[str]) -> Clause:
    branches = tuple(Clause('"kind" = %s', (str(kind),), leads=True) for kind in kinds)
    return Clause(f'"kind" IN ({_marks(kinds)})', tuple(map(str, kinds)), leads=True, branches=branches)


def _owner(owner: str) -> Clause:
    head = f"{head_of('owner')} = %s AND \"owner\" <> ''"
    exact = len(owner) <= HEAD_CHARS - 1
    return Clause(head, (owner[:HEAD_CHARS],), True, True, exact, '"owner" = %s', (owner,))


def _prefix(prefix: str) -> Clause:
    head = prefix[:HEAD_CHARS]
    sql, values = f"{head_of('key')} >= %s AND \"key\" <> ''", [head]
    if (beyond := successor(head)) is not None:
        sql, values = f"{sql} AND {head_of('key')} < %s", [head, beyond]
    full = f'substr("key", 1, {len(prefix)}) = %s'
    return Clause(sql, tuple(values), True, False, len(prefix) <= HEAD_CHARS, full, (prefix,))


def _text(text: str) -> Clause:
    pattern = "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
    like = "ILIKE" if connection.vendor == POSTGRESQL else "LIKE"
    sql = " OR ".join(f"\"{column}\" {like} %s ESCAPE '\\'" for column in TEXT_COLUMNS)
    return Clause(f"({sql})", (pattern,) * len(TEXT_COLUMNS))


def successor(text: str) -> str | None:
    """Return the least text, by code points, that is above all that begin with `text`; None if there is none."""
    points = [ord(letter) for letter in text]
    while points:
        point = points.pop()
        if point < _POINT_MAX:
            after = _SURROGATES[1] + 1 if point + 1 == _SURROGATES[0] else point + 1
            return "".join(map(chr, [*points, after]))
    return None
