"""A client's side of SeaweedFS's protocol: read back by the filer's side of it, and by the texts that filers send."""

from __future__ import annotations

import pytest

from lockcore.core.messages import Code, FindOwner, Granted, Lock, Refused, Released, Unlock
from lockcore.wire import seaweed
from lockcore.wire.errors import CodecError
from lockcore.wire.gen import filer_pb2, master_pb2
from lockcore.wire.seaweed_client import (
    MasterTold,
    NodeUpdate,
    RingUpdate,
    decode_find_answer,
    decode_lock_answer,
    decode_master_told,
    decode_unlock_answer,
    encode_find,
    encode_keep_connected,
    encode_lock,
    encode_unlock,
)

ASKED = Lock("k", 7_000, "ada", "token")


def test_a_filer_reads_what_a_client_asks() -> None:
    assert seaweed.decode_lock(encode_lock(ASKED)) == seaweed.FilerCall(ASKED, moved=False)
    assert seaweed.decode_lock(encode_lock(ASKED, moved=True)).moved
    assert seaweed.decode_unlock(encode_unlock(Unlock("k", "t"))).operation == Unlock("k", "t")
    assert seaweed.decode_find(encode_find(FindOwner("k"))).operation == FindOwner("k")


def test_a_ttl_is_never_shortened_to_whole_seconds() -> None:
    """The holder counts on the TTL that it named; a filer must not let go earlier."""
    assert [
        filer_pb2.LockRequest.FromString(encode_lock(Lock("k", ms, ""))).seconds_to_lock for ms in (1, 999, 1_001)
    ] == [
        1,
        1,
        2,
    ]


def test_a_client_reads_what_a_filer_grants() -> None:
    granted = Granted("t2", "ada", 5, 1, 7_000, "127.0.0.1:8.18")
    read = decode_lock_answer(seaweed.encode_lock_response(granted), ASKED)
    assert isinstance(read, Granted)
    assert (read.token, read.owner, read.generation, read.ttl_ms) == ("t2", "ada", 5, 7_000)
    assert read.moved_to == "127.0.0.1:8.18"


def test_a_grant_without_a_token_is_no_grant() -> None:
    """SeaweedFS answers so when two filers each think that the other is the primary; its own client believes it."""
    with pytest.raises(CodecError, match="neither a token nor an error"):
        decode_lock_answer(filer_pb2.LockResponse(lock_owner="ada").SerializeToString(), ASKED)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("lock already owned by bob", Code.HELD),
        ("lock already owned by ring-handoff", Code.HELD),
        ("lock: token mismatch", Code.TOKEN_MISMATCH),
        ("unlock: token mismatch", Code.TOKEN_MISMATCH),
        ("lock: non-empty token on a new lock", Code.TOKEN_ON_NEW),
        ("lock: non-empty token on an expired lock", Code.TOKEN_ON_EXPIRED),
        ("lock not found", Code.NOT_FOUND),
        ("no lock server found", Code.NOT_SERVING),
        ("transport: something else broke", Code.NOT_SERVING),
    ],
)
def test_a_refusal_is_known_by_its_text(text: str, code: Code) -> None:
    """The text is all there is: status is OK."""
    read = decode_lock_answer(filer_pb2.LockResponse(error=text).SerializeToString(), ASKED)
    assert isinstance(read, Refused)
    assert (read.code, read.text) == (code, text)
    unlocked = decode_unlock_answer(filer_pb2.UnlockResponse(error=text, moved_to="x").SerializeToString())
    assert isinstance(unlocked, Refused)
    assert (unlocked.code, unlocked.moved_to) == (code, "x")


def test_who_holds_it_is_read_from_the_text_where_the_field_is_empty() -> None:
    read = decode_lock_answer(filer_pb2.LockResponse(error="lock already owned by b o b").SerializeToString(), ASKED)
    assert isinstance(read, Refused)
    assert read.owner == "b o b"
    assert decode_unlock_answer(b"") == Released("")
    assert decode_find_answer(filer_pb2.FindLockOwnerResponse(owner="bob").SerializeToString()) == "bob"


def test_a_master_is_read_whatever_it_tells() -> None:
    assert seaweed.decode_keep_connected(encode_keep_connected("s3", "me", "g")) == seaweed.KeepConnected("s3", "me")
    ring = decode_master_told(seaweed.encode_ring_update(["b:1.2", "a:1"], 77))
    assert ring == MasterTold(ring=RingUpdate("", ("b:1.2", "a:1"), 77))
    node = decode_master_told(seaweed.encode_node_update("a:1", is_add=False, created_at_ns=5))
    assert node == MasterTold(node=NodeUpdate("filer", "a:1", is_add=False, group="", created_at_ns=5))
    follower = master_pb2.KeepConnectedResponse(volume_location=master_pb2.VolumeLocation(leader="c:9333"))
    assert decode_master_told(follower.SerializeToString()) == MasterTold(leader="c:9333")


def test_a_ring_that_cannot_be_is_refused() -> None:
    """What a stranger sends has bounds."""
    for servers in ([""], ["a" * 300], [f"a:{i}" for i in range(1, 300)]):
        with pytest.raises(CodecError):
            decode_master_told(seaweed.encode_ring_update(servers, 1))
    with pytest.raises(CodecError):
        decode_master_told(b"\xff\xff")
