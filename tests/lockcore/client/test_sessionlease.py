"""Until when a session may be relied on: the pure part."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lockcore.client.sessionlease import SessionLease, SessionState
from lockcore.core.limits import NS_PER_MS, NS_PER_S

TTL_MS = 6_000
T0 = 1_000 * NS_PER_S


def opened(ttl_ms: int = TTL_MS) -> SessionLease:
    """Return a lease that was opened at T0."""
    lease = SessionLease(ttl_ms)
    assert lease.extend(T0, T0)
    return lease


def test_one_that_was_not_opened_has_nothing_to_lose() -> None:
    assert SessionLease(TTL_MS).state(T0 + 10**15) is SessionState.CONNECTED


def test_it_ends_before_any_node_lets_go() -> None:
    """The holder counts from before it asked, and leaves a margin for clocks that run apart."""
    lease = opened()
    assert lease.until_ns < T0 + lease.ttl_ns - 10 * NS_PER_MS
    assert lease.state(lease.until_ns - 1) is SessionState.SUSPENDED
    assert lease.state(lease.until_ns) is SessionState.LOST


def test_a_keep_alive_leaves_after_a_third_and_is_late_a_sixth_later() -> None:
    lease = opened()
    assert lease.due_ns == T0 + 2 * NS_PER_S
    late_ns = T0 + 3 * NS_PER_S
    assert lease.state(late_ns - 1) is SessionState.CONNECTED
    assert lease.state(late_ns) is SessionState.SUSPENDED
    assert lease.changes_ns(T0) == late_ns
    assert lease.changes_ns(late_ns) == lease.until_ns


def test_an_answer_makes_it_connected_again() -> None:
    lease = opened()
    now_ns = T0 + 5 * NS_PER_S
    assert lease.state(now_ns) is SessionState.SUSPENDED
    assert lease.extend(T0 + 4 * NS_PER_S, now_ns)
    assert lease.state(now_ns) is SessionState.CONNECTED


def test_an_answer_after_the_end_brings_nothing_back() -> None:
    """S2: a process that was stopped past its lease may find the answer in its socket."""
    lease = opened()
    assert not lease.extend(T0 + 5 * NS_PER_S, lease.until_ns)
    assert lease.state(lease.until_ns) is SessionState.LOST


def test_an_old_answer_that_comes_last_shortens_nothing() -> None:
    lease = opened()
    lease.extend(T0 + 2 * NS_PER_S, T0 + 3 * NS_PER_S)
    until_ns = lease.until_ns
    lease.extend(T0 + NS_PER_S, T0 + 3 * NS_PER_S)
    assert lease.until_ns == until_ns


def test_silence_of_all_nodes_suspends_at_once_until_something_asked_later_is_answered() -> None:
    lease = opened()
    broke_ns = T0 + NS_PER_S
    lease.fall_silent(broke_ns)
    assert lease.state(broke_ns) is SessionState.SUSPENDED
    assert lease.due_ns == broke_ns
    lease.extend(broke_ns - 1, broke_ns + 1)
    assert lease.state(broke_ns + 1) is SessionState.SUSPENDED
    lease.extend(broke_ns + 1, broke_ns + 2)
    assert lease.state(broke_ns + 2) is SessionState.CONNECTED


@given(
    st.lists(st.tuples(st.sampled_from(["wait", "send", "answer", "silence"]), st.integers(1, 3_000)), max_size=40),
    st.integers(1_000, 60_000),
)
def test_what_was_lost_once_is_lost_for_ever_and_a_change_is_never_sooner_than_told(
    deeds: list[tuple[str, int]], ttl_ms: int
) -> None:
    """S1, S2: whatever comes in whatever order."""
    lease, now_ns, sent_ns, lost = opened(ttl_ms), T0, T0, False
    for deed, ms in deeds:
        before, changes_ns = lease.state(now_ns), lease.changes_ns(now_ns)
        now_ns += ms * NS_PER_MS
        if now_ns < changes_ns:
            assert lease.state(now_ns) is before
        if deed == "send":
            sent_ns = now_ns
        elif deed == "answer":
            lease.extend(sent_ns, now_ns)
        elif deed == "silence":
            lease.fall_silent(now_ns)
        lost = lost or lease.state(now_ns) is SessionState.LOST
        assert (lease.state(now_ns) is SessionState.LOST) is lost
        assert lease.until_ns < sent_ns + lease.ttl_ns
