"""The chain of events, and what is found when somebody meddles with the rows."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from dlmsite.journal import chain as chain_module
from dlmsite.journal import retention, verifying
from dlmsite.journal.models import Chain, EventSpan, LockEvent
from dlmsite.journal.retention import Limits, prune
from dlmsite.journal.verifying import verify
from dlmsite.journal.writer import JournalWriter
from lockcore.core.events import Event, EventBatch, EventKind, NumberedEvent

pytestmark = pytest.mark.django_db

SOURCE = "127.0.0.1:8001.18001"
NOW_NS = 1_790_000_000_000_000_000


def record(first: int, last: int) -> list[int]:
    """Record events, two in a transaction; return the ids of all rows."""
    writer = JournalWriter(lambda: NOW_NS)
    for number in range(first, last + 1, 2):
        events = tuple(
            NumberedEvent(n, NOW_NS + n, Event(EventKind.GRANTED, f"key-{n}", owner='a"\u2028', generation=n, seq=1))
            for n in range(number, min(number + 2, last + 1))
        )
        writer.write([EventBatch(SOURCE, 1, events)])
    return list(LockEvent.objects.order_by("id").values_list("id", flat=True))


def sql(statement: str, *values: str | bytes | int) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, list(values))


def test_a_history_that_nobody_touched_is_whole() -> None:
    record(1, 11)
    report = verify()
    assert (report.breaks, report.checked, report.older, report.head[0]) == (0, 11, 0, 11)


@pytest.mark.parametrize(
    ("column", "value"),
    [("owner", "eve"), ("generation", 7), ("wall_ns", 1), ("key", "other"), ("session", "s"), ("number", 99)],
)
def test_a_changed_row_is_named_and_only_it(column: str, value: str | int) -> None:
    ids = record(1, 9)
    sql(f"UPDATE journal_lockevent SET {column} = %s WHERE id = %s", value, ids[4])  # noqa: S608
    report = verify()
    (found,) = report.found
    assert (found.what, found.row_id, found.kind) == ("changed", ids[4], "granted")
    assert found.key == ("other" if column == "key" else "key-5")
    assert report.checked == 9


def test_a_row_whose_seal_was_changed_is_named_and_not_its_neighbour() -> None:
    ids = record(1, 9)
    sql("UPDATE journal_lockevent SET seal = %s WHERE id = %s", b"x" * 16, ids[4])
    (found,) = verify().found
    assert (found.what, found.row_id) == ("changed", ids[4])


def test_a_row_that_was_changed_and_sealed_anew_breaks_the_next() -> None:
    """Whoever knows how seals are made has to make all that follow anew."""
    ids = record(1, 9)
    LockEvent.objects.filter(pk=ids[4]).update(owner="eve")
    rows = list(LockEvent.objects.filter(pk__in=ids[3:5]).order_by("id"))
    values = [getattr(rows[1], name) for name in chain_module.EVENT_COLUMNS]
    forged = chain_module.seal_of(bytes(rows[0].seal or b""), 5, values)
    sql("UPDATE journal_lockevent SET seal = %s WHERE id = %s", forged, ids[4])
    (found,) = verify().found
    assert (found.what, found.row_id) == ("changed", ids[5])


@pytest.mark.parametrize(("removed", "told"), [([4], "place 5"), ([4, 5, 6], "place 5 to 7"), ([0], "place 1")])
def test_removed_rows_are_told_with_the_row_behind_them(removed: list[int], told: str) -> None:
    ids = record(1, 9)
    LockEvent.objects.filter(pk__in=[ids[at] for at in removed]).delete()
    (found,) = verify().found
    behind = removed[-1] + 1
    assert (found.what, found.row_id, found.key) == ("removed", ids[behind], f"key-{behind + 1}")
    assert found.text.endswith(told)


def test_rows_that_were_removed_from_the_end_are_missed() -> None:
    ids = record(1, 9)
    LockEvent.objects.filter(pk__gt=ids[5]).delete()
    (found,) = verify().found
    assert found.text == "the last 3 rows were removed: place 7 to 9"


def insert(pk: int | None, place: int | None, seal: bytes | None) -> int:
    row = LockEvent.objects.create(
        pk=pk,
        source="eve",
        incarnation=1,
        number=7,
        wall_ns=NOW_NS,
        kind="released",
        key="key-3",
        place=place,
        seal=seal,
    )
    return row.pk


@pytest.mark.parametrize(("place", "seal"), [(None, None), (5, b"y" * 16), (6, b"y" * 16), (50, b"y" * 16), (1, None)])
def test_an_inserted_row_is_named_whatever_place_it_claims(place: int | None, seal: bytes | None) -> None:
    ids = record(1, 8)
    # Room between the fifth and the sixth row: nothing says that ids have no holes.
    for pk in reversed(ids[5:]):
        sql("UPDATE journal_lockevent SET id = id + 1 WHERE id = %s", pk)
    Chain.objects.update(head_id=ids[-1] + 1)
    insert(ids[5], place, seal)
    (found,) = verify().found
    assert (found.what, found.row_id, found.key, found.kind) == ("inserted", ids[5], "key-3", "released")


def test_a_row_that_was_inserted_at_the_end_is_found_when_more_is_recorded() -> None:
    record(1, 4)
    pk = insert(None, None, None)
    record(5, 6)
    (found,) = verify().found
    assert (found.what, found.row_id) == ("inserted", pk)


def test_rows_in_another_order_are_found() -> None:
    ids = record(1, 9)
    for before, after in ((ids[3], -1), (ids[4], ids[3]), (-1, ids[4])):
        sql("UPDATE journal_lockevent SET id = %s WHERE id = %s", after, before)
    assert {found.row_id for found in verify().found} & {ids[3], ids[4]}


def test_what_retention_removed_is_no_break() -> None:
    record(1, 9)
    assert prune(Limits(rows=4, days=0), NOW_NS) == 5
    report = verify()
    assert (report.breaks, report.checked, report.pruned) == (0, 4, 5)
    record(10, 11)
    assert (verify().breaks, verify().checked) == (0, 6)


def test_what_is_removed_behind_the_anchor_is_a_break() -> None:
    ids = record(1, 9)
    prune(Limits(rows=4, days=0), NOW_NS)
    LockEvent.objects.filter(pk=ids[5]).delete()
    assert [found.row_id for found in verify().found] == [ids[6]]


def test_old_rows_go_without_leaving_a_hole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row whose clock was ahead keeps those behind it; one from the future does not."""
    monkeypatch.setattr(retention, "STEP_ROWS", 100)
    now_ns = 100 * retention.NS_PER_DAY
    ages = [9, 9, -1, 9, 1, 9]  # days
    writer = JournalWriter(lambda: now_ns)
    events = [
        NumberedEvent(n, now_ns - days * retention.NS_PER_DAY, Event(EventKind.FENCED))
        for n, days in enumerate(ages, 1)
    ]
    writer.write([EventBatch(SOURCE, 1, tuple(events))])
    assert prune(Limits(rows=0, days=8), now_ns) == 4
    assert (verify().breaks, verify().pruned) == (0, 4)


def test_rows_that_are_older_than_the_chain_are_said_to_be_unchecked() -> None:
    for n in (1, 2, 3):
        LockEvent.objects.create(source="old", incarnation=1, number=n, wall_ns=n, kind="granted", key="k")
    record(1, 4)
    report = verify()
    assert (report.breaks, report.older, report.checked) == (0, 3, 4)


def test_a_repeated_report_takes_no_place_in_the_chain() -> None:
    record(1, 4)
    record(3, 6)
    record(1, 1)
    assert list(LockEvent.objects.order_by("id").values_list("place", flat=True)) == [1, 2, 3, 4, 5, 6]
    assert verify().breaks == 0


def test_a_report_that_is_known_though_no_cursor_says_so_takes_no_place_either() -> None:
    """Cursors are pruned; the rows are what counts."""
    record(1, 4)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM journal_cursor")
    record(1, 6)
    assert list(LockEvent.objects.order_by("id").values_list("number", "place")) == [(n, n) for n in range(1, 7)]
    assert verify().breaks == 0


def test_two_writers_make_one_chain() -> None:
    first, second = JournalWriter(lambda: NOW_NS), JournalWriter(lambda: NOW_NS)
    for n in (1, 2, 3):
        for writer, source in ((first, "a"), (second, "b")):
            writer.write([EventBatch(source, 1, (NumberedEvent(n, NOW_NS, Event(EventKind.FENCED)),))])
    assert (verify().breaks, verify().checked) == (0, 6)


def test_a_chain_that_was_made_anew_is_found_by_a_head_that_was_noted() -> None:
    record(1, 6)
    place, seal = verify().head
    assert verify((place, seal)).breaks == 0
    LockEvent.objects.all().delete()
    Chain.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM journal_cursor")
    record(1, 5)
    assert verify().breaks == 0
    assert [found.what for found in verify((place, seal)).found] == ["chain"]
    record(7, 9)
    assert "another seal" in verify((place, seal)).found[0].text


def test_a_chain_whose_own_row_is_gone_is_not_whole() -> None:
    record(1, 6)
    Chain.objects.all().delete()
    assert verify().breaks == 1
    record(7, 8)  # recording goes on
    assert Chain.objects.get().head_place == 8


def test_findings_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    record(1, 9)
    monkeypatch.setattr(verifying, "FINDINGS_MAX", 2)
    LockEvent.objects.update(detail="x")
    report = verify()
    assert (report.breaks, len(report.found)) == (9, 2)


def test_memory_is_a_chunk_and_chunks_join(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "CHUNK_ROWS", 2)
    ids = record(1, 9)
    assert verify().checked == 9
    LockEvent.objects.filter(pk=ids[4]).update(detail="x")
    assert [found.row_id for found in verify().found] == [ids[4]]


def run_command(*arguments: str) -> tuple[str, int]:
    out = StringIO()
    try:
        call_command("audit", "verify", *arguments, stdout=out)
    except CommandError as error:
        return out.getvalue() + str(error), error.returncode
    return out.getvalue(), 0


def test_the_command_says_how_many_rows_it_checked_and_names_what_is_broken() -> None:
    ids = record(1, 9)
    text, status = run_command()
    assert status == 0
    assert "checked 9 rows" in text
    assert "whole" in text
    LockEvent.objects.filter(pk=ids[2]).update(owner="eve")
    text, status = run_command()
    assert status == 1
    assert f"changed   row {ids[2]} (granted 'key-3')" in text


def test_the_command_explains_a_head_that_is_none() -> None:
    assert run_command("--expect", "nonsense")[1] == 1
    assert "PLACE:SEAL" in run_command("--expect", "nonsense")[0]


def test_nothing_recorded_is_not_called_whole() -> None:
    assert "nothing is sealed" in run_command()[0]


def test_spans_say_where_times_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_module, "SPAN_ROWS", 4)
    ids = record(1, 9)
    rows = dict(LockEvent.objects.values_list("id", "wall_ns"))
    spans = {span.block: (span.min_ns, span.max_ns) for span in EventSpan.objects.all()}
    for block, ends in spans.items():
        times = [rows[pk] for pk in ids if pk // 4 == block]
        # A block may be said to reach further than it does: a transaction that ends in it began in the one before.
        assert ends[0] <= min(times) <= max(times) <= ends[1]
    assert set(spans) == {pk // 4 for pk in ids}
