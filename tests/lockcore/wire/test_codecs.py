"""Codecs: what goes in comes out, and no bytes break them.

Elsewhere: what the messages mean (tests of lockcore.core).
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockcore.core.events import Event, EventBatch, EventKind, NumberedEvent
from lockcore.core.limits import KEY_BYTES_MAX, LEASE_MS_MAX, MEMBERS_MAX, NS_PER_MS, PEER_BATCH_RECORDS_MAX
from lockcore.core.messages import (
    Code,
    FindOwner,
    Heartbeat,
    LeaseRecord,
    Lock,
    PeerBatch,
    Unreached,
)
from lockcore.core.roster import MemberStatus
from lockcore.core.view import MemberId, View
from lockcore.wire import codec, master_codec, peer_codec, seaweed
from tests.lockcore.wire.strategies import (
    addresses,
    events,
    gauges,
    master_messages,
    members,
    node_messages,
    operations,
    peer_messages,
    results,
    text,
    u32,
    u64,
    views,
)

if TYPE_CHECKING:
    from collections.abc import Callable


@given(st.lists(st.builds(codec.Call, u64, operations, u32), max_size=5).map(tuple))
def test_operations_survive_the_wire(calls: tuple[codec.Call, ...]) -> None:
    """C1: numbers above 2^53 included, since ids and generations pass it."""
    assert codec.decode_client_batch(codec.encode_client_batch(calls)) == codec.ClientBatch(calls)


@given(
    st.lists(st.tuples(u64, results), max_size=5).map(tuple),
    st.none() | st.builds(codec.ViewState, views, st.booleans()),
)
def test_results_and_views_survive_the_wire(answers: tuple[tuple[int, Any], ...], view: codec.ViewState | None) -> None:
    decoded = codec.decode_server_batch(codec.encode_server_batch(answers, view))
    assert decoded == codec.ServerBatch(answers, view)


@given(views, st.booleans())
def test_a_view_survives_the_wire(view: View, settled: bool) -> None:  # noqa: FBT001 - drawn
    assert codec.decode_view(codec.encode_view(view, settled=settled)) == codec.ViewState(view, settled)


@given(st.lists(peer_messages, max_size=4).map(tuple))
def test_peer_messages_survive_the_wire_joined_or_together(messages: tuple[Any, ...]) -> None:
    """Envelopes are coalesced by concatenation: both ways must read alike."""
    joined = peer_codec.join_envelope(peer_codec.encode_peer_message(m) for m in messages)
    assert peer_codec.decode_envelope(joined) == messages
    assert peer_codec.decode_envelope(peer_codec.encode_envelope(messages)) == messages


@given(node_messages)
def test_what_a_node_tells_its_master_survives_the_wire(message: Any) -> None:
    assert master_codec.decode_node_message(master_codec.encode_node_message(message)) == message


@given(master_messages)
def test_what_a_master_tells_its_nodes_survives_the_wire(message: Any) -> None:
    assert master_codec.decode_master_message(master_codec.encode_master_message(message)) == message


@given(addresses, u64, st.lists(st.tuples(u64, events), max_size=4))
def test_facts_survive_the_wire(source: str, incarnation: int, drawn: list[tuple[int, Event]]) -> None:
    numbered = tuple(NumberedEvent(i + 1, wall_ns, event) for i, (wall_ns, event) in enumerate(drawn))
    batch = EventBatch(source, incarnation, numbered)
    assert master_codec.decode_events(master_codec.encode_events(batch)) == batch


@given(
    st.none() | st.builds(codec.ViewState, views, st.booleans()),
    st.lists(st.builds(MemberStatus, text, u64, text, u64, st.booleans(), st.none() | u64, gauges), max_size=3).map(
        tuple
    ),
    u64,
)
def test_an_overview_survives_the_wire(
    view: codec.ViewState | None, reports: tuple[MemberStatus, ...], incarnation: int
) -> None:
    """An age of 0 ms and "never heard" are not the same."""
    overview = master_codec.Overview(view, reports, incarnation)
    assert master_codec.decode_overview(master_codec.encode_overview(overview)) == overview


@given(
    st.builds(
        codec.NodeStatus,
        member=members,
        label=text,
        view=st.none() | st.builds(codec.ViewState, views, st.booleans()),
        state=text,
        uptime_ms=u64,
        pid=u32,
        master=text,
        master_connected=st.booleans(),
        durability=text,
        gauges=gauges,
        handler_errors=u64,
        events_unreported=u64,
        events_unwritten=u64,
    )
)
def test_a_status_survives_the_wire(status: codec.NodeStatus) -> None:
    assert codec.decode_status(codec.encode_status(status)) == status


ME = MemberId("me:1", 1)
DECODERS: dict[str, Callable[[bytes], object]] = {
    "client batch": codec.decode_client_batch,
    "server batch": codec.decode_server_batch,
    "view": codec.decode_view,
    "status": codec.decode_status,
    "envelope": peer_codec.decode_envelope,
    "node message": master_codec.decode_node_message,
    "master message": master_codec.decode_master_message,
    "facts": master_codec.decode_events,
    "report ack": master_codec.decode_report_ack,
    "overview": master_codec.decode_overview,
    "LockRequest": seaweed.decode_lock,
    "UnlockRequest": seaweed.decode_unlock,
    "FindLockOwnerRequest": seaweed.decode_find,
    "KeepConnectedRequest": seaweed.decode_keep_connected,
    "TransferLocksRequest": lambda data: seaweed.decode_transfer(data, ME),
    "ReplicateLockRequest": lambda data: seaweed.decode_replicate(data, ME),
}


@pytest.mark.parametrize("name", DECODERS)
@given(data=st.binary(max_size=200))
def test_any_bytes_decode_or_raise_a_codec_error(name: str, data: bytes) -> None:
    """C2: a stranger's garbage must never look like a fault of ours."""
    with suppress(codec.CodecError):
        DECODERS[name](data)


@given(st.lists(peer_messages, min_size=1, max_size=2), st.data())
def test_a_truncated_envelope_is_refused_or_is_a_shorter_one(messages: list[Any], data: st.DataObject) -> None:
    whole = peer_codec.encode_envelope(messages)
    cut = data.draw(st.integers(0, len(whole) - 1))
    try:
        shorter = peer_codec.decode_envelope(whole[:cut])
    except codec.CodecError:
        return
    assert list(shorter) == messages[: len(shorter)]


def test_a_truncated_client_batch_is_refused_with_what_to_do() -> None:
    whole = codec.encode_client_batch([codec.Call(1, Lock("key", 5000, "me"))])
    with pytest.raises(codec.CodecError, match="send whole protobuf messages"):
        codec.decode_client_batch(whole[:-1])


def test_a_key_that_is_not_utf8_is_refused_as_such() -> None:
    whole = codec.encode_client_batch([codec.Call(1, Lock("kkkkkk", 5000, "me"))])
    with pytest.raises(codec.CodecError, match="UTF-8"):
        codec.decode_client_batch(whole.replace(b"kkkkkk", b"\xff\xfe\xfdkkk"))


def test_one_operation_without_content_spoils_itself_only() -> None:
    """C3: the other operations of the batch are other people's."""
    good = codec.encode_client_batch([codec.Call(7, FindOwner("key"))])
    batch = codec.decode_client_batch(good + b"\x0a\x02\x08\x09")
    assert [call.id for call in batch.calls] == [7]
    ((spoilt, refused),) = batch.faults
    assert (spoilt, refused.code) == (9, Code.INVALID)


def test_a_batch_with_too_many_operations_says_to_split_it() -> None:
    calls = [codec.Call(i, FindOwner("k")) for i in range(codec.OPS_PER_BATCH_MAX + 1)]
    with pytest.raises(codec.CodecError, match="split"):
        codec.decode_client_batch(codec.encode_client_batch(calls))


@pytest.mark.parametrize("ttl_ms", [-1, 2**32])
def test_what_does_not_fit_its_field_is_a_codec_error(ttl_ms: int) -> None:
    with pytest.raises(codec.CodecError):
        codec.encode_client_batch([codec.Call(1, Lock("key", ttl_ms, "me"))])


def test_text_that_is_no_unicode_is_a_codec_error_without_the_text() -> None:
    with pytest.raises(codec.CodecError, match="UTF-8"):
        codec.encode_client_batch([codec.Call(1, Lock("\ud800", 1, "me"))])


GOOD = LeaseRecord("key", "token", "me", 5, 6, 7, 8)


@pytest.mark.parametrize(
    "record",
    [
        LeaseRecord("", "t", "o", 1, 1, 1, 1),
        LeaseRecord("k" * (KEY_BYTES_MAX + 1), "t", "o", 1, 1, 1, 1),
        LeaseRecord("k", "t" * 10_000, "o", 1, 1, 1, 1),
        LeaseRecord("k", "t", "o" * 10_000, 1, 1, 1, 1),
        LeaseRecord("k", "t", "o", 0, 1, 1, 1),
        LeaseRecord("k", "t", "o", 1, 0, 1, 1),
        LeaseRecord("k", "t", "o", 1, 1, LEASE_MS_MAX * NS_PER_MS + 1, 1),
        LeaseRecord("k", "t", "o", 1, 1, 1, LEASE_MS_MAX + 1),
    ],
)
def test_a_record_no_node_can_have_made_reaches_no_table(record: LeaseRecord) -> None:
    batch = PeerBatch(ME, ME, 1, 1, (record,))
    with pytest.raises(codec.CodecError):
        peer_codec.decode_envelope(peer_codec.encode_peer_message(batch))


def test_a_batch_with_too_many_locks_is_refused() -> None:
    batch = PeerBatch(ME, ME, 1, 1, (GOOD,) * (PEER_BATCH_RECORDS_MAX + 1))
    with pytest.raises(codec.CodecError, match="at most"):
        peer_codec.decode_envelope(peer_codec.encode_peer_message(batch))


def test_a_heartbeat_that_misses_more_members_than_a_ring_has_is_refused() -> None:
    beat = Heartbeat(ME, 1, 1, settled=True, floor=0, unreached=(Unreached(ME, 1),) * (MEMBERS_MAX + 1))
    with pytest.raises(codec.CodecError, match="at most"):
        master_codec.decode_node_message(master_codec.encode_node_message(beat))


def test_facts_whose_numbers_fall_are_refused() -> None:
    fact = Event(EventKind.GRANTED)
    batch = EventBatch("n", 1, (NumberedEvent(2, 0, fact), NumberedEvent(1, 0, fact)))
    with pytest.raises(codec.CodecError, match="ascend"):
        master_codec.decode_events(master_codec.encode_events(batch))
