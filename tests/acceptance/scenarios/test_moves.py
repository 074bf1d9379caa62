"""Joins, drops and the transfer window of SeaweedFS #8860, on the pure core and on real processes.

Elsewhere: crashes (test_failures).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockcore.core.events import EventKind
from lockcore.core.messages import RETRYABLE, Granted, Lock, Refused
from tests.acceptance.scenarios.driver import LONG_MS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.acceptance.scenarios.driver import Asked, Cluster, Held

LOCKS = 100


def test_locks_survive_an_added_node(cluster: Cluster) -> None:
    """8860:added-node: SeaweedFS 4.48 gave away 300 of 300 at a clean join."""
    cluster.start(3)
    locks = cluster.hold_many(60)
    before = {held.key: cluster.primary(held.key) for held in locks}
    new = cluster.add()
    cluster.wait(lambda: new in cluster.view.up, "the new node is a member")
    assert cluster.stolen(locks) == []
    cluster.settle()
    moved = [held for held in locks if cluster.primary(held.key) != before[held.key]]
    assert moved
    assert {cluster.primary(held.key) for held in moved} == {new}
    for held in locks:
        cluster.renew(held)
    assert cluster.stolen(locks) == []
    for held in moved:
        answer = cluster.ask(new, Lock(held.key, 1_000, "mallory"))
        assert isinstance(answer, Refused)
        assert answer.owner == "ada"


def test_renewals_go_on_while_a_node_joins(cluster: Cluster) -> None:
    """8860:transfer-window: no renewal fails for good, and no lock changes its generation.

    Every holder asks the node that was its primary before the join, without pause, until the cluster has settled.
    """
    cluster.start(3)
    locks = cluster.hold_many(40)
    old_primary = {held.key: cluster.primary(held.key) for held in locks}
    asked: dict[str, Asked] = {}
    renewals: dict[str, int] = dict.fromkeys(old_primary, 0)
    new = cluster.add()

    def renew_all() -> None:
        for held in locks:
            under_way = asked.get(held.key)
            if under_way is not None and under_way.result is None:
                continue
            if under_way is not None:
                renewals[held.key] += _take(held, under_way)
            asked[held.key] = cluster.begin(old_primary[held.key], Lock(held.key, LONG_MS, "ada", held.token))

    def settled_and_renewed() -> bool:
        renew_all()
        return new in cluster.view.up and cluster.settled() and min(renewals.values()) > 0

    cluster.wait(settled_and_renewed, "all have settled while everybody renewed")
    assert cluster.stolen(locks) == []
    for held in locks:
        cluster.renew(held)


def _take(held: Held, asked: Asked) -> int:
    """Take the answer to a renewal: granted, or to be asked again; never lost."""
    if isinstance(asked.result, Granted):
        assert asked.result.generation == held.generation
        held.token = asked.result.token
        return 1
    assert isinstance(asked.result, Refused)
    assert asked.result.code in RETRYABLE, asked.result
    return 0


def test_the_old_primary_serves_a_renewal_until_the_new_one_has_the_lock(cluster: Cluster) -> None:
    """8860:transfer-window, 8860:redirect-keeps-token: the answer says where the lock lives by then."""
    cluster.start(3)
    locks = cluster.hold_many(100)
    before = {held.key: cluster.primary(held.key) for held in locks}
    new = cluster.add()
    cluster.wait(lambda: new in cluster.view.up, "the new node is a member")
    moved = [held for held in locks if cluster.primary(held.key) == new]
    assert moved
    for held in moved:
        answer = cluster.ask(before[held.key], Lock(held.key, LONG_MS, "ada", held.token))
        assert isinstance(answer, Granted), answer
        assert (answer.generation, answer.moved_to) == (held.generation, new)
        held.token = answer.token
        cluster.renew(held)


def test_a_drop_and_a_join_within_a_second_disturb_no_lock(
    cluster: Cluster, record_property: Callable[[str, object], None]
) -> None:
    """8860:drop-and-join, 8860:one-update: #8860 reports 14 of 100 disrupted locks here.

    With us 0 of 100 change hands: not those of the dropped node, nor those that the joined one takes over.
    """
    nodes = cluster.start(4)
    locks = cluster.hold_many(LOCKS)
    before = {held.key: cluster.primary(held.key) for held in locks}
    versions = len(cluster.versions())
    new = cluster.add()
    cluster.kill(nodes[1])
    changed_hands = set(cluster.stolen(locks))
    cluster.wait(lambda: new in cluster.view.up, "the new node is a member")
    changed_hands |= set(cluster.stolen(locks))
    cluster.settle()
    changed_hands |= set(cluster.stolen(locks))
    for held in locks:
        cluster.renew(held)
    moved = [key for key, primary in before.items() if cluster.primary(key) != primary]
    survivors = [key for key in moved if before[key] != nodes[1]]
    figure = f"{len(changed_hands)} of {LOCKS}"
    figure += f" locks changed hands (#8860: 14 of 100 disrupted); {len(moved)} moved to another node"
    record_property(f"drop and join on {cluster.name}", f"{figure}, {len(survivors)} of them from a surviving one")
    assert changed_hands == set()
    assert len(cluster.versions()) == versions + 1


def test_a_join_and_its_handover_can_be_followed_in_the_facts(cluster: Cluster) -> None:
    """8860:promote-demote-transfer: each lock that moves is transferred once and demoted where it was."""
    nodes = cluster.start(2)
    locks = cluster.hold_many(60)
    cluster.add()
    cluster.settle()
    moved = {held.key for held in locks if cluster.primary(held.key) not in nodes}
    assert moved

    def told(kind: EventKind) -> set[str]:
        return {event.key for _, event in cluster.facts() if event.kind is kind}

    cluster.wait(lambda: told(EventKind.TRANSFERRED) >= moved, "the transfers are recorded")
    cluster.wait(lambda: told(EventKind.DEMOTED) >= moved, "the demotions are recorded")
    assert told(EventKind.TRANSFERRED) == moved
