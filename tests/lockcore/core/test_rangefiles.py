"""One key's ranges as a unit that is ordered, told, followed and taken back."""

from __future__ import annotations

import random

from lockcore.core.limits import FILE_ROWS_PER_BATCH
from lockcore.core.messages import FileAnswer, Outcome, RangeLocked, SessionId
from lockcore.core.rangefiles import FileTable, RangeFile, id_of, is_file
from lockcore.core.rangerecords import Kind, Migrate, Owner, Step, Waiter, Want
from lockcore.core.sessions import SessionTable
from lockcore.core.waitgraph import WaitGraph

SESSION = SessionId("s", 1)
ADA = Owner("s", 1, "ada")
VIEW = 1_000_000


def primary() -> tuple[FileTable, RangeFile]:
    """Return a file at its primary."""
    table = FileTable(SessionTable())
    return table, table.create("k", 7, VIEW, WaitGraph())


def change(file: RangeFile, start: int, length: int = 5, owner: Owner = ADA, op_id: int = 1) -> None:
    """Lock some bytes, or wait for them."""
    before: dict[int, Waiter] = {w.ticket: w for w in file.table.waiters()}
    step: Step = file.table.setlkw(Want(owner, Kind.WRITE, start, length), operation=str(op_id), now_ns=0)
    file.commit(step, (FileAnswer(SESSION, op_id, RangeLocked("s", ())),), before, 0)


def same(one: RangeFile, other: RangeFile) -> bool:
    """Say whether two nodes know the same."""
    return one.order == other.order and one.table.to_record(0) == other.table.to_record(0)


def test_no_key_of_a_user_is_that_of_a_file() -> None:
    assert is_file(id_of("k"))
    assert not is_file("k")
    try:
        id_of("k").encode()
    except UnicodeEncodeError:
        return
    raise AssertionError("a user could send this key")


def test_who_has_another_state_is_told_all_and_who_follows_what_changed() -> None:
    source, file = primary()
    change(file, 0)
    copy = FileTable(SessionTable())
    first = file.order
    assert copy.merge(file.record(0, SessionTable(), None, transfer=False), 0) is Outcome.ACCEPTED
    change(file, 10)
    change(file, 20)
    follow = file.record(0, SessionTable(), first, transfer=False)
    assert follow.whole is None
    assert FileTable(SessionTable()).merge(follow, 0) is Outcome.BEHIND
    assert copy.merge(follow, 0) is Outcome.ACCEPTED
    assert same(copy.get(id_of("k")), file)  # type: ignore[arg-type]
    other = FileTable(SessionTable())
    stale = other.create("k", 7, VIEW, WaitGraph())
    change(stale, 500)
    stale.seq = file.seq - 3
    assert other.merge(follow, 0) is Outcome.BEHIND
    del source


def test_an_older_state_never_replaces_a_newer_one() -> None:
    _, file = primary()
    change(file, 0)
    old = file.record(0, SessionTable(), None, transfer=False)
    change(file, 10)
    copy = FileTable(SessionTable())
    copy.merge(file.record(0, SessionTable(), None, transfer=False), 0)
    assert copy.merge(old, 0) is Outcome.STALE
    assert same(copy.get(id_of("k")), file)  # type: ignore[arg-type]


def test_what_is_taken_back_leaves_the_file_as_it_was_before() -> None:
    """With its queue: places that were given are taken, and places that were taken are given back."""
    chance = random.Random(3)  # noqa: S311 - reproducible, not secret
    _, file = primary()
    for step in range(40):
        change(file, chance.randrange(100), owner=ADA._replace(lock_owner=str(chance.randrange(4))), op_id=step)
    before, order, answers = file.table.to_record(0), file.order, list(file.answers)
    change(file, 3, 50, ADA._replace(lock_owner="1"), op_id=100)
    first = file.order
    for step in range(20):
        owner = ADA._replace(lock_owner=str(chance.randrange(4)))
        waiters = {w.ticket: w for w in file.table.waiters()}
        if step % 2:
            file.commit(file.table.release_owner(owner), (), waiters, 0)
        else:
            change(file, chance.randrange(100), owner=owner, op_id=200 + step)
    assert file.take_back(first, 0)
    assert file.order == order
    after = file.table.to_record(0)
    assert (after.rows, after.waiters) == (before.rows, before.waiters)
    assert list(file.answers) == answers


def test_sessions_have_again_what_is_taken_back() -> None:
    """They may have been cleaned up after in between; nobody would look at the file again."""
    sessions = SessionTable()
    session = sessions.learn(SESSION, 1_000, 0)
    table = FileTable(sessions)
    file = table.create("k", 7, VIEW, WaitGraph())
    change(file, 0)
    file.commit(file.table.release_owner(ADA), (), {}, 0)
    assert not session.keys
    assert table.take_back(file, file.order, 0)
    assert session.keys == {file.key}


def test_what_is_not_known_any_more_is_not_taken_back() -> None:
    _, file = primary()
    change(file, 0)
    first = file.order
    for step in range(500):
        change(file, 10 * step)
    assert not file.take_back(first, 0)


def test_a_copy_joins_the_wait_graph_without_being_built_anew() -> None:
    """With a hundred thousand rows that took longer than a node may be busy: whoever was promoted fenced itself."""
    files, graph = FileTable(SessionTable()), WaitGraph()
    file = files.create("k", 5, 5, WaitGraph())
    one, other = Owner("s1", 1, "t"), Owner("s2", 1, "t")
    table = file.table
    table.setlk(Want(one, Kind.WRITE, 0, 10))
    table.setlkw(Want(other, Kind.WRITE, 0, 10), operation="1", now_ns=0)
    files.serve(file, graph)
    assert file.table is table
    assert [waiter.owner for _, waiter in graph.waits_of(other)] == [other]
    files.demote(file)
    assert not graph.waits_of(other)
    assert not file.serving
    files.serve(file, graph)
    files.drop(file.key)
    assert not graph.waits_of(other)


def test_large_changes_are_not_remembered_without_bound() -> None:
    """A migration of thousands of rows, back and forth, would fill the memory with what it was."""
    _, file = primary()
    for start in range(700):
        change(file, 10 * start)
    for turn in range(20):
        here, there = ("s", "t") if turn % 2 == 0 else ("t", "s")
        step = file.table.migrate(Migrate(here, 1, there, 1), now_ns=0)
        file.commit(step, (), {}, 0)
    assert sum(len(kept.delta.added) + len(kept.delta.removed) for kept in file._log) <= FILE_ROWS_PER_BATCH
    assert file.record(0, SessionTable(), (1, 1), transfer=False).whole is not None
