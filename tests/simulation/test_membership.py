"""The rule over what a master makes of its members (I11): what it accuses, and near misses.

Elsewhere: rules over nodes and holders (test_checker).
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from lockcore.core.messages import FromNode, Goodbye, Heartbeat, HeartbeatAck, SendNode, Unreached
from lockcore.core.region import Region
from lockcore.core.view import Grace, Member, MemberId, View
from lockcore.testing.membership import Membership

if TYPE_CHECKING:
    from lockcore.testing.stage import Stage

NODES = tuple(MemberId(address, 1) for address in ("a:1", "b:2", "c:3"))
NS_PER_MS = 1_000_000


def watched() -> Membership:
    """Return a watch over three members that live; none of them has settled."""
    nodes = {m.address: SimpleNamespace(alive=True, core=SimpleNamespace(member=m)) for m in NODES}
    membership = Membership(2_000, cast("Stage", SimpleNamespace(nodes=nodes, now_ns=0)))
    membership.begin(0, remembers=True)
    membership.publish(view(1))
    for step in range(10):
        for member in NODES:
            beat(membership, member, 1 + step, 400 * step)
    return membership


def view(number: int, *down: MemberId) -> View:
    return View(number, 1, tuple(Member(m.address, m.incarnation, down=m in down) for m in NODES), number - 1)


def beat(membership: Membership, member: MemberId, number: int, at_ms: int, *unreached: Unreached) -> None:
    word = Heartbeat(member, number, 1, settled=False, floor=0, acked=number - 1, unreached=unreached)
    membership.hear(FromNode(1, word), at_ms * NS_PER_MS)


def test_a_goodbye_that_is_acted_on_while_others_are_unsettled_is_found() -> None:
    membership = watched()
    membership.hear(FromNode(1, Goodbye(NODES[2])), 3_700 * NS_PER_MS)
    membership.publish(view(2, NODES[2]))
    assert [v.rule for v in membership.found] == ["I11"]


def test_who_said_goodbye_and_is_apart_from_another_may_be_put_out_while_others_are_unsettled() -> None:
    """Found by simulation: it goes as one of two that are apart, which waits for nobody."""
    membership = watched()
    membership.hear(FromNode(1, Goodbye(NODES[2])), 3_700 * NS_PER_MS)
    beat(membership, NODES[2], 11, 4_000, Unreached(NODES[0], 2_600))
    membership.publish(view(2, NODES[2]))
    assert membership.found == []


def test_who_is_heard_and_apart_from_nobody_may_not_be_put_out() -> None:
    membership = watched()
    membership.publish(view(2, NODES[2]))
    assert [v.rule for v in membership.found] == ["I11"]


@pytest.mark.parametrize("acked_at_ms", [1_200, 2_600])
def test_a_deaf_member_may_be_put_out_with_a_grace_only_when_nothing_was_acknowledged_to_it(acked_at_ms: int) -> None:
    """Found by simulation (seed 2414585): it was heard, but not heeded, and so served no more."""
    membership = watched()
    for step, member in enumerate(NODES):
        membership.hear(FromNode(step + 1, Heartbeat(member, 20, 1, settled=False, floor=0)), acked_at_ms * NS_PER_MS)
        membership.say(SendNode(step + 1, HeartbeatAck(20, 1, 1)))
    beat(membership, NODES[2], 21, 3_700)
    with_grace = View(2, 1, view(2, NODES[2]).members, 1, graces=(Grace(Region.of([(0, 9)]), 5_000),))
    membership.publish(with_grace)
    accused = [violation for violation in membership.found if "a grace came of it" in violation.text]
    assert bool(accused) is (acked_at_ms == 2_600)
