"""Asking members of a SeaweedFS lock ring, filers and Lockring nodes alike, one call at a time.

Elsewhere: the members (cluster), Lockring's own client (test_use).
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

import grpc

from lockcore.core.operations import FindOwner, Granted, Lock, Refused, Released, Unlock
from lockcore.core.ring import HashRing
from lockcore.wire.seaweed_client import (
    decode_find_answer,
    decode_lock_answer,
    decode_unlock_answer,
    encode_find,
    encode_lock,
    encode_unlock,
)
from tests.weed.cluster import PACE_S, PAUSE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.weed.cluster import WeedCluster, WeedProcess

T = TypeVar("T")

TTL_MS: Final = 50_000
PATIENCE_S: Final = 60.0


def everybody(weed: WeedCluster) -> list[WeedProcess]:
    return [*weed.filers, *weed.members]


def keys_of(
    ring: HashRing, primary: WeedProcess, prefix: str, count: int, backup: WeedProcess | None = None
) -> list[str]:
    """Return keys that a member serves, of which (`backup`) a certain other one has the copy."""
    keys = []
    for i in range(100_000):
        first, second = ring.owners(key := f"{prefix}/{i}")
        if first == primary.address and (backup is None or second == backup.address):
            keys.append(key)
        if len(keys) == count:
            return keys
    raise AssertionError(f"only {len(keys)} keys")


def acquire(  # noqa: PLR0913, PLR0917 - what a request is made of
    weed: WeedCluster, at: WeedProcess, key: str, token: str = "", owner: str = "ada", timeout_s: float = 10
) -> Granted | Refused:
    """Acquire or renew at one member."""
    asked = Lock(key, TTL_MS, owner, token)
    return decode_lock_answer(weed.call(at.target, "DistributedLock", encode_lock(asked), timeout_s), asked)


def must_acquire(weed: WeedCluster, at: WeedProcess, key: str) -> Granted:
    """Acquire, asking again while a ring change is under way."""
    answer = eventually(lambda: acquire(weed, at, key), lambda got: isinstance(got, Granted))
    assert isinstance(answer, Granted)
    return answer


def release(weed: WeedCluster, at: WeedProcess, key: str, token: str) -> Released | Refused:
    return decode_unlock_answer(weed.call(at.target, "DistributedUnlock", encode_unlock(Unlock(key, token))))


def owner_at(weed: WeedCluster, at: WeedProcess, key: str, *, moved: bool = False) -> str:
    """Return who holds a key, empty for nobody."""
    try:
        return decode_find_answer(weed.call(at.target, "FindLockOwner", encode_find(FindOwner(key), moved=moved)))
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.NOT_FOUND:
            raise
        return ""


def eventually(ask: Callable[[], T], done: Callable[[T], bool]) -> T:
    """Ask until the answer is good, and return it."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        last: object
        try:
            if done(answer := ask()):
                return answer
            last = answer
        except grpc.RpcError as error:
            last = error
        assert time.monotonic() < deadline, f"the last answer was {last}"
        PAUSE.wait(PACE_S)


def renewable(weed: WeedCluster, at: list[WeedProcess], held: dict[str, Granted]) -> int:
    """Count the locks that are renewed with the very token that their holder has, at whoever serves them now."""
    ring = HashRing([each.address for each in at])

    def renewed(key: str) -> bool:
        serves = next(each for each in at if each.address == ring.primary(key))
        answer = acquire(weed, serves, key, held[key].token)
        return isinstance(answer, Granted) and answer.generation == held[key].generation

    with ThreadPoolExecutor(8) as side_by_side:
        return sum(side_by_side.map(renewed, held))
