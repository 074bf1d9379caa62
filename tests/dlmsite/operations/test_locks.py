"""Taking a lock away: asked until a node answers for good."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dlmsite.operations import asking, locks
from dlmsite.operations.locks import Locks
from dlmsite.operations.supervisor import OperationProblem
from lockcore.core.operations import Code, ForceRelease, Refused, Released
from lockcore.core.view import Member, View
from lockcore.service.channels import Gate

if TYPE_CHECKING:
    from lockcore.core.operations import Result

MEANT = ForceRelease("k", 5, "why")
NODE = "127.0.0.1:9001.19001"


class Master:
    """One node serves everything."""

    view = View(number=5, version=5, members=(Member(NODE, 1),))


def answers(monkeypatch: pytest.MonkeyPatch, *told: Result | None) -> list[str]:
    """Have nodes answer this, in turn, the last one again; return whom was asked."""
    asked: list[str] = []

    async def ask(address: str, _gate: Gate, operation: ForceRelease) -> Result | None:
        assert operation == MEANT
        asked.append(address)
        return told[min(len(asked), len(told)) - 1]

    monkeypatch.setattr(asking, "force_release", ask)
    monkeypatch.setattr(locks, "PAUSE_S", 0)
    return asked


def tool(master: object = None) -> Locks:
    found: Any = master or Master()
    return Locks(found, Gate(b"secret"))


async def test_the_primary_is_asked_again_while_it_cannot_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answers(monkeypatch, Refused(Code.HANDOFF, "later"), Refused(Code.NOT_PRIMARY, "not here"), Released())
    assert "learns of it" in await tool().release(MEANT)
    assert asked == [NODE] * 3


@pytest.mark.parametrize("code", [Code.NOT_HELD, Code.NOT_FOUND, Code.INVALID])
async def test_a_refusal_for_good_is_the_answer(monkeypatch: pytest.MonkeyPatch, code: Code) -> None:
    answers(monkeypatch, Refused(code, "the lock has changed hands since"))
    with pytest.raises(OperationProblem, match="changed hands"):
        await tool().release(MEANT)


async def test_after_an_answer_that_was_not_heard_a_free_lock_was_released(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, None, Refused(Code.NOT_FOUND, "nobody holds this lock now"))
    assert "released" in await tool().release(MEANT)


async def test_that_nobody_answers_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, None)
    monkeypatch.setattr(locks, "WITHIN_S", 0.05)
    with pytest.raises(OperationProblem, match=f"{NODE} does not answer"):
        await tool().release(MEANT)


async def test_that_no_node_serves_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Empty:
        view = None

    monkeypatch.setattr(locks, "WITHIN_S", 0.05)
    monkeypatch.setattr(locks, "PAUSE_S", 0.01)
    with pytest.raises(OperationProblem, match="no node serves"):
        await tool(Empty()).release(MEANT)
