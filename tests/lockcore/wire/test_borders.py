"""What the codecs let through: no record that a table could not be, no operation without what it needs.

Elsewhere: what comes out is what went in (test_codecs).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockcore.core import rangerecords as rr
from lockcore.core.limits import (
    ANSWERS_KEPT,
    FILE_ANSWERS_KEPT,
    FILE_DELTAS_KEPT,
    LEASE_MS_MAX,
    LOCK_DELAY_MS_MAX,
    LOCK_OWNER_BYTES_MAX,
    NS_PER_MS,
    OWNER_BYTES_MAX,
    PEER_BATCH_RECORDS_MAX,
    RANGE_ROWS_MAX,
    RANGE_WAITERS_MAX,
    SESSION_ID_BYTES_MAX,
    SESSION_LABEL_BYTES_MAX,
    WAIT_MS_MAX,
    WAITERS_MAX,
)
from lockcore.core.messages import (
    Answered,
    ClearRange,
    Code,
    FileAnswer,
    FileRecord,
    FindOwner,
    Forward,
    KeepAlive,
    LeaseRecord,
    ListHeld,
    PeerBatch,
    Refused,
    Released,
    SessionId,
    SessionProof,
    SessionRecord,
    SetRange,
    WaiterRecord,
)
from lockcore.core.rangerecords import Delta, Kind, Owner, RangeRecord, Row
from lockcore.core.ranges import RangeTable
from lockcore.core.view import MemberId
from lockcore.wire import codec, peer_codec
from lockcore.wire.gen import lockring_pb2 as pb
from tests.lockcore.wire.strategies import operations, peer_messages, tables

ME = MemberId("me:1", 1)
REF = SessionId("s", 1)
PROOF = SessionProof("s", 1, "secret")
A, B = Owner("s", 1, "a"), Owner("s", 1, "b")
LEASE = LeaseRecord("key", "token", "me", 5, 6, 7, 8)
FILE = FileRecord("key", transfer=False, generation=1, seq=1, whole=RangeRecord())
WAITER = rr.WaiterRecord(1, "7", A, Kind.READ, 0, 9, fair=False, remaining_ns=None)
LATE_NS = LEASE_MS_MAX * NS_PER_MS + 1


def row(start: int, end: int, owner: Owner = A, kind: Kind = Kind.WRITE) -> Row:
    """Return a piece."""
    return Row(owner, kind, start, end, 1)


def received(**content: Any) -> Any:
    """Return what arrives of a batch."""
    return peer_codec.decode_envelope(peer_codec.encode_peer_message(PeerBatch(ME, ME, 1, 1, **content)))[0]


# --- what nodes replicate --------------------------------------------------------------------


@given(tables)
def test_what_the_border_lets_through_makes_a_table(table: RangeRecord) -> None:
    """P2: the table is that record again. It need not be free of conflicts: nodes trust each other."""
    held = RangeTable.from_record(table, now_ns=0)
    assert held.to_record(0) == table


@pytest.mark.parametrize(
    "table",
    [
        RangeRecord((row(5, 9), row(0, 3))),
        RangeRecord((row(0, 3, B), row(0, 3, A))),
        RangeRecord((row(0, 5), row(5, 9))),
        RangeRecord((row(0, 5), row(6, 9))),
        RangeRecord((row(0, 9), row(2, 5, B), row(7, 12, A, Kind.READ))),
        RangeRecord((row(9, 3),)),
        RangeRecord((row(0, 2**63),)),
        RangeRecord(waiters=(WAITER,), next_ticket=1),
        RangeRecord(waiters=(replace(WAITER, ticket=0),), next_ticket=2),
        RangeRecord(waiters=(replace(WAITER, ticket=2), WAITER), next_ticket=3),
        RangeRecord(waiters=(replace(WAITER, start=10),), next_ticket=2),
        RangeRecord(waiters=(replace(WAITER, operation="x"),), next_ticket=2),
        RangeRecord(waiters=(replace(WAITER, operation="9" * 5_000),), next_ticket=2),
        RangeRecord(waiters=(replace(WAITER, remaining_ns=(WAIT_MS_MAX + 1) * NS_PER_MS),), next_ticket=2),
        RangeRecord((row(0, 1, Owner("s", 1, "o" * (LOCK_OWNER_BYTES_MAX + 1))),)),
        RangeRecord((row(0, 1, Owner("s" * (SESSION_ID_BYTES_MAX + 1), 1, "o")),)),
    ],
)
def test_a_table_that_cannot_be_reaches_none(table: RangeRecord) -> None:
    with pytest.raises(codec.CodecError):
        received(files=(replace(FILE, whole=table),))


def test_a_table_with_more_than_a_key_may_have_is_refused() -> None:
    rows = tuple(row(3 * i, 3 * i) for i in range(RANGE_ROWS_MAX + 1))
    with pytest.raises(codec.CodecError, match="at most"):
        received(files=(replace(FILE, whole=RangeRecord(rows)),))
    waiters = tuple(replace(WAITER, ticket=i + 1) for i in range(RANGE_WAITERS_MAX + 1))
    with pytest.raises(codec.CodecError, match="at most"):
        received(files=(replace(FILE, whole=RangeRecord(waiters=waiters, next_ticket=2**32)),))


@pytest.mark.parametrize(
    "record",
    [
        replace(FILE, key=""),
        replace(FILE, generation=0),
        replace(FILE, seq=0),
        replace(FILE, whole=None),
        replace(FILE, base=(1, 1)),
        replace(FILE, whole=None, base=(1, 1), deltas=(Delta(),) * (FILE_DELTAS_KEPT + 1)),
        replace(FILE, whole=None, base=(1, 1), deltas=(Delta(added=(row(0, 5), row(3, 9))),)),
        replace(FILE, sessions=((REF, 1),)),
        replace(FILE, whole=RangeRecord((row(0, 1),)), sessions=((REF, LATE_NS),)),
        replace(FILE, whole=RangeRecord((row(0, 1),)), sessions=((SessionId("", 1), 1),)),
        replace(FILE, answers=(FileAnswer(REF, 1, Released()),) * (FILE_DELTAS_KEPT * FILE_ANSWERS_KEPT + 1)),
    ],
)
def test_a_file_that_no_node_can_have_made_reaches_no_table(record: FileRecord) -> None:
    with pytest.raises(codec.CodecError):
        received(files=(record,))


def test_rows_of_other_kinds_and_of_other_owners_may_touch() -> None:
    """What the kernel has too must pass."""
    table = RangeRecord((row(0, 5), row(6, 9, A, Kind.READ), row(6, 9, B, Kind.READ), row(10, 12)))
    assert received(files=(replace(FILE, whole=table),)).files[0].whole == table


WAITS = WaiterRecord(REF, 1, 1, "me")


@pytest.mark.parametrize(
    "lease",
    [
        replace(LEASE, waiters=(WAITS,) * (WAITERS_MAX + 1)),
        replace(LEASE, answers=(Answered(REF, 1, 1),) * (ANSWERS_KEPT + 1)),
        replace(LEASE, session=SessionId("", 1)),
        replace(LEASE, session=SessionId("s" * (SESSION_ID_BYTES_MAX + 1), 1)),
        replace(LEASE, delay_ms=LOCK_DELAY_MS_MAX + 1),
        replace(LEASE, delay_ns=LOCK_DELAY_MS_MAX * NS_PER_MS + 1),
        replace(LEASE, waiters=(replace(WAITS, session_ns=LATE_NS),)),
        replace(LEASE, waiters=(replace(WAITS, delay_ms=LOCK_DELAY_MS_MAX + 1),)),
        replace(LEASE, waiters=(replace(WAITS, owner="o" * (OWNER_BYTES_MAX + 1)),)),
        replace(LEASE, waiters=(replace(WAITS, remaining_ns=(WAIT_MS_MAX + 1) * NS_PER_MS),)),
    ],
)
def test_a_queue_that_no_node_can_have_made_reaches_no_table(lease: LeaseRecord) -> None:
    with pytest.raises(codec.CodecError):
        received(replicas=(lease,))


SESSION = SessionRecord(REF, 1, 1_000, "me")


@pytest.mark.parametrize(
    "session",
    [
        replace(SESSION, ref=SessionId("", 1)),
        replace(SESSION, remaining_ns=LATE_NS),
        replace(SESSION, ttl_ms=LEASE_MS_MAX + 1),
        replace(SESSION, label="l" * (SESSION_LABEL_BYTES_MAX + 1)),
    ],
)
def test_a_session_that_no_node_can_have_opened_reaches_no_table(session: SessionRecord) -> None:
    with pytest.raises(codec.CodecError):
        received(sessions=(session,))


def test_a_batch_with_too_many_sessions_or_files_is_refused() -> None:
    for content in ({"sessions": (SESSION,)}, {"files": (FILE,)}):
        with pytest.raises(codec.CodecError, match="at most"):
            received(**{name: records * (PEER_BATCH_RECORDS_MAX + 1) for name, records in content.items()})


@pytest.mark.parametrize("operation", [KeepAlive(PROOF, 1_000), ListHeld(PROOF)])
def test_what_is_about_a_session_is_never_forwarded(operation: Any) -> None:
    forward = peer_codec.encode_peer_message(Forward(ME, 1, operation, 1, may_park=True))
    with pytest.raises(codec.CodecError, match="not forwarded"):
        peer_codec.decode_envelope(forward)


# --- what clients ask ---------------------------------------------------------------------------


def faults_of(*messages: pb.ClientOp) -> list[Refused]:
    """Return why operations were refused at the border."""
    batch = codec.decode_client_batch(pb.ClientBatch(ops=messages).SerializeToString())
    assert not batch.calls
    return [refused for _, refused in batch.faults]


def test_an_operation_without_what_it_needs_says_what_that_is() -> None:
    proof = pb.SessionProof(id="s", incarnation=1, secret="secret")
    (no_session, no_old, no_kind, nothing) = faults_of(
        pb.ClientOp(any=pb.AnyOp(set_range=pb.SetRangeOp(key="k", kind=pb.READ))),
        pb.ClientOp(any=pb.AnyOp(session=proof, move=pb.MoveOp(key="k"))),
        pb.ClientOp(any=pb.AnyOp(session=proof, find_conflict=pb.FindConflictOp(key="k"))),
        pb.ClientOp(any=pb.AnyOp(session=proof)),
    )
    assert "open one first" in no_session.text
    assert "old session's proof" in no_old.text
    assert "READ or WRITE" in no_kind.text
    assert "update this node" in nothing.text
    assert {refused.code for refused in (no_session, no_old, no_kind, nothing)} == {Code.INVALID}


@pytest.mark.parametrize("start", [-(2**63) - 1, 2**63])
def test_a_range_that_fits_no_file_does_not_fit_the_wire(start: int) -> None:
    for operation in (
        SetRange("k", PROOF, 1, "o", Kind.READ, start, 0),
        ClearRange("k", PROOF, 1, "o", 0, start),
    ):
        with pytest.raises(codec.CodecError):
            codec.encode_client_batch([codec.Call(1, operation)])


def test_an_error_of_a_newer_node_says_to_update() -> None:
    message = pb.ServerBatch(results=[pb.OpResult(id=1, range_denied=pb.RangeDeniedResult(error="ENEW"))])
    with pytest.raises(codec.CodecError, match="update"):
        codec.decode_server_batch(message.SerializeToString())
    unknown = pb.ServerBatch(results=[pb.OpResult(id=1)])
    with pytest.raises(codec.CodecError, match="does not know"):
        codec.decode_server_batch(unknown.SerializeToString())


# --- damage -----------------------------------------------------------------------------------


@given(st.lists(st.builds(codec.Call, st.just(1), operations), min_size=1, max_size=3), st.data())
def test_operations_that_were_damaged_decode_or_are_refused(calls: list[codec.Call], data: st.DataObject) -> None:
    """C2, from bytes that are nearly right: a stranger's garbage seldom comes so far in."""
    whole = bytearray(codec.encode_client_batch(calls))
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=3)):
        whole[place] = data.draw(st.integers(0, 255))
    with suppress(codec.CodecError):
        codec.decode_client_batch(bytes(whole))


@given(st.lists(peer_messages, min_size=1, max_size=2), st.data())
def test_records_that_were_damaged_decode_or_are_refused(messages: list[Any], data: st.DataObject) -> None:
    whole = bytearray(peer_codec.encode_envelope(messages))
    for place in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=3)):
        whole[place] = data.draw(st.integers(0, 255))
    with suppress(codec.CodecError):
        peer_codec.decode_envelope(bytes(whole))


def test_one_bad_operation_spoils_itself_only() -> None:
    """C3, among those of sessions too."""
    good = codec.encode_client_batch([codec.Call(7, FindOwner("key", 3)), codec.Call(8, KeepAlive(PROOF, 1_000))])
    bad = pb.ClientBatch(ops=[pb.ClientOp(id=9, any=pb.AnyOp(keep=pb.KeepOp(ttl_ms=1)))]).SerializeToString()
    batch = codec.decode_client_batch(good + bad)
    assert [call.id for call in batch.calls] == [7, 8]
    assert [number for number, _ in batch.faults] == [9]
