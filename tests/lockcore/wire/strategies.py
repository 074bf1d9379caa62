"""What hypothesis draws for the tests of codecs: every message, with values that a node of ours can have made.

Elsewhere: the tests (test_codecs, test_borders).
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from lockcore.core import rangerecords as rr
from lockcore.core.digest import Digest
from lockcore.core.events import Event, EventKind
from lockcore.core.limits import LEASE_MS_MAX, LOCK_DELAY_MS_MAX, NS_PER_MS, WAIT_MS_MAX
from lockcore.core.messages import (
    Answered,
    BatchStatus,
    ClearRange,
    Close,
    Code,
    EndSession,
    Farewell,
    FileAnswer,
    FileRecord,
    FindConflict,
    FindOwner,
    Forward,
    ForwardReply,
    Gauges,
    Goodbye,
    Granted,
    Heartbeat,
    HeartbeatAck,
    HeldRange,
    Holdings,
    How,
    KeepAlive,
    LeaseRecord,
    ListHeld,
    Lock,
    Move,
    MoveRanges,
    OpenSession,
    Outcome,
    OwnerIs,
    PeerAck,
    PeerBatch,
    RangeConflict,
    RangeDenied,
    RangeFree,
    RangeLocked,
    Refused,
    Register,
    RegisterRefused,
    Released,
    Seal,
    SessionEnded,
    SessionId,
    SessionIs,
    SessionProof,
    SessionRecord,
    SetRange,
    Unlock,
    Unreached,
    ViewUpdate,
    WaiterRecord,
)
from lockcore.core.rangerecords import Errno, Kind
from lockcore.core.region import Region
from lockcore.core.timing import COUNTS, Timing
from lockcore.core.view import Grace, Member, MemberId, View

u64 = st.integers(0, 2**64 - 1)
u32 = st.integers(0, 2**32 - 1)
text = st.text(max_size=20)
keys = st.text(min_size=1, max_size=20)
addresses = st.text(min_size=1, max_size=20)
members = st.builds(MemberId, addresses, u64)
timings = st.just(Timing()) | st.builds(Timing, st.lists(u64, min_size=COUNTS, max_size=COUNTS).map(tuple), u64)
gauges = st.builds(Gauges, u64, u64, u64, u64, u64, u64, st.booleans(), st.booleans(), timings, timings, u64)
intervals = st.lists(st.tuples(st.integers(0, 2**31), st.integers(2**31 + 1, 2**32)), max_size=2)
regions = intervals.map(Region.of)
views = st.builds(
    View,
    u64,
    u64,
    st.lists(st.builds(Member, addresses, u64, st.booleans()), max_size=4).map(tuple),
    u64,
    st.lists(st.builds(Grace, regions, u64), max_size=2).map(tuple),
)

# --- operations and results --------------------------------------------------------------

kinds = st.sampled_from(Kind)
hows = st.sampled_from(How)
offsets = st.integers(-(2**63), 2**63 - 1)
waits = st.none() | u64
proofs = st.builds(SessionProof, text, u64, text)
key_operations = st.one_of(
    st.builds(Lock, text, u32, text, text),
    st.builds(Lock, text, u32, text, text, proofs, u64, waits, u32),
    st.builds(Unlock, text, text),
    st.builds(Unlock, text, text, proofs, u64),
    st.builds(FindOwner, text, st.none() | u64),
    st.builds(Move, text, text, proofs, u64, proofs, st.booleans()),
    st.builds(SetRange, text, proofs, u64, text, kinds, offsets, offsets, waits, st.booleans(), u64),
    st.builds(ClearRange, text, proofs, u64, text, offsets, offsets, u64),
    st.builds(FindConflict, text, proofs, text, kinds, offsets, offsets),
    st.builds(
        MoveRanges,
        *(text, proofs, u64, proofs, st.none() | text, offsets, offsets, st.none() | kinds),
        *(st.booleans(), st.booleans(), st.booleans()),
    ),
)
session_operations = st.one_of(
    st.builds(OpenSession, text, u32, st.none() | proofs),
    st.builds(KeepAlive, proofs, u32, text, u64),
    st.builds(EndSession, proofs),
    st.builds(ListHeld, proofs),
)
operations = key_operations | session_operations
pieces = st.builds(HeldRange, text, text, text, kinds, u64, u64, u64)
range_locked = st.builds(RangeLocked, text, st.lists(pieces, max_size=3).map(tuple), hows, text)
results = st.one_of(
    st.builds(Granted, text, text, u64, u64, u32, text, hows),
    st.builds(Released, text),
    st.builds(OwnerIs, text, u64, u32, text),
    st.builds(Refused, st.sampled_from(Code), text, text, text),
    st.builds(SessionIs, proofs, u32, st.none() | st.builds(Digest, u64, u32, u32, u64)),
    st.just(SessionEnded()),
    range_locked,
    st.builds(RangeFree, text),
    st.builds(RangeDenied, st.sampled_from(Errno), text, st.none() | pieces, text),
    st.builds(RangeConflict, pieces, text),
    st.builds(
        lambda locks, ranges, view: Holdings(
            tuple(lock for lock, _ in locks), ranges, view, tuple(op for _, op in locks)
        ),
        st.lists(st.tuples(st.tuples(text, u64), u64), max_size=3),
        st.lists(st.tuples(text, pieces), max_size=3).map(tuple),
        u64,
    ),
)

# --- what nodes replicate ------------------------------------------------------------------

lease_ns = st.integers(0, LEASE_MS_MAX * NS_PER_MS)
wait_ns = st.none() | st.integers(0, WAIT_MS_MAX * NS_PER_MS)
refs = st.builds(SessionId, st.text(min_size=1, max_size=20), u64)
waiters = st.builds(WaiterRecord, refs, lease_ns, u64, text, wait_ns, st.integers(0, LOCK_DELAY_MS_MAX))
answers = st.builds(Answered, refs, u64, u64, hows)
sessions = st.builds(SessionRecord, refs, lease_ns, st.integers(0, LEASE_MS_MAX), text, st.booleans(), u64)
owners = st.builds(rr.Owner, st.text(min_size=1, max_size=5), st.integers(1, 3), text)


@st.composite
def rows_of_one(draw: st.DrawFn, owner: rr.Owner) -> list[rr.Row]:
    """Rows of one owner, apart from each other."""
    bounds = sorted(draw(st.sets(st.integers(0, rr.OFFSET_MAX), max_size=6)))
    spans = [(a, b - 1) for a, b in zip(bounds[::2], bounds[1::2], strict=False)]
    apart = [span for i, span in enumerate(spans) if not i or span[0] > spans[i - 1][1] + 1]
    return [rr.Row(owner, draw(kinds), start, end, draw(u64)) for start, end in apart]


@st.composite
def row_lists(draw: st.DrawFn) -> tuple[rr.Row, ...]:
    """Rows as a table has them."""
    found = [row for owner in draw(st.sets(owners, max_size=3)) for row in draw(rows_of_one(owner))]
    return tuple(sorted(found, key=lambda row: (row.start, row.owner)))


@st.composite
def range_waiters(draw: st.DrawFn) -> tuple[rr.WaiterRecord, ...]:
    """Places in the queue of a table, in their order."""
    tickets = sorted(draw(st.sets(st.integers(1, 2**63), max_size=3)))
    spans = [sorted(draw(st.tuples(*[st.integers(0, rr.OFFSET_MAX)] * 2))) for _ in tickets]
    return tuple(
        rr.WaiterRecord(
            ticket, str(draw(u64)), draw(owners), draw(kinds), start, end, draw(st.booleans()), draw(wait_ns)
        )
        for ticket, (start, end) in zip(tickets, spans, strict=True)
    )


tables = st.builds(rr.RangeRecord, row_lists(), range_waiters(), u64, st.just(2**64 - 1))
deltas = st.builds(rr.Delta, row_lists(), row_lists(), range_waiters(), st.lists(u64, max_size=3).map(tuple), u64, u64)
file_answers = st.lists(st.builds(FileAnswer, refs, u64, range_locked | st.just(Released())), max_size=2).map(tuple)
counts = st.integers(1, 2**64 - 1)


def _with_sessions(record: FileRecord) -> FileRecord:
    """Name a lease for each session of the record."""
    held = [row.owner for row in record.whole.rows] if record.whole else []
    held += [row.owner for delta in record.deltas for row in delta.added]
    refs_of = sorted({SessionId(owner.session, owner.incarnation) for owner in held})
    return replace(record, sessions=tuple((ref, 7) for ref in refs_of))


files = st.one_of(
    st.builds(FileRecord, keys, st.booleans(), counts, counts, whole=tables, answers=file_answers),
    st.builds(
        FileRecord,
        *(keys, st.booleans(), counts, counts),
        base=st.tuples(u64, u64),
        deltas=st.lists(deltas, max_size=2).map(tuple),
        answers=file_answers,
    ),
).map(_with_sessions)
records = st.builds(
    LeaseRecord,
    keys,
    text,
    text,
    st.integers(1, 2**64 - 1),
    st.integers(1, 2**64 - 1),
    st.integers(0, LEASE_MS_MAX * NS_PER_MS),
    st.integers(0, LEASE_MS_MAX),
    u64,
    st.booleans(),
    st.none() | refs,
    st.lists(waiters, max_size=2).map(tuple),
    st.lists(answers, max_size=2).map(tuple),
    st.integers(0, LOCK_DELAY_MS_MAX),
    st.integers(0, LOCK_DELAY_MS_MAX * NS_PER_MS),
)
record_lists = st.lists(records, max_size=3).map(tuple)
outcome_lists = st.lists(st.sampled_from(Outcome), max_size=3).map(tuple)
peer_messages = st.one_of(
    st.builds(
        PeerBatch,
        members,
        members,
        u64,
        u64,
        record_lists,
        record_lists,
        st.none() | st.builds(Seal, st.booleans(), st.booleans(), u64),
        st.lists(sessions, max_size=2).map(tuple),
        st.lists(files, max_size=2).map(tuple),
    ),
    st.builds(
        PeerAck,
        *(members, members, u64, u64, st.sampled_from(BatchStatus)),
        *(outcome_lists, outcome_lists, u64, outcome_lists, outcome_lists),
    ),
    st.builds(Forward, members, u64, key_operations, u32, st.booleans()),
    st.builds(ForwardReply, members, u64, results),
)
node_messages = st.one_of(
    st.builds(Register, members, u64, st.none() | views),
    st.builds(
        Heartbeat,
        members,
        u64,
        u64,
        st.booleans(),
        u64,
        gauges,
        u64,
        st.lists(st.builds(Unreached, members, u64), max_size=3).map(tuple),
    ),
    st.builds(Goodbye, members),
    st.builds(Farewell, members, u64),
)
master_messages = st.one_of(
    st.builds(ViewUpdate, views),
    st.builds(HeartbeatAck, u64, u64, u64),
    st.builds(RegisterRefused, text),
    st.just(Close()),
)
events = st.builds(Event, st.sampled_from(EventKind), text, text, u64, u64, u64, u64, text, text, u64, u64)
