"""Facts of a run: each once, none missing, and every grant among them."""

import json
from pathlib import Path

from lockcore.core.events import Event, EventKind
from lockcore.core.view import MemberId
from lockcore.service.spool import Spool
from lockcore.testing.chaos.facts import FACTS_FILE, Journal, Reported
from lockcore.testing.record import Call, Did

NODE = MemberId("127.0.0.1:1.1", 3)


def granted(number: int, generation: int, view: int = 1) -> Reported:
    """Return a fact."""
    return Reported(NODE.address, NODE.incarnation, number, "granted", "k", generation, 1, view)


def test_facts_are_read_as_they_come_and_from_the_spool_of_the_dead_once_each(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.ndjson", NODE)
    spool.append([Event(EventKind.GRANTED, key="k", generation=g, view=g) for g in (1, 2, 3)])
    journal = Journal(tmp_path)
    journal.read_on()  # the master has written nothing yet
    first = [NODE.address, NODE.incarnation, 1, "granted", "k", 1, 0, 1]
    (tmp_path / FACTS_FILE).write_text(json.dumps(first) + "\n" + json.dumps(first)[:9], encoding="utf-8")
    journal.read_on()
    assert journal.checked == 1
    journal.read_leftover(spool.path)
    journal.read_on()
    assert (journal.checked, journal.violations, journal.missing) == (3, 0, {})
    assert journal.granted == {("k", 1), ("k", 2), ("k", 3)}


def test_facts_that_contradict_each_other_are_found_while_the_run_goes_on(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.take(granted(1, 7))
    journal.take(granted(2, 7))
    assert journal.violations == 1
    assert [v.rule for v in journal.objections([])] == ["I2"]


def test_a_grant_that_a_client_was_told_of_and_no_fact_tells_of_is_an_objection(tmp_path: Path) -> None:
    """Whoever asks later who held a lock has nothing but facts."""
    journal = Journal(tmp_path)
    journal.take(granted(1, 7))
    calls = [Call("a", Did.ACQUIRE, "k", 0, 3_000, 1, ok=True, generation=g) for g in (7, 8)]
    assert [v.calls for v in journal.objections(calls)] == [(calls[1],)]


def test_numbers_that_never_came_are_counted(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.take(granted(1, 7))
    journal.take(granted(4, 8, 2))
    assert journal.missing == {(NODE.address, NODE.incarnation): 2}
    assert journal.violations == 0
