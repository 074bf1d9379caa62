"""What operators ask of locks comes through whole, and nonsense is refused."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from lockcore.core.operations import Code, ForceRelease, Refused, Released
from lockcore.wire.errors import CodecError
from lockcore.wire.operators_codec import decode_force_release, decode_outcome, encode_force_release, encode_outcome

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(st.builds(ForceRelease, texts, st.integers(0, (1 << 64) - 1), texts))
def test_what_is_asked_is_what_is_heard(operation: ForceRelease) -> None:
    assert decode_force_release(encode_force_release(operation)) == operation


@given(st.one_of(st.just(Released()), st.builds(Refused, st.sampled_from([Code.NOT_HELD, Code.NOT_FOUND]), texts)))
def test_what_came_of_it_is_told(result: Released | Refused) -> None:
    assert decode_outcome(encode_outcome(result)) == result


@given(st.binary(max_size=60))
def test_any_bytes_are_a_request_or_a_codec_error(data: bytes) -> None:
    with suppress(CodecError):
        assert isinstance(decode_force_release(data).key, str)
