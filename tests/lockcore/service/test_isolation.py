"""A node that is cut off holds what it carries, closes nothing, and heals by itself."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc
import pytest

from lockcore.core.messages import Code, Granted, Lock, Refused
from lockcore.service.addresses import grpc_target
from lockcore.service.isolation import Isolator, Line, lines_of
from lockcore.wire.methods import ISOLATE, ISOLATED, STATUS
from lockcore.wire.rehearsal_codec import Isolation, Scope, Way, decode_isolation, encode_isolation
from tests.lockcore.service.cluster import refusal, unary, until

if TYPE_CHECKING:
    from tests.lockcore.service.cluster import Cluster

LONG_MS = 60_000


async def cut(cluster: Cluster, label: str, isolation: Isolation) -> Isolation:
    """Tell a node what to cut; return what it says is cut."""
    target = grpc_target(cluster.address(label))
    return decode_isolation(await unary(target, ISOLATE, encode_isolation(isolation), cluster.gate.metadata))


async def told(cluster: Cluster, label: str) -> Isolation:
    target = grpc_target(cluster.address(label))
    return decode_isolation(await unary(target, ISOLATED, b"", cluster.gate.metadata))


def is_up(cluster: Cluster, label: str) -> bool:
    view = cluster.master.view
    return view is not None and cluster.address(label) in view.up


# --- the gate by itself -----------------------------------------------------------------


async def test_what_is_cut_waits_and_what_is_not_passes() -> None:
    isolator = Isolator()
    isolator.set(Isolation(Scope.MASTER))
    await isolator.passing(Line.TO_PEERS)
    waiting = asyncio.create_task(isolator.passing(Line.TO_MASTER))
    isolator.set(Isolation(Scope.EVERYTHING))  # another cut is no heal
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not waiting.done()
    isolator.set(Isolation())
    await waiting
    assert not isolator.active


async def test_the_node_heals_by_itself_at_its_time() -> None:
    """Whoever cut it may be gone by then."""
    isolator = Isolator()
    isolator.set(Isolation(Scope.PEERS, Way.BOTH, 30))
    assert 0 < isolator.state.heal_ms <= 30
    async with asyncio.timeout(5):
        await isolator.passing(Line.FROM_PEERS)
    assert isolator.state == Isolation()


async def test_a_later_cut_is_not_healed_by_the_timer_of_an_earlier_one() -> None:
    isolator = Isolator()
    isolator.set(Isolation(Scope.PEERS, Way.BOTH, 1))
    isolator.set(Isolation(Scope.MASTER))
    earlier = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(0.05, earlier.set_result, None)
    await earlier
    assert isolator.state == Isolation(Scope.MASTER)


@pytest.mark.parametrize(
    ("way", "lines"),
    [
        (Way.BOTH, {Line.FROM_MASTER, Line.TO_MASTER}),
        (Way.IN, {Line.FROM_MASTER}),
        (Way.OUT, {Line.TO_MASTER}),
    ],
)
def test_one_way_is_one_way(way: Way, lines: set[Line]) -> None:
    assert lines_of(Isolation(Scope.MASTER, way)) == lines


def test_only_everything_includes_the_clients() -> None:
    clients = {Line.FROM_CLIENTS, Line.TO_CLIENTS}
    assert clients <= lines_of(Isolation(Scope.EVERYTHING))
    assert not clients & (lines_of(Isolation(Scope.MASTER)) | lines_of(Isolation(Scope.PEERS)))


# --- on a real cluster ------------------------------------------------------------------


async def test_a_node_cut_from_its_master_is_marked_down_and_comes_back_as_the_same_life(three: Cluster) -> None:
    before = three.member("n1")
    assert (await cut(three, "n1", Isolation(Scope.MASTER, Way.BOTH, LONG_MS))).scope is Scope.MASTER
    await until(lambda: not is_up(three, "n1"), "the master's word that n1 is down")
    assert (await three.status("n1")).state == "fenced"
    assert await cut(three, "n1", Isolation()) == Isolation()
    await until(lambda: is_up(three, "n1") and three.master.settled, "n1 back")
    assert three.member("n1") == before


async def test_the_heal_time_is_the_nodes_own(three: Cluster) -> None:
    """Nobody tells it to heal."""
    await cut(three, "n1", Isolation(Scope.MASTER, Way.BOTH, 3_500))
    await until(lambda: not is_up(three, "n1"), "the master's word that n1 is down")
    await until(lambda: is_up(three, "n1"), "n1 back by itself")
    assert await told(three, "n1") == Isolation()


async def test_an_acquisition_waits_for_a_backup_that_is_cut_off_and_then_goes_on(three: Cluster) -> None:
    """The pair rule is never silently weakened, and what was held arrives."""
    key = three.key_of("n1")
    await cut(three, "n1", Isolation(Scope.PEERS, Way.BOTH, LONG_MS))
    refused = await three.talk("n1").ask(Lock(key, 30_000, "me"), timeout_ms=300)
    assert isinstance(refused, Refused)
    assert refused.code is Code.TIMEOUT
    second = next(f"other-{i}" for i in range(10_000) if three.primary(f"other-{i}") == "n1")
    held = asyncio.create_task(three.talk("n1").ask(Lock(second, 30_000, "me"), timeout_ms=20_000))
    async with asyncio.timeout(20):
        while not (await three.status("n1")).gauges.waiting:  # noqa: ASYNC110 - the node's word, which is no event here
            await asyncio.sleep(0.01)
    await cut(three, "n1", Isolation())
    assert isinstance(await held, Granted)


async def test_a_client_of_a_fully_isolated_node_hears_nothing_until_it_is_healed(three: Cluster) -> None:
    """Its connection stays: a closed one would be noticed, and be another fault."""
    talk = three.talk("n1")
    await until(lambda: talk.view is not None, "the conversation")
    await cut(three, "n1", Isolation(Scope.EVERYTHING, Way.BOTH, LONG_MS))
    await until(lambda: not is_up(three, "n1"), "n1 down, and fenced by now: it would refuse at once")
    answer = asyncio.create_task(talk.ask(Lock(three.key_of("n2"), 30_000, "me")))
    target = grpc_target(three.address("n1"))
    code, _ = await refusal(unary(target, STATUS, b"", timeout_s=0.5))
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert not answer.done()
    await cut(three, "n1", Isolation())
    await answer  # what is said does not matter: the same stream has said it


async def test_only_members_of_the_cluster_may_cut(three: Cluster) -> None:
    target = grpc_target(three.address("n1"))
    data = encode_isolation(Isolation(Scope.EVERYTHING))
    for method in (ISOLATE, ISOLATED):
        code, text = await refusal(unary(target, method, data))
        assert code is grpc.StatusCode.UNAUTHENTICATED
        assert "cluster.secret" in text
    assert await told(three, "n1") == Isolation()


async def test_what_is_no_isolation_is_refused_with_why(three: Cluster) -> None:
    target = grpc_target(three.address("n1"))
    code, text = await refusal(unary(target, ISOLATE, bytes([0x08, 9]), three.gate.metadata))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "enum Scope" in text
