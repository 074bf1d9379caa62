"""Bad input is told at once, with what to do."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockcore.client import check
from lockcore.core.operations import Lock
from lockcore.core.requests import fault_of
from lockcore.errors import InvalidRequest, LockError


@pytest.mark.parametrize("key", ["", "k" * 4_097, "ä" * 2_049, "\ud800", b"bytes", None, 7])
def test_a_key_that_cannot_be_is_refused(key: object) -> None:
    with pytest.raises(InvalidRequest):
        check.key_of(key)


@pytest.mark.parametrize("key", ["k", "k" * 4_096, "ä" * 2_048, "a/b c\n", "鍵"])
def test_any_other_key_is_taken(key: str) -> None:
    assert check.key_of(key) == key


@pytest.mark.parametrize("owner", ["o" * 1_025, "\udfff", 3])
def test_an_owner_that_cannot_be_is_refused(owner: object) -> None:
    with pytest.raises(InvalidRequest):
        check.owner_of(owner)


@pytest.mark.parametrize("ttl", [0, -1, 0.099, 60.01, 1e305, 10**400, math.inf, math.nan, True, "7", None])
def test_a_ttl_out_of_bounds_is_refused(ttl: object) -> None:
    with pytest.raises(InvalidRequest, match="ttl"):
        check.ttl_ms_of(ttl)


def test_a_ttl_is_kept_in_milliseconds() -> None:
    assert [check.ttl_ms_of(ttl) for ttl in (0.1, 2.5, 7, 60)] == [100, 2_500, 7_000, 60_000]


@given(st.text(max_size=20), st.text(max_size=20), st.floats(allow_nan=True))
def test_what_passes_here_passes_at_a_node(key: str, owner: str, ttl: float) -> None:
    """Otherwise a user would meet two different rules."""
    try:
        operation = Lock(check.key_of(key), check.ttl_ms_of(ttl), check.owner_of(owner))
    except InvalidRequest:
        return
    assert fault_of(operation) is None


@pytest.mark.parametrize("wait", [-1, 1e305, math.inf, math.nan, "1", False])
def test_a_wait_that_cannot_be_is_refused(wait: object) -> None:
    with pytest.raises(InvalidRequest, match="wait"):
        check.wait_ms_of(wait)


def test_no_wait_and_no_end_of_waiting_are_different() -> None:
    assert (check.wait_ms_of(0), check.wait_ms_of(None)) == (0, None)


@pytest.mark.parametrize("timeout", [0, -1, 121, math.nan])
def test_a_timeout_that_cannot_be_is_refused(timeout: float) -> None:
    with pytest.raises(InvalidRequest, match="timeout"):
        check.timeout_ms_of(timeout)


@pytest.mark.parametrize("token", ["", "t" * 2_049, "tökén", None])
def test_what_cannot_be_a_token_is_refused_and_not_repeated(token: object) -> None:
    """A token is a secret: no error may show it."""
    with pytest.raises(InvalidRequest) as caught:
        check.token_of(token)
    assert not token or str(token) not in str(caught.value)


def test_targets_are_grpc_or_ring_addresses() -> None:
    assert check.seeds_of("127.0.0.1:18001, 127.0.0.1:8002.18002\n[::1]:18003,127.0.0.1:18001") == (
        "127.0.0.1:18001",
        "127.0.0.1:18002",
        "[::1]:18003",
    )


@pytest.mark.parametrize(
    "target", ["", " , ", "localhost", "a:b", "a:99999", "a:0", "http://a:1", "a:1.2.3", ":18001", "a:1,b", None]
)
def test_a_target_that_cannot_be_is_refused_with_an_example(target: object) -> None:
    with pytest.raises(InvalidRequest, match=r"127\.0\.0\.1:18001|host:grpcPort"):
        check.seeds_of(target)


def test_too_many_targets_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="64"):
        check.seeds_of(",".join(f"host:{port}" for port in range(1, 66)))


def test_bad_input_can_be_caught_as_a_value_error_too() -> None:
    assert issubclass(InvalidRequest, ValueError)
    assert issubclass(InvalidRequest, LockError)
