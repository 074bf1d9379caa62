"""What a program believed, against what it had been told."""

from lockcore.testing.chaos.beliefs import check_beliefs
from lockcore.testing.chaos.records import Belief
from lockcore.testing.record import Call, Did

MS = 1_000_000


def told(client: str, did: Did, at_ms: int, generation: int, ttl_ms: int = 3_000) -> Call:
    """Return an answer that came a millisecond after it was asked for."""
    return Call(client, did, "k", at_ms * MS, ttl_ms, (at_ms + 1) * MS, ok=True, generation=generation)


CALLS = [told("a", Did.ACQUIRE, 0, 7), told("a", Did.RENEW, 1_000, 7), told("b", Did.ACQUIRE, 4_500, 8)]


def test_a_lease_is_believed_in_until_the_end_of_what_was_last_answered() -> None:
    assert check_beliefs([Belief("a", "k", 7, 3_999 * MS)], CALLS) == []
    (found,) = check_beliefs([Belief("a", "k", 7, 4_000 * MS)], CALLS)
    assert found.rule == "I1"
    assert "its lease had ended" in found.text


def test_a_belief_in_what_was_never_granted_is_wrong() -> None:
    assert [v.rule for v in check_beliefs([Belief("c", "k", 7, 2 * MS)], CALLS)] == ["I1"]


def test_a_belief_after_somebody_else_was_told_of_a_newer_grant_is_wrong() -> None:
    """Also where its own lease seems to run: then one of the two answers was a lie."""
    calls = [*CALLS, told("a", Did.RENEW, 2_000, 7, 20_000)]
    assert check_beliefs([Belief("a", "k", 7, 4_501 * MS)], calls) == []
    (found,) = check_beliefs([Belief("a", "k", 7, 4_502 * MS)], calls)
    assert "a newer one had been granted" in found.text
    assert found.calls == (CALLS[2],)
