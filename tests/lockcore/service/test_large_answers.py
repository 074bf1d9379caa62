"""Answers that are too large for a message do not break the conversation."""

from __future__ import annotations

from lockcore.core.messages import Code, Holdings, Refused, Released
from lockcore.service.locks_service import fitting
from lockcore.wire.codec import MESSAGE_BYTES_MAX, decode_server_batch

LARGE = Holdings(tuple((f"{i:08}" + "k" * 4_000, i) for i in range(1_000)), ())
TOO_LARGE = Holdings(LARGE.locks * 3, ())


def test_large_answers_leave_in_several_messages() -> None:
    """Each client refuses what is longer; with it would go the answers of everybody on the stream."""
    messages = list(fitting([(1, LARGE), (2, Released()), (3, LARGE), (4, LARGE)]))
    assert len(messages) > 1
    assert all(len(data) <= MESSAGE_BYTES_MAX for data in messages)
    assert [number for data in messages for number, _ in decode_server_batch(data).results] == [1, 2, 3, 4]


def test_an_answer_that_fits_none_is_refused_alone() -> None:
    messages = list(fitting([(1, Released()), (2, TOO_LARGE), (3, Released())]))
    results = dict(result for data in messages for result in decode_server_batch(data).results)
    assert (results[1], results[3]) == (Released(), Released())
    refused = results[2]
    assert isinstance(refused, Refused)
    assert refused.code is Code.INVALID
    assert "one key after the other" in refused.text
