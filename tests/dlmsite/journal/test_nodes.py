"""Nodes and views as rows."""

import pytest

from dlmsite.journal.models import MasterSight, Node, RingVersion
from dlmsite.journal.nodes import NodeBook, NodeSample, ViewSample, write_sight, write_view

pytestmark = pytest.mark.django_db

SECOND_NS = 1_000_000_000


def sample(label: str = "n1", state: str = "up", operations: int | None = 0, incarnation: int = 1) -> NodeSample:
    return NodeSample(
        label, f"address-{label}", state, incarnation=incarnation, pid=5, operations=operations, gauges={"parked": 1}
    )


def test_a_label_keeps_its_colour_for_ever() -> None:
    """The colour is how people know a node again, also after days."""
    book = NodeBook()
    book.write([sample("n1"), sample("n2")], 1)
    NodeBook().write([sample("n2"), sample("n3")], 2)
    assert dict(Node.objects.values_list("label", "color")) == {"n1": 0, "n2": 1, "n3": 2}


def test_a_node_that_nobody_sees_is_unknown() -> None:
    book = NodeBook()
    book.write([sample("n1")], 1)
    book.write([], 2)
    node = Node.objects.get()
    assert (node.state, node.pid, node.ops_per_s, node.gauges) == ("unknown", None, 0.0, {})


def test_the_rate_is_operations_between_two_looks() -> None:
    book = NodeBook()
    book.write([sample(operations=100)], SECOND_NS)
    book.write([sample(operations=350)], 3 * SECOND_NS)
    assert Node.objects.get().ops_per_s == 125.0


def test_a_new_incarnation_begins_its_rate_anew() -> None:
    book = NodeBook()
    book.write([sample(operations=100, incarnation=1)], SECOND_NS)
    book.write([sample(operations=900, incarnation=2)], 2 * SECOND_NS)
    assert Node.objects.get().ops_per_s == 0.0


def test_gauges_are_stored_as_what_they_are() -> None:
    NodeBook().write([sample()], 1)
    assert Node.objects.get().gauges == {"parked": 1}


def test_a_view_is_written_once_and_settles_once() -> None:
    view = ViewSample(7, 6, 5, (("a", 1 << 60, False), ("b", 2, True)), settled=False)
    write_view(view, 100)
    write_view(view, 200)
    settled = ViewSample(7, 6, 5, view.members, settled=True)
    write_view(settled, 300)
    write_view(settled, 400)
    row = RingVersion.objects.get()
    assert (row.number, row.version, row.previous, row.at_ns, row.settled_at_ns) == (7, 6, 5, 100, 300)
    assert row.members[0] == {"address": "a", "incarnation": str(1 << 60), "down": False}


def test_the_last_sight_of_the_master_is_one_row() -> None:
    write_sight(400, SECOND_NS)
    assert MasterSight.objects.get().stabilising_until_ns == 1_400_000_000
    write_sight(None, 2 * SECOND_NS)
    row = MasterSight.objects.get()
    assert (row.at_ns, row.stabilising_until_ns) == (2 * SECOND_NS, None)
