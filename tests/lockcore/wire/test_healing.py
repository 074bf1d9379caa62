"""What healing adds to messages survives its bytes."""

from __future__ import annotations

import pytest

from lockcore.core.digest import Digest, lock_mark, piece_mark
from lockcore.core.messages import (
    Holdings,
    KeepAlive,
    PeerBatch,
    Result,
    Seal,
    SessionId,
    SessionIs,
    SessionProof,
    SessionRecord,
)
from lockcore.core.view import MemberId
from lockcore.wire import codec, peer_codec

PROOF = SessionProof("id", 2**63, "secret")
BIG = 2**64 - 1
NODE = MemberId("a:1", 1)


def test_a_keep_alive_says_in_which_view_all_is_healed() -> None:
    call = codec.Call(1, KeepAlive(PROOF, 5_000, "ada", BIG), 100)
    assert codec.decode_client_batch(codec.encode_client_batch((call,))).calls == (call,)


def test_nodes_tell_each_other_what_is_healed_and_who_is_informed() -> None:
    batch = PeerBatch(
        NODE,
        NODE,
        1,
        2,
        seal=Seal(handover=True, backup=False, floor=7, informed=True),
        sessions=(SessionRecord(SessionId("id", 1), 5, 5_000, "ada", healed=BIG),),
    )
    assert peer_codec.decode_envelope(peer_codec.encode_envelope((batch,))) == (batch,)


@pytest.mark.parametrize(
    "result",
    [
        SessionIs(PROOF, 5_000),
        SessionIs(PROOF, 5_000, Digest(BIG, 3, 0, BIG)),
        SessionIs(PROOF, 5_000, Digest(0, 0, 0, 0)),
        Holdings((("k", 7), ("l", 8)), (), BIG, (BIG, 0)),
    ],
)
def test_a_digest_and_the_view_of_a_list_arrive_as_they_were(result: Result) -> None:
    answers = ((1, result),)
    assert codec.decode_server_batch(codec.encode_server_batch(answers)).results == answers


def test_marks_tell_apart_what_differs_in_anything() -> None:
    pieces = {
        piece_mark(*piece)
        for piece in [
            ("k", "t", "read", 0, 10, 5),
            ("kk", "t", "read", 0, 10, 5),
            ("k", "tt", "read", 0, 10, 5),
            ("k", "t", "write", 0, 10, 5),
            ("k", "t", "read", 1, 10, 5),
            ("k", "t", "read", 0, 11, 5),
            ("k", "t", "read", 0, 10, 6),
            ("t|k", "", "read", 0, 10, 5),
        ]
    }
    assert len(pieces) == 8
    assert len({lock_mark("k", 1), lock_mark("k", 2), lock_mark("1|k", 1), lock_mark("k1", 1)}) == 4
