"""Real nodes, a real master, gRPC: what a native client and the history see."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import grpc

from lockcore.core.events import EventKind
from lockcore.core.messages import Code, FindOwner, Granted, Lock, OwnerIs, Refused, Released, Unlock
from lockcore.service.addresses import grpc_target
from lockcore.service.channels import next_bytes, open_channel, open_stream
from lockcore.service.spool import open_leftover
from lockcore.wire.methods import ATTEND, CONVERSE, LINK, OVERVIEW, REPORT
from tests.lockcore.service.cluster import SPREAD, refusal, unary, until

if TYPE_CHECKING:
    from tests.lockcore.service.cluster import Cluster


async def grant(cluster: Cluster, key: str, ttl_ms: int = 30_000) -> Granted:
    result = await cluster.ask(Lock(key, ttl_ms, "me"))
    assert isinstance(result, Granted), result
    return result


async def test_a_lock_is_granted_renewed_found_and_released(three: Cluster) -> None:
    granted = await grant(three, "a")
    renewed = await three.ask(Lock("a", 30_000, "me", granted.token))
    assert isinstance(renewed, Granted)
    assert (renewed.generation, renewed.seq > granted.seq) == (granted.generation, True)
    found = await three.ask(FindOwner("a"))
    assert isinstance(found, OwnerIs)
    assert found.owner == "me"
    other = await three.ask(Lock("a", 30_000, "you"))
    assert other == Refused(Code.HELD, "lock already owned by me", owner="me")
    assert await three.ask(Unlock("a", renewed.token)) == Released()


async def test_a_client_learns_the_view_first_and_each_new_one(three: Cluster) -> None:
    talk = three.talk("n1")
    await until(lambda: talk.view is not None, "the first view")
    assert talk.view is not None
    assert {m.address for m in talk.view.members} == {three.address(f"n{i}") for i in (1, 2, 3)}
    await three.start_node("n4")
    await until(lambda: talk.view is not None and len(talk.view.up) == 4, "the view with the fourth node")


async def test_a_request_at_the_wrong_node_is_forwarded_and_told_where_the_lock_lives(three: Cluster) -> None:
    key = three.key_of("n1")
    result = await three.talk("n2").ask(Lock(key, 30_000, "me"))
    assert isinstance(result, Granted)
    assert result.moved_to == three.address("n1")


async def test_killing_the_primary_keeps_every_lock_with_its_generation(three: Cluster) -> None:
    """#8860: primary crash. The backup has the token, and nobody else gets the lock."""
    tokens = {f"k{i}": await grant(three, f"k{i}") for i in range(60)}
    mine = [key for key in tokens if three.primary(key) == "n1"]
    backups = {key: three.backup(key) for key in mine}
    await three.kill("n1")
    for key in mine:
        stolen = await three.talk(backups[key]).ask(Lock(key, 30_000, "thief"))
        assert isinstance(stolen, Refused), stolen
        renewed = await three.talk(backups[key]).ask(Lock(key, 30_000, "me", tokens[key].token))
        assert isinstance(renewed, Granted), renewed
        assert renewed.generation == tokens[key].generation


async def test_a_goodbye_hands_every_lock_over_and_ends_with_nothing_left(three: Cluster) -> None:
    tokens = {f"k{i}": await grant(three, f"k{i}") for i in range(60)}
    three.nodes["n1"].send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(three.nodes["n1"].wait(), 15) == 0
    await three.settled(2)
    for key, granted in tokens.items():
        renewed = await three.ask(Lock(key, 30_000, "me", granted.token))
        assert isinstance(renewed, Granted), renewed
        assert renewed.generation == granted.generation
    assert not list((three.data / "spool").glob("n1-*"))


async def test_a_joining_node_takes_over_locks_and_none_changes_hands(three: Cluster) -> None:
    """#8860: a lock survives an added node; there 14 of 100 were disrupted."""
    tokens = {f"k{i}": await grant(three, f"k{i}") for i in range(100)}
    await three.start_node("n4")
    await three.settled(4)
    assert any(three.primary(key) == "n4" for key in tokens)
    for key, granted in tokens.items():
        stolen = await three.ask(Lock(key, 30_000, "thief"))
        assert isinstance(stolen, Refused), stolen
        renewed = await three.ask(Lock(key, 30_000, "me", granted.token))
        assert isinstance(renewed, Granted), renewed
        assert renewed.generation == granted.generation


async def test_every_acknowledged_grant_of_a_killed_node_is_in_the_history(three: Cluster) -> None:
    """Even with the recorder away: the spool outlives the process."""
    three.refuse_reports = True
    keys = [f"k{i * SPREAD}" for i in range(30)]
    for key in keys:
        await grant(three, key)
    mine = {key for key in keys if three.primary(key) == "n1"}
    member = three.member("n1")
    await three.kill("n1")
    (path,) = (three.data / "spool").glob(f"n1-{member.incarnation}.ndjson")
    leftover = open_leftover(path)
    assert leftover is not None
    assert leftover.member == member
    known = three.recorded.get((member.address, member.incarnation), {})
    left = {event.number: event for batch in leftover.batches() for event in batch.events}
    granted = {e.event.key for e in (known | left).values() if e.event.kind is EventKind.GRANTED}
    assert mine
    assert granted == mine


async def test_facts_a_recorder_refused_come_again_without_a_hole(three: Cluster) -> None:
    three.refuse_reports = True
    keys = [f"k{i}" for i in range(20)]
    for key in keys:
        await grant(three, key)
    three.refuse_reports = False

    def recorded() -> set[str]:
        facts = [e for i in (1, 2, 3) for e in three.facts_of(f"n{i}")]
        return {e.event.key for e in facts if e.event.kind is EventKind.GRANTED}

    await until(lambda: recorded() == set(keys), "all grants recorded")
    for known in three.recorded.values():
        assert sorted(known) == list(range(1, len(known) + 1))


async def test_no_fact_and_no_log_line_holds_a_token(three: Cluster) -> None:
    """The page shows facts; a token in one would be somebody's lock."""
    granted = await grant(three, "a")
    await three.ask(Lock("a", 1_000, "me", "lr1.forged"))
    label = three.primary("a")
    await until(lambda: len(three.facts_of(label)) >= 5, "facts")
    assert granted.token not in repr(three.recorded)
    assert granted.token not in "".join(p.read_text() for p in (three.data / "spool").iterdir())
    for node in three.nodes.values():
        node.kill()
        _, err = await node.communicate()
        assert b"lr1." not in err


async def test_status_tells_what_a_node_holds(three: Cluster) -> None:
    key = three.key_of("n1")
    await grant(three, key)
    status = await three.status("n1")
    assert (status.state, status.gauges.held_primary, status.gauges.held_backup) == ("up", 1, 0)
    assert status.member == three.member("n1")
    assert (status.master, status.master_connected, status.durability) == (three.master_target, True, "backup")
    assert (sum(status.gauges.answered.counts), status.gauges.replication_lag_us) == (1, 0)
    assert sum(status.gauges.replicated.counts) >= 1
    backup = await three.status(three.backup(key))
    assert backup.gauges.held_backup == 1


async def test_garbage_on_a_conversation_is_refused_and_the_node_serves_on(three: Cluster) -> None:
    async with open_channel(grpc_target(three.address("n1"))) as channel:
        stream = open_stream(channel, CONVERSE)
        await stream.write(b"\xff\xff\xff")

        async def read_on() -> None:
            while await next_bytes(stream) is not None:
                pass

        code, text = await refusal(read_on())
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "whole protobuf messages" in text
    await grant(three, three.key_of("n1"))


async def test_garbage_on_a_peer_stream_is_dropped_and_the_node_serves_on(three: Cluster) -> None:
    """A replayed or truncated message of a peer costs that message."""
    async with open_channel(grpc_target(three.address("n1"))) as channel:
        stream = open_stream(channel, LINK, three.gate)
        for _ in range(3):
            await stream.write(b"\xff\xff\xff")
        await grant(three, three.key_of("n1"))
        stream.cancel()
    assert (await three.status("n1")).handler_errors == 0


async def test_only_members_of_the_cluster_may_call_what_moves_state(three: Cluster) -> None:
    node, master = grpc_target(three.address("n1")), three.master_target
    for target, method in [(node, LINK), (master, ATTEND), (master, REPORT)]:
        async with open_channel(target) as channel:
            code, text = await refusal(next_bytes(open_stream(channel, method)))
        assert code is grpc.StatusCode.UNAUTHENTICATED, method
        assert "cluster.secret" in text


async def test_a_stopped_primary_is_replaced_and_grants_nothing_when_it_wakes(three: Cluster) -> None:
    """SIGSTOP, then SIGCONT: SeaweedFS's stale primary granted 15 of 15 keys held by others."""
    key = three.key_of("n1")
    granted = await grant(three, key, 60_000)
    backup = three.backup(key)
    os.kill(three.nodes["n1"].pid, signal.SIGSTOP)
    await until(
        lambda: three.master.view is not None and three.address("n1") not in three.master.view.up,
        "the stopped node marked down",
    )
    renewed = await three.talk(backup).ask(Lock(key, 60_000, "me", granted.token))
    assert isinstance(renewed, Granted), renewed
    talk = three.talk("n1")
    os.kill(three.nodes["n1"].pid, signal.SIGCONT)
    stale = await talk.ask(Lock(key, 60_000, "thief"))
    assert isinstance(stale, Refused), stale
    assert stale.code in {Code.NOT_SERVING, Code.HELD, Code.HANDOFF}


async def test_the_master_restarts_and_the_nodes_serve_on(three: Cluster) -> None:
    granted = await grant(three, "a")
    before = three.master.view
    assert before is not None
    await three.master.stop()
    three.master = three.new_master()
    await three.master.start()
    renewed = await three.ask(Lock("a", 30_000, "me", granted.token))
    assert isinstance(renewed, Granted), renewed
    await until(lambda: all(m.heartbeat_age_ms is not None for m in three.master.members()), "all nodes back")
    view = await three.settled(3)
    assert view.version >= before.version


async def test_closing_the_cluster_ends_every_node_with_its_farewell(three: Cluster) -> None:
    assert await three.master.close_cluster(10)
    for node in three.nodes.values():
        assert await asyncio.wait_for(node.wait(), 10) == 0


async def test_an_overview_tells_members_without_any_secret(three: Cluster) -> None:
    data = await unary(three.master_target, OVERVIEW, b"")
    for i in (1, 2, 3):
        assert three.address(f"n{i}").encode() in data
    assert three.secret not in data


async def test_a_node_at_the_address_of_a_living_one_does_not_join(three: Cluster) -> None:
    """It could not listen there; a claim in the name of that address alone is refused by the master."""
    living = three.member("n1")
    old = three.nodes["n1"]
    await three.start_node("n1")
    code = await asyncio.wait_for(three.nodes["n1"].wait(), 20)
    _, err = await three.nodes["n1"].communicate()
    three.nodes["n1"] = old
    assert code == 2
    assert b"choose another port" in err
    assert three.member("n1") == living
