"""What is kept of an answer about ranges, and what its repetition tells."""

from __future__ import annotations

from lockcore.core.limits import KEY_BYTES_MAX, LOCK_OWNER_BYTES_MAX, RANGE_ROWS_MAX
from lockcore.core.messages import FileRecord, How, MoveRanges, PeerBatch, RangeLocked
from lockcore.core.rangefiles import id_of
from lockcore.core.rangerecords import Kind, Owner, RangeRecord, Row
from lockcore.core.view import MemberId
from lockcore.wire.parts import MESSAGE_BYTES_MAX
from lockcore.wire.peer_codec import encode_peer_message
from tests.lockcore.core.sessionworld import Cluster
from tests.lockcore.core.test_ranging import Ranger, locked


def test_a_repeated_migration_tells_the_pieces_and_the_session_without_their_having_been_kept() -> None:
    """Sixty-four answers of thousands of pieces would travel with every copy of the key."""
    cluster = Cluster()
    key = cluster.key("b:2")
    old, new = Ranger(cluster, "old"), Ranger(cluster, "new")
    for start in range(0, 500, 10):
        locked(old.set(key, Kind.WRITE, start, 5))
    move = MoveRanges(key, new.proof, 999, old.proof, require_held=True)
    first = locked(cluster.world.ask("b:2", move))
    again = locked(cluster.world.ask("b:2", move))
    assert (again.how, again.session) == (first.how, new.proof.id)
    assert sorted((p.start, p.fence) for p in again.pieces) == sorted((p.start, p.fence) for p in first.pieces)
    file = cluster.world.nodes["b:2"].core._state.files.get(id_of(key))
    assert file is not None
    assert [a.result for a in file.answers if a.op_id == 999] == [RangeLocked(new.proof.id, (), How.MIGRATED)]


def test_all_the_ranges_a_key_may_have_fit_one_message_with_the_longest_names() -> None:
    """A batch that is too large is never delivered, and nothing else on its link either."""
    owner = "x" * (LOCK_OWNER_BYTES_MAX - 6)
    rows = tuple(
        Row(Owner("f" * 32, 2**62, f"{owner}{i:06}"), Kind.WRITE, 2**62 + 2 * i, 2**62 + 2 * i, 2**62)
        for i in range(RANGE_ROWS_MAX)
    )
    record = FileRecord("k" * KEY_BYTES_MAX, True, 2**62, 2**62, whole=RangeRecord(rows, (), 2**62, 2**62))
    batch = PeerBatch(MemberId("a:1", 1), MemberId("b:2", 1), 1, 1, files=(record,))
    assert len(encode_peer_message(batch)) < MESSAGE_BYTES_MAX
