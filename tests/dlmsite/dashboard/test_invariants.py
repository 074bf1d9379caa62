"""What the page is told of the running check: never more than was checked."""

import inspect
import json
import re
import time
from typing import Any

import pytest

from dlmsite.dashboard import invariants, picture
from dlmsite.journal import checking
from dlmsite.journal.checking import Check
from dlmsite.journal.models import Checking
from dlmsite.journal.writer import JournalWriter
from lockcore.core.events import Event, EventBatch, EventKind, NumberedEvent
from lockcore.testing import online
from tests.dlmsite.dashboard.conftest import ADDRESSES, VIEW

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("cluster")]


def part(later_ns: int = 0) -> dict[str, Any]:
    return picture.invariants_of(picture.node_labels(), time.time_ns() + later_ns)


def judge(generations: int, key: str = "k") -> None:
    """Let a node grant that many generations of a key, none of them ended."""
    writer, check = JournalWriter(), Check(time.time_ns)
    writer.on_commit = check.committed
    check.note()
    told = (Event(EventKind.GRANTED, key, "o" * 1_000, generation=VIEW + g, view=VIEW) for g in range(generations))
    events = tuple(NumberedEvent(1 + i, time.time_ns(), event) for i, event in enumerate(told))
    writer.write([EventBatch(ADDRESSES["n1"], 5, events)])
    check.note()


def test_before_anything_ran_nothing_is_claimed() -> None:
    found = part()
    assert (found["state"], found["checked"], found["found"], found["since_ms"]) == ("unknown", "0", 0, None)


def test_a_check_that_runs_says_how_much_it_has_checked() -> None:
    judge(1)
    found = part()
    assert (found["state"], found["checked"], found["found"]) == ("checking", "1", 0)


def test_a_check_that_is_silent_is_unknown() -> None:
    """The recorder may have died: what was fine then says nothing of now."""
    judge(1)
    assert part(later_ns=invariants.FRESH_NS + 1_000_000_000)["state"] == "unknown"


def test_a_check_that_has_stopped_says_why() -> None:
    judge(1)
    Checking.objects.update(trouble="stopped by an error (ZeroDivisionError)")
    found = part()
    assert found["state"] == "stopped"
    assert "ZeroDivisionError" in found["trouble"]


def test_a_violation_comes_with_both_events() -> None:
    judge(2)
    found = part()
    (violation,) = found["violations"]
    assert violation["rule"] == "I1"
    assert [violation[which]["label"] for which in ("first", "second")] == ["n1", "n1"]
    assert [violation[which]["generation"] for which in ("first", "second")] == [str(VIEW), str(VIEW + 1)]
    assert found["found"] == 1
    assert {rule["rule"]: rule["found"] for rule in found["rules"]}["I1"] == 1


def test_the_message_stays_small_whatever_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken cluster contradicts itself at each grant, and names are as long as clients like."""
    monkeypatch.setattr(checking, "VIOLATIONS_MAX", 50)
    judge(100, key="\u20ac" * 4_096)
    found = part()
    assert found["found"] == 99
    assert len(found["violations"]) == invariants.SHOWN
    assert len(json.dumps(found)) < 128 * 1024


def test_every_rule_that_the_check_can_break_has_its_sentence() -> None:
    """A violation of a rule that is not in the table would be found and not shown."""
    rules = set(re.findall(r'Contradiction\("(I\d+)"', inspect.getsource(online)))
    assert set(invariants.RULES) == rules
