"""The history as a file."""

import csv
import io
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import DatabaseError
from django.test import Client

from dlmsite.dashboard import auditexport, auditquery
from dlmsite.dashboard.auditexport import COLUMNS, harmless
from dlmsite.journal.models import LockEvent
from dlmsite.journal.verifying import verify
from dlmsite.journal.writer import JournalWriter
from lockcore.core.events import Event, EventBatch, EventKind, NumberedEvent

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("cluster")]

AsUser = Callable[[str], Client]


@pytest.fixture(autouse=True)
def _forget_jobs() -> None:
    auditexport._jobs.clear()


def record(*keys: str) -> None:
    events = [NumberedEvent(n, n, Event(EventKind.GRANTED, key, owner=key)) for n, key in enumerate(keys, 1)]
    JournalWriter(time.time_ns).write([EventBatch("n", 1, tuple(events))])


def read(response: Any) -> str:
    """Read an asynchronous file to its end."""

    async def pieces() -> bytes:
        return b"".join([piece async for piece in response.streaming_content])

    return async_to_sync(pieces)().decode()


def fetch(client: Client, query: str) -> str:
    response = client.get(f"/api/audit/export/?{query}")
    assert response.status_code == 200
    return read(response)


def test_a_csv_file_has_every_row_and_says_that_it_is_whole(as_user: AsUser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditexport, "PIECE_ROWS", 2)
    record(*"abcde")
    rows = list(csv.reader(io.StringIO(fetch(as_user("eve"), "format=csv"))))
    assert rows[0] == list(COLUMNS)
    assert [row[COLUMNS.index("key")] for row in rows[1:-1]] == list("abcde")
    assert rows[-1][:2] == ["#end", "5 rows"]


def test_an_ndjson_file_has_every_row_and_says_that_it_is_whole(as_user: AsUser) -> None:
    record("a", "snow\u2603", "c")
    lines = [json.loads(line) for line in fetch(as_user("eve"), "format=ndjson").splitlines()]
    assert [line["key"] for line in lines[:-1]] == ["a", "snow\u2603", "c"]
    assert lines[0]["id"] == str(LockEvent.objects.earliest("id").pk)
    assert (lines[-1]["type"], lines[-1]["rows"]) == ("end", 3)


def test_the_file_holds_what_the_filter_says_and_no_more(as_user: AsUser) -> None:
    record("a/1", "b", "a/2")
    rows = fetch(as_user("eve"), "format=ndjson&prefix=a/").splitlines()
    assert [json.loads(row)["key"] for row in rows[:-1]] == ["a/1", "a/2"]


def test_an_empty_file_is_whole_too(as_user: AsUser) -> None:
    assert '"type":"end","rows":0' in fetch(as_user("eve"), "format=ndjson")


def test_the_last_seal_in_a_file_is_the_head_that_verifying_expects(as_user: AsUser) -> None:
    """A file that was put away is a note of the head."""
    record(*"abc")
    last = json.loads(fetch(as_user("eve"), "format=ndjson").splitlines()[-2])
    assert verify((int(last["place"]), last["seal"])).breaks == 0


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "\uff1d1", " \uff20x"]
)
def test_no_cell_begins_as_a_formula(as_user: AsUser, text: str) -> None:
    """Whoever may take a lock chooses its name, and somebody else opens the file in a spreadsheet."""
    record(text)
    rows = list(csv.reader(io.StringIO(fetch(as_user("eve"), "format=csv"), newline="")))
    for column in ("key", "owner"):
        assert rows[1][COLUMNS.index(column)] == f"'{text}"


def test_other_cells_stay_as_they_are() -> None:
    assert [harmless(value) for value in ("a=b", "-12", "1790", "", 7, "n1")] == ["a=b", "-12", "1790", "", 7, "n1"]


def test_what_is_recorded_meanwhile_is_not_in_the_file(as_user: AsUser) -> None:
    record("a")
    response = as_user("eve").get("/api/audit/export/?format=ndjson")
    record("a", "b")
    assert len(read(response).splitlines()) == 2


def test_a_journal_that_fails_midway_cuts_the_file_and_it_says_so(
    as_user: AsUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditexport, "PIECE_ROWS", 2)
    record(*"abcde")
    calls = iter([None])
    original = auditquery.page

    def failing(*args: Any, **kwargs: Any) -> auditquery.Page:
        if next(calls, 1):
            raise DatabaseError("disk I/O error")
        return original(*args, **kwargs)

    monkeypatch.setattr(auditquery, "page", failing)
    client = as_user("eve")
    lines = fetch(client, "format=ndjson&job=x").splitlines()
    told = json.loads(lines[-1])
    assert (len(lines), told["type"], told["rows"]) == (3, "cut", 2)
    assert client.get("/api/audit/export/progress/?job=x").json()["state"] == "cut"


def test_progress_is_told_to_whoever_asked_for_the_file(as_user: AsUser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditexport, "PIECE_ROWS", 2)
    record(*"abcd")
    client = as_user("eve")
    response: Any = client.get("/api/audit/export/?format=csv&job=j1")

    async def first_two() -> None:
        pieces = aiter(response.streaming_content)
        await anext(pieces)
        await anext(pieces)

    async_to_sync(first_two)()
    found = client.get("/api/audit/export/progress/?job=j1").json()
    assert (found["rows"], found["share"]) == (2, 0.5)
    assert as_user("ada").get("/api/audit/export/progress/?job=j1").json()["state"] == "unknown"
    assert client.get("/api/audit/export/progress/?job=other").json()["state"] == "unknown"


def test_there_are_never_many_exports_at_once(as_user: AsUser) -> None:
    record("a")
    client = as_user("eve")
    held = [client.get("/api/audit/export/?format=csv") for _ in range(auditexport.RUNNING_MAX)]
    refused = client.get("/api/audit/export/?format=csv")
    assert refused.status_code == 429
    assert "already" in refused.json()["detail"]
    for response in held:
        read(response)
    assert client.get("/api/audit/export/?format=csv").status_code == 200


def test_a_kind_of_file_that_is_none_is_refused(as_user: AsUser) -> None:
    assert as_user("eve").get("/api/audit/export/?format=xlsx").status_code == 400
    assert as_user("eve").get("/api/audit/export/").status_code == 400
