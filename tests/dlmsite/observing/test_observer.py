"""Watching scripted masters: redirects, absence, strangers, floods; never as a member."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dlmsite.observing import observer
from lockcore.wire.gen import master_pb2
from lockcore.wire.seaweed import encode_node_update, encode_ring_update
from tests.dlmsite.observing.watching import watching
from tests.lockcore.client.scriptedweed import ScriptedFiler, ScriptedMaster, obliging
from tests.lockcore.service.cluster import until

if TYPE_CHECKING:
    import pytest

A, B = "127.0.0.1:1.1", "127.0.0.1:2.2"


def leader(address: str) -> bytes:
    told = master_pb2.KeepConnectedResponse(volume_location=master_pb2.VolumeLocation(leader=address))
    return told.SerializeToString()


async def test_an_observer_is_a_client_of_the_type_that_is_no_member() -> None:
    """V1: a client of type `filer` would be put on the ring, and filers would send it locks."""
    async with ScriptedMaster(encode_ring_update([A, B], 7)) as master, watching(master.address, "blue") as pages:
        await until(lambda: pages.state.state == "following", "it follows")
        assert {told.client_type for told in master.heard} == {"s3"}


async def test_a_follower_leads_to_the_leader() -> None:
    follower = ScriptedMaster(ends=True)
    async with ScriptedMaster(encode_ring_update([A, B], 7)) as leading, follower:
        follower.tells = [leader(leading.address)]
        async with watching(follower.address) as pages:
            await until(lambda: "ring" in pages.kinds(), "the leader's ring")
            assert pages.state.leader == leading.target
            assert pages.state.trouble == ""


async def test_of_several_masters_one_that_lives_is_enough_and_the_others_are_no_trouble() -> None:
    master = ScriptedMaster()
    dead = "127.0.0.1:1.1"
    async with master:
        master.tells = [encode_ring_update([A, B], 7)]
        async with watching(f"{dead},{master.address}") as pages:
            await until(lambda: "ring" in pages.kinds(), "the ring")
            assert (pages.state.state, pages.state.trouble) == ("following", "")


async def test_a_master_that_goes_away_is_told_and_followed_again_when_it_is_back() -> None:
    master = ScriptedMaster(encode_node_update(A, is_add=True, created_at_ns=0), encode_ring_update([A], 7))
    async with master:
        port = master.port
        async with watching(master.address) as pages:
            await until(lambda: "ring" in pages.kinds(), "the ring")
            await master.__aexit__()
            await until(lambda: pages.state.state == "away", "it is away")
            assert pages.state.connected == frozenset({A})
            assert master.target in pages.state.trouble
            again = ScriptedMaster(encode_ring_update([A, B], 8))
            again.port = port
            async with again:
                await until(lambda: pages.state.state == "following", "it is back")
                await until(lambda: pages.kinds().count("ring") == 2, "its new ring")
                assert "back" in pages.kinds()


async def test_what_is_no_master_says_so_and_goes_on_being_tried() -> None:
    """Nothing there; a port of another gRPC service; one that takes connections and says nothing; one of HTTP."""

    async def mute(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()
        writer.close()

    async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        writer.close()

    async def ending(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with watching("127.0.0.1:1.1") as pages:
        await until(lambda: "connection refused" in pages.state.trouble, "nothing listens there")
    async with ScriptedFiler(obliging) as filer, watching(filer.address) as pages:
        await until(lambda: "something else than a SeaweedFS" in pages.state.trouble, "another service")
    for handler, words in ((mute, "it hangs"), (http, "HTTP, not of gRPC"), (ending, "if it wants TLS")):
        server = await asyncio.start_server(handler, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with watching(f"127.0.0.1:9.{port}") as pages:
            await until(lambda: words in pages.state.trouble, words)  # noqa: B023 - waited for here
            assert pages.state.state == "away"
        server.close()


async def test_a_flood_of_rings_is_bounded_and_the_loss_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """V2: a broken or hostile master must not fill the site's memory."""
    monkeypatch.setattr(observer, "FACTS_WAITING_MAX", 10)
    monkeypatch.setattr(observer, "GATHER_S", 0.3)
    rings = [encode_ring_update([A, B] if version % 2 else [A], version) for version in range(1, 60)]
    async with ScriptedMaster(*rings) as master, watching(master.address) as pages:
        await until(lambda: "missed" in pages.kinds(), "the loss is told")
        assert len(pages.facts) < 59


async def test_a_master_that_knows_no_filer_is_followed_and_said_to_be_empty() -> None:
    master = ScriptedMaster()
    async with master:
        master.tells = [leader(master.address)]
        async with watching(master.address) as pages:
            await until(lambda: pages.state.state == "following", "it follows")
            assert "its lock ring is empty" in pages.state.trouble
