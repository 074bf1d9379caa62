"""The hand-made client of SeaweedFS's protocol, against the codec of the nodes."""

from lockcore.core.operations import Code, Granted, Lock, Refused
from lockcore.testing.chaos.seaweed import lock_answer, lock_request
from lockcore.wire.seaweed import decode_lock, encode_lock_response


def test_a_node_reads_what_was_asked() -> None:
    for token in ("", "lr1.abc"):
        asked = decode_lock(lock_request("ключ", 300, "ada", token))
        assert asked.operation == Lock("ключ", 300_000, "ada", token)
        assert not asked.moved


def test_an_answer_is_read_as_the_node_meant_it() -> None:
    granted = lock_answer(encode_lock_response(Granted("lr1.abc", "ada", 1_795_271_911_540_632_540, 3, 20_000)))
    assert (granted.token, granted.owner, granted.error) == ("lr1.abc", "ada", "")
    assert granted.generation == 1_795_271_911_540_632_540
    refused = lock_answer(encode_lock_response(Refused(Code.HELD, "lock already owned by bob", "bob")))
    assert (refused.token, refused.owner, refused.error) == ("", "bob", "lock already owned by bob")
