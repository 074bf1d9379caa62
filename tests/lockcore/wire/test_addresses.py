"""Ring addresses, as SeaweedFS writes them."""

from __future__ import annotations

import pytest

from lockcore.wire.addresses import grpc_target, host_of


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("10.0.0.5:8888.18888", "10.0.0.5:18888"),
        ("10.0.0.5:8888.7", "10.0.0.5:7"),
        ("filer-1.example:8888", "filer-1.example:18888"),
        ("[::1]:8001.18001", "[::1]:18001"),
    ],
)
def test_grpc_listens_where_the_address_says_or_ten_thousand_above(address: str, target: str) -> None:
    assert grpc_target(address) == target


@pytest.mark.parametrize(
    "address",
    ["", "host", "host:", ":1", "host:0", "host:60000", "host:1.70000", "host:x", "a b:1", "h:1\n", "h" * 300 + ":1"],
)
def test_what_is_no_ring_address_is_refused_with_what_one_looks_like(address: str) -> None:
    with pytest.raises(ValueError, match=r"host:port|between 1 and"):
        grpc_target(address)


def test_a_host_is_what_stands_before_the_port() -> None:
    assert host_of("[::1]:8001.18001") == "[::1]"
    with pytest.raises(ValueError, match="no port"):
        host_of("localhost")
