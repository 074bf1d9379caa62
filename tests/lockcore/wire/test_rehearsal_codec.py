"""What operators tell a node to cut comes through whole, and nonsense is refused."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockcore.wire.errors import CodecError
from lockcore.wire.gen import lockring_pb2 as pb
from lockcore.wire.rehearsal_codec import HEAL_MS_MAX, Isolation, Scope, Way, decode_isolation, encode_isolation

isolations = st.builds(Isolation, st.sampled_from(Scope), st.sampled_from(Way), st.integers(0, HEAL_MS_MAX))


@given(isolations)
def test_what_is_told_is_what_is_heard(isolation: Isolation) -> None:
    assert decode_isolation(encode_isolation(isolation)) == isolation


@given(st.binary(max_size=40))
def test_any_bytes_are_an_isolation_or_a_codec_error(data: bytes) -> None:
    with suppress(CodecError):
        assert decode_isolation(data).heal_ms <= HEAL_MS_MAX


def test_a_cut_longer_than_the_longest_is_refused() -> None:
    data = pb.Isolation(scope=pb.Scope.EVERYTHING, heal_ms=HEAL_MS_MAX + 1).SerializeToString()
    with pytest.raises(CodecError, match="at most 60000"):
        decode_isolation(data)


def test_a_scope_of_a_newer_version_is_refused_and_not_taken_for_another() -> None:
    with pytest.raises(CodecError, match="enum Scope"):
        decode_isolation(bytes([0x08, 9]))
