"""The chain: each event is sealed with a hash of itself and of the seal before it, in the transaction that writes it.

    seal of a row = blake2b(seal of the row before, [place, source, incarnation, number, ... session] as JSON)

Whoever changes, removes or inserts a row breaks it there. The hash has no key: who can write the whole database can
make a new chain from any row on, and is found only by comparing the head with one that was noted elsewhere.

Invariants
  C1  Places rise by one from row to row in the order of ids. A row that exists already (a repeated report) gets none.
  C2  Rows, head and spans are written in one transaction; the head is locked in it, so two writers make one chain.
  C3  Retention removes rows from the beginning only, and keeps the seal of the last one: the anchor.
Elsewhere: looking for breaks (verifying), batches (writer), the model (models.Chain).
"""

from collections.abc import Sequence
from hashlib import blake2b
from json import JSONEncoder
from typing import Any, Final

from django.db import connection, models, transaction
from django.db.models import Max, Q

from dlmsite.journal.indexes import POSTGRESQL
from dlmsite.journal.models import Chain, EventSpan, LockEvent

SEAL_BYTES: Final = 16
NO_SEAL: Final = bytes(SEAL_BYTES)
"""What the first row of all is sealed upon."""
SPAN_ROWS: Final = 4096
EVENT_COLUMNS: Final = (
    "source", "incarnation", "number", "wall_ns", "kind", "key", "position", "owner", "generation", "seq", "view",
    "version", "peer", "detail", "ttl_ms", "renewals", "session",
)  # fmt: skip
"""What a seal covers, in this order."""
IDENTITY_COLUMNS: Final = 3
_KNOWN_MAX: Final = 250
"""Identities asked for at once: three parameters each."""

_WALL_NS: Final = EVENT_COLUMNS.index("wall_ns")

Row = tuple[Any, ...]
Head = tuple[int, bytes, int]
"""Place and seal of the newest row, and the highest id there was when it was written."""
_encode = JSONEncoder(separators=(",", ":")).encode  # ASCII only, so that it is the same bytes on every machine


class _Repeated(Exception):  # noqa: N818 - a turn, not an error
    """Some of the rows were there already."""


def seal_of(before: bytes, place: int, row: Sequence[Any]) -> bytes:
    """Return the seal of a row.

    Args:
        before: the seal of the row before, or NO_SEAL.
        place: of the row, from 1.
        row: values in the order of EVENT_COLUMNS.
    """
    return blake2b(before + _encode([place, *row]).encode(), digest_size=SEAL_BYTES).digest()


def append(rows: Sequence[Row], doubtful: int = 0) -> None:
    """Write events at the end of the chain, in the caller's transaction; those that exist already are left out.

    Args:
        rows: values in the order of EVENT_COLUMNS.
        doubtful: so many, from the first on, may well exist. Of the others it is found out when they are written.
    """
    if not rows:
        return
    head = _lock()
    try:
        with transaction.atomic():
            _append(head, [*_unknown(rows[:doubtful]), *rows[doubtful:]])
    except _Repeated:
        _append(head, _unknown(rows))


def before_prune(last_id: int) -> None:
    """Keep the anchor: everything up to `last_id` is about to be removed, in the caller's transaction."""
    last = LockEvent.objects.filter(id__lte=last_id, place__isnull=False).order_by("-id").first()
    if last is not None:
        Chain.objects.filter(pk=1).update(anchor_place=last.place, anchor_seal=last.seal)
    EventSpan.objects.filter(block__lt=last_id // SPAN_ROWS).delete()


def write_spans(spans: Sequence[tuple[int, int, int]]) -> None:
    """Add (block, min_ns, max_ns) to what is known of the blocks."""
    least, greatest = ("LEAST", "GREATEST") if connection.vendor == POSTGRESQL else ("MIN", "MAX")
    table = _name_of(EventSpan)
    # Here and below: names are Django's and ours, never from a report.
    statement = (
        f"INSERT INTO {table} (block, min_ns, max_ns) VALUES (%s, %s, %s) ON CONFLICT (block) DO UPDATE SET "  # noqa: S608
        f"min_ns = {least}({table}.min_ns, excluded.min_ns), max_ns = {greatest}({table}.max_ns, excluded.max_ns)"
    )
    with connection.cursor() as cursor:
        cursor.executemany(statement, spans)


def _append(head: Head, rows: Sequence[Row]) -> None:
    place, seal, before_id = head
    sealed = []
    for row in rows:
        place += 1
        seal = seal_of(seal, place, row)
        sealed.append((*row, place, seal))
    if not sealed:
        return
    if _insert(sealed) != len(sealed):
        raise _Repeated
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT MIN(id), MAX(id) FROM {_name_of(LockEvent)} WHERE id > %s", [before_id])  # noqa: S608
        first_id, last_id = cursor.fetchone()
        cursor.execute(
            f"UPDATE {_name_of(Chain)} SET head_place = %s, head_seal = %s, head_id = %s WHERE id = 1",  # noqa: S608
            [place, seal, last_id],
        )
    times = [row[_WALL_NS] for row in rows]
    blocks = range(first_id // SPAN_ROWS, last_id // SPAN_ROWS + 1)
    write_spans([(block, min(times), max(times)) for block in blocks])


def _lock() -> Head:
    """Return the head of the chain, whose row is locked until the transaction ends; make it where there is none yet."""
    locking = " FOR UPDATE" if connection.vendor == POSTGRESQL else ""  # SQLite has one writer anyway
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT head_place, head_seal, head_id FROM {_name_of(Chain)} WHERE id = 1{locking}"  # noqa: S608
        )
        found = cursor.fetchone()
    return (found[0], bytes(found[1]), found[2]) if found else _begin()


def _begin() -> Head:
    last_id = LockEvent.objects.aggregate(last=Max("id"))["last"] or 0
    last = LockEvent.objects.filter(place__isnull=False).order_by("-id").values_list("place", "seal").first()
    if last is None:
        chain = Chain(pk=1, head_seal=NO_SEAL, anchor_seal=NO_SEAL, unsealed_through_id=last_id)
    else:  # somebody removed the row: go on from the rows; verifying says so
        chain = Chain(pk=1, head_place=last[0] or 0, head_seal=bytes(last[1] or NO_SEAL), anchor_seal=NO_SEAL)
    chain.head_id = last_id
    chain.save(force_insert=True)
    return chain.head_place, bytes(chain.head_seal), last_id


def _insert(rows: Sequence[Row]) -> int:
    quote = connection.ops.quote_name
    columns = (*EVENT_COLUMNS, "place", "seal")
    statement = (
        f"INSERT INTO {_name_of(LockEvent)} ({', '.join(map(quote, columns))}) "  # noqa: S608
        f"VALUES ({', '.join(['%s'] * len(columns))}) ON CONFLICT (source, incarnation, number) DO NOTHING"
    )
    with connection.cursor() as cursor:
        cursor.executemany(statement, rows)
        return int(cursor.rowcount)


def _unknown(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that the journal does not have; of those that come twice, the first."""
    found: set[tuple[Any, ...]] = set()
    for at in range(0, len(rows), _KNOWN_MAX):
        wanted = Q()
        for source, incarnation, number in (row[:IDENTITY_COLUMNS] for row in rows[at : at + _KNOWN_MAX]):
            wanted |= Q(source=source, incarnation=incarnation, number=number)
        found.update(LockEvent.objects.filter(wanted).values_list("source", "incarnation", "number"))
    fresh: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        if row[:IDENTITY_COLUMNS] not in found:
            fresh.setdefault(row[:IDENTITY_COLUMNS], row)
    return list(fresh.values())


def _name_of(model: type[models.Model]) -> str:
    return connection.ops.quote_name(model._meta.db_table)  # noqa: SLF001 - the name that Django gave it
