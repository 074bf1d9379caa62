"""What is asked of a node for people, and any bytes in its place."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockcore.core.inspecting import LEASES_TOLD_MAX
from lockcore.wire.errors import CodecError
from lockcore.wire.inspect_codec import (
    decode_inspect,
    decode_key,
    decode_keys,
    decode_leases,
    decode_sessions,
    encode_inspect,
    encode_keys,
)


@given(st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable()))
def test_the_key_that_is_asked_for_arrives(key: str) -> None:
    assert decode_inspect(encode_inspect(key)) == key


@pytest.mark.parametrize("decode", [decode_inspect, decode_key, decode_keys, decode_leases, decode_sessions])
@given(data=st.binary(max_size=60))
def test_any_bytes_decode_or_are_a_codec_error(decode: object, data: bytes) -> None:
    assert callable(decode)
    with suppress(CodecError):
        decode(data)


@pytest.mark.parametrize("key", ["", "k" * 4_097])
def test_no_key_and_too_long_a_key_are_refused(key: str) -> None:
    with pytest.raises(CodecError, match="1 to 4096 bytes"):
        decode_inspect(encode_inspect(key))


def test_keys_arrive_in_their_order_and_too_many_are_refused() -> None:
    keys = tuple(f"k{i}" for i in range(LEASES_TOLD_MAX))
    assert decode_keys(encode_keys(keys)) == keys
    with pytest.raises(CodecError, match="at most 500 keys"):
        decode_keys(encode_keys([*keys, "one more"]))
    with pytest.raises(CodecError, match="1 to 4096 bytes"):
        decode_keys(encode_keys([""]))
