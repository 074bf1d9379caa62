"""Nodes are paused and resumed as asked, at their time, whatever becomes of the site; isolation is the node's word."""

from collections.abc import Callable
from signal import SIGKILL, SIGSTOP
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from dlmsite.operations import asking, holdrows, holds
from dlmsite.operations.holds import Holds
from dlmsite.operations.models import Hold
from dlmsite.operations.procs import is_stopped
from dlmsite.operations.supervisor import OperationProblem, Seat, Supervisor
from lockcore.service.channels import Gate
from lockcore.wire.rehearsal_codec import Isolation, Scope
from tests.dlmsite.operations.conftest import Start
from tests.dlmsite.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


async def run_here(step: Callable[[], Any]) -> Any:
    return await sync_to_async(step)()


def make(supervisor: Supervisor) -> Holds:
    return Holds(supervisor, Gate(b"secret"), run_here)


async def started(supervisor: Supervisor, label: str = "n1") -> Seat:
    seat = supervisor.start(label)
    await until(lambda: supervisor.member_of(seat), "the stand-in's spool")
    return seat


def stands_still(seat: Seat) -> bool:
    return seat.process is not None and is_stopped(seat.process.identity)


def crash(supervisor: Supervisor, held: Holds) -> None:
    """Leave as a site does that is killed: without a word."""
    for one in held._held.values():
        assert one.minder is not None
        one.minder.cancel()
    supervisor.let_go()


async def rows() -> list[Hold]:
    found: list[Hold] = await sync_to_async(holdrows.seen)()
    return found


async def no_rows() -> None:
    while await sync_to_async(Hold.objects.exists)():
        pass


async def test_a_paused_node_stands_still_and_goes_on_when_told(supervise: Start) -> None:
    supervisor = supervise()
    seat, held = await started(supervisor), make(supervisor)
    assert "stands still, until it is told" in await held.pause("n1", None, "ada")
    assert stands_still(seat)
    (row,) = await rows()
    assert (row.label, row.kind, row.who, row.until_ns) == ("n1", "paused", "ada", None)
    assert "runs again" in await held.undo("n1", "paused")
    assert not stands_still(seat)
    assert await rows() == []


async def test_a_paused_node_resumes_by_itself_at_its_time(supervise: Start) -> None:
    supervisor = supervise()
    seat, held = await started(supervisor), make(supervisor)
    told: list[tuple[str, str]] = []
    held.tell = lambda *what: told.append(what)
    await held.pause("n1", 0.2, "ada")
    assert stands_still(seat)
    await until(lambda: not stands_still(seat))
    await no_rows()
    assert told == [("n1", "n1 is no longer paused: its time was over")]


async def test_a_node_is_held_once_at_a_time(supervise: Start) -> None:
    supervisor = supervise()
    await started(supervisor)
    held = make(supervisor)
    await held.pause("n1", None, "ada")
    for again in (held.pause("n1", 5, "eve"), held.isolate("n1", "master", "both", 5, "eve")):
        with pytest.raises(OperationProblem, match="n1 is paused already: end that first"):
            await again
    await held.release_all()


async def test_what_is_not_held_cannot_be_let_go(supervise: Start) -> None:
    supervisor = supervise()
    await started(supervisor)
    held = make(supervisor)
    with pytest.raises(OperationProblem, match="n1 is not paused"):
        await held.undo("n1", "paused")
    with pytest.raises(OperationProblem, match="n7 is not running"):
        await held.pause("n7", 5, "ada")


async def test_a_paused_node_that_is_killed_is_no_longer_held(supervise: Start) -> None:
    supervisor = supervise()
    seat, held = await started(supervisor), make(supervisor)
    await held.pause("n1", None, "ada")
    supervisor.send("n1", SIGKILL)
    await until(lambda: not seat.alive)
    await no_rows()
    await until(lambda: not held._held)


async def test_the_next_site_resumes_what_was_paused_at_its_time(supervise: Start) -> None:
    """The site crashed meanwhile: the row is all that is left of the timer."""
    before = supervise()
    seat = await started(before)
    held = make(before)
    await held.pause("n1", 60, "ada")
    await sync_to_async(Hold.objects.update)(until_ns=1)  # long ago
    crash(before, held)
    assert stands_still(seat)
    after = supervise()
    after.adopt()
    await make(after).adopt()
    await until(lambda: not stands_still(seat))
    await no_rows()


async def test_the_next_site_keeps_the_time_that_is_left(supervise: Start) -> None:
    before = supervise()
    seat = await started(before)
    held = make(before)
    await held.pause("n1", 50, "ada")
    crash(before, held)
    after = supervise()
    after.adopt()
    held = make(after)
    await held.adopt()
    assert stands_still(seat)
    (row,) = await rows()
    assert row.since_ns is not None
    assert row.until_ns is not None
    assert 40 < (row.until_ns - row.since_ns) / 1e9 <= 50
    await held.undo("n1", "paused")
    assert not stands_still(seat)


async def test_a_node_that_stands_still_for_nobody_is_resumed_by_the_next_site(supervise: Start) -> None:
    """Nobody there would ever let it go."""
    before = supervise()
    seat = await started(before)
    before.send("n1", SIGSTOP)
    await until(lambda: stands_still(seat))
    before.let_go()
    after = supervise()
    after.adopt()
    await make(after).adopt()
    await until(lambda: not stands_still(seat))


async def test_a_hold_of_a_node_that_has_gone_is_forgotten(supervise: Start) -> None:
    await sync_to_async(Hold.objects.create)(label="n9", kind="paused", who="ada", pid=1, since_ns=1)
    await make(supervise()).adopt()
    assert await rows() == []


async def test_a_site_that_ends_leaves_nobody_standing_still(supervise: Start) -> None:
    supervisor = supervise()
    seats = [await started(supervisor, label) for label in ("n1", "n2")]
    held = make(supervisor)
    await held.pause("n1", None, "ada")
    supervisor.send("n2", SIGSTOP)  # an action that was interrupted
    await until(lambda: all(map(stands_still, seats)))
    await held.release_all()
    await until(lambda: not any(map(stands_still, seats)))
    assert await rows() == []


# --- isolation: the node is a stand-in, so its word is one as well -----------------------


class Node:
    """What a node would say."""

    def __init__(self) -> None:
        self.says: Isolation | None = Isolation()
        self.obeys = True

    async def isolate(self, _address: str, _gate: Gate, isolation: Isolation) -> Isolation | None:
        if self.obeys:
            self.says = isolation
        return self.says

    async def isolated(self, _address: str, _gate: Gate) -> Isolation | None:
        return self.says


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Node:
    stand_in = Node()
    monkeypatch.setattr(asking, "isolate", stand_in.isolate)
    monkeypatch.setattr(asking, "isolated", stand_in.isolated)
    return stand_in


async def test_an_isolated_node_says_so_and_is_healed_when_told(supervise: Start, node: Node) -> None:
    supervisor = supervise()
    await started(supervisor)
    held = make(supervisor)
    assert "isolated from the master, inward only, for 7 s" in await held.isolate("n1", "master", "in", 7, "ada")
    assert node.says is not None
    assert (node.says.scope, node.says.heal_ms) == (Scope.MASTER, 7_000)
    (row,) = await rows()
    assert (row.kind, row.scope, row.way) == ("isolated", "master", "in")
    await held.undo("n1", "isolated")
    assert node.says == Isolation()
    assert await rows() == []


async def test_a_node_that_does_not_say_that_it_is_isolated_is_not_shown_as_such(supervise: Start, node: Node) -> None:
    supervisor = supervise()
    await started(supervisor)
    node.obeys = False
    held = make(supervisor)
    with pytest.raises(OperationProblem, match="n1 was not seen to be isolated from everything"):
        await held.isolate("n1", "everything", "both", 5, "ada")
    assert not await sync_to_async(Hold.objects.exists)()


async def test_the_end_of_an_isolation_is_the_nodes_word(
    supervise: Start, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time is over, and it does not answer: the page goes on saying isolated."""
    monkeypatch.setattr(holds, "AGAIN_S", 0.01)
    supervisor = supervise()
    await started(supervisor)
    held = make(supervisor)
    await held.isolate("n1", "peers", "both", 0.05, "ada")
    node.obeys, said, node.says = False, node.says, None
    asked = 0

    async def count(*_: object) -> Isolation | None:
        nonlocal asked
        asked += 1
        return node.says

    monkeypatch.setattr(asking, "isolate", count)
    await until(lambda: asked > 3)
    assert len(await rows()) == 1
    assert said is not None
    node.says = Isolation()
    await no_rows()


async def test_the_next_site_asks_the_node_whether_it_is_still_isolated(supervise: Start, node: Node) -> None:
    before = supervise()
    await started(before)
    held = make(before)
    await held.isolate("n1", "peers", "both", 30, "ada")
    crash(before, held)
    after = supervise()
    after.adopt()
    held = make(after)
    await held.adopt()
    assert [row.scope for row in await rows()] == ["peers"]
    await held.release_all()
    await sync_to_async(Hold.objects.create)(label="n1", kind="isolated", scope="peers", who="ada", pid=0, since_ns=1)
    node.says = Isolation()
    await make(after).adopt()
    assert await rows() == []
