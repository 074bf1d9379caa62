"""An operator takes a lock away, on nodes that really run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc

import lockcore.aio
from lockcore.core.operations import Code, ForceRelease, Granted, Refused, Released
from lockcore.service.addresses import grpc_target
from lockcore.wire.methods import FORCE_RELEASE
from lockcore.wire.operators_codec import decode_outcome, encode_force_release
from tests.lockcore.service.cluster import refusal, unary, until

if TYPE_CHECKING:
    from lockcore.core.operations import Result
    from tests.lockcore.service.cluster import Cluster

KEY, REASON = "reports/daily", "its owner left"


async def take_away(cluster: Cluster, generation: int) -> Result:
    """Ask the key's primary."""
    view = cluster.master.view
    assert view is not None
    target = grpc_target(view.ring.primary(KEY) or "")
    data = encode_force_release(ForceRelease(KEY, generation, REASON))
    return decode_outcome(await unary(target, FORCE_RELEASE, data, cluster.gate.metadata))


async def test_a_holder_learns_that_its_lock_was_taken_away_and_another_may_have_it(three: Cluster) -> None:
    target = ",".join(grpc_target(three.address(label)) for label in ("n1", "n2", "n3"))
    lost: list[object] = []
    async with lockcore.aio.connect(target) as client:
        lock = client.lock(KEY, ttl=3.0, on_lost=lost.append)
        async with lock:
            stale = await take_away(three, lock.generation - 1)
            assert isinstance(stale, Refused)
            assert stale.code is Code.NOT_HELD
            assert isinstance(await take_away(three, lock.generation), Released)
            await until(lambda: bool(lost) and not lock.is_locked, "the holder has heard of it")
            taken = await client.acquire(KEY, ttl=3.0, owner="next")
            assert isinstance(taken, Granted)
            assert taken.generation > lock.generation


async def test_only_members_of_the_cluster_may_take_a_lock_away(three: Cluster) -> None:
    """Clients prove nothing; whoever reaches a node's port must not end what others hold."""
    data = encode_force_release(ForceRelease(KEY, 1, REASON))
    code, text = await refusal(unary(grpc_target(three.address("n1")), FORCE_RELEASE, data))
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert "cluster.secret" in text


async def test_what_is_no_request_is_refused(three: Cluster) -> None:
    target = grpc_target(three.address("n1"))
    code, _ = await refusal(unary(target, FORCE_RELEASE, b"\xff\xff", three.gate.metadata))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
