"""From what masters say to what has happened."""

from typing import Any

from dlmsite.observing.sight import AWAY, FOLLOWING, UNKNOWN, Fact, Sight
from lockcore.wire.seaweed_client import MasterTold, NodeUpdate, RingUpdate

M1, M2 = "10.0.0.1:19333", "10.0.0.2:19333"
A, B, C = (f"10.0.0.{i}:8888.18888" for i in (11, 12, 13))


def ring(version: int, *servers: str, group: str = "") -> MasterTold:
    return MasterTold(ring=RingUpdate(group, servers, version))


def node(address: str, *, is_add: bool, at_ns: int = 0, **more: Any) -> MasterTold:
    return MasterTold(node=NodeUpdate(more.get("kind", "filer"), address, is_add, more.get("group", ""), at_ns))


def kinds(facts: list[Fact]) -> list[tuple[str, str]]:
    return [(fact.kind, fact.address) for fact in facts]


def test_the_first_ring_is_a_version_that_all_have_joined() -> None:
    sight = Sight()
    assert kinds(sight.told(M1, MasterTold(leader="10.0.0.1:9333.19333"), 1)) == [("leader", "10.0.0.1:9333.19333")]
    assert sight.state == FOLLOWING
    assert "lock ring is empty" in sight.problem
    facts = sight.told(M1, ring(5, A, B), 2)
    assert kinds(facts) == [("ring", ""), ("joined", A), ("joined", B)]
    assert facts[0].text == "2 filers, 2 joined"
    assert sight.problem == ""


def test_a_death_is_told_before_the_ring_that_is_without_it() -> None:
    """The master says at once that the connection is lost, and publishes a ring a second later."""
    sight = Sight()
    for told in (node(A, is_add=True), node(B, is_add=True), ring(5, A, B)):
        sight.told(M1, told, 1)
    assert kinds(sight.told(M1, node(A, is_add=False), 2)) == [("gone", A)]
    assert sight.ring is not None
    assert set(sight.ring.servers) == {A, B}
    assert kinds(sight.told(M1, ring(6, B), 3)) == [("ring", ""), ("left", A)]
    assert sight.connected == {B}


def test_an_older_ring_is_told_and_not_taken() -> None:
    """S1: filers ignore it, so the picture of what they do must as well."""
    sight = Sight(ring=RingUpdate("", (A, B), 9))
    facts = sight.told(M1, ring(8, A), 1)
    assert kinds(facts) == [("leader", M1), ("older", "")]
    assert sight.ring == RingUpdate("", (A, B), 9)


def test_what_was_known_before_a_restart_is_no_news() -> None:
    sight = Sight(ring=RingUpdate("", (B, A), 9))
    assert kinds(sight.told(M1, ring(9, A, B), 1)) == [("leader", M1)]


def test_a_version_that_is_renewed_is_no_news_but_counts() -> None:
    """S4: what comes after it must be newer than the renewal."""
    sight = Sight()
    sight.told(M1, ring(5, A, B), 1)
    assert sight.told(M1, ring(6, B, A), 2) == []
    assert kinds(sight.told(M1, ring(5, A), 3)) == [("older", "")]


def test_only_filers_of_the_group_are_members() -> None:
    """Gateways and other groups' filers are told on the same stream."""
    sight = Sight("blue")
    sight.told(M1, ring(1, A, group="blue"), 1)
    assert sight.told(M1, ring(2, B), 2) == []
    assert sight.told(M1, node(B, is_add=True, at_ns=7), 3) == []
    assert sight.told(M1, node("gateway:0", is_add=True, at_ns=7, kind="s3", group="blue"), 3) == []
    assert kinds(sight.told(M1, node(A, is_add=True, at_ns=7, group="blue"), 3)) == [("connected", A)]


def test_a_follower_that_names_the_leader_is_not_taken_for_it() -> None:
    sight = Sight()
    assert sight.told(M2, MasterTold(leader="10.0.0.1:9333"), 1) == []
    assert sight.state == UNKNOWN
    sight.told(M1, MasterTold(leader="10.0.0.1:9333"), 2)
    assert (sight.state, sight.leader) == (FOLLOWING, "10.0.0.1:9333")


def test_a_master_that_stays_away_says_so_once_for_each_reason() -> None:
    """S2: it is tried twice a second, for hours perhaps."""
    sight = Sight()
    sight.told(M1, ring(1, A), 1)
    assert kinds(sight.away(M1, "connection refused", 2)) == [("away", M1)]
    assert sight.away(M1, "connection refused", 3) == []
    assert kinds(sight.away(M2, "connection refused", 4)) == [("away", M2)]
    assert kinds(sight.away(M1, "it hangs", 5)) == [("away", M1)]
    assert sight.state == AWAY
    assert sight.problem == f"{M1}: it hangs; {M2}: connection refused"
    assert kinds(sight.told(M2, ring(2, A, B), 6)) == [("back", M2), ("leader", M2), ("ring", ""), ("joined", B)]
    assert sight.problem == ""


def test_filers_that_were_there_before_the_master_was_away_are_no_news_and_a_lost_one_is_unknown() -> None:
    sight = Sight()
    for told in (node(A, is_add=True), node(B, is_add=True), ring(1, A, B)):
        sight.told(M1, told, 1)
    sight.away(M1, "connection refused", 2)
    facts = sight.told(M1, node(A, is_add=True), 3)
    assert kinds(facts) == [("back", M1)]
    assert sight.connected == {A}
    sight.told(M1, node(A, is_add=False), 4)
    assert kinds(sight.told(M1, node(A, is_add=True), 5)) == [("connected", A)]
