"""How a session comes to be known everywhere, at one node whose peers the test plays."""

from __future__ import annotations

import pytest

from lockcore.core.limits import MEMBERS_MAX
from lockcore.core.messages import (
    BatchStatus,
    Code,
    EndSession,
    KeepAlive,
    Lock,
    OpenSession,
    Outcome,
    PeerAck,
    SessionEnded,
    SessionIs,
    SessionProof,
)
from tests.lockcore.core.bench import Bench, refused

TTL_MS = 5_000


@pytest.fixture
def bench() -> Bench:
    """A node among three, settled."""
    return Bench(peers=("b:2", "c:3")).settle()


def opened(bench: Bench) -> SessionProof:
    """Open a session that everybody accepts."""
    result = bench.ask(OpenSession("ada", TTL_MS))
    assert isinstance(result, SessionIs), result
    return result.session


def object_to_sessions(bench: Bench, address: str) -> None:
    """Have a peer answer that the session is over there."""
    batch = bench.batches(address)[-1]
    assert batch.sessions
    stale = (Outcome.STALE,) * len(batch.sessions)
    bench.hear(PeerAck(bench.peers[address], bench.me, batch.view, batch.lsn, BatchStatus.OK, sessions=stale))


@pytest.mark.parametrize("last", ["b:2", "c:3"])
def test_an_extension_is_answered_when_every_living_member_has_it(bench: Bench, last: str) -> None:
    """Its locks may be anywhere, and anybody may be asked for them next."""
    proof = opened(bench)
    first = "c:3" if last == "b:2" else "b:2"
    call = bench.call(KeepAlive(proof, TTL_MS))
    assert call not in bench.answers
    bench.take_in(first)
    assert call not in bench.answers
    bench.take_in(last)
    assert isinstance(bench.answers[call], SessionIs)


def test_an_extension_waits_for_the_members_of_a_new_view(bench: Bench) -> None:
    proof = opened(bench)
    call = bench.call(KeepAlive(proof, TTL_MS))
    bench.take_in("b:2")
    bench.view(down=("c:3",))
    assert call not in bench.answers  # b has it of another view
    bench.take_in("b:2")
    assert isinstance(bench.answers[call], SessionIs)


def test_where_one_member_knows_better_the_session_is_over(bench: Bench) -> None:
    proof = opened(bench)
    call = bench.call(KeepAlive(proof, TTL_MS))
    bench.take_in("b:2")
    object_to_sessions(bench, "c:3")
    assert refused(bench.answers[call]).code is Code.SESSION_LOST
    assert bench.batches("b:2")[-1].sessions[0].ended
    key = bench.key("a:1")
    assert refused(bench.ask(Lock(key, 5_000, "ada", session=proof, op_id=1))).code is Code.SESSION_LOST


def test_a_session_opened_again_keeps_its_id_and_is_another(bench: Bench) -> None:
    first = opened(bench)
    again = bench.ask(OpenSession("ada", TTL_MS, again=first))
    assert isinstance(again, SessionIs)
    assert again.session.id == first.id
    assert again.session.incarnation != first.incarnation
    assert again.session.secret != first.secret


def test_no_two_sessions_are_alike(bench: Bench) -> None:
    proofs = {opened(bench) for _ in range(50)}
    assert len({p.id for p in proofs}) == 50


def test_sessions_of_a_view_stay_below_the_number_of_the_next(bench: Bench) -> None:
    """Two nodes that opened thousands of them would else give one number twice, one of them in the view after."""
    for _ in range(3):
        opened(bench)
    bench.view()
    bench.seal()
    bench.take_in_all()
    assert opened(bench).incarnation < bench.number + 2 * MEMBERS_MAX


@pytest.mark.parametrize("wrong", ["secret", "id"])
def test_a_wrong_proof_is_refused_and_harms_nothing(bench: Bench, wrong: str) -> None:
    proof = opened(bench)
    forged = SessionProof(proof.id, proof.incarnation, "f" * 64)
    if wrong == "id":
        forged = SessionProof("nobody", proof.incarnation, proof.secret)
    for operation in (KeepAlive(forged, TTL_MS), EndSession(forged)):
        assert refused(bench.ask(operation)).code is Code.SESSION_LOST
    assert refused(bench.ask(OpenSession("eve", TTL_MS, again=forged))).code is Code.SESSION_LOST
    assert isinstance(bench.ask(KeepAlive(proof, TTL_MS)), SessionIs)


def test_ending_twice_is_answered_twice(bench: Bench) -> None:
    """The first answer may have been lost."""
    proof = opened(bench)
    assert isinstance(bench.ask(EndSession(proof)), SessionEnded)
    assert isinstance(bench.ask(EndSession(proof)), SessionEnded)


def test_a_fenced_node_extends_nothing(bench: Bench) -> None:
    proof = opened(bench)
    call = bench.call(KeepAlive(proof, TTL_MS))
    bench.wait(2_500)
    assert refused(bench.answers[call]).code is Code.NOT_SERVING
    assert refused(bench.ask(KeepAlive(proof, TTL_MS))).code is Code.NOT_SERVING


def test_an_extension_that_nobody_confirms_fails_at_its_deadline(bench: Bench) -> None:
    proof = opened(bench)
    call = bench.call(KeepAlive(proof, TTL_MS), timeout_ms=800)
    bench.live(1_000)
    assert refused(bench.answers[call]).code is Code.TIMEOUT


@pytest.mark.parametrize(
    ("operation", "part"),
    [
        (OpenSession("ada", 999), "lasts 1000 to 60000 ms"),
        (OpenSession("ada", 60_001), "lasts 1000 to 60000 ms"),
        (OpenSession("a" * 256, 5_000), "at most 255 bytes"),
        (KeepAlive(SessionProof("x" * 129, 1, ""), 5_000), "too long"),
        (Lock("k", 5_000, "ada", wait_ms=10), "open a session first"),
        (Lock("k", 5_000, "ada", session=SessionProof("x", 1, "")), "op_id"),
        (Lock("k", 5_000, "ada", session=SessionProof("x", 1, ""), op_id=1, wait_ms=-1), "a wait lasts"),
        (Lock("k", 5_000, "ada", session=SessionProof("x", 1, ""), op_id=1, delay_ms=60_001), "lock-delay"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do(bench: Bench, operation: Lock, part: str) -> None:
    answer = refused(bench.ask(operation))
    assert answer.code is Code.INVALID
    assert part in answer.text
