"""The shell, around a core that does what the test says."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from lockcore.core.events import Event, EventKind
from lockcore.core.inspecting import KeySeen, LeaseSeen, SessionsSeen
from lockcore.core.messages import (
    ClientCall,
    Code,
    Emit,
    FindOwner,
    FromPeer,
    Gauges,
    Goodbye,
    Instant,
    Leave,
    NodeEffect,
    NodeInput,
    PeerMessage,
    Refused,
    Register,
    Released,
    Reply,
    SendMaster,
    SendPeer,
    Stop,
    Tick,
)
from lockcore.core.messages import ForwardReply as ForwardReply_
from lockcore.core.view import Member, MemberId, View
from lockcore.service import clock
from lockcore.service.shell import NodeShell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

ME = MemberId("127.0.0.1:1.10001", 7)
FACT = Event(EventKind.GRANTED, key="k")
PEER = ForwardReply_(ME, 1, Released())


class Script:
    """A core that answers each input with what the test laid down."""

    def __init__(self) -> None:
        self.member = ME
        self.view: View | None = None
        self.all_settled = False
        self.inputs: list[NodeInput] = []
        self.more: list[bool] = []
        self.answers: Callable[[NodeInput], list[NodeEffect]] = lambda _: []
        self.timer_ns: int | None = None
        self.is_serving = True

    def step(self, given: NodeInput, now: Instant, *, more: bool = False) -> list[NodeEffect]:
        del now
        self.inputs.append(given)
        self.more.append(more)
        return self.answers(given)

    def next_timer_ns(self) -> int | None:
        return self.timer_ns

    def registration(self) -> Register:
        return Register(ME)

    def gauges(self, now: Instant) -> Gauges:
        del now
        return Gauges()

    def serving(self, now: Instant) -> bool:
        del now
        return self.is_serving

    def acquiring(self) -> bool:
        return False

    def see_key(self, key: str, now: Instant) -> KeySeen:
        del key, now
        return KeySeen(decides=False)

    def see_leases(self, keys: Iterable[str], now: Instant) -> tuple[LeaseSeen, ...]:
        del keys, now
        return ()

    def see_sessions(self, now: Instant) -> SessionsSeen:
        del now
        return SessionsSeen()


class Log:
    """Everything the shell did, in order."""

    def __init__(self) -> None:
        self.done: list[object] = []
        self.kept: list[str] = []

    def append(self, events: Sequence[Event]) -> range:
        self.done.append(("facts", len(events)))
        return range(1)

    def send(self, address: str, message: PeerMessage) -> None:
        del message
        if address == "bad":
            raise ValueError("no such address")
        self.done.append(("peer", address))

    def retain(self, addresses: Iterable[str]) -> None:
        self.kept = list(addresses)


@pytest.fixture
def core() -> Script:
    return Script()


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
async def shell(core: Script, log: Log) -> NodeShell:
    return NodeShell(
        core,
        log,
        log,
        lambda message: log.done.append(("master", type(message).__name__)),
        lambda code, text: log.done.append(("stop", code, text)),
    )


async def test_facts_are_written_before_anything_else_leaves(core: Script, log: Log, shell: NodeShell) -> None:
    """E1: a reply that left before its fact would be missing from the history after a SIGKILL."""
    core.answers = lambda given: (
        [Reply(given.call_id, Released()), Emit(FACT), SendPeer("b:1", PEER), SendMaster(Goodbye(ME)), Emit(FACT)]
        if isinstance(given, ClientCall)
        else []
    )
    call = shell.call(FindOwner("k"), lambda result: log.done.append(("reply", result)))
    shell.give(call)
    assert log.done == [("facts", 2), ("reply", Released()), ("peer", "b:1"), ("master", "Goodbye")]


async def test_several_inputs_write_their_facts_once(core: Script, log: Log, shell: NodeShell) -> None:
    """One write per batch of operations, not one per operation."""
    core.answers = lambda _: [Emit(FACT)]
    shell.give(Tick(), Tick(), Tick())
    assert log.done == [("facts", 3)]
    assert core.more == [True, True, False]


async def test_an_exception_in_a_step_answers_its_client_and_spares_the_others(
    core: Script, log: Log, shell: NodeShell
) -> None:
    """A node's loop survives any exception; nobody waits for an answer that will never come."""

    def answers(given: NodeInput) -> list[NodeEffect]:
        assert isinstance(given, ClientCall)
        if given.operation.key == "bad":
            raise RuntimeError("a bug")
        return [Reply(given.call_id, Released())]

    core.answers = answers
    results: dict[str, object] = {}
    shell.give(
        shell.call(FindOwner("bad"), lambda r: results.update(bad=r)),
        shell.call(FindOwner("good"), lambda r: results.update(good=r)),
    )
    assert results["good"] == Released()
    refused = results["bad"]
    assert isinstance(refused, Refused)
    assert refused.code is Code.TIMEOUT  # the outcome is unknown
    assert shell.faults.count == 1
    assert log.done == []


async def test_an_effect_that_fails_does_not_hold_up_the_next(core: Script, log: Log, shell: NodeShell) -> None:
    core.answers = lambda _: [SendPeer("bad", PEER), SendPeer("good", PEER)]
    shell.give(Tick())
    assert log.done == [("peer", "good")]
    assert shell.faults.count == 1


async def test_a_log_line_about_a_fault_names_no_content(
    core: Script, shell: NodeShell, caplog: pytest.LogCaptureFixture
) -> None:
    """An input may hold a renew token."""

    def answers(_: NodeInput) -> list[NodeEffect]:
        raise RuntimeError("a bug")

    core.answers = answers
    shell.give(shell.call(FindOwner("secret-key"), lambda _: None))
    assert "ClientCall(FindOwner)" in caplog.text
    assert "secret-key" not in caplog.text


async def test_the_core_is_stepped_when_it_wants_to_be(core: Script, shell: NodeShell) -> None:
    ticked = asyncio.Event()

    def answers(given: NodeInput) -> list[NodeEffect]:
        if isinstance(given, Tick):
            core.timer_ns = None
            ticked.set()
        return []

    core.answers = answers
    core.timer_ns = clock.boot_ns() + 20_000_000
    shell.give(FromPeer(PEER))
    await asyncio.wait_for(ticked.wait(), 10)
    assert core.inputs == [FromPeer(PEER), Tick()]


async def test_an_earlier_wish_replaces_a_later_one(core: Script, shell: NodeShell) -> None:
    ticked = asyncio.Event()
    core.timer_ns = clock.boot_ns() + 3_600_000_000_000
    shell.give(FromPeer(PEER))

    def answers(_: NodeInput) -> list[NodeEffect]:
        core.timer_ns = None
        ticked.set()
        return []

    core.timer_ns = clock.boot_ns()
    shell.give(FromPeer(PEER))
    core.answers = answers
    await asyncio.wait_for(ticked.wait(), 10)


async def test_a_core_that_asks_for_the_past_does_not_keep_the_loop(core: Script, shell: NodeShell) -> None:
    core.timer_ns = 0
    shell.give(FromPeer(PEER))
    await asyncio.sleep(0)  # others still run
    shell.close()


async def test_a_new_view_is_told_once_and_closes_streams_to_who_is_gone(
    core: Script, log: Log, shell: NodeShell
) -> None:
    seen: list[int] = []
    forget = shell.on_view(lambda view: seen.append(view.number))
    core.view = View(5, 5, (Member("b:1", 1), Member(ME.address, ME.incarnation)))
    shell.give(Tick())
    shell.give(Tick())
    assert seen == [5]
    assert log.kept == ["b:1", ME.address]
    forget()
    core.view = View(6, 5, ())
    shell.give(Tick())
    assert seen == [5]


async def test_an_effect_can_be_kept_instead_of_sent(core: Script, log: Log, shell: NodeShell) -> None:
    """A unary call of SeaweedFS's protocol wants the answer itself."""
    core.answers = lambda _: [SendPeer("a:1", PEER), SendPeer("b:1", PEER)]
    kept = shell.give_captured(Tick(), lambda e: isinstance(e, SendPeer) and e.address == "a:1")
    assert kept == SendPeer("a:1", PEER)
    assert log.done == [("peer", "b:1")]


async def test_leaving_is_said_to_the_core_and_the_end_comes_from_it(core: Script, log: Log, shell: NodeShell) -> None:
    core.answers = lambda given: [Stop(0, "left")] if isinstance(given, Leave) else []
    shell.leave()
    assert log.done == [("stop", 0, "left")]
    assert shell.state == "leaving"


@pytest.mark.parametrize(
    ("members", "serving", "state"),
    [
        (None, True, "joining"),
        ((), True, "joining"),
        ((Member(ME.address, ME.incarnation + 1),), True, "joining"),
        ((Member(ME.address, ME.incarnation),), False, "fenced"),
        ((Member(ME.address, ME.incarnation),), True, "up"),
    ],
)
async def test_the_state_is_what_the_node_has_measured(
    core: Script,
    shell: NodeShell,
    members: tuple[Member, ...] | None,
    serving: bool,  # noqa: FBT001 - a parameter of the test
    state: str,
) -> None:
    core.view = None if members is None else View(5, 5, members)
    core.is_serving = serving
    assert shell.state == state
