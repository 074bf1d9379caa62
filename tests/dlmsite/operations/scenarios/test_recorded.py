"""The history gives a run its facts, and says whether it has them all."""

import pytest
from django.test import TestCase

from dlmsite.journal.models import LockEvent, Node, RingVersion
from dlmsite.operations.models import OperatorAction
from dlmsite.operations.scenarios import recorded, rows
from dlmsite.operations.scenarios.facts import Record
from dlmsite.operations.scenarios.recorded import Scope, add_recorded
from lockcore.core.ring import position_of

pytestmark = pytest.mark.django_db

KEY = "try/kill-primary/1"
N1, N2 = "127.0.0.1:8001.18001", "127.0.0.1:8002.18002"
GEN = 77


@pytest.fixture(autouse=True)
def nodes() -> None:
    for i, address in enumerate((N1, N2)):
        Node.objects.create(label=f"n{i + 1}", address=address, color=i)


def add(kind: str, source: str = N1, key: str = "", **more: object) -> LockEvent:
    number = LockEvent.objects.count() + 1
    position = position_of(key) if key else None
    values = {"incarnation": 1, "number": number, "wall_ns": number * 100, "generation": 0} | more
    return LockEvent.objects.create(source=source, kind=kind, key=key, position=position, **values)


def read(scope: Scope) -> Record:
    return add_recorded(Record(primary="n1", generation=GEN), scope)


def test_only_rows_of_this_lock_since_the_run_began_are_facts() -> None:
    add("granted", key=KEY, generation=1)
    add("died", "master", peer=N1)
    scope = recorded.begin(5)
    scope = Scope(scope.after_id, scope.view, 5, KEY)
    mine = add("granted", key=KEY, generation=GEN)
    add("granted", key="other", generation=3)
    add("died", "master", peer=N2)
    add("view", "master")
    found = read(scope)
    assert [(told.event, told.source, told.kind) for told in found.lock] == [(mine.pk, "n1", "granted")]
    assert [(told.source, told.kind, told.peer) for told in found.nodes] == [("master", "died", "n2")]


def test_rows_of_nodes_that_report_apart_come_in_their_order_of_time() -> None:
    add("promoted", N2, KEY, wall_ns=900)
    add("granted", N1, KEY, wall_ns=100)
    assert [told.kind for told in read(Scope(0, 0, 0, KEY)).lock] == ["granted", "promoted"]


def test_a_record_is_whole_once_the_end_of_the_lock_is_recorded() -> None:
    scope = Scope(0, 0, 0, KEY)
    add("released", key=KEY, generation=GEN - 1)
    assert read(scope).gap == "the history does not have the end of the lock yet"
    add("released", key=KEY, generation=GEN)
    assert read(scope).gap == ""
    add("gap", N2)
    assert read(scope).gap == "some of what n2 told is missing in the history"


def test_a_node_that_was_cut_off_has_told_all_when_it_tells_that_it_is_back() -> None:
    """What it told meanwhile comes with that."""
    deed = OperatorAction.objects.create(
        who="ada", what="isolate", target="n1", state="done", requested_at_ns=1, started_at_ns=50
    )
    scope = Scope(0, 0, 0, KEY, (deed.pk,))
    add("released", key=KEY, generation=GEN)
    assert read(scope).gap == "n1 has not told yet what it did"
    add("unfenced", N1)
    assert read(scope).gap == ""


def test_views_begin_with_the_one_of_before_and_name_who_serves() -> None:
    members = [{"address": N1, "incarnation": "1", "down": True}, {"address": N2, "incarnation": "1", "down": False}]
    for number in (1, 2, 3):
        RingVersion.objects.create(number=number, version=1, members=members, at_ns=number)
    found = read(Scope(0, 2, 0, KEY)).views
    assert [(view.number, sorted(view.up)) for view in found] == [(2, ["n2"]), (3, ["n2"])]


def test_deeds_of_the_run_and_of_others_are_told_apart() -> None:
    def act(who: str, **more: object) -> int:
        values = {"what": "kill", "target": "n1", "address": N1, "requested_at_ns": 1, "started_at_ns": 10} | more
        return int(OperatorAction.objects.create(who=who, **values).pk)

    act("before", started_at_ns=1)
    mine = act("ada")
    act("eve", target="n2")
    act("eve", what="workload", address="")
    found = read(Scope(0, 0, 5, KEY, (mine,)))
    assert [deed.action for deed in found.deeds] == [mine]
    assert [deed.detail for deed in found.others] == ["eve: kill n2"]


def test_a_bounded_number_of_runs_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "ROWS_MAX", 2)
    runs = [rows.begin("ada", "freeze") for _ in range(3)]
    newest = rows.newest()
    assert newest is not None
    assert newest.pk == runs[-1]
    rows.write(runs[-1], state="kept")
    assert rows.sign() == {"id": str(runs[-1]), "state": "kept", "changed": "1"}
    rows.write(runs[0], state="kept")  # long forgotten: no error
    assert [row for row in rows.abandon() if row] == [("ada", [])]


def test_reading_a_run_asks_the_database_a_bounded_number_of_times() -> None:
    for _ in range(50):
        add("granted", key=KEY, generation=GEN)
    with TestCase().assertNumQueries(9):
        read(Scope(0, 0, 0, KEY))
