"""Whom a node reaches: questions without an answer, and what heartbeats say of it.

Elsewhere: what the master makes of it (test_silence, test_admission).
"""

from __future__ import annotations

from lockcore.core.limits import HEARTBEAT_MS, NS_PER_MS, PEER_SILENCE_MS
from lockcore.core.messages import (
    PROBE_LSN,
    BatchStatus,
    Heartbeat,
    Lock,
    PeerAck,
    PeerBatch,
    SendPeer,
    Unreached,
)
from lockcore.core.reach import Reach
from lockcore.core.view import MemberId
from tests.lockcore.core.bench import Bench

B, C = MemberId("b:2", 1), MemberId("c:3", 1)
SILENT_NS = PEER_SILENCE_MS * NS_PER_MS


def reaching(*members: MemberId) -> Reach:
    """Return what a node knows that has just been answered by these."""
    reach = Reach()
    reach.meet(members)
    for member in members:
        reach.ask(member, 0)
        reach.hear(member, 0, more=False)
    return reach


def probes(bench: Bench, address: str) -> list[PeerBatch]:
    """Return the probes sent to a peer."""
    sent = [e.message for e in bench.out if isinstance(e, SendPeer) and e.address == address]
    return [m for m in sent if isinstance(m, PeerBatch) and m.lsn == PROBE_LSN]


def test_silence_counts_from_the_first_question_however_often_it_is_repeated() -> None:
    """K1. Otherwise a link that is asked anew every 250 ms would never seem silent."""
    reach = reaching(B, C)
    for at_ns in range(0, 3 * SILENT_NS, SILENT_NS // 2):
        reach.ask(B, at_ns)
    assert reach.unreached(3 * SILENT_NS) == (Unreached(B, 3 * PEER_SILENCE_MS),)


def test_silence_goes_on_counting_in_the_next_view() -> None:
    """K1. A death elsewhere must not give a cut the time again."""
    reach = reaching(B, C)
    reach.ask(B, 0)
    reach.meet([B])
    assert reach.unreached(SILENT_NS) == (Unreached(B, PEER_SILENCE_MS),)


def test_another_incarnation_is_somebody_else() -> None:
    reach = reaching(B)
    reach.ask(B, 0)
    again = MemberId(B.address, 2)
    reach.meet([again])
    assert reach.unreached(SILENT_NS) == (Unreached(again, 0),)


def test_who_has_never_answered_is_not_reached() -> None:
    """K2. Who is to be let in must have shown that it can take part, not only have had no time to fail."""
    reach = Reach()
    reach.meet([B])
    assert reach.unreached(0) == (Unreached(B, 0),)


def test_an_answer_ends_the_silence_unless_another_one_is_owed() -> None:
    reach = reaching(B, C)
    reach.ask(B, 0)
    reach.ask(C, 0)
    reach.hear(B, SILENT_NS, more=False)
    reach.hear(C, SILENT_NS, more=True)
    assert reach.unreached(SILENT_NS) == ()
    assert reach.unreached(2 * SILENT_NS) == (Unreached(C, PEER_SILENCE_MS),)


def test_an_answer_of_somebody_else_counts_nothing() -> None:
    reach = reaching(B)
    reach.ask(B, 0)
    reach.hear(C, 0, more=False)
    reach.ask(C, 0)
    assert reach.unreached(SILENT_NS) == (Unreached(B, PEER_SILENCE_MS),)


# --- a node --------------------------------------------------------------------------------


def test_a_heartbeat_names_who_leaves_a_batch_without_an_answer() -> None:
    bench = Bench(peers=("b:2", "c:3")).settle()
    bench.call(Lock(bench.key("a:1", "b:2"), 5_000, "ada"), timeout_ms=60_000)
    bench.live(PEER_SILENCE_MS + HEARTBEAT_MS)
    named = {u.member.address: u.silent_ms for u in bench.sent_to_master(Heartbeat)[-1].unreached}
    assert PEER_SILENCE_MS <= named["b:2"] <= PEER_SILENCE_MS + HEARTBEAT_MS
    bench.take_in("b:2")
    bench.live(HEARTBEAT_MS)
    assert "b:2" not in {u.member.address for u in bench.sent_to_master(Heartbeat)[-1].unreached}


def test_a_peer_to_which_nothing_was_sent_for_long_is_probed() -> None:
    """A cut must be known on both sides, also by who has nothing to say: else the wrong one of two would go."""
    bench = Bench(peers=("b:2", "c:3")).settle()
    bench.live(2 * HEARTBEAT_MS)
    assert len(probes(bench, "c:3")) == 1
    bench.hear(PeerAck(C, bench.me, bench.number, PROBE_LSN, BatchStatus.OK))
    bench.live(PEER_SILENCE_MS + HEARTBEAT_MS)
    assert {u.member for u in bench.sent_to_master(Heartbeat)[-1].unreached} == {B}


def test_a_node_that_was_marked_down_goes_on_probing() -> None:
    """So that it knows when it may come back."""
    bench = Bench().settle()
    bench.view(down=("a:1",))
    count = len(probes(bench, "b:2"))
    bench.live(4 * HEARTBEAT_MS)
    assert len(probes(bench, "b:2")) > count
    assert {u.member for u in bench.sent_to_master(Heartbeat)[-1].unreached} == {B}
    bench.hear(PeerAck(B, bench.me, 1, PROBE_LSN, BatchStatus.WRONG_VIEW))
    bench.live(HEARTBEAT_MS)
    assert bench.sent_to_master(Heartbeat)[-1].unreached == ()


def test_a_probe_is_answered_in_any_view_as_often_as_it_comes() -> None:
    """An answer says only that the way is whole; a probe carries nothing that could be wrong."""
    bench = Bench().settle()
    before = bench.table()
    for view in (bench.number, bench.number, bench.number - 1, bench.number + 1):
        ack = bench.deliver(PeerBatch(B, bench.me, view, PROBE_LSN))
        assert ack is not None
        assert ack.lsn == PROBE_LSN
    assert bench.table() == before


def test_heartbeats_say_the_newest_acknowledgement_that_arrived() -> None:
    """Also of one that gives no lease: the master asks whether it is heard, not whether it was right."""
    bench = Bench().settle()
    bench.live(2 * HEARTBEAT_MS)
    first, last = bench.sent_to_master(Heartbeat)[0], bench.sent_to_master(Heartbeat)[-1]
    assert first.acked == 0
    assert last.acked == last.number - 1
