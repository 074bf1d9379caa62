"""What is written down of a program that holds locks with Lockring's client."""

from pathlib import Path
from typing import cast

import pytest

from lockcore.client.clock import boot_ns
from lockcore.client.machine import Answer
from lockcore.client.pool import Pool
from lockcore.client.route import Route
from lockcore.core.operations import Granted, Lock, Operation, Released, Result, Unlock
from lockcore.testing.chaos import holding
from lockcore.testing.chaos.records import Recorder, read_all

SECOND_NS = 1_000_000_000


async def test_a_lease_counts_from_the_attempt_that_was_answered_and_an_unlock_from_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has asked to unlock holds nothing any more, however often it has to ask again."""
    answers: list[Result] = [Granted("lr1.x", "ada", 7, 1, 3_000), Released()]
    sent_ns = boot_ns() + SECOND_NS  # a second attempt, later

    async def answered(_pool: Pool, _route: Route, _operation: Operation, _deadline_ns: int) -> Answer:
        return Answer(answers.pop(0), sent_ns)

    monkeypatch.setattr(holding, "call", answered)
    recorder = Recorder(tmp_path / "one.ndjson")
    asking = holding.Asking("holders", recorder)
    pool, route = cast("Pool", None), cast("Route", None)
    await asking.call(pool, route, Lock("k", 3_000, "ada"), 0)
    await asking.call(pool, route, Unlock("k", "lr1.x"), 0)
    recorder.close()
    unlock, taken = read_all([tmp_path / "one.ndjson"]).calls
    assert (taken.did, taken.ok, taken.invoked_ns) == ("acquire", True, sent_ns)
    assert (unlock.did, unlock.ok, unlock.generation) == ("unlock", True, 7)
    assert unlock.invoked_ns < sent_ns
