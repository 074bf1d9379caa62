"""The table of sessions, by itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockcore.core.limits import LEASE_MS_MAX, NS_PER_MS, SESSION_LINGER_MS
from lockcore.core.messages import Outcome, SessionId, SessionProof, SessionRecord
from lockcore.core.sessions import SessionMint, SessionTable

REF = SessionId("ada's", 7)
TTL_MS = 5_000
TTL_NS = TTL_MS * NS_PER_MS


def record(remaining_ns: int = TTL_NS, *, ended: bool = False) -> SessionRecord:
    """Return the session as a peer tells it."""
    return SessionRecord(REF, remaining_ns, TTL_MS, "ada", ended)


def test_a_session_that_lapsed_is_never_alive_again() -> None:
    """Gluster 3182: what arrives after the clean-up must find nobody."""
    table = SessionTable()
    session = table.open(REF, "ada", TTL_MS, 0)
    assert table.merge(record(), TTL_NS) is Outcome.STALE
    assert not session.alive(TTL_NS)


def test_a_session_that_was_ended_is_never_alive_again() -> None:
    table = SessionTable()
    session = table.open(REF, "ada", TTL_MS, 0)
    assert table.merge(record(ended=True), 10) is Outcome.ACCEPTED
    assert table.merge(record(), 20) is Outcome.STALE
    assert not session.alive(20)


def test_a_session_excludes_others_until_its_linger_is_over_or_it_was_ended() -> None:
    table = SessionTable()
    session = table.open(REF, "ada", TTL_MS, 0)
    assert session.excludes(TTL_NS + SESSION_LINGER_MS * NS_PER_MS - 1)
    assert not session.excludes(TTL_NS + SESSION_LINGER_MS * NS_PER_MS)
    other = table.open(SessionId("bob's", 1), "bob", TTL_MS, 0)
    table.end(other, 100)
    assert not other.excludes(100)


def test_of_two_leases_the_later_one_counts_in_any_order() -> None:
    tables = SessionTable(), SessionTable()
    for table, order in zip(tables, ((1, 3), (3, 1)), strict=True):
        for seconds in order:
            table.merge(record(seconds * 1_000 * NS_PER_MS), 0)
    assert all(t.get(REF).expires_ns == 3_000 * NS_PER_MS for t in tables)  # type: ignore[union-attr]


@given(st.permutations([(0, False), (TTL_NS, False), (2 * TTL_NS, False), (0, True)]))
def test_whatever_the_order_an_end_is_for_ever(order: list[tuple[int, bool]]) -> None:
    table = SessionTable()
    for remaining_ns, ended in order:
        table.merge(record(remaining_ns, ended=ended), 0)
    session = table.get(REF)
    assert session is not None
    assert session.ended


def test_a_gone_session_is_returned_once_and_forgotten_when_nothing_names_it() -> None:
    table = SessionTable()
    session = table.open(REF, "ada", TTL_MS, 0)
    session.keys.add("k")
    frees_ns = session.frees_ns
    assert table.due(frees_ns - 1) == []
    assert table.due(frees_ns) == [session]
    long_after_ns = frees_ns + LEASE_MS_MAX * NS_PER_MS
    assert table.due(long_after_ns) == []
    assert len(table) == 1
    session.keys.clear()
    at_ns = table.next_deadline_ns()
    assert at_ns is not None
    assert at_ns > long_after_ns
    table.due(at_ns)
    assert len(table) == 0
    assert table.next_deadline_ns() is None


def test_an_extension_moves_the_end() -> None:
    table = SessionTable()
    session = table.open(REF, "ada", TTL_MS, 0)
    for step in range(1, 10_000):
        table.extend(session, step)
    assert table.due(TTL_NS + SESSION_LINGER_MS * NS_PER_MS) == []
    assert session.alive(TTL_NS + 9_998)


def test_word_of_a_session_that_lapsed_everywhere_does_not_make_it_linger_again() -> None:
    """Its locks were cleaned up after; what lingers once more is never looked at again."""
    table = SessionTable()
    session = table.open(REF, "ada", TTL_MS, 0)
    gone_ns = session.frees_ns
    assert table.due(gone_ns) == [session]
    assert table.merge(record(0), gone_ns) is Outcome.ACCEPTED
    assert not session.excludes(gone_ns)


def test_who_was_away_takes_the_others_word_for_it_that_a_session_lives_and_its_own_that_it_has_ended() -> None:
    """They extended it without this node; an end is for ever all the same."""
    table = SessionTable()
    session = table.open(REF, "ada", TTL_MS, 0)
    late_ns = session.frees_ns
    table.due(late_ns)
    table.doubt()
    assert table.merge(record(TTL_NS), late_ns) is Outcome.ACCEPTED
    assert session.alive(late_ns)
    assert table.due(late_ns + TTL_NS + SESSION_LINGER_MS * NS_PER_MS) == [session]
    assert table.merge(record(TTL_NS), session.frees_ns) is Outcome.STALE
    table.end(session, session.frees_ns)
    table.doubt()
    assert table.merge(record(TTL_NS), session.frees_ns) is Outcome.STALE


@pytest.mark.parametrize("said", ["lock", "peer"])
def test_who_first_hears_that_a_session_has_lapsed_believes_that_it_lives_all_the_same(said: str) -> None:
    """A node that was away may be the first to tell a newcomer; the newcomer's objection would end the session."""
    table = SessionTable()
    if said == "lock":
        table.learn(REF, 0, 0)
    else:
        table.merge(record(0), 0)
    assert table.merge(record(TTL_NS), 0) is Outcome.ACCEPTED
    session = table.get(REF)
    assert session is not None
    assert session.alive(TTL_NS - 1)


def test_who_only_learned_of_a_session_from_a_lock_tells_nobody_how_long_its_lease_is() -> None:
    """With a lease of no length, extensions would be acknowledged and extend nothing."""
    table = SessionTable()
    session = table.open(REF, "ada", TTL_MS, 0)
    learned = SessionTable().learn(REF, TTL_NS, 0)
    table.merge(learned.record(0), 0)
    assert (session.ttl_ms, session.label) == (TTL_MS, "ada")


@pytest.mark.parametrize(
    "forged",
    [
        SessionProof("ada's", 8, ""),
        SessionProof("ada's", 8, SessionMint(b"secret").prove(REF).secret),
        SessionProof("eve's", 7, SessionMint(b"secret").prove(REF).secret),
        SessionProof("ada's", 7, SessionMint(b"another").prove(REF).secret),
        SessionProof("ada's", 7, "\udc80"),
        SessionProof("\udc80", 7, "x"),
    ],
)
def test_a_secret_verifies_for_one_id_one_incarnation_and_one_cluster(forged: SessionProof) -> None:
    mint = SessionMint(b"secret")
    assert mint.good(mint.prove(REF))
    assert not mint.good(forged)


def test_a_secret_is_not_shown_by_repr() -> None:
    """Logs and tracebacks print what they get."""
    proof = SessionMint(b"secret").prove(REF)
    assert proof.secret not in repr(proof)
