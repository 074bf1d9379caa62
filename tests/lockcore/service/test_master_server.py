"""The master as a server: ports, journals, and who is told what first."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from lockcore.core.events import EventKind
from lockcore.core.limits import NODE_LEASE_MS, NS_PER_MS
from lockcore.core.messages import Heartbeat, Register
from lockcore.core.view import MemberId
from lockcore.service.channels import next_bytes, open_channel, open_stream
from lockcore.service.problems import ServiceProblem
from lockcore.wire.codec import decode_view
from lockcore.wire.gen import master_pb2
from lockcore.wire.master_codec import encode_node_message
from lockcore.wire.methods import ATTEND, KEEP_CONNECTED, WATCH
from tests.lockcore.service.cluster import Cluster, refusal, until

if TYPE_CHECKING:
    from pathlib import Path


class Observer:
    """A SeaweedFS program that keeps a connection to the master."""

    def __init__(self, cluster: Cluster, client_type: str) -> None:
        self.heard: list[Any] = []
        self._channel = open_channel(cluster.master_target)
        self._stream = open_stream(self._channel, KEEP_CONNECTED)
        self._type = client_type
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Observer:  # noqa: PYI034
        request = master_pb2.KeepConnectedRequest(client_type=self._type, client_address="10.0.0.9:8888.18888")
        await self._stream.write(request.SerializeToString())
        self._task = asyncio.get_running_loop().create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._stream.cancel()
        await self._channel.close(None)

    async def _read(self) -> None:
        while (data := await next_bytes(self._stream)) is not None:
            self.heard.append(master_pb2.KeepConnectedResponse.FromString(data))

    def rings(self) -> list[Any]:
        return [m.lock_ring_update for m in self.heard if m.HasField("lock_ring_update")]

    def nodes(self) -> list[tuple[str, bool]]:
        updates = [m.cluster_node_update for m in self.heard if m.HasField("cluster_node_update")]
        return [(u.address, u.is_add) for u in updates]


async def test_two_masters_on_one_port_is_one_clear_problem(cluster: Cluster) -> None:
    second = cluster.new_master()
    with pytest.raises(ServiceProblem, match="another program uses that port"):
        await second.start()
    await cluster.start_nodes(1)  # the first serves on


async def test_a_journal_folder_that_cannot_be_used_is_a_clear_problem(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path)
    (tmp_path / "master.json").mkdir()
    with pytest.raises(ServiceProblem, match="cannot use the master's journal"):
        await cluster.master.start()


@pytest.mark.parametrize("content", ["{", '{"format": 1}', '{"view": 3, "settled_view": [], "highest": "x"}'])
async def test_a_damaged_journal_does_not_keep_the_master_from_starting(tmp_path: Path, content: str) -> None:
    cluster = Cluster(tmp_path)
    (tmp_path / "master.json").write_text(content)
    async with cluster:
        await cluster.start_nodes(1)
    assert any(".unreadable-" in name for name in os.listdir(tmp_path))  # noqa: PTH208 - a test may block


@pytest.mark.parametrize("client_type", ["filer", "s3"])
async def test_filers_and_s3_get_the_current_ring_first(cluster: Cluster, client_type: str) -> None:
    """#8860: bootstrap the lock ring on reconnect."""
    await cluster.start_nodes(2)
    view = cluster.master.view
    assert view is not None
    async with Observer(cluster, client_type) as observer:
        await until(lambda: bool(observer.heard), "the first message")
        (ring,) = observer.rings()
        assert observer.heard[0].HasField("lock_ring_update")
        assert list(ring.servers) == sorted(m.address for m in view.members)
        assert ring.version == view.version
        await cluster.start_node("n3")
        await until(lambda: len(observer.rings()) == 2, "the ring with the third node")
        assert observer.rings()[1].version > ring.version
        await until(lambda: (cluster.address("n3"), True) in observer.nodes(), "the arrival")


async def test_other_clients_get_later_rings_only(cluster: Cluster) -> None:
    await cluster.start_nodes(1)
    async with Observer(cluster, "volume") as observer:
        async with Observer(cluster, "filer") as filer:
            await until(lambda: bool(filer.rings()), "the filer's first ring")
        assert observer.heard == []
        await cluster.start_node("n2")
        await until(lambda: len(observer.rings()) == 1, "the new ring")


async def test_a_death_is_told_at_once_and_the_ring_follows(cluster: Cluster) -> None:
    await cluster.start_nodes(3)
    async with Observer(cluster, "filer") as observer:
        await until(lambda: bool(observer.rings()), "the first ring")
        await cluster.kill("n2")
        await until(lambda: (cluster.address("n2"), False) in observer.nodes(), "the departure")
        await until(lambda: len(observer.rings()) == 2, "the ring without it")
        assert cluster.address("n2") not in observer.rings()[1].servers


async def test_a_seaweedfs_filer_observes_and_is_not_put_on_the_ring(cluster: Cluster) -> None:
    """It cannot keep the pair rule, so no lock may live on it."""
    await cluster.start_nodes(1)
    async with Observer(cluster, "filer") as observer:
        await cluster.start_node("n2")
        view = await cluster.settled(2)
        await until(lambda: len(observer.rings()) >= 2, "the new ring")
    assert "10.0.0.9:8888.18888" not in {m.address for m in view.members}


async def test_a_watcher_gets_the_view_first_and_hears_of_its_settling(cluster: Cluster) -> None:
    await cluster.start_nodes(1)
    async with open_channel(cluster.master_target) as channel:
        opener: Any = channel.unary_stream
        stream = opener(WATCH)(b"")
        first = decode_view(await stream.read())
        assert cluster.master.view is not None
        assert (first.view.number, first.settled) == (cluster.master.view.number, True)
        await cluster.start_node("n2")
        heard = [decode_view(await stream.read()) for _ in range(2)]
        stream.cancel()
    assert [(len(state.view.up), state.settled) for state in heard] == [(2, False), (2, True)]


async def test_a_subscriber_in_this_process_gets_the_same(cluster: Cluster) -> None:
    await cluster.start_nodes(1)
    changes = cluster.master.subscribe()
    view, settled = await anext(changes)
    assert (len(view.up), settled) == (1, True)
    await cluster.start_node("n2")
    assert [(len(v.up), s) for v, s in [await anext(changes), await anext(changes)]] == [(2, False), (2, True)]


@pytest.mark.parametrize(
    "first", [b"\xff\xff", encode_node_message(Heartbeat(MemberId("a:1", 1), 1, 0, settled=False, floor=0))]
)
async def test_a_node_that_does_not_register_is_told_so(cluster: Cluster, first: bytes) -> None:
    async with open_channel(cluster.master_target) as channel:
        stream = open_stream(channel, ATTEND, cluster.gate)
        await stream.write(first)
        code, text = await refusal(next_bytes(stream))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert text
    await cluster.start_nodes(1)


async def test_a_drop_and_a_join_within_the_delay_are_one_ring_version(cluster: Cluster) -> None:
    """#8860: stabilisation batching. A restarted node is a new node, however fast it was (W14)."""
    await cluster.start_nodes(3)
    async with Observer(cluster, "filer") as observer:
        await until(lambda: bool(observer.rings()), "the first ring")
        before = cluster.member("n1")
        await cluster.kill("n1")
        await cluster.start_node("n1")
        await until(
            lambda: (
                cluster.master.view is not None
                and cluster.address("n1") in cluster.master.view.up
                and cluster.member("n1") != before
            ),
            "the new incarnation in the view",
        )
        await cluster.settled(3)


async def test_the_masters_own_facts_reach_the_sink_in_order(cluster: Cluster) -> None:
    cluster.refuse_reports = True
    await cluster.start_nodes(1)
    cluster.refuse_reports = False
    key = ("master", cluster.master.incarnation)
    await until(lambda: EventKind.SETTLED in kinds(cluster, key), "the master's facts")
    assert kinds(cluster, key)[:3] == [EventKind.JOINED, EventKind.VIEW, EventKind.SETTLED]
    assert sorted(cluster.recorded[key]) == list(range(1, len(cluster.recorded[key]) + 1))


def kinds(cluster: Cluster, key: tuple[str, int]) -> list[EventKind]:
    facts = cluster.recorded.get(key, {})
    return [facts[number].event.kind for number in sorted(facts)]


async def test_a_replayed_registration_costs_a_node_its_connection_not_its_membership(cluster: Cluster) -> None:
    """Were its old connection left open, nobody would hear its heartbeats there, and it would never register again."""
    await cluster.start_nodes(2)
    view = cluster.master.view
    assert view is not None
    channel = open_channel(cluster.master_target)
    stream = open_stream(channel, ATTEND, cluster.gate)
    await stream.write(encode_node_message(Register(cluster.member("n1"))))
    while await next_bytes(stream) is not None:
        pass  # ended by the master when n1 registered again
    await channel.close(None)

    # Twice the time after which a silent node is marked down.
    deadline_ns = time.monotonic_ns() + 2 * NODE_LEASE_MS * NS_PER_MS
    await until(lambda: time.monotonic_ns() > deadline_ns, "time to pass")
    assert cluster.master.view == view
    assert (await cluster.status("n1")).state == "up"
