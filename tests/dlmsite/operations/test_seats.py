"""Labels, addresses and ports."""

import pytest

from dlmsite.operations.seats import NODES_MAX, Plan, index_of, next_label


def test_every_port_follows_from_the_sites() -> None:
    plan = Plan("127.0.0.1", 8000)
    assert plan.master_target == "127.0.0.1:18000"
    assert plan.address("n2") == "127.0.0.1:8002.18002"
    assert plan.grpc_port("n2") == 18002


@pytest.mark.parametrize("label", ["", "n0", "n65", "m1", "n1/../x", "n01", "N1", "workload"])
def test_what_is_no_label_has_no_address(label: str) -> None:
    """Labels become file names."""
    assert index_of(label) is None
    with pytest.raises(ValueError, match="a label is n1 to n64"):
        Plan("127.0.0.1", 8000).address(label)


def test_a_new_label_is_one_that_nobody_ever_had() -> None:
    """A node that was killed keeps its label: it may be started again."""
    assert next_label([]) == "n1"
    assert next_label(["n1", "n3", "somebody"]) == "n4"


def test_at_the_end_labels_in_between_are_used() -> None:
    assert next_label([f"n{i}" for i in range(1, NODES_MAX + 1) if i != 5]) == "n5"
    assert next_label([f"n{i}" for i in range(1, NODES_MAX + 1)]) is None
