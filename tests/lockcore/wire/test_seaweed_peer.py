"""What members of a SeaweedFS ring say to each other about locks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lockcore.core.weedlocks import LockState
from lockcore.wire.errors import CodecError
from lockcore.wire.gen import filer_pb2
from lockcore.wire.seaweed_client import decode_filer_is, encode_find, encode_unlock
from lockcore.wire.seaweed_peer import (
    MOVED_LOCKS_MAX,
    SPEAKS,
    decode_moved,
    decode_ping,
    decode_replica,
    encode_filer_is,
    encode_heartbeat,
    encode_moved,
    encode_pong,
    encode_replica,
    wants_heartbeats,
)

NOW = 1_700_000_000_000_000_000
STATE = LockState("k", "token", "ada", generation=7, seq=3, remaining_ns=5_000_000_000)


def test_a_lock_arrives_with_the_time_that_it_has_left() -> None:
    """The wire has the date of its end; the clock of whoever reads it may be another one (W16)."""
    assert decode_moved(encode_moved([STATE, replace(STATE, key="l")], NOW), NOW) == [STATE, replace(STATE, key="l")]
    assert decode_replica(encode_replica(STATE, NOW), NOW + 1_000_000_000) == replace(STATE, remaining_ns=4_000_000_000)
    read = filer_pb2.ReplicateLockRequest.FromString(encode_replica(STATE, NOW))
    assert read.expired_at_ns == NOW + STATE.remaining_ns


def test_a_release_names_the_lock_and_nothing_of_its_holder() -> None:
    gone = replace(STATE, gone=True)
    read = decode_replica(encode_replica(gone, NOW), NOW)
    assert read == LockState("k", "", "", 7, 3, 0, gone=True)


@pytest.mark.parametrize(
    "state",
    [
        replace(STATE, key=""),
        replace(STATE, key="k" * 5_000),
        replace(STATE, owner="o" * 2_000),
        replace(STATE, token="t" * 3_000),
        replace(STATE, generation=-1),
        replace(STATE, seq=-1),
    ],
)
def test_what_is_beyond_a_bound_is_refused(state: LockState) -> None:
    with pytest.raises(CodecError):
        decode_moved(encode_moved([state], NOW), NOW)
    with pytest.raises(CodecError):
        decode_replica(encode_replica(state, NOW), NOW)


def test_damaged_and_endless_messages_are_refused() -> None:
    for decode in (decode_ping, wants_heartbeats):
        with pytest.raises(CodecError):
            decode(b"\xff\xff")
    with pytest.raises(CodecError, match="split it"):
        decode_moved(encode_moved([STATE] * (MOVED_LOCKS_MAX + 1), NOW), NOW)


def test_a_member_says_of_itself_what_a_filer_would() -> None:
    """Each has a signature of its own: a filer takes a peer with its own for one that shares its store."""
    told = encode_filer_is("127.0.0.1:1.2", ["127.0.0.1:9333"], "blue")
    read = decode_filer_is(told)
    assert (read.masters, read.group, read.version_number) == (("127.0.0.1:9333",), "blue", SPEAKS)
    assert "locks only" in read.version
    signatures = {
        filer_pb2.GetFilerConfigurationResponse.FromString(encode_filer_is(f"127.0.0.1:{i}", [], "")).signature
        for i in range(100)
    }
    assert len(signatures) == 100
    assert min(signatures) > 0


def test_heartbeats_say_until_when_everything_is_told() -> None:
    beat = filer_pb2.SubscribeMetadataResponse.FromString(encode_heartbeat(NOW))
    assert (beat.ts_ns, beat.flushed_ts_ns) == (NOW, NOW)
    asks = filer_pb2.SubscribeMetadataRequest(client_supports_idle_heartbeat=True)
    assert wants_heartbeats(asks.SerializeToString())
    assert not wants_heartbeats(b"")
    assert filer_pb2.PingResponse.FromString(encode_pong(NOW)).remote_time_ns == NOW


def test_what_is_sent_on_says_so() -> None:
    from lockcore.core.operations import FindOwner, Unlock
    from lockcore.wire import seaweed

    assert seaweed.decode_unlock(encode_unlock(Unlock("k", "t"), moved=True)).moved
    assert seaweed.decode_find(encode_find(FindOwner("k"), moved=True)).moved
